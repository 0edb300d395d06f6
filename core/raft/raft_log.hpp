// A replica's log as its core sees it: the tail in memory, the rest behind a log_reader.
//
// Owned by one raft_core. Entries that are not durable yet are always in memory; older ones are kept there within a bound,
// for applying and for followers.
//
// Invariants:
//   1. stable_index <= last_index; entries above stable_index are in memory.
//   2. indexes are contiguous, terms never fall from one entry to the next.
//   3. what was handed out as unwritten is never handed out again, unless it was truncated and appended anew.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "core/raft/raft_types.hpp"

namespace kahuna::raft {

// Reads entries that are no longer in memory. Given at construction; must answer for every index that was persisted
// and not truncated.
class log_reader {
 public:
  virtual ~log_reader() = default;

  // Entries [from, to) until `bytes_max` is passed, at least one; empty where `from` is not there.
  virtual std::vector<log_entry> read(log_index from, log_index to, std::size_t bytes_max) const = 0;

  // The term of the entry at `index`; term_id{} where it is not there.
  virtual term_id term_at(log_index index) const = 0;
};

class raft_log {
 public:
  // `reader` must outlive the log and hold everything up to `last_index`.
  raft_log(const log_reader& reader, log_index last_index);

  log_index last_index() const { return last_index_; }
  term_id last_term() const { return last_term_; }
  log_index stable_index() const { return stable_index_; }

  // The term at `index`; term_id{} for index 0 and for indexes behind the end.
  term_id term_at(log_index index) const;

  // The highest index <= `from` whose term is <= `term`; log_index{} where there is none. Terms never fall along a log,
  // so halving finds it.
  log_index last_index_with_term_at_most(term_id term, log_index from) const;

  // Entries [from, last_index] until `bytes_max` is passed, at least one where there is one.
  std::vector<log_entry> entries_from(log_index from, log_index upto, std::size_t bytes_max) const;

  // Requires entry.index == last_index + 1.
  void append(log_entry entry);

  // Removes `from` and everything behind it. Requires from <= last_index.
  void truncate(log_index from);

  // What has to be written now: the first index to be replaced on disk, where there is one, and the entries behind it.
  struct unwritten {
    std::optional<log_index> truncate_from;
    std::vector<log_entry> entries;
  };
  bool has_unwritten() const { return truncate_from_ || unwritten_from_ <= last_index_; }
  unwritten take_unwritten();

  // Everything up to here is durable. A later truncation may have made that less than was written.
  void mark_stable(log_index upto);

  // Gives memory back: durable entries beyond `bytes_max`.
  void evict(std::size_t bytes_max);

  std::size_t cached_bytes() const { return cached_bytes_; }
  log_index first_cached() const { return first_cached_; }

 private:
  const log_entry& cached(log_index index) const { return cache_[index - first_cached_]; }

  const log_reader& reader_;
  std::deque<log_entry> cache_;  // [first_cached_, last_index_]
  log_index first_cached_;
  std::size_t cached_bytes_ = 0;
  log_index last_index_;
  term_id last_term_;
  log_index stable_index_;
  log_index unwritten_from_;
  std::optional<log_index> truncate_from_;
};

}  // namespace kahuna::raft
