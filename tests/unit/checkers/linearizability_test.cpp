// The checker of linearizability says yes to what can have happened, and no to what can't: compared with a dumb twin too, which
// tries every order.
#define CAF_SUITE linearizability
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <random>

#include "core/base/prng.hpp"
#include "tests/checkers/linearizability.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

using record = key_operation_record;
using what = record::what;
using when = record::when;

record set(std::int64_t began, std::int64_t ended, std::int64_t value, std::int64_t revision, bool is_done = true) {
  record op;
  op.began = began;
  op.ended = ended;
  op.asked = what::set;
  op.value = value;
  op.is_known = true;
  op.is_done = is_done;
  op.revision = revision;
  return op;
}

record set_if(when condition, std::int64_t number, record op) {
  op.condition = condition;
  op.condition_number = number;
  return op;
}

record unknown(record op) {
  op.is_known = false;
  op.is_done = false;
  op.revision = -1;
  return op;
}

record get(std::int64_t began, std::int64_t ended, std::int64_t value, std::int64_t revision) {
  auto op = set(began, ended, value, revision);
  op.asked = what::read;
  return op;
}

record nothing(std::int64_t began, std::int64_t ended) {
  auto op = get(began, ended, 0, -1);
  op.is_done = false;
  return op;
}

record erase(std::int64_t began, std::int64_t ended, std::int64_t revision) {
  auto op = get(began, ended, 0, revision);
  op.asked = what::erase;
  op.is_done = revision >= 0;
  return op;
}

bool is_possible(const std::vector<record>& history) {
  const auto verdict = check_linearizability(history);
  CAF_CHECK(verdict.is_decided);
  CAF_CHECK_EQUAL(verdict.is_linearizable, verdict.why.empty());
  return verdict.is_linearizable;
}

// --- the dumb twin: every order of every choice of the unknown ones

struct key_model {
  std::int64_t last = -1, value = 0;
  bool is_live = false;
};

bool agrees(const record& op, key_model& key) {
  const auto now = key.is_live ? key.last : -1;
  bool is_done = key.is_live;
  auto revision = now;
  if (op.asked == what::read && op.is_known && op.is_done && key.value != op.value) return false;
  if (op.asked == what::erase) key.is_live = false;
  if (op.asked == what::set) {
    is_done = op.condition == when::always || (op.condition == when::absent && !key.is_live) || (op.condition == when::present && key.is_live) ||
              (op.condition == when::value_is && key.is_live && key.value == op.condition_number) ||
              (op.condition == when::revision_is && now == op.condition_number);
    if (is_done) key = {revision = key.last + 1, op.value, true};
  }
  return !op.is_known || (is_done == op.is_done && revision == op.revision);
}

bool has_order(const std::vector<record>& history, std::vector<bool>& is_done, const key_model& key) {
  bool is_complete = true;
  for (std::size_t i = 0; i < history.size(); ++i) is_complete = is_complete && (is_done[i] || !history[i].is_known);
  if (is_complete) return true;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if (is_done[i]) continue;
    bool is_next = true;
    for (std::size_t j = 0; j < history.size(); ++j)
      if (!is_done[j] && history[j].is_known && history[j].ended < history[i].began) is_next = false;
    auto after = key;
    if (!is_next || !agrees(history[i], after)) continue;
    is_done[i] = true;
    if (has_order(history, is_done, after)) return true;
    is_done[i] = false;
  }
  return false;
}

}  // namespace

CAF_TEST(what happened one behind the other is possible) {
  CAF_CHECK(is_possible({}));
  CAF_CHECK(is_possible({nothing(0, 1), set(2, 3, 7, 0), get(4, 5, 7, 0), set(6, 7, 8, 1), erase(8, 9, 1), nothing(10, 11), erase(12, 13, -1),
                         set(14, 15, 9, 2), get(16, 17, 9, 2)}));
  CAF_CHECK(is_possible({set(0, 1, 1, 0), set_if(when::revision_is, 0, set(2, 3, 2, 1)), set_if(when::revision_is, 0, set(4, 5, 3, 1, false)),
                         set_if(when::value_is, 2, set(6, 7, 4, 2)), set_if(when::absent, 0, set(8, 9, 5, 2, false)),
                         set_if(when::present, 0, set(10, 11, 6, 3)), set_if(when::revision_is, -1, set(12, 13, 8, 3, false))}));
}

CAF_TEST(what overlaps may have come in any order) {
  CAF_CHECK(is_possible({set(0, 10, 1, 1), set(0, 10, 2, 0), get(11, 12, 1, 1)}));
  CAF_CHECK(is_possible({set(0, 10, 1, 0), get(5, 6, 1, 0), nothing(1, 4)}));
  CAF_CHECK(is_possible({set(0, 10, 1, 0), nothing(10, 11)}));
}

CAF_TEST(a stale read is impossible) {
  CAF_CHECK(!is_possible({set(0, 1, 1, 0), set(2, 3, 2, 1), get(4, 5, 1, 0)}));
  CAF_CHECK(!is_possible({set(0, 1, 1, 0), nothing(2, 3)}));
  CAF_CHECK(!is_possible({set(0, 1, 1, 0), erase(2, 3, 0), get(4, 5, 1, 0)}));
}

CAF_TEST(reads may not go back) {
  CAF_CHECK(!is_possible({set(0, 100, 1, 0), get(10, 20, 1, 0), nothing(30, 40)}));
  CAF_CHECK(!is_possible({set(0, 1, 1, 0), set(2, 100, 2, 1), get(10, 20, 2, 1), get(30, 40, 1, 0)}));
}

