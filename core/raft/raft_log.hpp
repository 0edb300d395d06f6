// A replica's log as its core sees it: the tail in memory, the rest behind a log_reader.
//
// Owned by one raft_core. Entries that are not durable yet are always in memory; older ones are kept there within a bound,
// for applying and for followers.
//
// Invariants:
//   1. stable_index <= last_index; entries above stable_index are in memory.
//   2. indexes are contiguous, terms never fall from one entry to the next.
//   3. what was handed out as unwritten is never handed out again, unless it was truncated and appended anew.
//   4. the log begins behind its start, whose term is known: start <= stable_index.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "core/raft/raft_types.hpp"

namespace kahuna::raft {

// Reads entries that are no longer in memory. Given at construction; must answer for every index that was persisted
// and not truncated, behind the start of the log that was written last.
class log_reader {
 public:
  virtual ~log_reader() = default;

  // Entries [from, to) until `bytes_max` is passed, at least one; empty where `from` is not there.
  virtual std::vector<log_entry> read(log_index from, log_index to, std::size_t bytes_max) const = 0;

  // The term of the entry at `index`; term_id{} where it is not there.
  virtual term_id term_at(log_index index) const = 0;
};

// What a replica finds on its disk when it starts.
struct initial_state {
  hard_state state;
  log_position start;       // of the persisted log
  log_index last_index;     // of the persisted log; that of its start where it is empty
  log_index applied_index;  // of the data; every entry up to here is known to be committed
  std::size_t log_bytes = 0;  // of the persisted log, about
  // The log on disk ends before `start`, or has other entries there: a snapshot was installed, and the crash came before the log
  // was told. The first write does that.
  bool is_log_obsolete = false;
  configuration members;  // as of `start`, where that is not 0
  log_position dropped;   // where the log ended of a replica that this node had before and dropped; {}: there was none
};

class raft_log {
 public:
  // `reader` must outlive the log and hold everything that was found.
  raft_log(const log_reader& reader, const initial_state& found);

  log_position start() const { return start_; }
  log_index last_index() const { return last_index_; }
  term_id last_term() const { return last_term_; }
  log_index stable_index() const { return stable_index_; }

  // The term at `index`; term_id{} for index 0, for indexes behind the end and for those before the start.
  term_id term_at(log_index index) const;

  // The highest index <= `from` whose term is <= `term`. Terms never fall along a log, so halving finds it. Where none from the
  // start on is: an index before the start, or `from` where that is before it.
  log_index last_index_with_term_at_most(term_id term, log_index from) const;

  // Entries [from, last_index] until `bytes_max` is passed, at least one where there is one.
  std::vector<log_entry> entries_from(log_index from, log_index upto, std::size_t bytes_max) const;

  // Requires entry.index == last_index + 1.
  void append(log_entry entry);

  // Removes `from` and everything behind it. Requires from <= last_index.
  void truncate(log_index from);

  // The log begins behind `start` from now on, because the data has everything up to there. Where the log has that entry, what is
  // behind it stays; else nothing does. Requires that the log's start does not go back.
  void start_at(log_position start);

  // Of the entries in the log, about.
  std::size_t bytes() const { return total_bytes_ - start_bytes_; }
  // The highest index that may go so that about `bytes` stay behind it; the start where fewer are there.
  log_index last_index_before(std::size_t bytes) const;

  // What has to be written now: the new start, where there is one, the first index to be replaced on disk, where there is one, and
  // the entries behind it.
  struct unwritten {
    std::optional<log_position> start;
    std::optional<log_index> truncate_from;
    std::vector<log_entry> entries;
  };
  bool has_unwritten() const { return is_start_unwritten_ || truncate_from_ || unwritten_from_ <= last_index_; }
  unwritten take_unwritten();

  // Everything up to here is durable. A later truncation may have made that less than was written.
  void mark_stable(log_index upto);

  // Gives memory back: durable entries beyond `bytes_max`.
  void evict(std::size_t bytes_max);

  std::size_t cached_bytes() const { return cached_bytes_; }
  log_index first_cached() const { return first_cached_; }

 private:
  // How many bytes had been appended when this index was.
  struct mark {
    log_index index;
    std::uint64_t bytes = 0;
  };

  const log_entry& cached(log_index index) const { return cache_[index - first_cached_]; }

  const log_reader& reader_;
  log_position start_;
  bool is_start_unwritten_ = false;
  std::deque<mark> marks_;          // by rising index, some of those behind the start
  std::uint64_t start_bytes_ = 0;   // as of the start
  std::uint64_t total_bytes_ = 0;   // as of the end
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
