// Is a history of one register linearizable? For registers that one writer at a time gives rising numbers.
//
// The register's writes take effect, where they do, in the order of their numbers. That holds where a single writer
// makes each write conditional on the revision that it last knew: then a write of unknown outcome that was overtaken by
// a later one cannot take effect any more. Under this rule a history is linearizable if and only if
//   1. every value read was written: by a write that began before the read ended and was not refused,
//   2. no read returns less than what was acknowledged before the read began,
//   3. no read returns less than what another read returned that had ended before this one began.
// A write of unknown outcome stays open: it may be seen from its beginning on, or never.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace kahuna::testing {

inline constexpr std::int64_t absent_value = -1;

enum class write_outcome : std::uint8_t { acknowledged, refused, unknown };

// Times are of one steady clock, in any unit.
struct register_write {
  std::int64_t value = 0;  // >= 0, rising from write to write of a register
  std::int64_t began = 0;
  std::int64_t ended = 0;  // of an unknown outcome: when it was given up; not used
  write_outcome outcome = write_outcome::unknown;
};

struct register_read {
  std::int64_t value = absent_value;
  std::int64_t began = 0;
  std::int64_t ended = 0;
};

struct register_history {
  std::vector<register_write> writes;
  std::vector<register_read> reads;
};

// The first thing wrong with a history, in words; nothing where it is linearizable.
inline std::optional<std::string> find_violation(const register_history& history) {
  std::map<std::int64_t, const register_write*> by_value;
  for (const auto& write : history.writes)
    if (!by_value.emplace(write.value, &write).second) return "the history itself is wrong: two writes of one value";

  const auto describe = [](const register_read& read) {
    std::ostringstream text;
    text << "a read from " << read.began << " to " << read.ended << " returned " << read.value;
    return text.str();
  };

  // What every read that begins later must at least return: (from when on, value), by time.
  std::vector<std::pair<std::int64_t, std::int64_t>> floors;
  for (const auto& write : history.writes)
    if (write.outcome == write_outcome::acknowledged) floors.emplace_back(write.ended, write.value);

  for (const auto& read : history.reads) {
    if (read.value == absent_value) continue;
    const auto found = by_value.find(read.value);
    if (found == by_value.end()) return describe(read) + ", which was never written";
    if (found->second->outcome == write_outcome::refused) return describe(read) + ", whose write was refused";
    if (found->second->began > read.ended) return describe(read) + ", which was written later";
    floors.emplace_back(read.ended, read.value);
  }

  std::sort(floors.begin(), floors.end());
  std::vector<const register_read*> by_beginning;
  for (const auto& read : history.reads) by_beginning.push_back(&read);
  std::sort(by_beginning.begin(), by_beginning.end(), [](const auto* a, const auto* b) { return a->began < b->began; });

  std::int64_t floor = absent_value;
  auto next = floors.begin();
  for (const auto* read : by_beginning) {
    for (; next != floors.end() && next->first < read->began; ++next) floor = std::max(floor, next->second);
    if (read->value < floor)
      return describe(*read) + ", though " + std::to_string(floor) + " had been acknowledged or read before it began";
  }
  return std::nullopt;
}

}  // namespace kahuna::testing
