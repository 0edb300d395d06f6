// A replica of a partition as an actor: it hosts the replica's raft_peer and transaction_manager, and owns the key/value
// state. A thin shell: message → input → step → drain.
#pragma once

#include <memory>

#include "actors/interfaces.hpp"
#include "actors/node_clock.hpp"
#include "actors/node_metrics.hpp"
#include "actors/raft_peer_actor.hpp"
#include "actors/transaction_manager_actor.hpp"
#include "core/base/event_log.hpp"
#include "core/kv/partition_core.hpp"
#include "core/routing/partition_map.hpp"

namespace kahuna::actors {

struct partition_settings {
  raft_peer_settings raft;
  kv::partition_options options;
  transaction_manager_settings manager;
  kv::partition_store* store = nullptr;  // outlives the actor
  node_clock* clock = nullptr;           // outlives the actor
  event_log* events = nullptr;           // outlives the actor
  node_metrics* metrics = &silent_metrics();  // outlives the actor
  routing::partition_map map;            // of the cluster; partition 0 stores it
};

// Whom a partition and its raft_peer talk to.
struct partition_peers {
  gateway_handle gateway;  // takes partition_replies
  log_writer_handle log_writer;
  cluster_handle cluster;
  std::map<node_id, link_handle> links;
};

struct partition_state {
  static inline const char* name = "partition";

  partition_settings settings;
  std::unique_ptr<kv::partition_core> core;
  raft_peer_handle raft_peer;
  transaction_manager_handle transaction_manager;
  gateway_handle gateway;
  bool is_drain_sent = false;
  bool is_fault_told = false;
};

// Spawns its raft_peer and transaction_manager, which live as long as it does.
partition_handle::behavior_type partition_actor(partition_handle::stateful_pointer<partition_state> self,
                                                partition_settings settings, partition_peers peers,
                                                std::function<void(raft_peer_handle)> announce);

}  // namespace kahuna::actors
