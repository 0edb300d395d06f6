// A node of a simulated cluster: a process with its clocks, disks and replicas, which crashes, starts again, and is stopped for a
// while without noticing. And the switchboard: who asked what of whom, and the ways between them.
//
// Where members change, a node makes and drops its replicas as its newest map wants it, wired as actors/replica_host_actor.cpp wires it.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/base/hlc.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/cluster_simulation/exchange.hpp"
#include "tests/support/cluster_simulation/log_disk.hpp"
#include "tests/support/cluster_simulation/members.hpp"
#include "tests/support/cluster_simulation/observer.hpp"
#include "tests/support/cluster_simulation/replica.hpp"

namespace kahuna::testing {

class switchboard;

class node {
 public:
  // `formed`: the map of the cluster's forming, of which this node is a founder, or the one that let it in.
  node(switchboard& board, int number, map_pointer formed, bool is_founder);

  void start();
  // Later, by whoever restarts what is down.
  void start_in(std::int64_t delay_us);
  // The machine loses power: whatever was not synced is lost, but for what happened to be written.
  void crash(std::int64_t down_us);
  void pause(std::int64_t length_us);
  void resume();
  // It was removed from the cluster, or has lost its data: its process never comes back.
  void end_for_good();
  bool is_up() const { return is_up_; }
  bool is_gone() const { return is_gone_; }
  bool is_paused() const { return is_paused_; }
  bool is_due_to_start() const;

  // Happens so much later in this life of the process, not while it is stopped.
  void post(std::int64_t delay_us, event what);
  // Happens now if the process lives; when it goes on, if it is stopped.
  void deliver(event what);

  // --- clocks
  instant steady_now() const;
  std::uint64_t wall_ms() const;
  timestamp stamp() { return clock_.tick(wall_ms()); }
  timestamp last_stamp() const { return clock_.last(); }
  void observe_own(timestamp stamp) { clock_.observe(stamp); }
  void observe_remote(timestamp stamp);
  void set_wall_offset(std::int64_t ms) { wall_offset_ms_ = ms; }

  // --- for its replicas
  node_id id() const { return node_id{static_cast<std::uint32_t>(number_) + 1}; }
  world& shared_world();
  observer& watch();
  log_disk& log() { return log_; }
  std::shared_ptr<persistence::memory_store> data() { return data_; }
  void send_to_peer(node_id peer, partition_id partition, std::vector<raft::message_body> bodies);
  // Nothing, where there is no such node. What arrives happens there, unless the node that sent it is known there to be no member any more.
  void send_to_node(node_id to, std::function<void(node&)> what);
  void flush_data(partition_id partition);
  // False: this node's data may hold effects of entries behind the index, from before a crash.
  bool note_applied(partition_id partition, log_index index);
  void note_era(std::uint64_t origin, term_id term) { eras_[origin] = term; }
  void reply(std::uint64_t origin, kv::operation_response response);
  void refuse(std::uint64_t origin, partition_id partition);
  known_leader leader_of(partition_id partition);
  void ask_remote(partition_id from, kv::remote_request asked);
  // Throws a violation where another replica of the partition may answer by a lease.
  void leads_now(partition_id partition, term_id term);
  void has_old_entries_at_a_majority();
  void has_voted();
  void has_installed_a_snapshot();
  // A point at which power may be lost: once in so many times, in runs that are meant so, the node dies here. True: it did, and nothing of
  // it is to be touched.
  bool dies_at_a_point(std::uint64_t once_in);

  // nullptr: it holds none.
  replica* find_replica(partition_id partition);
  std::vector<replica*> replicas();

  // --- members
  // Requires that it is up.
  node_members& members() { return *members_; }
  // The newest that it goes by, or will when it is up again.
  const map_pointer& known_map() const { return members_ ? members_->map() : remembered_; }
  const std::string& zone() const { return zone_; }
  void set_zone(std::string zone) { zone_ = std::move(zone); }
  void take_map(map_pointer map);

 private:
  void tick();
  void open_replica(partition_id partition, raft::configuration founders);
  void open_replicas();
  void compare_with_map();
  void make_replica(partition_id partition);
  void drop_replica(partition_id partition);
  void take_recorded(partition_id partition, bool is_hosted);
  void clear_data(partition_id partition);
  void flush_now_and_then();
  void finish_flush();

  switchboard& board_;
  const int number_;
  const map_pointer formed_;
  const bool is_founder_;
  // --- what survives
  map_pointer remembered_;
  std::string zone_;
  log_disk log_;
  std::shared_ptr<persistence::memory_store> data_ = std::make_shared<persistence::memory_store>();
  std::map<partition_id, log_index> highest_applied_;
  std::int64_t steady_offset_us_ = 0;
  std::int64_t rate_ppm_ = 1'000'000;
  std::int64_t wall_offset_ms_ = 0;
  // --- of this life
  std::uint64_t life_ = 0;
  bool is_up_ = false;
  bool is_gone_ = false;
  std::unique_ptr<node_members> members_;
  std::map<partition_id, std::unique_ptr<replica>> replicas_;
  std::set<partition_id> recording_;
  std::uint64_t settled_version_ = 0;  // of the last map of which everything was done
  hlc clock_;
  bool is_paused_ = false;
  std::vector<event> held_;
  std::int64_t starts_at_ = 0;
  std::map<std::uint64_t, term_id> eras_;
  std::vector<partition_id> waiting_for_flush_;
  bool is_flushing_ = false;
};

class switchboard final : public exchange {
 public:
  explicit switchboard(world& shared) : exchange(shared) {}

  std::size_t node_count() const override { return nodes.size(); }

  // Of those that belong to it, the newest map that any of them goes by.
  map_pointer newest_map() const;

  observer watch;
  std::vector<std::unique_ptr<node>> nodes;

 private:
  void arrive(int to, partition_id partition, kv::partition_request request, timestamp clock, std::int64_t budget_us) override;
};

}  // namespace kahuna::testing
