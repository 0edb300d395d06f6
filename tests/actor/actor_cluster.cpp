#define CAF_SUITE actor_simulation
#define FAIL CAF_FAIL
#include "tests/actor/actor_cluster.hpp"

#include <utility>

#include "core/kv/operation_routing.hpp"

namespace kahuna::testing {

using namespace actors;

namespace {

constexpr std::uint64_t wall_ms_at_start = 1'700'000'000'000;
constexpr std::int64_t step_us = 500;

}  // namespace

cluster_options actor_options_drawn_from(std::uint64_t seed) {
  auto options = cluster_options::drawn_from(seed);
  options.nodes = 3;
  options.replication = 0;
  options.partitions = std::min(options.partitions, 2);
  options.ephemeral_percent = 0;
  options.has_small_bounds = true;
  return options;
}

actor_cluster::actor_cluster(world& shared) : exchange(shared), dice_(shared.dice.next()) {
  const auto& options = w.options;
  std::vector<std::pair<std::string, std::string>> members;
  for (int i = 1; i <= options.nodes; ++i) members.emplace_back("n" + std::to_string(i), "h:" + std::to_string(i));
  map_ = routing::form_cluster(members, static_cast<std::uint32_t>(options.partitions), static_cast<std::uint32_t>(options.nodes));
  settings_.raft.reads = options.reads;
  settings_.raft.append_bytes_max = 400;
  settings_.raft.inflight_appends_max = 4;
  settings_.raft.handed_bytes_max = 700;
  settings_.raft.log_bytes_kept = 1'000;
  settings_.raft.log_bytes_max = 20'000;
  settings_.checkpoint_entries = static_cast<std::uint32_t>(options.checkpoint_entries);
  settings_.log_bytes_to_flush = 2'000;
  settings_.events = &events_;
  settings_.fatal = [](const error& e) { throw violation("a start finds damage: " + e.message); };
  settings_.make_gateway = [this](node_id id) { return make_gateway(static_cast<int>(id.value) - 1); };
  settings_.make_link = [this](node_id from, node_id to) { return make_link(from, to); };
  for (int i = 0; i < options.nodes; ++i) {
    auto& n = *nodes_.emplace_back(std::make_unique<simulated_node>());
    n.id = node_id{static_cast<std::uint32_t>(i) + 1};
    n.number = i;
    n.wall_offset_ms = w.draw(-options.skew_ms_max, options.skew_ms_max);
    n.clock = std::make_unique<node_clock>([this, &n] { return wall_ms(n); });
    start(i);
  }
}

actor_cluster::~actor_cluster() {
  is_ending_ = true;
  doomed_.reset();
  for (auto& n : nodes_) end_actors(*n);
  run_jobs();
  for (auto& n : nodes_) lose_power(*n);
}

std::uint64_t actor_cluster::wall_ms(const simulated_node& n) const {
  return wall_ms_at_start + 10'000 + static_cast<std::uint64_t>(w.now() / 1'000 + n.wall_offset_ms);
}

void actor_cluster::run_until(std::int64_t until) {
  while (w.now() < until) {
    w.run_until(w.now() + step_us);
    actors_.sched.clock().advance_time(std::chrono::microseconds(step_us));
    run_jobs(w.is_faulty && dice_.chance(1, 2) ? dice_.below(12) : SIZE_MAX);
  }
}

void actor_cluster::run_jobs(std::size_t turns_max) {
  auto& sched = actors_.sched;
  for (; turns_max > 0 && choose_next(); --turns_max) {
    sched.run_once();
    if (!doomed_ || doomed_->due == 0 || w.now() < doomed_->due || --doomed_->turns > 0) continue;
    const auto [victims, turns, due, down_us] = *std::exchange(doomed_, std::nullopt);
    crash(victims);
    for (const auto node : victims)
      w.at(down_us, [this, node] {
        if (!at(node).is_up) start(node);
      });
  }
}

bool actor_cluster::choose_next() {
  auto& jobs = actors_.sched.jobs;
  const auto count = jobs.size();
  for (std::size_t i = 0, start = count == 0 ? 0 : dice_.below(count); i < count; ++i) {
    auto& job = jobs[(start + i) % count];
    if (is_syncing(job)) continue;
    std::swap(jobs.front(), job);
    return true;
  }
  return false;
}

