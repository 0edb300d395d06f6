// The lock table: who is granted, who waits and for whom; and at random, that what it says holds.
#define CAF_SUITE lock_table
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/prng.hpp"
#include "core/txn/lock_table.hpp"

using namespace kahuna;
using namespace kahuna::txn;

namespace {

// The smaller the older.
transaction_id aged(std::uint64_t age) { return {timestamp{age}, 1, 1}; }

struct fixture {
  lock_table locks;

  // "granted", "waits 3 4" for those who hold it, or "waits for an older one 2".
  std::string acquire(std::uint64_t owner, const std::string& resource, lock_mode mode) {
    const bool is_granted = locks.acquire(aged(owner), resource, mode);
    locks.check_invariants();
    if (is_granted) return "granted";
    std::string said = locks.waits_for_older(aged(owner)) ? "waits for an older one" : "waits";
    for (const auto& blocker : locks.blockers_of(aged(owner)))
      said += (locks.is_promised(blocker) ? " promised " : " ") + std::to_string(blocker.began_at.value);
    return said;
  }

  std::string release(std::uint64_t owner) {
    locks.release(aged(owner));
    locks.check_invariants();
    std::string granted;
    for (const auto& id : locks.take_granted()) granted += (granted.empty() ? "" : " ") + std::to_string(id.began_at.value);
    return granted;
  }
};

constexpr auto shared = lock_mode::shared;
constexpr auto intent = lock_mode::intent;
constexpr auto exclusive = lock_mode::exclusive;

}  // namespace

CAF_TEST_FIXTURE_SCOPE(lock_table_tests, fixture)

CAF_TEST(shared goes with shared and intent with intent and nothing else together) {
  const lock_mode modes[] = {shared, intent, exclusive};
  for (const auto held : modes)
    for (const auto wanted : modes) {
      lock_table table;
      CAF_CHECK(table.try_acquire(aged(1), "r", held));
      CAF_CHECK_EQUAL(table.try_acquire(aged(2), "r", wanted), held == wanted && held != exclusive);
    }
}

CAF_TEST(what is held is granted again) {
  CAF_CHECK_EQUAL(acquire(5, "r", exclusive), "granted");
  CAF_CHECK_EQUAL(acquire(5, "r", exclusive), "granted");
  CAF_CHECK_EQUAL(acquire(5, "r", shared), "granted");
  release(5);
  CAF_CHECK(locks.is_empty());
}

CAF_TEST(who waits is told for whom and the older stands first) {
  CAF_CHECK_EQUAL(acquire(5, "r", exclusive), "granted");
  CAF_CHECK_EQUAL(acquire(7, "r", exclusive), "waits for an older one 5");
  CAF_CHECK_EQUAL(acquire(3, "r", shared), "waits 5");
  CAF_CHECK_EQUAL(acquire(4, "r", exclusive), "waits for an older one 5");  // that stands before it
  CAF_CHECK_EQUAL(release(4), "");
  CAF_CHECK_EQUAL(release(5), "3");
  CAF_CHECK_EQUAL(release(3), "7");
}

CAF_TEST(who has promised is known) {
  CAF_CHECK_EQUAL(acquire(5, "r", exclusive), "granted");
  locks.promise(aged(5));
  CAF_CHECK_EQUAL(acquire(3, "r", exclusive), "waits promised 5");
  CAF_CHECK(locks.promised_writer("r") == aged(5));
  CAF_CHECK(!locks.promised_writer("r", aged(5)));
  CAF_CHECK(!locks.promised_writer("other"));
  CAF_CHECK_EQUAL(release(5), "3");
}

CAF_TEST(a stream of readers does not keep an older writer out) {
  CAF_CHECK_EQUAL(acquire(2, "r", shared), "granted");
  CAF_CHECK_EQUAL(acquire(4, "r", exclusive), "waits for an older one 2");
  CAF_CHECK_EQUAL(acquire(6, "r", shared), "waits for an older one 2");  // whom the older one waits for
  CAF_CHECK_EQUAL(acquire(3, "r", shared), "granted");  // older than the writer
  CAF_CHECK_EQUAL(release(2), "");
  CAF_CHECK_EQUAL(release(3), "4");
  CAF_CHECK_EQUAL(release(4), "6");
}

