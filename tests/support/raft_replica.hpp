// A Raft core with a disk of its own, for tests: the disk holds what was synced, loses what was not, and is what the
// core finds when it starts again.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/raft/raft_core.hpp"

namespace kahuna::testing {

// The log on disk.
class simulated_disk final : public raft::log_reader {
 public:
  std::vector<raft::log_entry> read(log_index from, log_index to, std::size_t bytes_max) const override;
  term_id term_at(log_index index) const override;

  void write(const raft::log_write& write);
  // As raft_log_store::record_replica() of a replica that goes: its hard state stays, and where its log ended.
  void drop();

  // What a start finds; the same rules as raft_log_store::load().
  raft::initial_state found() const;
  log_index last_index() const { return start.index + entries.size(); }

  raft::hard_state state;
  raft::log_position start;
  std::deque<raft::log_entry> entries;  // entries[i] has index start.index + 1 + i
  log_index applied_index;              // as of the data's last flush
  raft::configuration members;          // as of `start`, where that is not 0
  raft::log_start snapshot;             // that the data began with
  raft::log_position dropped;           // where the log ended that went with a replica before
};

class raft_replica {
 public:
  // `founders`: none where the group is to be heard of first.
  raft_replica(node_id self, std::vector<node_id> founders, raft::raft_options options, std::uint64_t seed);

  bool is_up() const { return core_ != nullptr; }
  raft::raft_core& core() { return *core_; }
  const raft::raft_core& core() const { return *core_; }
  simulated_disk& disk() { return disk_; }
  node_id id() const { return self_; }

  void start(instant now);
  // Whatever was not synced is lost, except that the first `writes_kept` of the writes under way made it to the disk.
  void crash(std::size_t writes_kept = 0);

  // Requires that it is down. It was dropped: all goes but its hard state and where its log ended, and it was no founder.
  void drop();

  // Steps and checks the invariants.
  void step(raft::raft_input input, instant now);

  // Takes what is owed: the write goes under way, the rest is returned.
  raft::ready take_ready();

  // The first write under way is done.
  bool has_write_under_way() const { return !writes_.empty(); }
  std::size_t writes_under_way() const { return writes_.size(); }
  void finish_write(instant now);

 private:
  node_id self_;
  raft::configuration founders_;
  raft::raft_options options_;
  std::uint64_t seed_;
  std::uint64_t starts_ = 0;
  simulated_disk disk_;
  std::deque<raft::log_write> writes_;
  std::unique_ptr<raft::raft_core> core_;
};

}  // namespace kahuna::testing
