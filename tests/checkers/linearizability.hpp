// Is what clients saw of one key linearizable? For sets (conditional or not), deletes and reads, revisions included.
//
// A search in the way of Wing and Gong with Lowe's memory [Wing93, Lowe17]: operations are put one behind another, each one
// somewhere between its beginning and its end, so that a model of a key gives each the answer that its client got. What has been
// tried, the set of operations done and the key's state, is not tried again. An operation of unknown outcome has no end, and may
// as well never have been done.
//
// Revisions and values make the search short: every value is set once, so that what anybody has seen says which set made which
// revision; sets that nobody saw anything of are all alike, and only the one that began first is tried.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kahuna::testing {

struct key_operation_record {
  enum class what : std::uint8_t { set, erase, read, exists };
  enum class when : std::uint8_t { always, absent, present, value_is, revision_is };

  std::int64_t began = 0;  // any unit; operations that end and begin at the same time overlap
  std::int64_t ended = 0;  // not used where the outcome is unknown
  what asked = what::read;
  when condition = when::always;        // of a set
  std::int64_t condition_number = 0;    // the value or the revision
  std::int64_t value = 0;               // of a set: no other of the key has it; of a read: what was found
  bool is_known = false;                // it was answered, with
  bool is_done = false;                 // set, deleted, found
  std::int64_t revision = -1;
  std::string note;                     // for people
};

struct linearizability_verdict {
  bool is_linearizable = true;
  bool is_decided = true;  // false: given up after `steps_max`; then nothing is claimed
  std::string why;         // where it is not: what can't be
};

linearizability_verdict check_linearizability(const std::vector<key_operation_record>& history, std::uint64_t steps_max = 2'000'000);

}  // namespace kahuna::testing
