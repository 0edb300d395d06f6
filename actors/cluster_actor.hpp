// The node's view of the cluster: who is reached, who leads what; and the node's one timer.
//
// Fed by the raft_peers of this node and by what other nodes tell of the partitions that they lead. Leaders are Raft's, and what is
// kept here are hints for routing, and for handing leaderships over where they are spread unevenly.
#pragma once

#include <chrono>
#include <map>
#include <set>
#include <vector>

#include "actors/interfaces.hpp"
#include "actors/node_metrics.hpp"
#include "core/routing/partition_map.hpp"

namespace kahuna::actors {

struct cluster_settings {
  node_id self;
  routing::partition_map map;
  std::chrono::milliseconds tick_interval{50};
  node_metrics* metrics = &silent_metrics();  // outlives the actor
};

struct cluster_state {
  static inline const char* name = "cluster";

  cluster_settings settings;
  cluster_wiring wiring;
  std::vector<messages::partition_leader> leaders;  // by partition
  std::set<node_id> connected;
  std::uint64_t ticks = 0;
  std::uint64_t spread_turn = 0;
  instant restless_at{};    // a node came or went
  bool is_leaving = false;  // this node is about to stop
};

cluster_handle::behavior_type cluster_actor(cluster_handle::stateful_pointer<cluster_state> self, cluster_settings settings);

}  // namespace kahuna::actors