// The sync of what it was given takes its time, and what comes meanwhile collects behind it. Where the power is about to go disks are slow, so
// that there is something to be lost.
bool actor_cluster::is_syncing(const caf::resumable* job) {
  const auto* actor = dynamic_cast<const caf::scheduled_actor*>(job);
  if (actor == nullptr) return false;
  for (auto& n : nodes_) {
    if (!n->is_up || n->disk_actor.id() != actor->id()) continue;
    if (doomed_ && doomed_->due == 0) doomed_->due = w.now() + w.draw(1'000, 60'000);
    if (doomed_ && w.now() < doomed_->due) n->syncs_until = std::max(n->syncs_until, doomed_->due + 1'000);
    if (w.now() >= n->syncs_until && dice_.chance(1, 3)) {
      const bool is_stalled = w.is_faulty && w.percent(w.options.stall_percent);
      n->syncs_until = w.now() + w.draw(0, is_stalled ? 500'000 : w.options.disk_ms_max * 1'000);
    }
    return w.now() < n->syncs_until;
  }
  return false;
}

// --- nodes --------------------------------------------------------------------------------------------------------

void actor_cluster::start(int node) {
  auto& n = at(node);
  ++n.life;
  n.leaders.clear();
  start_actors(n, actors_.sys, map_, settings_, dice_, [&] { run_jobs(); });
  tell_connected(node, true);
}

void actor_cluster::crash(const std::vector<int>& victims) {
  std::vector<simulated_node*> dying;
  for (const auto node : victims)
    if (at(node).is_up) dying.push_back(&at(node));
  for (auto* n : dying) {
    ++crashes_;
    ++n->life;
    w.note(n->life * 16 + static_cast<std::uint64_t>(n->number));
    // RocksDB writes out what it has now and then, asked or not.
    if (dice_.chance(1, 3)) static_cast<void>(n->data_disk->flush());
    end_actors(*n);
  }
  run_jobs();
  for (auto* n : dying) {
    lose_power(*n);
    // What its clock had shown goes with it.
    n->clock = std::make_unique<node_clock>([this, n] { return wall_ms(*n); });
    tell_connected(n->number, false);
  }
}

void actor_cluster::crash_and_start(std::vector<int> nodes, int turns, bool are_disks_slow, std::int64_t down_us) {
  if (!doomed_) doomed_ = {std::move(nodes), turns, are_disks_slow ? 0 : w.now(), down_us};
}

// The others find that its connections are there or broken; now and then nobody notices.
void actor_cluster::tell_connected(int node, bool is_connected) {
  for (auto& other : nodes_) {
    if (other->number == node || !other->is_up || (!is_connected && dice_.chance(1, 4))) continue;
    caf::anon_send(other->cluster, peer_seen{at(node).id, is_connected});
    if (is_connected) caf::anon_send(at(node).cluster, peer_seen{other->id, true});
  }
}

void actor_cluster::cut_off(int node, std::int64_t length_us) {
  if (net.is_whole()) net.cut_off(node, w.options.nodes, length_us);
}

void actor_cluster::transfer_leaderships(int from, int to, bool is_optional) {
  for (auto& peer : at(from).raft_peers) {
    raft_inputs order;
    order.inputs.emplace_back(raft::transfer_leadership{at(to).id, is_optional});
    caf::anon_send(peer, std::move(order));
  }
}

void actor_cluster::heal() {
  net.heal();
  doomed_.reset();
  for (auto& n : nodes_)
    if (!n->is_up) start(n->number);
}

int actor_cluster::leader_of(partition_id partition) {
  for (auto& n : nodes_)
    if (const auto known = n->leaders.find(partition); n->is_up && known != n->leaders.end() && known->second.leader == n->id)
      return n->number;
  return -1;
}

bool actor_cluster::are_replicas_equal_in_index() {
  for (std::size_t p = 0; p < map_.partitions; ++p)
    for (auto& n : nodes_)
      if (!n->is_up || n->stores[p]->applied_index() != nodes_[0]->stores[p]->applied_index()) return false;
  return true;
}

void actor_cluster::compare_replicas() {
  for (std::size_t p = 0; p < map_.partitions; ++p) {
    const auto content_of = [&](simulated_node& n) {
      std::string all;
      const auto damage = n.stores[p]->walk_versions(std::nullopt, [&](std::string_view key, const kv::version& version) {
        all += std::string(key) + " r" + std::to_string(version.revision) + (version.is_tombstone ? " deleted " : " = ") + version.value.str() + '\n';
        return true;
      });
      if (damage) throw violation("a replica can't be read: " + damage->message);
      return all;
    };
    const auto first = content_of(*nodes_[0]);
    for (auto& n : nodes_)
      if (const auto other = content_of(*n); other != first)
        throw violation("replicas of partition " + std::to_string(p) + " differ at entry " +
                        std::to_string(n->stores[p]->applied_index().value) + ":\n" + first + "--- and\n" + other);
  }
}

// --- in the place of gateways and links ---------------------------------------------------------------------------

void actor_cluster::arrive(int to, partition_id partition, kv::partition_request request, timestamp clock, std::int64_t budget_us) {
  auto& n = at(to);
  if (!n.is_up) return;
  static_cast<void>(n.clock->observe_remote(clock));
  request.deadline = steady_now() + duration(budget_us);
  client_operations work;
  work.requests.push_back(std::move(request));
  caf::anon_send(n.hosted[partition.value], std::move(work));
}

void actor_cluster::carry(node_id from, node_id to, const peer_output& output) {
  peer_input input;
  for (const auto& body : output.bodies) input.messages.push_back({from, body});
  net.send(static_cast<int>(from.value) - 1, static_cast<int>(to.value) - 1, network::copies::maybe_two,
           [this, to, partition = output.partition, now = at(from).clock->now(), input = std::move(input)] {
             auto& n = at(to);
             if (!n.is_up) return;
             static_cast<void>(n.clock->observe_remote(now));
             caf::anon_send(n.raft_peers[partition.value], input);
           });
}

void actor_cluster::carry(node_id from, node_id to, const leaders_changed& news) {
  net.send(static_cast<int>(from.value) - 1, static_cast<int>(to.value) - 1, network::copies::one, [this, to, news] {
    if (auto& n = at(to); n.is_up) caf::anon_send(n.cluster, leaders_heard{news.partitions});
  });
}

void actor_cluster::take_replies(int node, const partition_replies& replies) {
  for (const auto& said : replies.replies) {
    const auto partition = partition_asked(said.origin);
    if (!partition) continue;
    const auto& leader = at(node).leaders[*partition];
    reply(node, said.origin, {said.response, at(node).clock->now(), {}, leader.leader, leader.term});
  }
}

void actor_cluster::ask_for_manager(int node, const manager_requests& asked) {
  auto& n = at(node);
  for (const auto& request : asked.requests) {
    const auto partition = *kv::partition_of(map_, request.op);
    const auto leader = n.leaders[partition].leader;
    const auto to = leader != no_node ? static_cast<int>(leader.value) - 1 : static_cast<int>(w.dice.below(nodes_.size()));
    kv::partition_request carried;
    carried.issued_at = n.clock->now();
    carried.op = request.op;
    ask(node, to, partition, std::move(carried), n.clock->now(), std::min<std::int64_t>(request.budget_ms, 1'000) * 1'000,
        [this, node, life = n.life, manager = asked.manager, token = request.token](const answer& a) {
          auto& asking = at(node);
          if (!asking.is_up || asking.life != life) return;
          static_cast<void>(asking.clock->observe_remote(a.now));
          manager_answers answers;
          answers.replies.push_back({token, a.response});
          caf::anon_send(asking.hosted[manager.value], std::move(answers));
        });
  }
}

void actor_cluster::note_leaders(int node, const leaders_changed& news) {
  for (const auto& entry : news.partitions) {
    at(node).leaders[entry.partition] = entry;
    if (entry.leader != at(node).id) continue;
    w.note((entry.term.value << 8) + (entry.partition.value << 4) + entry.leader.value);
    terms_led_.emplace(entry.partition, entry.term);
  }
}

// A gateway that goes on for a moment when its node is being killed has nothing to say any more.
gateway_handle actor_cluster::make_gateway(int node) {
  const auto behavior = [this, node](gateway_handle::pointer self) -> gateway_handle::behavior_type {
    const auto is_alive = [this, node] { return !is_ending_ && at(node).is_up; };
    return {
        [](const gateway_wiring&) {},
        [=, this](const partition_replies& replies) {
          if (is_alive()) take_replies(node, replies);
        },
        [=, this](const manager_requests& asked) {
          if (is_alive()) ask_for_manager(node, asked);
        },
        [=, this](const leaders_changed& news) {
          if (!is_ending_) note_leaders(node, news);
        },
        [](const peer_checked&) {},
        [](const link_broken&) {},
        [](const link_changed&) {},
        [](const map_changed&) {},
        [](const links_changed&) {},
        [](const replicas_changed&) {},
        [](const membership_answered&) {},
        [](const node_tick&) {},
        [=](const stop&) { self->quit(); },
    };
  };
  return actors_.sys.spawn(behavior);
}

link_handle actor_cluster::make_link(node_id from, node_id to) {
  const auto behavior = [this, from, to](link_handle::pointer self) -> link_handle::behavior_type {
    return {
        [=, this](const peer_output& output) {
          if (!is_ending_) carry(from, to, output);
        },
        [](const forward_requests&) {},
        [](const forward_replies&) {},
        [=, this](const leaders_changed& news) {
          if (!is_ending_) carry(from, to, news);
        },
        // Members stay who they are here.
        [](const messages::map_news&) {},
        [](const messages::group_order&) {},
        [](const messages::group_report&) {},
        [](const node_tick&) {},
        [=](const stop&) { self->quit(); },
    };
  };
  return actors_.sys.spawn(behavior);
}

}  // namespace kahuna::testing
