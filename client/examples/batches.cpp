// Many keys with one call: requests travel together, and each has its own answer.
#include <cstdio>
#include <string>
#include <vector>

#include "client/client.hpp"

int main(int argc, char** argv) {
  auto kahuna = kahuna::client::client::connect({.endpoints = {argc > 1 ? argv[1] : "127.0.0.1:4870"}});
  if (!kahuna) return 1;

  std::vector<kahuna::kv::set_request> sets;
  std::vector<kahuna::kv::get_request> gets;
  for (int i = 0; i < 1000; ++i) {
    const auto key = "batch/" + std::to_string(i);
    sets.push_back({.key = key, .value = std::to_string(i * i)});
    gets.push_back({.key = key});
  }
  int set = 0;
  for (const auto& answer : kahuna->set_many(std::move(sets))) set += answer && answer->is_set;
  std::printf("%d set\n", set);

  const auto found = kahuna->get_many(std::move(gets));
  if (found[12] && found[12]->is_found) std::printf("the thirteenth is %s\n", found[12]->value.str().c_str());
  return set == 1000 ? 0 : 1;
}
