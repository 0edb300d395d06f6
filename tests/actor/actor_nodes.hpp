// Nodes of real actors over disks in memory, several in one actor system on CAF's test coordinator. Brokers have no place there: what
// links and gateways do between processes the test does.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "actors/cluster_actor.hpp"
#include "actors/data_keeper_actor.hpp"
#include "actors/log_disk_actor.hpp"
#include "actors/log_writer_actor.hpp"
#include "actors/partition_actor.hpp"
#include "actors/transaction_manager_actor.hpp"
#include "core/base/prng.hpp"
#include "persistence/data_store.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/raft_log_store.hpp"

namespace kahuna::testing {

// A log device that counts its syncs.
class counting_device final : public persistence::log_device {
 public:
  explicit counting_device(std::shared_ptr<persistence::raft_log_store> log) : log_(std::move(log)) {}
  void add(partition_id partition, const raft::log_write& write) override {
    log_->add(partition, write);
    ++added;
  }
  std::optional<error> commit() override {
    ++commits;
    return log_->commit();
  }
  void note_commit() override { log_->note_commit(); }
  std::uint64_t incarnation_of(node_id peer) const override { return log_->incarnation_of(peer); }
  std::optional<error> remember_peer(node_id peer, std::uint64_t incarnation) override { return log_->remember_peer(peer, incarnation); }
  std::optional<error> record_replica(partition_id partition, bool is_hosted) override { return log_->record_replica(partition, is_hosted); }

  int added = 0;
  int commits = 0;

 private:
  std::shared_ptr<persistence::raft_log_store> log_;
};

struct actor_node {
  node_id id;
  std::shared_ptr<persistence::memory_store> log_disk = std::make_shared<persistence::memory_store>();
  std::shared_ptr<persistence::memory_store> data_disk = std::make_shared<persistence::memory_store>();
  std::unique_ptr<actors::node_clock> clock;