CAF_TEST(who never waits does not overtake an older one who does) {
  CAF_CHECK_EQUAL(acquire(2, "r", shared), "granted");
  CAF_CHECK_EQUAL(acquire(4, "r", exclusive), "waits for an older one 2");
  CAF_CHECK(!locks.try_acquire(aged(6), "r", shared));
  CAF_CHECK(locks.try_acquire(aged(3), "r", shared));
  CAF_CHECK(locks.try_acquire(aged(2), "r", shared));
}

CAF_TEST(a stronger claim of a holder does not stand behind those who wait for it) {
  CAF_CHECK_EQUAL(acquire(5, "r", shared), "granted");
  CAF_CHECK_EQUAL(acquire(3, "r", exclusive), "waits 5");
  CAF_CHECK_EQUAL(acquire(5, "r", exclusive), "granted");
  CAF_CHECK_EQUAL(release(5), "3");
}

CAF_TEST(two that want more than they share wait for each other) {
  CAF_CHECK_EQUAL(acquire(3, "r", shared), "granted");
  CAF_CHECK_EQUAL(acquire(5, "r", shared), "granted");
  CAF_CHECK_EQUAL(acquire(5, "r", exclusive), "waits for an older one 3");
  CAF_CHECK_EQUAL(acquire(3, "r", exclusive), "waits 5");
  CAF_CHECK_EQUAL(release(5), "3");
}

CAF_TEST(what was restored is promised) {
  locks.restore(aged(9), "r", exclusive);
  CAF_CHECK(locks.is_promised(aged(9)));
  CAF_CHECK_EQUAL(acquire(1, "r", shared), "waits promised 9");
  CAF_CHECK(locks.blockers_of(aged(1)) == std::vector<transaction_id>{aged(9)});
}

CAF_TEST(who gives up waiting keeps what it holds) {
  CAF_CHECK_EQUAL(acquire(2, "a", exclusive), "granted");
  CAF_CHECK_EQUAL(acquire(5, "b", exclusive), "granted");
  CAF_CHECK_EQUAL(acquire(5, "a", shared), "waits for an older one 2");
  locks.stop_waiting(aged(5));
  CAF_CHECK(!locks.is_waiting(aged(5)));
  CAF_CHECK_EQUAL(release(2), "");
  CAF_CHECK_EQUAL(acquire(7, "b", shared), "waits for an older one 5");
  locks.release_held(aged(5));
  CAF_CHECK_EQUAL(release(5), "7");
}

CAF_TEST_FIXTURE_SCOPE_END()

CAF_TEST(at random nobody holds what another holds and waiting always ends) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    prng dice(seed);
    lock_table locks;
    for (int step = 0; step < 300; ++step) {
      const auto owner = aged(1 + dice.below(6));
      const auto resource = "r" + std::to_string(dice.below(3));
      const lock_mode modes[] = {shared, intent, exclusive};
      const auto mode = modes[dice.below(3)];
      switch (dice.below(5)) {
        case 0:
        case 1:
        case 2:
          // Who waits asks for nothing else, as a transaction does; what it wounds is aborted at once.
          if (!locks.is_waiting(owner))
            if (!locks.acquire(owner, resource, mode))
              for (const auto& blocker : locks.blockers_of(owner))
                if (owner < blocker) locks.release(blocker);
          break;
        case 3: locks.release(owner); break;
        case 4: locks.release_held(owner); break;
      }
      locks.check_invariants();
      locks.take_granted();
    }
    // Whoever holds and does not wait ends; so all come to their end.
    for (int round = 0; round < 100 && !locks.is_empty(); ++round)
      for (std::uint64_t age = 1; age <= 6; ++age)
        if (!locks.is_waiting(aged(age))) locks.release(aged(age));
    CAF_CHECK(locks.is_empty());
  }
}
