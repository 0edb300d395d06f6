// The node's view of the cluster: who its members are, who is reached, who leads what; and the node's one timer.
//
// Fed by the raft_peers of this node and by what other nodes tell of the partitions that they lead. Leaders are Raft's, and what is
// kept here are hints for routing, and for handing leaderships over where they are spread unevenly.
//
// Members are what partition 0 holds: the newest map that was heard of is kept and told to everybody, and links are made and ended by
// it. Where this node leads partition 0 it changes them: cluster_members.cpp, around a routing::membership_core.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "actors/interfaces.hpp"
#include "actors/network_thread.hpp"
#include "actors/node_metrics.hpp"
#include "core/base/event_log.hpp"
#include "core/routing/membership_core.hpp"
#include "core/routing/partition_map.hpp"

namespace kahuna::actors {

struct cluster_settings {
  node_id self;
  routing::partition_map map;  // the newest that is known; what partition 0 is given where it holds none
  std::chrono::milliseconds tick_interval{50};
  node_metrics* metrics = &silent_metrics();  // outlives the actor
  event_log* events = &silent_log();          // outlives the actor
  routing::membership_options membership;
  // Spawns a link to a member; where it is missing there are no others than those of the wiring.
  std::function<link_handle(const routing::member&)> make_link = nullptr;
};

struct cluster_state {
  static inline const char* name = "cluster";

  cluster_settings settings;
  cluster_wiring wiring;
  bool is_wired = false;       // before that links may report already, and bring maps
  routing::partition_map map;  // the newest that was heard of
  std::uint64_t settled_version = 0;  // of the one by which this node's replicas are settled
  std::unique_ptr<routing::membership_core> membership;
  std::uint64_t last_system_token = 0;
  std::uint64_t read_token = 0;   // of the answers that are waited for
  std::uint64_t write_token = 0;
  std::uint64_t last_command_token = 0;
  std::map<std::uint64_t, membership_asked> commands;  // under way, by the core's tokens
  std::vector<messages::partition_leader> leaders;  // by partition
  std::set<node_id> connected;
  std::uint64_t ticks = 0;
  std::uint64_t spread_turn = 0;
  instant restless_at{};    // a node came or went
  bool is_leaving = false;  // this node is about to stop
};

using cluster_pointer = placed_pointer<cluster_handle, cluster_state>;

cluster_handle::behavior_type cluster_actor(cluster_pointer self, cluster_settings settings);

// --- cluster_members.cpp

// Tells the core something, and does what it wants.
void step_membership(cluster_pointer self, routing::membership_input input);
// Who else there is on this node; with that the newest map is made known that came before.
void take_wiring(cluster_pointer self, const cluster_wiring& wiring);
void take_map(cluster_pointer self, node_id from, const messages::map_news& news);
void take_system_answer(cluster_pointer self, system_answer& answer);
void take_group_order(cluster_pointer self, group_ordered& ordered);
void take_group_report(cluster_pointer self, group_reported& reported);
void take_command(cluster_pointer self, membership_asked& asked);
void tell_reachable(cluster_pointer self);
void take_replicas(cluster_pointer self, const replicas_changed& news);
void take_settled(cluster_pointer self, const hosting_settled& news);
// Makes the links that lack, ends those that lead to nobody, and tells who has to know.
void keep_links(cluster_pointer self);
// To every other node which version is known here, and which one the replicas are settled by.
void tell_version(cluster_pointer self);

}  // namespace kahuna::actors
