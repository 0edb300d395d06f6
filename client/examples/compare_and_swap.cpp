// A counter that many may raise at the same time: read, and set on the condition that nobody was faster.
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "client/client.hpp"

namespace {

// Raises the number under the key by one. Errors are passed on: after `timeout` it is unknown whether it was raised.
kahuna::result<long> raise_by_one(kahuna::client::client& kahuna, const std::string& key) {
  for (;;) {
    const auto found = kahuna.get({.key = key});
    if (!found) return found.error();
    const auto next = found->is_found ? std::stol(found->value.str()) + 1 : 1;
    // Of an absent key the revision is -1, and -1 as a condition means absent: both cases in one.
    const auto set = kahuna.set({.key = key, .value = std::to_string(next), .if_revision = found->revision});
    if (!set) return set.error();
    if (set->is_set) return next;
    // Somebody was faster, so somebody has got on: look again.
  }
}

}  // namespace

int main(int argc, char** argv) {
  auto kahuna = kahuna::client::client::connect({.endpoints = {argc > 1 ? argv[1] : "127.0.0.1:4870"}});
  if (!kahuna) return 1;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i)
        if (const auto raised = raise_by_one(*kahuna, "counters/visits"); !raised) std::printf("%s\n", raised.error().message.c_str());
    });
  for (auto& thread : threads) thread.join();
  const auto found = kahuna->get({.key = "counters/visits"});
  if (found) std::printf("counted to %s\n", found->value.str().c_str());
  return 0;
}
