#define CAF_SUITE register_checker
#include "caf/test/unit_test.hpp"

#include "core/base/prng.hpp"
#include "tests/checkers/register_checker.hpp"

using namespace kahuna::testing;
using kahuna::prng;

namespace {

constexpr auto acknowledged = write_outcome::acknowledged;
constexpr auto refused = write_outcome::refused;
constexpr auto unknown = write_outcome::unknown;

bool is_linearizable(const register_history& history) { return !find_violation(history); }

// The deliberately dumb twin: tries every order of the operations that respects their times.
bool has_some_order(const register_history& history, std::vector<bool>& write_done, std::vector<bool>& read_done,
                    std::int64_t value) {
  std::int64_t first_end = INT64_MAX;  // nothing may take effect that began after something undone has ended
  bool is_all_done = true;
  for (std::size_t i = 0; i < history.writes.size(); ++i) {
    if (write_done[i] || history.writes[i].outcome != acknowledged) continue;
    is_all_done = false;
    first_end = std::min(first_end, history.writes[i].ended);
  }
  for (std::size_t i = 0; i < history.reads.size(); ++i) {
    if (read_done[i]) continue;
    is_all_done = false;
    first_end = std::min(first_end, history.reads[i].ended);
  }
  if (is_all_done) return true;
  for (std::size_t i = 0; i < history.writes.size(); ++i) {
    const auto& write = history.writes[i];
    // Later numbers shut out earlier ones: that is the rule of these registers.
    if (write_done[i] || write.outcome == refused || write.began > first_end || write.value < value) continue;
    write_done[i] = true;
    if (has_some_order(history, write_done, read_done, write.value)) return true;
    write_done[i] = false;
  }
  for (std::size_t i = 0; i < history.reads.size(); ++i) {
    const auto& read = history.reads[i];
    if (read_done[i] || read.began > first_end || read.value != value) continue;
    read_done[i] = true;
    if (has_some_order(history, write_done, read_done, value)) return true;
    read_done[i] = false;
  }
  return false;
}

bool has_some_order(const register_history& history) {
  std::vector<bool> write_done(history.writes.size());
  std::vector<bool> read_done(history.reads.size());
  return has_some_order(history, write_done, read_done, absent_value);
}

}  // namespace

CAF_TEST(an empty history is linearizable) { CAF_CHECK(is_linearizable({})); }

CAF_TEST(a read returns what was acknowledged before it) {
  CAF_CHECK(is_linearizable({{{0, 1, 2, acknowledged}}, {{0, 3, 4}}}));
}

CAF_TEST(a concurrent read returns the old or the new value) {
  const std::vector<register_write> writes{{0, 1, 2, acknowledged}, {1, 3, 6, acknowledged}};
  CAF_CHECK(is_linearizable({writes, {{0, 4, 5}}}));
  CAF_CHECK(is_linearizable({writes, {{1, 4, 5}}}));
}

CAF_TEST(a write of unknown outcome may be seen or not) {
  const std::vector<register_write> writes{{0, 1, 2, acknowledged}, {1, 3, 4, unknown}};
  CAF_CHECK(is_linearizable({writes, {{0, 8, 9}}}));
  CAF_CHECK(is_linearizable({writes, {{1, 8, 9}}}));
  CAF_CHECK(is_linearizable({writes, {{0, 8, 9}, {1, 10, 11}}}));
}

CAF_TEST(a stale read is found) {
  CAF_CHECK(!is_linearizable({{{0, 1, 2, acknowledged}, {1, 3, 4, acknowledged}}, {{0, 5, 6}}}));
}

CAF_TEST(a lost write is found) { CAF_CHECK(!is_linearizable({{{0, 1, 2, acknowledged}}, {{absent_value, 3, 4}}})); }

CAF_TEST(a refused write that is seen is found) {
  CAF_CHECK(!is_linearizable({{{0, 1, 2, acknowledged}, {1, 3, 4, refused}}, {{1, 5, 6}}}));
}

CAF_TEST(a value that nobody wrote is found) { CAF_CHECK(!is_linearizable({{{0, 1, 2, acknowledged}}, {{7, 3, 4}}})); }

CAF_TEST(a read of the future is found) { CAF_CHECK(!is_linearizable({{{0, 5, 6, acknowledged}}, {{0, 1, 2}}})); }

CAF_TEST(a read that goes back behind an earlier read is found) {
  // The write is under way all the time: each read alone would be right.
  CAF_CHECK(!is_linearizable({{{0, 1, 2, acknowledged}, {1, 3, 20, acknowledged}}, {{1, 5, 6}, {0, 7, 8}}}));
  CAF_CHECK(!is_linearizable({{{0, 1, 2, acknowledged}, {1, 3, 20, unknown}}, {{1, 5, 6}, {0, 7, 8}}}));
}

CAF_TEST(the checker agrees with trying every order) {
  constexpr std::uint64_t seed = 20'240;
  prng dice(seed);
  int linearizable = 0;
  constexpr int histories = 4000;
  for (int round = 0; round < histories; ++round) {
    register_history history;
    std::int64_t now = 0;
    const auto writes = static_cast<std::int64_t>(dice.between(1, 4));
    for (std::int64_t value = 0; value < writes; ++value) {
      register_write write;
      write.value = value;
      // The times are all different: a tie would make "before" a matter of taste.
      write.began = now += static_cast<std::int64_t>(dice.between(1, 3)) * 16;
      write.ended = now += static_cast<std::int64_t>(dice.between(1, 3)) * 16;
      write.outcome = static_cast<write_outcome>(dice.below(3));
      history.writes.push_back(write);
    }
    const auto reads = static_cast<std::int64_t>(dice.between(1, 3));
    for (std::int64_t i = 0; i < reads; ++i) {
      register_read read;
      read.began = static_cast<std::int64_t>(dice.below(static_cast<std::uint64_t>(now))) / 16 * 16 + 1 + 2 * i;
      read.ended = read.began + static_cast<std::int64_t>(dice.below(3)) * 16 + 1;
      read.value = static_cast<std::int64_t>(dice.between(0, static_cast<std::uint64_t>(writes))) - 1;
      history.reads.push_back(read);
    }
    const bool expected = has_some_order(history);
    linearizable += expected;
    CAF_REQUIRE_EQUAL(is_linearizable(history), expected);
  }
  // Both answers must be common, or the comparison says little.
  CAF_CHECK(linearizable > histories / 10 && linearizable < histories * 9 / 10);
}
