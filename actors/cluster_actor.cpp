#include "actors/cluster_actor.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "actors/fatal.hpp"
#include "actors/leader_spread.hpp"
#include "actors/raft_peer_actor.hpp"
#include "core/routing/placement.hpp"

namespace kahuna::actors {

namespace {

using self_pointer = cluster_pointer;

constexpr std::chrono::milliseconds leaders_repeat_interval{1000};
constexpr std::chrono::milliseconds status_timeout{1000};
constexpr std::chrono::milliseconds spread_interval{1000};
constexpr std::chrono::milliseconds quiet_before_spreading{5000};
constexpr std::uint64_t sweep_interval_ticks = 4;  // of partitions: what they do in the background waits that long

// Tells the gateway what changed, and the other nodes what this one leads: a node that hosts no replica of a partition
// has no other way to know.
void tell(self_pointer self, std::vector<messages::partition_leader> changed) {
  const auto& state = self->state;
  if (changed.empty()) return;
  leaders_changed led_here;
  for (const auto& entry : changed)
    if (entry.leader == state.settings.self) led_here.partitions.push_back(entry);
  if (!led_here.partitions.empty())
    for (const auto& [peer, link] : state.wiring.links) self->send(link, led_here);
  self->send(state.wiring.gateway, leaders_changed{std::move(changed)});
}

// A replica of this node knows: its word is taken unless a newer term was heard of.
std::vector<messages::partition_leader> take_own(cluster_state& state, const leaders_changed& news) {
  std::vector<messages::partition_leader> changed;
  for (const auto& entry : news.partitions) {
    auto& known = state.leaders.at(entry.partition.value);
    if (entry.term < known.term || entry == known) continue;
    if (entry.leader != no_node && entry.leader != known.leader) state.settings.metrics->leader_changed();
    known = entry;
    changed.push_back(entry);
  }
  return changed;
}

// Another node says that it leads: taken where the term is newer, or nobody was known. Then also where the term is older: a replica that
// its group has let go may have begun one that the group never reaches.
std::vector<messages::partition_leader> take_heard(cluster_state& state, const leaders_heard& news) {
  std::vector<messages::partition_leader> changed;
  for (const auto& entry : news.partitions) {
    if (entry.partition.value >= state.leaders.size()) continue;
    auto& known = state.leaders[entry.partition.value];
    const bool is_news = entry.term > known.term || known.leader == no_node;
    if (!is_news || entry == known) continue;
    // Counted here or where the own replica tells of it, whichever comes first.
    if (entry.leader != no_node && entry.leader != known.leader) state.settings.metrics->leader_changed();
    known = entry;
    changed.push_back(entry);
  }
  return changed;
}

void tell_raft(self_pointer self, const raft_peer_handle& peer, raft::raft_input input) {
  raft_inputs news;
  news.inputs.push_back(std::move(input));
  self->send(peer, std::move(news));
}

void take_seen(self_pointer self, const peer_seen& seen) {
  auto& state = self->state;
  const bool is_news = seen.is_connected ? state.connected.insert(seen.peer).second : state.connected.erase(seen.peer) != 0;
  if (!is_news) return;
  state.restless_at = now_of(*self);
  tell_reachable(self);
  if (seen.is_connected) return;
  for (const auto& [partition, peer] : state.wiring.raft_peers) tell_raft(self, peer, raft::connection_lost{seen.peer});
}

// One leadership at a time to whoever leads least, when all have been here for a while. Two nodes that both choose the same one at
// the same moment do no harm: nobody moves anything for a difference of one.
void spread_leaders(self_pointer self) {
  auto& state = self->state;
  const auto& map = state.map;
  const auto is_reached = [&](node_id node) { return node == state.settings.self || state.connected.contains(node); };
  const auto active = routing::active_members(map);
  if (state.is_leaving || !std::all_of(active.begin(), active.end(), is_reached)) return;
  if (now_of(*self) - state.restless_at < quiet_before_spreading) return;
  const auto chosen = choose_handover(map, state.settings.self, state.leaders, state.spread_turn++);
  if (!chosen) return;
  if (const auto peer = state.wiring.raft_peers.find(chosen->partition); peer != state.wiring.raft_peers.end())
    tell_raft(self, peer->second, raft::transfer_leadership{chosen->to, true});
}

void on_tick(self_pointer self) {
  auto& state = self->state;
  self->delayed_send(self, state.settings.tick_interval, node_tick{});
  for (const auto& [partition, peer] : state.wiring.raft_peers) self->send(peer, node_tick{});
  for (const auto& [peer, link] : state.wiring.links) self->send(link, node_tick{});
  self->send(state.wiring.gateway, node_tick{});

  ++state.ticks;
  if (state.ticks % sweep_interval_ticks == 0) {
    for (const auto& [id, partition] : state.wiring.partitions) self->send(partition, node_tick{});
    self->send(state.wiring.log_writer, node_tick{});
  }

  step_membership(self, routing::membership_tick{});
  if (state.ticks % static_cast<std::uint64_t>(spread_interval / state.settings.tick_interval) == 0) spread_leaders(self);

  // Lost or refused news is repeated now and then; it is small.
  if (state.ticks % static_cast<std::uint64_t>(leaders_repeat_interval / state.settings.tick_interval) != 0) return;
  tell_version(self);
  leaders_changed led_here;
  for (const auto& entry : state.leaders)
    if (entry.leader == state.settings.self) led_here.partitions.push_back(entry);
  if (!led_here.partitions.empty())
    for (const auto& [peer, link] : state.wiring.links) self->send(link, led_here);
}

// Collects the replicas' answers; whoever does not answer in time is left out.
struct status_round {
  node_status status;
  std::size_t outstanding = 0;
  caf::typed_response_promise<node_status> promise;

