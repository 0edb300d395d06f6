// A replica's Raft state machine as an actor, hosted by its partition. A thin shell: message → input → step → drain.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "actors/interfaces.hpp"
#include "actors/network_thread.hpp"
#include "actors/node_metrics.hpp"
#include "core/base/prng.hpp"
#include "core/raft/raft_core.hpp"

namespace kahuna::actors {

struct raft_peer_settings {
  partition_id partition;
  node_id self;
  raft::configuration voters;
  raft::raft_options options;
  raft::initial_state found;
  const raft::log_reader* log = nullptr;  // outlives the actor
  std::uint64_t seed = 0;
  node_metrics* metrics = &silent_metrics();  // outlives the actor
};

// The instant that an actor's clock shows: the steady clock in the product, virtual time under the test coordinator.
inline instant now_of(caf::local_actor& self) {
  return instant(std::chrono::duration_cast<duration>(self.clock().now().time_since_epoch()));
}

struct raft_peer_state {
  static inline const char* name = "raft_peer";

  raft_peer_settings settings;
  std::unique_ptr<raft::raft_core> core;
  partition_handle partition;
  log_writer_handle log_writer;
  cluster_handle cluster;
  std::map<node_id, link_handle> links;
  raft::configuration_change configuration;  // the last that was heard
  // The last order for this group; reported on when the read of this number is safe: then this replica led after it was asked.
  std::optional<group_ordered> ordered;
  std::uint64_t ordered_read = 0;
  raft::change_refusal refusal = raft::change_refusal::none;
  bool is_drain_sent = false;
  bool is_out_of_service = false;  // silent: the others elect among themselves
};

// `partition`, `log_writer`, `cluster` and `links` (one for each other node) are whom it talks to; all outlive it or
// take no harm from its messages.
raft_peer_handle::behavior_type raft_peer_actor(placed_pointer<raft_peer_handle, raft_peer_state> self,
                                                raft_peer_settings settings, partition_handle partition,
                                                log_writer_handle log_writer, cluster_handle cluster,
                                                std::map<node_id, link_handle> links);

}  // namespace kahuna::actors