  // --- of this life
  std::shared_ptr<counting_device> device;
  std::shared_ptr<persistence::raft_log_store> log;
  std::vector<std::unique_ptr<persistence::data_store>> stores;
  std::vector<std::unique_ptr<raft::log_reader>> readers;
  actors::cluster_handle cluster;
  actors::gateway_handle gateway;
  actors::log_disk_handle disk_actor;
  actors::log_writer_handle log_writer;
  actors::data_keeper_handle data_keeper;
  std::map<node_id, actors::link_handle> links;
  std::vector<actors::partition_handle> hosted;
  std::vector<actors::raft_peer_handle> raft_peers;  // by partition; empty while it is down
  bool is_up = false;
};

// What the test is in the place of, and what its nodes are like.
struct actor_nodes_settings {
  std::size_t log_bytes_to_flush = 5000;
  std::size_t snapshot_piece_bytes = 500;
  raft::raft_options raft;
  std::uint32_t checkpoint_entries = 1 << 10;
  std::function<actors::gateway_handle(node_id)> make_gateway;
  std::function<actors::link_handle(node_id from, node_id to)> make_link;
  std::function<void(const error&)> fatal;
  event_log* events = &silent_log();
};

// Starts a node's actors on what its disks hold. `run_jobs` lets everything that can happen happen.
inline void start_actors(actor_node& n, caf::actor_system& sys, const routing::partition_map& map, const actor_nodes_settings& given,
                         prng& dice, const std::function<void()>& run_jobs) {
  using namespace actors;
  auto opened = persistence::raft_log_store::open(n.log_disk, nullptr, given.fatal);
  n.log = std::move(*opened);
  n.device = std::make_shared<counting_device>(n.log);
  n.cluster = sys.spawn(cluster_actor, cluster_settings{n.id, map, std::chrono::milliseconds(50), &silent_metrics(), &silent_log(), {}, nullptr});
  n.gateway = given.make_gateway(n.id);
  // In the product these are detached, on threads of their own; here everything takes its turn.
  n.data_keeper = sys.spawn(data_keeper_actor, n.data_disk);
  n.disk_actor = sys.spawn(log_disk_actor, n.device, &silent_metrics());
  n.log_writer = sys.spawn(log_writer_actor, n.disk_actor, &silent_metrics(), n.data_keeper, given.log_bytes_to_flush);
  for (const auto& member : map.members)
    if (member.id != n.id) n.links[member.id] = given.make_link(n.id, member.id);
  auto peers = std::make_shared<std::vector<raft_peer_handle>>();
  for (std::uint32_t p = 0; p < map.partitions; ++p) {
    auto store = persistence::data_store::open(n.data_disk, partition_id{p}, given.fatal);
    n.stores.push_back(std::move(*store));
    n.readers.push_back(n.log->reader(partition_id{p}));
    partition_settings settings;
    settings.raft.partition = partition_id{p};
    settings.raft.self = n.id;
    settings.raft.voters.voters = routing::replicas_of(map, partition_id{p});
    settings.raft.options = given.raft;
    auto found = n.log->load(partition_id{p}, n.stores.back()->applied_index(), n.stores.back()->snapshot());
    if (!found) given.fatal(found.error());
    settings.raft.found = std::move(*found);
    settings.raft.log = n.readers.back().get();
    settings.raft.seed = dice.next();
    settings.options.checkpoint_entries = given.checkpoint_entries;
    settings.store = n.stores.back().get();
    settings.clock = n.clock.get();
    settings.manager.clock = n.clock.get();
    settings.manager.seed = dice.next();
    settings.manager.options = {settings.raft.partition, map.partitions};
    settings.events = given.events;
    settings.snapshot_piece_bytes = given.snapshot_piece_bytes;
    n.hosted.push_back(sys.spawn(partition_actor, settings, partition_peers{n.gateway, n.log_writer, n.data_keeper, n.cluster, n.links},
                                 [peers](raft_peer_handle peer) { peers->push_back(std::move(peer)); }));
    run_jobs();
  }
  n.raft_peers = *peers;
  std::map<partition_id, raft_peer_handle> raft_peers;
  std::map<partition_id, partition_handle> hosted;
  for (std::uint32_t p = 0; p < map.partitions; ++p) raft_peers[partition_id{p}] = peers->at(p);
  for (std::uint32_t p = 0; p < map.partitions; ++p) hosted[partition_id{p}] = n.hosted[p];
  caf::anon_send(n.cluster, cluster_wiring{n.gateway, n.links, raft_peers, hosted, n.log_writer, {}});
  caf::anon_send(n.data_keeper, hosted_partitions{n.hosted});
  n.is_up = true;
  run_jobs();
}

// Its actors end with their next turns, whatever waits in their mailboxes. Behind those comes lose_power().
inline void end_actors(actor_node& n) {
  const auto end = [](const auto& handle) {
    if (!handle) return;  // its start was cut off
    handle->enqueue(nullptr, caf::make_message_id(caf::message_priority::high),
                    caf::make_message(caf::exit_msg{handle->address(), caf::exit_reason::kill}), nullptr);
  };
  for (auto& peer : n.raft_peers) end(peer);
  n.is_up = false;
  n.raft_peers.clear();
  for (auto& hosted : n.hosted) end(hosted);
  end(n.cluster);
  end(n.gateway);
  end(n.log_writer);
  end(n.disk_actor);
  end(n.data_keeper);
  for (auto& [peer, link] : n.links) end(link);
  n.hosted.clear();
  n.links.clear();
  n.cluster = actors::cluster_handle();
  n.gateway = actors::gateway_handle();
  n.log_writer = actors::log_writer_handle();
  n.disk_actor = actors::log_disk_handle();
  n.data_keeper = actors::data_keeper_handle();
}

// Of a node whose actors have ended: what was not synced is lost.
inline void lose_power(actor_node& n) {
  n.stores.clear();
  n.readers.clear();
  n.device.reset();
  n.log.reset();
  n.log_disk->lose_unsynced();
  n.data_disk->lose_unsynced();
}

// Runs what can run, whoever has something to do going next by lot.
template <class Scheduler>
void run_in_any_order(Scheduler& sched, prng& dice) {
  while (!sched.jobs.empty()) {
    std::swap(sched.jobs.front(), sched.jobs[dice.below(sched.jobs.size())]);
    sched.run_once();
  }
}

}  // namespace kahuna::testing
