// A replica of a partition as an actor: it hosts the replica's raft_peer and transaction_manager, and owns the key/value
// state. A thin shell: message → input → step → drain. What it does for snapshots is in partition_snapshots.cpp.
#pragma once

#include <deque>
#include <map>
#include <memory>

#include "actors/interfaces.hpp"
#include "actors/network_thread.hpp"
#include "actors/node_clock.hpp"
#include "actors/node_metrics.hpp"
#include "actors/raft_peer_actor.hpp"
#include "actors/shared_permits.hpp"
#include "actors/transaction_manager_actor.hpp"
#include "core/base/event_log.hpp"
#include "core/kv/partition_core.hpp"

namespace kahuna::actors {

// What the system asks of partition 0 has this bit in its origin, besides the cluster's token; nothing else has.
inline constexpr std::uint64_t system_origin = std::uint64_t{1} << 62;

struct partition_settings {
  raft_peer_settings raft;
  kv::partition_options options;
  transaction_manager_settings manager;
  kv::partition_store* store = nullptr;  // outlives the actor
  node_clock* clock = nullptr;           // outlives the actor
  event_log* events = nullptr;           // outlives the actor
  node_metrics* metrics = &silent_metrics();  // outlives the actor
  // Snapshots that this node sends at a time.
  std::shared_ptr<shared_permits> snapshot_permits = std::make_shared<shared_permits>(1);
  std::size_t snapshot_piece_bytes = 256 << 10;
};

// Whom a partition and its raft_peer talk to.
struct partition_peers {
  gateway_handle gateway;  // takes partition_replies
  log_writer_handle log_writer;
  data_keeper_handle data_keeper;
  cluster_handle cluster;
  std::map<node_id, link_handle> links;
};

// A view of the state that is being sent to a follower; holds a permit.
struct open_view {
  open_view(std::uint64_t number, std::unique_ptr<kv::snapshot_view> opened, std::shared_ptr<shared_permits> permits)
      : transfer(number), view(std::move(opened)), permits_(std::move(permits)) {}
  ~open_view() { permits_->give_back(); }
  open_view(const open_view&) = delete;
  open_view& operator=(const open_view&) = delete;

  std::uint64_t transfer;
  std::unique_ptr<kv::snapshot_view> view;
  std::uint64_t next_piece = 0;

 private:
  std::shared_ptr<shared_permits> permits_;
};

struct partition_state {
  static inline const char* name = "partition";

  partition_settings settings;
  std::unique_ptr<kv::partition_core> core;
  raft_peer_handle raft_peer;
  transaction_manager_handle transaction_manager;
  data_keeper_handle data_keeper;
  raft::role_change role;  // the last that was heard
  std::map<node_id, std::unique_ptr<open_view>> views;
  std::uint64_t staged_pieces = 0;  // of the snapshot that is coming
  log_index installed_index;        // by the last snapshot of this life: entries up to there are not applied any more
  std::deque<raft::raft_input> flushing;  // what each flush that was asked for, in its order, makes true
  gateway_handle gateway;
  cluster_handle cluster;
  bool is_drain_sent = false;
  bool is_fault_told = false;
};

// Spawns its raft_peer and transaction_manager, which live as long as it does.
partition_handle::behavior_type partition_actor(placed_pointer<partition_handle, partition_state> self,
                                                partition_settings settings, partition_peers peers,
                                                std::function<void(raft_peer_handle)> announce);

// A core over what the store holds now.
std::unique_ptr<kv::partition_core> make_partition_core(const partition_settings& settings);

// --- partition_snapshots.cpp
using partition_pointer = placed_pointer<partition_handle, partition_state>;
void do_snapshot_work(partition_pointer self, snapshot_work& work);
void prepare_to_flush(partition_pointer self);
void take_flushed(partition_pointer self);

}  // namespace kahuna::actors
