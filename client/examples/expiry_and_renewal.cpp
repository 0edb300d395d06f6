// A lock that is kept as long as its holder lives: taken with an expiry, renewed well before it, given up when it is done.
//
// The revision is the fencing token: it rises from holder to holder, so whatever the lock protects can refuse a holder
// who was stopped, lost the lock, and does not know it yet.
#include <chrono>
#include <cstdio>
#include <thread>

#include "client/client.hpp"

int main(int argc, char** argv) {
  // A request that is not answered well within the lock's time is of no use: give it less.
  auto kahuna = kahuna::client::client::connect({.endpoints = {argc > 1 ? argv[1] : "127.0.0.1:4870"}, .timeout = std::chrono::milliseconds(500)});
  if (!kahuna) return 1;
  constexpr std::int64_t lock_ms = 3000;

  const auto taken = kahuna->set({.key = "locks/migration", .value = "worker-1", .if_absent = true, .expires_ms = lock_ms});
  if (!taken) {
    // Unknown whether it was taken: if it was, it expires by itself.
    std::printf("try again later: %s\n", taken.error().message.c_str());
    return 1;
  }
  if (!taken->is_set) {
    std::printf("somebody else has it\n");
    return 0;
  }
  const auto token = taken->revision;
  // Counted from before it was asked for, the lock ends no sooner than the node thinks.
  auto safe_until = std::chrono::steady_clock::now() + std::chrono::milliseconds(lock_ms);
  std::printf("taken\n");

  int renewals = 0;
  for (int step = 0; step < 3; ++step) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // the work, in pieces
    const auto asked = std::chrono::steady_clock::now();
    const auto renewed = kahuna->extend({.key = "locks/migration", .expires_ms = lock_ms});
    if (renewed && renewed->is_extended && renewed->revision == token) {
      safe_until = asked + std::chrono::milliseconds(lock_ms);
      ++renewals;
    } else if (renewed) {
      std::printf("lost: stop working at once\n");
      return 1;
    } else if (std::chrono::steady_clock::now() >= safe_until) {
      std::printf("not known to be held any longer: stop working\n");
      return 1;
    }
    // Otherwise it is still ours for a while: the next renewal may succeed.
  }
  std::printf("renewed %d times\n", renewals);

  // Only if it is still ours: setting it to an empty value that expires at once, on the condition of our revision. A plain
  // delete would take the lock of whoever came after us.
  const auto given_up = kahuna->set({.key = "locks/migration", .value = "", .if_revision = token, .expires_ms = 1});
  if (given_up && given_up->is_set) std::printf("given up\n");
  return 0;
}
