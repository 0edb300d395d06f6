// Makes and drops the replicas of this node as the partition map wants it. Runs detached, on a thread of its own, because it waits for
// the disk.
//
// A replica of this node is made where the map names the node as one of its voters, or as one to be; empty, and knowing nobody: what it
// is to hold and whom it belongs to it hears of the leader. It is dropped where the map says that its partition is settled without the
// node: then its group has agreed, and nobody counts on it (membership_core.hpp). What it has promised in its terms is kept, and where its log
// ended. Which version of the map everything was done of is told: nobody is given anything before it has dropped what it was to drop.
//
//   making:    cleared and flushed ──▶ recorded (synced) ──▶ opened and spawned
//   dropping:  stopped, all that it sent to the disk is there ──▶ recorded (synced) with its log gone ──▶ its data cleared
//   - dies before the record: what was before it; a start clears what is left of data that has no replica.
//   - dies behind it: a start finds a replica, empty or not; or none.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>

#include "actors/interfaces.hpp"
#include "core/base/event_log.hpp"
#include "core/raft/raft_log.hpp"
#include "persistence/data_store.hpp"

namespace kahuna::actors {

struct hosted_replica {
  std::unique_ptr<persistence::data_store> store;
  std::unique_ptr<raft::log_reader> reader;
  partition_handle partition;
  raft_peer_handle raft_peer;
};

struct replica_host_settings {
  node_id self;
  routing::partition_map map;
  std::shared_ptr<persistence::ordered_store> data;
  std::map<partition_id, hosted_replica> hosted;  // at the start
  // Opens and spawns an empty one; ends the process where it can't. Whom it talks to on other nodes is told later.
  std::function<hosted_replica(partition_id)> open;
  // Keeps the map for the next start, durably; ends the process where it can't.
  std::function<void(const routing::partition_map&)> remember;
  event_log* events = nullptr;  // outlives the actor
};

// The others of this node, whom it tells what is hosted.
struct replica_host_peers {
  cluster_handle cluster;
  gateway_handle gateway;
  data_keeper_handle data_keeper;
  log_writer_handle log_writer;
};

struct replica_host_state {
  static inline const char* name = "replica_host";

  replica_host_settings settings;
  replica_host_peers peers;
  std::map<node_id, link_handle> links;
  std::map<partition_id, hosted_replica> hosted;
  std::map<partition_id, hosted_replica> stopping;  // with how many of its two actors are left
  std::map<partition_id, int> alive;
  std::set<partition_id> recording;
  std::uint64_t settled_version = 0;  // of the last map of which everything was done, and the cluster actor told so
  bool is_stopping = false;
};

replica_host_handle::behavior_type replica_host_actor(replica_host_handle::stateful_pointer<replica_host_state> self,
                                                      std::shared_ptr<replica_host_settings> settings, replica_host_peers peers);

}  // namespace kahuna::actors
