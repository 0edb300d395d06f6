// Where the node's log is kept, as the log_writer sees it. Called from the log_writer alone.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/errc.hpp"
#include "core/raft/raft_input.hpp"

namespace kahuna::persistence {

class log_device {
 public:
  virtual ~log_device() = default;

  // Adds a partition's write to the batch that the next commit() makes durable.
  virtual void add(partition_id partition, const raft::log_write& write) = 0;

  // Writes the batch and syncs it.
  virtual std::optional<error> commit() = 0;
  // Notes beside the log what was committed, for the check of the next start. To be called when whoever waits for commit() was told: the
  // note may lag behind the log, and writing it may wait for what the file system is at.
  virtual void note_commit() = 0;

  // The incarnation under which a node is known; 0 where it is not. remember_peer() is durable when it returns.
  virtual std::uint64_t incarnation_of(node_id peer) const = 0;
  virtual std::optional<error> remember_peer(node_id peer, std::uint64_t incarnation) = 0;

  // Writes down that a replica of the partition is hosted from now on, or that it is not any more: then its log goes; its hard state
  // and where its log ended stay, for the case that it is hosted again. Durable when it returns, with all that was added before.
  virtual std::optional<error> record_replica(partition_id partition, bool is_hosted) = 0;
};

}  // namespace kahuna::persistence
