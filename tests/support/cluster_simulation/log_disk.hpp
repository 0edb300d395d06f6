// The disk under the Raft logs of a simulated node, and its log writer: one batch at a time for all partitions.
//
// What was not synced is lost at a crash, but for a drawn part of the batch that was being written, whose last write is torn and
// gone. A sync can be slow, or fail: then nothing may be trusted any more and the node ends. (A node that went on would have its
// writes in the page cache, to be read and never to be found again after a crash: that is what the planted bug does.)
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "tests/support/cluster_simulation/world.hpp"
#include "tests/support/raft_replica.hpp"

namespace kahuna::testing {

class log_disk {
 public:
  explicit log_disk(world& w) : world_(w) {}

  // For one life of the node: how its events are put off, what a failed sync does, and who hears that a write is durable.
  struct owner {
    std::function<void(std::int64_t delay_us, event)> post;
    std::function<void()> sync_failed;
    std::function<void(partition_id, std::uint64_t write_number)> persisted;
  };
  void start(owner o);
  void crash();

  void append(partition_id partition, raft::log_write write);

  // As the running node reads it.
  simulated_disk& visible(partition_id partition) { return visible_[partition]; }
  // As of the last start or what was synced since.
  const simulated_disk& durable(partition_id partition) { return durable_[partition]; }

 private:
  struct pending {
    partition_id partition;
    raft::log_write write;
  };

  void commit();
  void finish(bool has_failed);

  world& world_;
  owner owner_;
  std::map<partition_id, simulated_disk> visible_;
  std::map<partition_id, simulated_disk> durable_;
  std::vector<pending> waiting_;
  std::vector<pending> being_written_;
  bool is_busy_ = false;
  bool has_hole_ = false;  // what comes behind it no start finds
};

}  // namespace kahuna::testing
