// The lock table: who is granted, who waits and for whom; and at random, that what it says holds.
#define CAF_SUITE lock_table
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
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

// The same, by looking at everybody each time.
class plain_locks {
 public:
  bool acquire(const transaction_id& owner, const std::string& resource, lock_mode mode) {
    const auto holder = find(owner, resource);
    if (holder != claims_.end() && (holder->held & (bit(mode) | bit(lock_mode::exclusive))) != 0) return true;
    if (const auto waits = waiting(owner); waits != claims_.end() && waits->resource != resource) stop_waiting(owner);
    auto& claim = find_or_add(owner, resource);
    const bool has_waited = claim.wanted != 0;
    claim.wanted = 0;
    const bool is_granted = may_hold(claim, bit(mode));
    (is_granted ? claim.held : claim.wanted) |= bit(mode);
    if (has_waited) grant(resource);
    return is_granted;
  }
  bool try_acquire(const transaction_id& owner, const std::string& resource, lock_mode mode) {
    if (!may_hold({owner, resource, find(owner, resource) != claims_.end() ? find(owner, resource)->held : 0u, 0}, bit(mode))) return false;
    find_or_add(owner, resource).held |= bit(mode);
    return true;
  }
  void stop_waiting(const transaction_id& owner) {
    if (const auto waits = waiting(owner); waits != claims_.end()) {
      waits->wanted = 0;
      grant(std::string(waits->resource));
    }
  }
  void release_held(const transaction_id& owner, const std::vector<std::string>& in_order) {
    for (auto& claim : claims_)
      if (claim.owner == owner) claim.held = 0;
    for (const auto& resource : in_order) grant(resource);
  }
  void release(const transaction_id& owner, const std::vector<std::string>& in_order) {
    stop_waiting(owner);
    release_held(owner, in_order);
    std::erase(granted_, owner);
  }
  bool is_waiting(const transaction_id& owner) { return waiting(owner) != claims_.end(); }
  std::vector<transaction_id> take_granted() { return std::exchange(granted_, {}); }

  std::vector<transaction_id> blockers_of(const transaction_id& owner) {
    std::vector<transaction_id> blockers;
    const auto own = waiting(owner);
    if (own == claims_.end()) return blockers;
    for (const auto& other : claims_) {
      if (other.owner == owner || other.resource != own->resource || other.held == 0) continue;
      bool is_blocking = !go_together(other.held, own->wanted);
      for (const auto& before : claims_)
        if (own->held == 0 && before.resource == own->resource && before.owner < owner && before.wanted != 0)
          is_blocking = is_blocking || (!pass(before.wanted, own->wanted) && !go_together(other.held, before.wanted));
      if (is_blocking) blockers.push_back(other.owner);
    }
    std::sort(blockers.begin(), blockers.end());
    return blockers;
  }
  bool waits_for_older(const transaction_id& owner) {
    const auto own = waiting(owner);
    if (own == claims_.end()) return false;
    for (const auto& blocker : blockers_of(owner))
      if (blocker < owner) return true;
    return !is_first(*own, own->wanted);
  }

 private:
  struct claim {
    transaction_id owner;
    std::string resource;
    unsigned held = 0;
    unsigned wanted = 0;
  };
  static unsigned bit(lock_mode mode) { return static_cast<unsigned>(mode); }
  static bool pass(unsigned a, unsigned b) { return a == b && a != bit(lock_mode::exclusive); }
  static bool go_together(unsigned held, unsigned wanted) { return wanted != bit(lock_mode::exclusive) && (held & ~wanted) == 0; }
  std::vector<claim>::iterator find(const transaction_id& owner, const std::string& resource) {
    return std::find_if(claims_.begin(), claims_.end(), [&](const claim& c) { return c.owner == owner && c.resource == resource; });
  }
  std::vector<claim>::iterator waiting(const transaction_id& owner) {
    return std::find_if(claims_.begin(), claims_.end(), [&](const claim& c) { return c.owner == owner && c.wanted != 0; });
  }
  claim& find_or_add(const transaction_id& owner, const std::string& resource) {
    const auto known = find(owner, resource);
    return known != claims_.end() ? *known : claims_.emplace_back(claim{owner, resource, 0, 0});
  }
  bool is_first(const claim& own, unsigned wanted) const {
    return own.held != 0 || std::none_of(claims_.begin(), claims_.end(), [&](const claim& c) {
             return c.resource == own.resource && c.wanted != 0 && c.owner < own.owner && !pass(c.wanted, wanted);
           });
  }
  bool may_hold(const claim& own, unsigned wanted) const {
    return is_first(own, wanted) && std::none_of(claims_.begin(), claims_.end(), [&](const claim& c) {
             return c.resource == own.resource && c.owner != own.owner && c.held != 0 && !go_together(c.held, wanted);
           });
  }
  void grant(const std::string& resource) {
    std::sort(claims_.begin(), claims_.end(), [](const claim& a, const claim& b) { return a.owner < b.owner; });
    for (auto& c : claims_) {
      if (c.resource != resource || c.wanted == 0) continue;
      const auto wanted = std::exchange(c.wanted, 0);
      if (may_hold(c, wanted)) {
        c.held |= wanted;
        granted_.push_back(c.owner);
      } else {
        c.wanted = wanted;
      }
    }
  }

  std::vector<claim> claims_;
  std::vector<transaction_id> granted_;
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

CAF_TEST(at random it says the same as one that looks at everybody each time) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    CAF_MESSAGE("seed " << seed);
    prng dice(seed);
    lock_table locks;
    plain_locks plain;
    std::map<transaction_id, std::vector<std::string>> held;  // in the order in which they were taken
    const auto note_held = [&](const transaction_id& owner, const std::string& resource) {
      auto& all = held[owner];
      if (std::find(all.begin(), all.end(), resource) == all.end()) all.push_back(resource);
    };
    std::map<transaction_id, std::string> waits_for;
    for (int step = 0; step < 300; ++step) {
      const auto owner = aged(1 + dice.below(12));
      const auto resource = "r" + std::to_string(dice.below(2));
      const lock_mode modes[] = {shared, intent, exclusive};
      const auto mode = modes[dice.below(3)];
      const auto what = dice.below(10);
      if (what < 6) {
        const bool is_granted = locks.acquire(owner, resource, mode);
        CAF_REQUIRE_EQUAL(is_granted, plain.acquire(owner, resource, mode));
        if (is_granted)
          note_held(owner, resource);
        else
          waits_for[owner] = resource;
      } else if (what == 6) {
        const bool is_held = locks.try_acquire(owner, resource, mode);
        CAF_REQUIRE_EQUAL(is_held, plain.try_acquire(owner, resource, mode));
        if (is_held) note_held(owner, resource);
      } else if (what == 7) {
        locks.stop_waiting(owner);
        plain.stop_waiting(owner);
      } else {
        what == 8 ? locks.release(owner) : locks.release_held(owner);
        what == 8 ? plain.release(owner, held[owner]) : plain.release_held(owner, held[owner]);
        held.erase(owner);
      }
      locks.check_invariants();
      const auto granted = locks.take_granted();
      CAF_REQUIRE(granted == plain.take_granted());
      for (const auto& id : granted) note_held(id, waits_for.at(id));
      bool is_same = true;
      for (std::uint64_t age = 1; age <= 12; ++age)
        is_same = is_same && locks.is_waiting(aged(age)) == plain.is_waiting(aged(age)) &&
                  locks.blockers_of(aged(age)) == plain.blockers_of(aged(age)) && locks.waits_for_older(aged(age)) == plain.waits_for_older(aged(age));
      CAF_REQUIRE(is_same);
    }
  }
}
