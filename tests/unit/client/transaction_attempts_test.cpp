// What an attempt that is lost teaches the next one.
#define CAF_SUITE client_transaction_attempts
#include "caf/test/unit_test.hpp"

#include "client/transaction_attempts.hpp"

using namespace kahuna;
using namespace kahuna::client;
using kv::lock_demand;

namespace {

const timestamp now = timestamp_at(1'700'000'000'000);

transaction_attempts attempts_of(transaction_options options) { return transaction_attempts(options, now, prng(1)); }

}  // namespace

CAF_TEST(the first attempt is as it was asked for) {
  transaction_options options;
  options.locking = kv::locking_mode::optimistic;
  const auto attempts = attempts_of(options);
  CAF_CHECK(attempts.options().locking == kv::locking_mode::optimistic);
  CAF_CHECK(attempts.locks().empty());
  CAF_CHECK_EQUAL(attempts.options().began_at, now);
}

CAF_TEST(all attempts have the age of the first one) {
  transaction_options options;
  options.began_at = timestamp{77};
  auto attempts = attempts_of(options);
  attempts.lost({});
  CAF_CHECK_EQUAL(attempts.options().began_at, timestamp{77});
}

CAF_TEST(who has lost locks what was touched in the order of names and each key once) {
  transaction_options options;
  options.locking = kv::locking_mode::optimistic;
  auto attempts = attempts_of(options);
  attempts.lost({{.key = "b", .lock = lock_demand::shared}, {.key = "c", .lock = lock_demand::exclusive}});
  CAF_CHECK(attempts.options().locking == kv::locking_mode::pessimistic);
  attempts.lost({{.key = "b", .lock = lock_demand::exclusive}, {.key = "c", .lock = lock_demand::shared}, {.key = "a", .lock = lock_demand::shared}});
  attempts.lost({{kv::durability::ephemeral, "a", lock_demand::shared}});
  const std::vector<kv::wanted_lock> expected = {{.key = "a", .lock = lock_demand::shared},
                                                 {.key = "b", .lock = lock_demand::exclusive},
                                                 {.key = "c", .lock = lock_demand::exclusive},
                                                 {kv::durability::ephemeral, "a", lock_demand::shared}};
  CAF_CHECK(attempts.locks() == expected);
}

CAF_TEST(no more is locked first than one step may lock) {
  auto attempts = attempts_of({});
  std::vector<kv::wanted_lock> many;
  for (std::size_t i = 0; i < kv::locks_max + 10; ++i) many.push_back({.key = "key-" + std::to_string(i)});
  attempts.lost(many);
  CAF_CHECK_EQUAL(attempts.locks().size(), kv::locks_max);
}

CAF_TEST(pauses grow to a tenth of a second) {
  auto attempts = attempts_of({});
  std::chrono::microseconds last{0};
  for (std::int64_t bound = 1'000; bound < 200'000; bound *= 2) {
    last = attempts.lost({});
    CAF_CHECK(last.count() >= std::min<std::int64_t>(bound, 100'000) / 2);
    CAF_CHECK(last.count() <= std::min<std::int64_t>(bound, 100'000));
  }
}
