#include "actors/replica_host_actor.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "actors/fatal.hpp"

namespace kahuna::actors {

namespace {

using self_pointer = replica_host_handle::stateful_pointer<replica_host_state>;

bool holds(const std::vector<node_id>& nodes, node_id node) { return std::binary_search(nodes.begin(), nodes.end(), node); }

void tell_hosted(self_pointer self) {
  auto& state = self->state;
  replicas_changed news;
  hosted_partitions kept;
  for (const auto& [id, replica] : state.hosted) {
    news.partitions[id] = replica.partition;
    news.raft_peers[id] = replica.raft_peer;
    kept.partitions.push_back(replica.partition);
  }
  self->send(state.peers.data_keeper, std::move(kept));
  self->send(state.peers.gateway, news);
  self->send(state.peers.cluster, std::move(news));
}

void clear(self_pointer self, partition_id partition) {
  auto& data = *self->state.settings.data;
  if (const auto failure = persistence::data_store::clear(data, partition))
    die(fatal_status::failed, "the data could not be written, the node stops: " + failure->message);
}

void note(self_pointer self, const char* what, partition_id partition) {
  self->state.settings.events->write(severity::info, what, {{"partition", std::to_string(partition.value)}});
}

void record(self_pointer self, partition_id partition, bool is_hosted) {
  self->state.recording.insert(partition);
  self->send(self->state.peers.log_writer, record_replica{partition, is_hosted});
}

void watch(self_pointer self, partition_id partition) {
  auto& state = self->state;
  state.alive[partition] = 2;
  self->monitor(state.hosted.at(partition).partition);
  self->monitor(state.hosted.at(partition).raft_peer);
}

// One step for each partition that is not as it is to be; the rest follows when that is done.
void compare(self_pointer self) {
  auto& state = self->state;
  if (state.is_stopping) return;
  const auto& map = state.settings.map;
  bool is_any_gone = false;
  for (std::uint32_t p = 0; p < map.partitions; ++p) {
    const partition_id id{p};
    if (state.recording.contains(id) || state.stopping.contains(id)) continue;
    const auto& held = map.placements[p];
    const bool is_wanted = holds(held.voters, state.settings.self) || holds(held.target, state.settings.self);
    const bool is_hosted = state.hosted.contains(id);
    if (is_wanted && !is_hosted) {
      clear(self, id);
      if (const auto failure = state.settings.data->flush())
        die(fatal_status::failed, "the data could not be flushed, the node stops: " + failure->message);
      record(self, id, true);
    } else if (is_hosted && !is_wanted && held.is_settled()) {
      self->send(state.hosted.at(id).partition, stop{});
      state.stopping.insert(state.hosted.extract(id));
      is_any_gone = true;
    }
  }
  if (is_any_gone) tell_hosted(self);
  if (state.recording.empty() && state.stopping.empty() && map.version > state.settled_version) {
    state.settled_version = map.version;
    self->send(state.peers.cluster, hosting_settled{map.version});
  }
}

void take_recorded(self_pointer self, const replica_recorded& done) {
  auto& state = self->state;
  state.recording.erase(done.partition);
  if (state.is_stopping) return;
  if (done.is_hosted) {
    auto opened = state.settings.open(done.partition);
    self->send(opened.raft_peer, links_changed{state.links});
    state.hosted.emplace(done.partition, std::move(opened));
    watch(self, done.partition);
    note(self, "replica made", done.partition);
    tell_hosted(self);
  } else {
    clear(self, done.partition);
    note(self, "replica dropped", done.partition);
  }
  compare(self);
}

// Whoever sent something to the disk has sent it before it was down, so what comes now is behind it.
void take_down(self_pointer self, const caf::down_msg& down) {
  auto& state = self->state;
  const auto is_its = [&](const auto& entry) {
    return caf::actor_cast<caf::actor_addr>(entry.second.partition) == down.source || caf::actor_cast<caf::actor_addr>(entry.second.raft_peer) == down.source;
  };
  const auto found = std::find_if(state.stopping.begin(), state.stopping.end(), is_its);
  // One that was not told to stop takes the process with it, by its own doing.
  if (found == state.stopping.end()) return;
  const auto partition = found->first;
  if (--state.alive.at(partition) > 0) return;
  state.alive.erase(partition);
  state.stopping.erase(found);
  if (!state.is_stopping) return record(self, partition, false);
  if (state.stopping.empty()) self->quit();
}

}  // namespace

replica_host_handle::behavior_type replica_host_actor(self_pointer self, std::shared_ptr<replica_host_settings> settings,
                                                      replica_host_peers peers) {
  die_on_exceptions(self);
  auto& state = self->state;
  state.settings = std::move(*settings);
  state.peers = std::move(peers);
  state.hosted = std::move(state.settings.hosted);
  for (const auto& [id, replica] : state.hosted) watch(self, id);
  self->set_down_handler([=](const caf::down_msg& down) { take_down(self, down); });
  return {
      [=](const map_changed& news) {
        auto& current = self->state;
        if (news.map.version > current.settings.map.version) {
          current.settings.map = news.map;
          current.settings.remember(news.map);
        }
        compare(self);
      },
      [=](const links_changed& news) { self->state.links = news.links; },
      [=](const replica_recorded& done) { take_recorded(self, done); },
      [=](const stop&) {
        auto& current = self->state;
        current.is_stopping = true;
        for (auto& [id, replica] : current.hosted) self->send(replica.partition, stop{});
        current.stopping.merge(current.hosted);
        if (current.stopping.empty()) self->quit();
      },
  };
}

}  // namespace kahuna::actors
