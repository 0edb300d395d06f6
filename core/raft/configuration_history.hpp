// The configurations that a replica's log holds: the one as of the log's start, and every later one with its index.
//
// Owned by one raft_core, which keeps it in step with its log. A configuration is in force from when its entry is in the log,
// committed or not, and no more when the entry is overwritten [Ongaro14 §4.1].
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "core/raft/configuration.hpp"

namespace kahuna::raft {

class configuration_history {
 public:
  struct entry {
    log_index index;
    configuration members;
  };

  // `as_of`: the start of the log.
  configuration_history(log_index as_of, configuration members) : entries_{{as_of, std::move(members)}} {}

  const entry& latest() const { return entries_.back(); }
  // The one in force as of `index`. Requires that the log's start is not behind it.
  const entry& at(log_index index) const;
  // Everybody whom a configuration names from the one as of `index` on. Sorted.
  std::vector<node_id> members_since(log_index index) const;

  void append(log_index index, configuration members);
  void truncate(log_index from);
  // The log begins behind `index` now. What is known of later entries stays.
  void start_at(log_index index);
  // Nothing of the log is left before or behind `index`.
  void restart_at(log_index index, configuration members);

  // Changes whenever anything here does but the start.
  std::uint64_t version() const { return version_; }

 private:
  std::deque<entry> entries_;  // by rising index; never empty
  std::uint64_t version_ = 1;
};

}  // namespace kahuna::raft
