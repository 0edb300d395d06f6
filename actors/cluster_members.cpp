// The members of the cluster, as a node's cluster actor keeps them: hears of newer maps and tells of them, makes and ends links by
// them, and, where this node leads partition 0, has them changed.
//
// A map spreads as a rumour does: whoever hears of a newer one tells everybody whom it reaches; what is lost is made good by the
// welcome of a new connection, and by versions that are told every second.
#include <algorithm>
#include <set>
#include <utility>

#include "actors/cluster_actor.hpp"
#include "actors/fatal.hpp"
#include "actors/raft_peer_actor.hpp"
#include "actors/system_keys.hpp"
#include "messages/codec/portable_archive.hpp"

namespace kahuna::actors {

namespace {

void send_map(cluster_pointer self, node_id to) {
  const auto& state = self->state;
  if (const auto link = state.wiring.links.find(to); link != state.wiring.links.end())
    self->send(link->second, messages::map_news{state.map.version, state.map, state.settled_version});
}

// Where replicas never change they are settled by any map.
void tell_host(cluster_pointer self) {
  const auto& state = self->state;
  if (state.wiring.replica_host)
    self->send(state.wiring.replica_host, map_changed{state.map});
  else
    take_settled(self, {state.map.version});
}

// To everybody here and elsewhere whom the newest map concerns.
void spread_map(cluster_pointer self) {
  auto& state = self->state;
  // Also to those who are no members any more: so they know.
  for (const auto& [peer, link] : state.wiring.links) send_map(self, peer);
  const auto* own = routing::find_member(state.map, state.settings.self);
  if (own == nullptr)
    die(fatal_status::refused, "this node was removed from its cluster, the node stops; its data directory is of no use any more: delete it");
  keep_links(self);
  self->send(state.wiring.gateway, map_changed{state.map});
  tell_host(self);
}

void adopt(cluster_pointer self, routing::partition_map map) {
  auto& state = self->state;
  state.map = std::move(map);
  state.restless_at = now_of(*self);
  if (state.is_wired) spread_map(self);
}

// To the partition, or, where this node does not host it any more, an answer that sends whoever asked to somebody else.
std::uint64_t ask_system(cluster_pointer self, kv::operation op) {
  auto& state = self->state;
  const auto token = ++state.last_system_token;
  const auto partition = state.wiring.partitions.find(partition_id{0});
  if (partition != state.wiring.partitions.end())
    self->send(partition->second, system_operation{token, std::move(op)});
  else
    self->send(self, system_answer{token, error{errc::not_leader, "partition 0 is not hosted here"}});
  return token;
}

void write_map(cluster_pointer self, const routing::map_write& wanted) {
  kv::set_request set;
  set.key = partition_map_key;
  set.value = messages::encode(wanted.map);
  set.if_revision = wanted.expected_revision;
  self->state.write_token = ask_system(self, std::move(set));
}

void read_map(cluster_pointer self) {
  kv::get_request get;
  get.key = partition_map_key;
  self->state.read_token = ask_system(self, std::move(get));
}

void send_order(cluster_pointer self, const routing::group_order& order) {
  auto& state = self->state;
  const auto leader = state.leaders.at(order.partition.value).leader;
  messages::group_order wanted{order.partition, order.version, order.voters};
  if (leader == state.settings.self) {
    group_ordered ordered{state.settings.self, std::move(wanted)};
    take_group_order(self, ordered);
  } else if (const auto link = state.wiring.links.find(leader); link != state.wiring.links.end()) {
    self->send(link->second, std::move(wanted));
  }
}

void answer(cluster_pointer self, routing::command_answer& answered) {
  auto& state = self->state;
  const auto asked = state.commands.extract(answered.token);
  if (!asked) return;
  const auto& command = asked.mapped();
  self->send(state.wiring.gateway,
             membership_answered{command.session, {command.request.token, std::move(answered.refusal), answered.outcome.node, std::move(answered.outcome.map)}});
}

}  // namespace

void step_membership(cluster_pointer self, routing::membership_input input) {
  auto& state = self->state;
  state.membership->step(std::move(input), now_of(*self));
  state.membership->check_invariants();
  auto ready = state.membership->take_ready();
  if (ready.is_read_wanted) read_map(self);
  if (ready.write) write_map(self, *ready.write);
  // Before whoever asked hears of it, everybody here does.
  if (ready.news && ready.news->version > state.map.version) adopt(self, std::move(*ready.news));
  for (auto& answered : ready.answers) answer(self, answered);
  if (ready.order) send_order(self, *ready.order);
  for (auto& reason : ready.held_up) state.settings.events->write(severity::warn, "change of members held up", {{"reason", std::move(reason)}});
}

// A start, as a history: links are made, and replicas opened, which takes a while; a link connects and brings a newer map than this node
// was started with; only then the wiring comes. Nobody was known until then to whom that map could have been given, and nobody brings it
// again (docs/incidents/0009).
void take_wiring(cluster_pointer self, const cluster_wiring& wiring) {
  auto& state = self->state;
  state.wiring = wiring;
  state.is_wired = true;
  state.restless_at = now_of(*self);
  if (state.map.version > state.settings.map.version) {
    spread_map(self);
  } else {
    keep_links(self);
    if (!state.wiring.replica_host) take_settled(self, {state.map.version});
  }
  tell_reachable(self);
}

void take_map(cluster_pointer self, node_id from, const messages::map_news& news) {
  auto& state = self->state;
  if (news.settled_version != 0) step_membership(self, routing::replicas_settled{from, news.settled_version});
  if (news.version < state.map.version) return send_map(self, from);
  if (!news.map || news.map->version <= state.map.version) return;
  if (!routing::is_well_formed(*news.map) || news.map->cluster_id != state.map.cluster_id || news.map->partitions != state.map.partitions) return;
  adopt(self, *news.map);
}

void take_system_answer(cluster_pointer self, system_answer& answer) {
  auto& state = self->state;
  const bool is_read = answer.token == state.read_token;
  if (!is_read && answer.token != state.write_token) return;  // of a leadership that is over
  (is_read ? state.read_token : state.write_token) = 0;
  if (const auto* got = std::get_if<kv::get_response>(&answer.response); got != nullptr && is_read) {
    if (!got->is_found) return step_membership(self, routing::map_read{std::nullopt, got->revision});
    auto map = messages::decode<routing::partition_map>(got->value.view());
    if (map && map->placements.empty()) routing::complete_formed(*map);
    if (!map || !routing::is_well_formed(*map)) die(fatal_status::damaged, "the partition map in partition 0 is damaged: " + (map ? "it is none" : map.error().message));
    return step_membership(self, routing::map_read{std::move(*map), got->revision});
  }
  if (const auto* set = std::get_if<kv::set_response>(&answer.response); set != nullptr && !is_read && set->is_set)
    return step_membership(self, routing::map_written{set->revision});
  step_membership(self, routing::map_access_failed{});
}

// An order that is older than the map is of one who led partition 0 once: what it wants may have been taken back, and be dropped.
void take_group_order(cluster_pointer self, group_ordered& ordered) {
  auto& state = self->state;
  if (ordered.order.version < state.map.version) return;
  if (const auto peer = state.wiring.raft_peers.find(ordered.order.partition); peer != state.wiring.raft_peers.end())
    self->send(peer->second, std::move(ordered));
}

void take_group_report(cluster_pointer self, group_reported& reported) {
  auto& state = self->state;
  auto& report = reported.report;
  if (reported.to == state.settings.self)
    return step_membership(self, routing::group_report{report.partition, report.version, std::move(report.voters), report.is_settled, std::move(report.refusal)});
  if (const auto link = state.wiring.links.find(reported.to); link != state.wiring.links.end()) self->send(link->second, std::move(report));
}

void take_command(cluster_pointer self, membership_asked& asked) {
  auto& state = self->state;
  const auto token = ++state.last_command_token;
  auto what = asked.request.what;
  state.commands.emplace(token, std::move(asked));
  step_membership(self, routing::command_asked{token, std::move(what)});
}

void tell_reachable(cluster_pointer self) {
  auto& state = self->state;
  routing::reachable_nodes reachable{state.connected};
  reachable.nodes.insert(state.settings.self);
  step_membership(self, std::move(reachable));
}

void take_replicas(cluster_pointer self, const replicas_changed& news) {
  auto& state = self->state;
  for (const auto& [partition, peer] : news.raft_peers)
    if (!state.wiring.raft_peers.contains(partition)) self->send(peer, links_changed{state.wiring.links});
  // Nobody tells any more that a replica that is gone does not lead.
  for (const auto& [partition, peer] : state.wiring.raft_peers) {
    auto& known = state.leaders.at(partition.value);
    if (!news.raft_peers.contains(partition) && known.leader == state.settings.self) known = {partition, {}, no_node};
  }
  state.wiring.raft_peers = news.raft_peers;
  state.wiring.partitions = news.partitions;
  if (!news.partitions.contains(partition_id{0})) step_membership(self, routing::system_leadership{false});
}

// At once, because the next step of a change may wait for it; and again with every version that is told.
void take_settled(cluster_pointer self, const hosting_settled& news) {
  auto& state = self->state;
  state.settled_version = news.version;
  step_membership(self, routing::replicas_settled{state.settings.self, news.version});
  tell_version(self);
}

void keep_links(cluster_pointer self) {
  auto& state = self->state;
  if (!state.settings.make_link) return;
  bool has_changed = false;
  for (const auto& m : state.map.members) {
    if (m.id == state.settings.self || routing::is_superseded(state.map, m) || state.wiring.links.contains(m.id)) continue;
    state.wiring.links[m.id] = state.settings.make_link(m);
    has_changed = true;
  }
  std::vector<node_id> gone;
  for (const auto& [peer, link] : state.wiring.links) {
    const auto* m = routing::find_member(state.map, peer);
    if (m != nullptr && !routing::is_superseded(state.map, *m)) continue;
    self->send(link, stop{});
    gone.push_back(peer);
  }
  for (const auto peer : gone) {
    state.wiring.links.erase(peer);
    state.connected.erase(peer);
    has_changed = true;
  }
  if (!has_changed) return;
  if (!gone.empty()) tell_reachable(self);
  const links_changed news{state.wiring.links};
  self->send(state.wiring.gateway, news);
  for (const auto& [partition, peer] : state.wiring.raft_peers) self->send(peer, news);
  if (state.wiring.replica_host) self->send(state.wiring.replica_host, news);
}

void tell_version(cluster_pointer self) {
  const auto& state = self->state;
  for (const auto& [peer, link] : state.wiring.links) self->send(link, messages::map_news{state.map.version, std::nullopt, state.settled_version});
}

}  // namespace kahuna::actors
