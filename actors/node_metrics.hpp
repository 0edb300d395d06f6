// What a node counts while it works, for whoever watches it. An interface, so that actors name no metrics library;
// implementations are thread safe and cheap: the hot path calls them once an operation, an append and a sync.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/time.hpp"
#include "core/kv/operation.hpp"

namespace kahuna::actors {

class node_metrics {
 public:
  virtual ~node_metrics() = default;

  // A client of this node was answered. `operation` is the alternative's index in kv::operation.
  virtual void operation_answered(std::size_t operation, kv::durability space, const kv::operation_response& response,
                                  duration took) = 0;
  // An append_request with entries has left for a follower.
  virtual void append_sent(std::size_t entries) = 0;
  // Appends of so many partitions were made durable by one sync.
  virtual void synced(std::size_t partitions, duration took) = 0;
  virtual void leader_changed() = 0;
  virtual void connections(std::size_t clients, std::size_t nodes) = 0;
  virtual void connection_closed(std::string_view reason) = 0;  // by this side, for one of a few reasons
  // So many more have ended since this was said last.
  virtual void transactions_ended(std::uint64_t committed, std::uint64_t aborted) = 0;
  // Messages that wait for an actor, seen now and then. `actor` is its name: gateway, partition, raft_peer, log_writer.
  virtual void mailbox_seen(std::string_view actor, std::size_t waiting) = 0;
};

// Counts nothing; for tests.
node_metrics& silent_metrics();

}  // namespace kahuna::actors
