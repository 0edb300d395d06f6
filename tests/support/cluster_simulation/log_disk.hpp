// The disk under the Raft logs of a simulated node, and its log writer: one batch at a time for all partitions.
//
// What was not synced is lost at a crash, but for a drawn part of the batch that was being written, whose last write is torn and
// gone. A sync can be slow, or fail: then nothing may be trusted any more and the node ends. (A node that went on would have its
// writes in the page cache, to be read and never to be found again after a crash: that is what the planted bug does.)
#pragma once

#include <functional>
#include <map>
#include <optional>
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
    std::function<void(partition_id, bool is_hosted)> recorded;
    std::function<bool()> dies_here;
  };
  void start(owner o);
  void crash();

  void append(partition_id partition, raft::log_write write);
  // As persistence::log_device::record_replica(), behind what was appended before.
  void record(partition_id partition, bool is_hosted);
  // What was recorded last, durably; nothing: it was never said.
  std::optional<bool> is_hosted(partition_id partition) const;

  // As the running node reads it.
  simulated_disk& visible(partition_id partition) { return visible_.logs[partition]; }
  // As of the last start or what was synced since.
  const simulated_disk& durable(partition_id partition) { return durable_.logs[partition]; }

 private:
  struct pending {
    partition_id partition;
    raft::log_write write;
    std::optional<bool> is_hosted;  // to be recorded instead
  };
  struct contents {
    std::map<partition_id, simulated_disk> logs;
    std::map<partition_id, bool> hosted;

    void take(const pending& what);
  };

  void enqueue(pending what);
  void commit();
  void finish(bool has_failed);

  world& world_;
  owner owner_;
  contents visible_;
  contents durable_;
  std::vector<pending> waiting_;
  std::vector<pending> being_written_;
  bool is_busy_ = false;
  bool has_hole_ = false;  // what comes behind it no start finds
};

}  // namespace kahuna::testing
