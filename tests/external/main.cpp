#include <iostream>

#include <client/client.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto kahuna = kahuna::client::client::connect({.endpoints = {argv[1]}});
  if (!kahuna) {
    std::cerr << kahuna.error().message << '\n';
    return 1;
  }
  const auto set = kahuna->set({.key = "external", .value = "built elsewhere"});
  const auto found = kahuna->get({.key = "external"});
  if (!set || !found) return 1;
  std::cout << found->value.view() << '\n';
}
