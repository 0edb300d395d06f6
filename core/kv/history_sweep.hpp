// Which stored versions of a partition's keys need not be kept any longer; found a piece at a time.
//
// Owned by the partition core of the leader, which proposes what is found: replicas remove by the log, so that they stay
// the same. Walks round and round over all versions, at a bounded number each step, and rests where there is nothing to
// find before something is written or grows old.
//
// A version may go when
//   - the key has had at least `revisions_max` newer ones, or it was superseded `age_ms_max` ago;
//   - and, of a key that has been absent for `age_ms_max`, all of them: the key is forgotten whole, and set again it
//     starts at r0. (Without an age limit an absent key's last versions stay, and its count of revisions.)
// and never sooner than `grace_ms` after it was superseded, so that lists under way are not cut off.
//
// The newest version of a key goes last, and only together with all others that are left: what it hides (a tombstone
// hides a value) must not come to light again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/kv/partition_store.hpp"

namespace kahuna::kv {

struct history_limits {
  std::uint64_t revisions_max = 0;  // 0: no limit
  std::uint64_t age_ms_max = 0;     // 0: no limit

  bool has_any() const { return revisions_max != 0 || age_ms_max != 0; }
};

class history_sweep {
 public:
  static constexpr std::uint64_t grace_ms = 15'000;
  static constexpr std::uint64_t rest_ms = 2'000;  // between two rounds at least
  // A step looks at so many versions, so many bytes of them, and finds so many bytes of names to remove; the last one of
  // each may be larger.
  static constexpr std::size_t versions_per_step_max = 2'000;
  static constexpr std::size_t bytes_per_step_max = 1 << 20;
  static constexpr std::size_t removal_bytes_per_step_max = 256 << 10;

  explicit history_sweep(history_limits limits) : limits_(limits) {}

  struct found {
    std::vector<removal> removals;
    std::uint64_t collected_below_ms = 0;  // read views from before this Unix time may miss something then
  };

  // The next piece. `is_in_use` says whether a key is being changed by proposals under way: it is left for the next round.
  // Errors: data_corrupted.
  template <class Predicate>
  result<found> step(const partition_store& store, std::uint64_t now_ms, Predicate is_in_use) {
    return step_over(store, now_ms, std::function<bool(std::string_view)>(is_in_use));
  }

  // From the start, with everything to be looked at.
  void reset();
  // Something was written since the last step.
  void note_written() { is_written_ = true; }

  std::uint64_t rounds() const { return rounds_; }

 private:
  // The key that is being walked over.
  struct key_state {
    std::string key;
    bool is_in_use = false;
    bool is_whole = false;      // this step has seen it from its newest version on
    bool is_forgotten = false;  // all of it may go
    std::uint64_t absent_ms = 0;
    std::uint64_t values_kept = 0;
    timestamp newer_created;        // of the version before this one
    std::optional<removal> newest;  // to be removed behind all others
  };

  result<found> step_over(const partition_store& store, std::uint64_t now_ms,
                          const std::function<bool(std::string_view)>& is_in_use);
  void begin_key(std::string_view key, const version& newest, std::uint64_t now_ms, bool is_in_use);
  void look_at(const version& v, std::uint64_t now_ms, found& out);
  void end_key(found& out);
  void becomes_due(std::uint64_t at_ms);

  history_limits limits_;
  std::optional<version_position> position_;  // nothing: a round begins
  std::optional<key_state> current_;
  bool is_written_ = true;
  std::uint64_t next_round_ms_ = 0;
  std::uint64_t next_due_ms_ = 0;  // 0: nothing seen that will be due
  std::uint64_t rounds_ = 0;
};

}  // namespace kahuna::kv