  void one_less() {
    if (--outstanding == 0) promise.deliver(std::move(status));
  }
};

caf::result<node_status> collect_status(self_pointer self) {
  auto& state = self->state;
  auto round = std::make_shared<status_round>();
  round->status.map = state.map;
  round->status.alive.push_back(state.settings.self);
  round->status.alive.insert(round->status.alive.end(), state.connected.begin(), state.connected.end());
  round->status.leaders = state.leaders;
  round->outstanding = state.wiring.raft_peers.size() + state.wiring.partitions.size() + 1;
  round->promise = self->make_response_promise<node_status>();
  for (const auto& [partition, peer] : state.wiring.raft_peers)
    self->request(peer, status_timeout, get_status{})
        .then(
            [round](replica_status& replica) {
              round->status.replicas.push_back(std::move(replica));
              round->one_less();
            },
            [round](caf::error&) { round->one_less(); });
  for (const auto& [id, partition] : state.wiring.partitions)
    self->request(partition, status_timeout, get_status{})
        .then(
            [round](partition_status& status) {
              round->status.partitions.push_back(std::move(status));
              round->one_less();
            },
            [round](caf::error&) { round->one_less(); });
  auto promise = round->promise;
  round->one_less();
  return promise;
}

}  // namespace

cluster_handle::behavior_type cluster_actor(self_pointer self, cluster_settings settings) {
  die_on_exceptions(self);
  auto& state = self->state;
  for (std::uint32_t i = 0; i < settings.map.partitions; ++i) state.leaders.push_back({partition_id{i}, {}, no_node});
  state.settings = std::move(settings);
  state.map = state.settings.map;
  state.membership = std::make_unique<routing::membership_core>(state.settings.self, state.map, state.settings.membership);
  return {
      [=](const cluster_wiring& wiring) {
        take_wiring(self, wiring);
        on_tick(self);
      },
      [=](const leaders_changed& news) {
        tell(self, take_own(self->state, news));
        if (news.partitions.empty() || news.partitions.front().partition != partition_id{0}) return;
        step_membership(self, routing::system_leadership{news.partitions.front().leader == self->state.settings.self});
      },
      [=](const leaders_heard& news) {
        if (auto changed = take_heard(self->state, news); !changed.empty())
          self->send(self->state.wiring.gateway, leaders_changed{std::move(changed)});
      },
      [=](const peer_seen& seen) {
        take_seen(self, seen);
      },
      [=](const map_heard& heard) { take_map(self, heard.peer, heard.news); },
      [=](const zone_heard& heard) { step_membership(self, routing::zone_told{heard.peer, heard.zone}); },
      [=](system_answer& answer) { take_system_answer(self, answer); },
      [=](group_ordered& ordered) { take_group_order(self, ordered); },
      [=](group_reported& reported) { take_group_report(self, reported); },
      [=](membership_asked& asked) { take_command(self, asked); },
      [=](const replicas_changed& news) { take_replicas(self, news); },
      [=](const hosting_settled& news) { take_settled(self, news); },
      [=](const hand_over_all&) {
        self->state.is_leaving = true;
        for (const auto& [partition, peer] : self->state.wiring.raft_peers) tell_raft(self, peer, raft::transfer_leadership{no_node, false});
      },
      [=](const get_status&) { return collect_status(self); },
      [=](const node_tick&) { on_tick(self); },
      [=](const stop&) {
        for (const auto& [peer, link] : self->state.wiring.links) self->send(link, stop{});
        self->quit();
      },
  };
}

}  // namespace kahuna::actors
