#define CAF_SUITE history_sweep
#include "caf/test/unit_test.hpp"

#include <map>
#include <memory>
#include <set>

#include "core/base/prng.hpp"
#include "core/kv/history_sweep.hpp"
#include "persistence/data_store.hpp"
#include "persistence/memory_store.hpp"

using namespace kahuna;
using namespace kahuna::kv;

namespace {

constexpr std::uint64_t grace = history_sweep::grace_ms;

struct fixture {
  fixture() { open(); }

  void open() {
    auto opened = persistence::data_store::open(std::make_shared<persistence::memory_store>(), partition_id{3}, [](const error& e) {
      CAF_FAIL(e.message);
    });
    store = std::move(*opened);
  }

  void write(const std::string& key, std::int64_t revision, std::uint64_t at_ms, std::uint64_t expires_at_ms = 0, bool is_tombstone = false) {
    const auto stamp = timestamp_at(at_ms);
    apply({{key, {revision, is_tombstone, stamp, stamp, expires_at_ms, "v"}}}, {}, 0);
  }

  void apply(const std::vector<mutation>& mutations, const std::vector<removal>& removals, std::uint64_t collected_below_ms) {
    store->apply({store->applied_index() + 1, {}, &mutations, &removals, collected_below_ms});
  }

  // A whole round of a new sweep, applied.
  std::uint64_t round(history_limits limits, std::uint64_t now_ms) {
    history_sweep sweep(limits);
    return round(sweep, now_ms);
  }

  // Sweeps until a whole round is through, and applies what was found.
  std::uint64_t round(history_sweep& sweep, std::uint64_t now_ms, const std::set<std::string>& in_use = {}) {
    std::uint64_t below_ms = 0;
    for (const auto before = sweep.rounds(); sweep.rounds() == before;) {
      const auto found = sweep.step(*store, now_ms, [&](std::string_view key) { return in_use.contains(std::string(key)); });
      CAF_REQUIRE(found.has_value());
      apply({}, found->removals, std::max(store->collected_below_ms(), found->collected_below_ms));
      below_ms = std::max(below_ms, found->collected_below_ms);
    }
    return below_ms;
  }

  std::string left() {
    std::string out;
    const auto damage = store->walk_versions({}, [&](std::string_view key, const version& v) {
      out += std::string(key) + std::to_string(v.revision) + (v.is_tombstone ? "x " : " ");
      return true;
    });
    CAF_CHECK(!damage);
    return out;
  }

  std::unique_ptr<persistence::data_store> store;
};

}  // namespace

CAF_TEST_FIXTURE_SCOPE(history_sweep_tests, fixture)