CAF_TEST(a lost write is impossible) {
  CAF_CHECK(!is_possible({set(0, 1, 1, 0), set(2, 3, 2, 1), set(4, 5, 3, 1)}));
  CAF_CHECK(!is_possible({set(0, 1, 1, 0), set(2, 3, 2, 0)}));
}

CAF_TEST(a write that was applied twice is impossible) {
  CAF_CHECK(!is_possible({set(0, 1, 1, 0), get(2, 3, 1, 1)}));
  CAF_CHECK(!is_possible({set(0, 1, 1, 0), set(2, 3, 2, 2)}));
  CAF_CHECK(!is_possible({unknown(set(0, 1, 1, 0)), set(2, 3, 2, 1), get(4, 5, 2, 1), get(6, 7, 1, 2), get(8, 9, 1, 0)}));
}

CAF_TEST(a value that nobody wrote is impossible) {
  CAF_CHECK(!is_possible({get(0, 1, 5, 0)}));
  CAF_CHECK(!is_possible({set(0, 1, 1, 0), get(2, 3, 2, 0)}));
}

CAF_TEST(a refusal says what was there) {
  CAF_CHECK(!is_possible({set(0, 1, 1, 0), set_if(when::absent, 0, set(2, 3, 2, 1))}));
  CAF_CHECK(!is_possible({set(0, 1, 1, 0), set_if(when::revision_is, 0, set(2, 3, 2, 0, false))}));
  CAF_CHECK(!is_possible({set(0, 1, 1, 0), set_if(when::value_is, 9, set(2, 3, 2, 1))}));
  // What was refused has no effect.
  CAF_CHECK(!is_possible({set(0, 1, 1, 0), set_if(when::absent, 0, set(2, 3, 2, 0, false)), get(4, 5, 2, 1)}));
}

CAF_TEST(what is unknown may be seen or not but not before it began and not twice) {
  CAF_CHECK(is_possible({unknown(set(0, 1, 1, 0)), nothing(2, 3)}));
  CAF_CHECK(is_possible({unknown(set(0, 1, 1, 0)), nothing(2, 3), get(4, 5, 1, 0)}));
  CAF_CHECK(!is_possible({get(0, 1, 1, 0), unknown(set(2, 3, 1, 0))}));
  CAF_CHECK(!is_possible({unknown(set(0, 1, 1, 0)), get(2, 3, 1, 0), nothing(4, 5)}));
  CAF_CHECK(is_possible({set(0, 1, 1, 0), unknown(erase(2, 3, -1)), get(4, 5, 1, 0), nothing(6, 7)}));
  // Two that nobody saw, and revisions say that one of them, or both, were done.
  CAF_CHECK(is_possible({unknown(set(0, 1, 1, 0)), unknown(set(0, 1, 2, 0)), set(2, 3, 3, 1)}));
  CAF_CHECK(is_possible({unknown(set(0, 1, 1, 0)), unknown(set(0, 1, 2, 0)), set(2, 3, 3, 2)}));
  CAF_CHECK(!is_possible({unknown(set(0, 1, 1, 0)), unknown(set(0, 1, 2, 0)), set(2, 3, 3, 3)}));
}

CAF_TEST(many unknown ones are no trouble) {
  std::vector<record> history;
  for (int i = 0; i < 60; ++i) history.push_back(unknown(set(i, i, 100 + i, 0)));
  for (int i = 0; i < 20; ++i) history.push_back(set(100 + 2 * i, 101 + 2 * i, 500 + i, 30 + i));
  CAF_CHECK(is_possible(history));
  history.push_back(get(200, 201, 500, 30));
  CAF_CHECK(!is_possible(history));
}

// Histories of a real register, some of them with an answer changed afterwards.
CAF_TEST(it agrees with the dumb twin) {
  const char* given = std::getenv("KAHUNA_SEED");
  const auto seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  CAF_MESSAGE("KAHUNA_SEED=" << seed);
  prng dice(seed);
  int impossible = 0;
  for (int round = 0; round < 3'000; ++round) {
    std::vector<record> history;
    key_model key;
    const auto count = dice.between(2, 7);
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::int64_t>(10 * i);
      record op;
      op.began = at - static_cast<std::int64_t>(dice.below(25));
      op.ended = at + static_cast<std::int64_t>(dice.below(25));
      op.asked = static_cast<what>(dice.below(4));
      if (op.asked == what::set) {
        op.value = static_cast<std::int64_t>(i) + 1;
        op.condition = static_cast<when>(dice.below(5));
        op.condition_number = static_cast<std::int64_t>(dice.below(4)) - 1;
      }
      // Its answer, by trying what agrees.
      op.is_known = false;
      auto after = key;
      const auto before = key;
      static_cast<void>(agrees(op, after));
      if (op.asked == what::set) {
        op.is_done = after.last != before.last;
        op.revision = op.is_done ? after.last : before.is_live ? before.last : -1;
      } else {
        op.is_done = before.is_live;
        op.revision = before.is_live ? before.last : -1;
        if (op.asked == what::read && op.is_done) op.value = before.value;
      }
      const bool is_unknown = dice.chance(1, 5);
      if (!is_unknown || dice.chance(1, 2)) key = after;
      op.is_known = !is_unknown;
      history.push_back(op);
    }
    if (dice.chance(1, 2)) {
      auto& changed = history[dice.below(history.size())];
      if (changed.is_known) changed.revision += dice.chance(1, 2) ? 1 : -1;
    }
    std::vector<bool> is_done(history.size());
    const bool expected = has_order(history, is_done, {});
    impossible += expected ? 0 : 1;
    CAF_REQUIRE_EQUAL(is_possible(history), expected);
  }
  CAF_CHECK(impossible > 300);
}