CAF_TEST(without limits nothing goes) {
  write("a", 0, 100, 200);
  write("b", 0, 100);
  write("b", 0, 200, 0, true);
  history_sweep sweep({0, 0});
  const auto found = sweep.step(*store, 1'000'000'000, [](std::string_view) { return false; });
  CAF_REQUIRE(found.has_value());
  CAF_CHECK(found->removals.empty());
}

CAF_TEST(the newest revisions stay and older ones go once the grace is over) {
  for (int r = 0; r < 5; ++r) write("a", r, 1000 + 100 * r);
  const history_limits limits{2, 0};
  CAF_CHECK_EQUAL(round(limits, 1200 + grace - 1), 1101u);  // r0 was superseded at 1100
  CAF_CHECK_EQUAL(left(), "a4 a3 a2 a1 ");
  CAF_CHECK_EQUAL(round(limits, 1'000'000), 1301u);
  CAF_CHECK_EQUAL(left(), "a4 a3 ");
}

CAF_TEST(an absent key keeps its last revisions and its count where only their number is limited) {
  for (int r = 0; r < 3; ++r) write("a", r, 1000 + 100 * r);
  write("a", 2, 2000, 0, true);
  for (int r = 0; r < 3; ++r) write("b", r, 1000 + 100 * r, 5000);
  history_sweep sweep({2, 0});
  round(sweep, 1'000'000'000);
  CAF_CHECK_EQUAL(left(), "a2x a2 a1 b2 b1 ");
}

CAF_TEST(versions go when they were superseded long enough ago) {
  write("a", 0, 1000);
  write("a", 1, 2000);
  write("a", 2, 500'000);
  const history_limits limits{0, 100'000};
  CAF_CHECK_EQUAL(round(limits, 102'000), 2001u);
  CAF_CHECK_EQUAL(left(), "a2 a1 ");
  round(limits, 599'999);
  CAF_CHECK_EQUAL(left(), "a2 a1 ");
  round(limits, 600'000);
  CAF_CHECK_EQUAL(left(), "a2 ");
}

CAF_TEST(a key that was absent for long is forgotten whole and a live one never) {
  write("deleted", 0, 1000);
  write("deleted", 0, 2000, 0, true);
  write("expired", 0, 1000, 0);
  write("expired", 1, 1500, 2000);
  write("live", 0, 1000);
  write("tolive", 0, 1000, 900'000);
  const history_limits limits{0, 20'000};
  round(limits, 21'999);
  CAF_CHECK_EQUAL(left(), "deleted0x deleted0 expired1 live0 tolive0 ");  // expired0 was superseded at 1500
  CAF_CHECK_EQUAL(round(limits, 22'000), 2001u);
  CAF_CHECK_EQUAL(left(), "live0 tolive0 ");
  CAF_CHECK_EQUAL(store->collected_below_ms(), 2001u);
}

CAF_TEST(the grace holds for keys that are forgotten too) {
  write("a", 0, 1000, 2000);
  const history_limits limits{0, 1};
  round(limits, 2000 + grace - 1);
  CAF_CHECK_EQUAL(left(), "a0 ");
  CAF_CHECK_EQUAL(round(limits, 2000 + grace), 2001u);  // a list of the moment before would have shown it
  CAF_CHECK_EQUAL(left(), "");
}

CAF_TEST(a key with proposals under way is left for the next round) {
  write("a", 0, 1000, 2000);
  history_sweep sweep({0, 1});
  round(sweep, 1'000'000, {"a"});
  CAF_CHECK_EQUAL(left(), "a0 ");
  round(sweep, 1'010'000);
  CAF_CHECK_EQUAL(left(), "");
}

CAF_TEST(a sweep rests until something is written or grows old) {
  write("a", 0, 1000, 50'000);
  history_sweep sweep({0, 20'000});
  round(sweep, 10'000);
  const auto idle = [](std::string_view) { return false; };
  for (std::uint64_t now_ms = 10'000; now_ms < 70'000; now_ms += 1000) CAF_CHECK(sweep.step(*store, now_ms, idle)->removals.empty());
  CAF_CHECK_EQUAL(sweep.rounds(), 1u);
  CAF_CHECK_EQUAL(sweep.step(*store, 70'000, idle)->removals.size(), 1u);
}

CAF_TEST(a history longer than a step goes in pieces and never shows what it hid) {
  const auto count = static_cast<std::int64_t>(3 * history_sweep::versions_per_step_max);
  for (std::int64_t r = 0; r < count; ++r) write("a", r, 1000 + static_cast<std::uint64_t>(r));
  write("a", count - 1, 10'000, 0, true);
  write("b", 0, 1000);
  history_sweep sweep({0, 1});
  for (int rounds = 0; rounds < 4 && left() != "b0 "; ++rounds) {
    round(sweep, 1'000'000 + 10'000 * static_cast<std::uint64_t>(rounds));
    const auto newest = *store->latest("a");
    CAF_CHECK(!newest || newest->is_tombstone);
  }
  CAF_CHECK_EQUAL(left(), "b0 ");
}

CAF_TEST(a key that is set again while its history goes keeps what was its newest until that is old) {
  const auto count = static_cast<std::int64_t>(history_sweep::versions_per_step_max + 10);
  for (std::int64_t r = 0; r < count; ++r) write("a", r, 1000 + static_cast<std::uint64_t>(r), r == count - 1 ? 10'000 : 0);
  history_sweep sweep({0, 1});
  const auto step = [&](std::uint64_t now_ms) {
    const auto found = sweep.step(*store, now_ms, [](std::string_view) { return false; });
    CAF_REQUIRE(found.has_value());
    apply({}, found->removals, found->collected_below_ms);
  };
  step(1'000'000);
  write("a", count, 1'000'000);
  step(1'000'000);
  CAF_CHECK_EQUAL(sweep.rounds(), 1u);
  CAF_CHECK_EQUAL(left(), "a" + std::to_string(count) + " a" + std::to_string(count - 1) + " ");
}

CAF_TEST(random histories end as the rules say) {
  prng dice(3);
  for (int i = 0; i < 60; ++i) {
    open();
    std::map<std::string, std::vector<version>> twin;  // newest last
    std::uint64_t ms = 100'000;
    for (int n = 0; n < 60; ++n) {
      const std::string key(1, static_cast<char>('a' + dice.below(4)));
      auto& versions = twin[key];
      ms += dice.between(1, 4000);
      const bool is_live = !versions.empty() && versions.back().is_live(ms);
      if (is_live && dice.below(4) == 0) {
        write(key, versions.back().revision, ms, 0, true);
        versions.push_back({versions.back().revision, true, timestamp_at(ms), timestamp_at(ms), 0, {}});
      } else {
        const auto revision = versions.empty() ? 0 : versions.back().revision + 1;
        const auto expires = dice.below(2) == 0 ? 0 : ms + dice.between(1, 20'000);
        write(key, revision, ms, expires);
        versions.push_back({revision, false, timestamp_at(ms), timestamp_at(ms), expires, "v"});
      }
    }
    const history_limits limits{dice.below(4), dice.below(2) == 0 ? 0 : dice.between(1, 60'000)};
    const auto now_ms = ms + dice.between(0, 80'000);
    history_sweep sweep(limits);
    if (limits.has_any()) round(sweep, now_ms);
    std::string expected;
    for (const auto& [key, versions] : twin) {
      const auto& newest = versions.back();
      const auto absent_ms = newest.is_tombstone ? unix_ms(newest.created) : newest.expires_at_ms;
      if (limits.age_ms_max != 0 && absent_ms != 0 && absent_ms + std::max(limits.age_ms_max, grace) <= now_ms) continue;
      std::uint64_t kept = 0;
      for (auto v = versions.rbegin(); v != versions.rend(); ++v) {
        if (v != versions.rbegin()) {
          const auto superseded = unix_ms(std::prev(v)->created);
          const bool is_old = limits.age_ms_max != 0 && superseded + std::max(limits.age_ms_max, grace) <= now_ms;
          const bool is_too_many = limits.revisions_max != 0 && kept >= limits.revisions_max && superseded + grace <= now_ms;
          if (is_old || is_too_many) continue;
        }
        kept += !v->is_tombstone;
        expected += key + std::to_string(v->revision) + (v->is_tombstone ? "x " : " ");
      }
    }
    CAF_CHECK_EQUAL(left(), expected);
  }
}

CAF_TEST(a forgotten key at the end of a step goes and the sweep comes to rest) {
  for (std::size_t i = 1; i < history_sweep::versions_per_step_max; ++i) write("a" + std::to_string(100'000 + i), 0, 1000);
  write("b", 0, 1000, 2000);
  for (const bool is_last : {true, false}) {
    if (!is_last) {
      write("b", 0, 1000, 2000);
      write("c", 0, 1000);
    }
    history_sweep sweep({0, 1});
    const auto step = [&](std::uint64_t now_ms) {
      const auto found = sweep.step(*store, now_ms, [](std::string_view) { return false; });
      CAF_REQUIRE(found.has_value());
      apply({}, found->removals, found->collected_below_ms);
    };
    for (std::uint64_t now_ms = 1'000'000; now_ms < 1'020'000; now_ms += 1000) step(now_ms);
    CAF_CHECK(left().find("b0") == std::string::npos);
    const auto before = sweep.rounds();
    for (std::uint64_t now_ms = 2'000'000; now_ms < 2'060'000; now_ms += 200) step(now_ms);
    CAF_CHECK_LESS_OR_EQUAL(sweep.rounds() - before, 1u);
  }
}

CAF_TEST(a step is bounded by the bytes that it looks at and that it finds) {
  const auto idle = [](std::string_view) { return false; };
  for (int i = 0; i < 100; ++i) {
    const auto stamp = timestamp_at(1000);
    apply({{"k" + std::to_string(i), {0, false, stamp, stamp, 2000, std::string(100'000, 'x')}}}, {}, 0);
  }
  history_sweep large_values({0, 1});
  const auto of_values = large_values.step(*store, 1'000'000, idle)->removals.size();
  CAF_CHECK(of_values >= 10 && of_values <= 12);

  open();
  for (int i = 0; i < 1000; ++i) write(std::string(4000, 'k') + std::to_string(i), 0, 1000, 2000);
  history_sweep long_keys({0, 1});
  const auto of_keys = long_keys.step(*store, 1'000'000, idle)->removals.size();
  CAF_CHECK(of_keys >= 60 && of_keys <= 70);
}

CAF_TEST_FIXTURE_SCOPE_END()
