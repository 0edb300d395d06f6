#include "actors/log_writer_actor.hpp"

#include <chrono>
#include <utility>

#include "actors/fatal.hpp"

namespace kahuna::actors {

namespace {

using self_pointer = log_writer_handle::stateful_pointer<log_writer_state>;

// What is waiting in the mailbox was added before this runs, so it is all in one batch.
//   - dies before the sync: nothing of the batch was promised to anybody.
//   - dies between the sync and log_persisted: the entries are there after a restart, promised or not, which Raft allows.
void commit(self_pointer self) {
  auto& state = self->state;
  state.is_drain_sent = false;
  if (state.waiting.empty()) return;
  const auto began = std::chrono::steady_clock::now();
  if (const auto failure = state.device->commit())
    die(fatal_status::failed, "the log could not be written, the node stops: " + failure->message);
  state.metrics->synced(state.waiting.size(), std::chrono::duration_cast<duration>(std::chrono::steady_clock::now() - began));
  for (auto& [address, done] : std::exchange(state.waiting, {})) self->send(done.first, log_persisted{done.second});
  if (state.bytes_written < state.bytes_to_flush) return;
  state.bytes_written = 0;
  self->send(state.data_keeper, log_grown{});
}

peer_checked check(log_writer_state& state, const check_peer& asked) {
  const auto known = state.device->incarnation_of(asked.peer);
  if (known != 0) return {asked.token, known != asked.incarnation};
  if (asked.is_probe) return {asked.token, false};
  if (const auto failure = state.device->remember_peer(asked.peer, asked.incarnation))
    die(fatal_status::failed, "a peer could not be remembered, the node stops: " + failure->message);
  return {asked.token, false};
}

}  // namespace

log_writer_handle::behavior_type log_writer_actor(self_pointer self, std::shared_ptr<persistence::log_device> device,
                                                  node_metrics* metrics, data_keeper_handle data_keeper,
                                                  std::size_t bytes_to_flush) {
  die_on_exceptions(self);
  self->state.device = std::move(device);
  self->state.metrics = metrics;
  self->state.data_keeper = std::move(data_keeper);
  self->state.bytes_to_flush = bytes_to_flush;
  return {
      [=](const append_to_log& append) {
        auto& state = self->state;
        state.device->add(append.partition, append.write);
        for (const auto& entry : append.write.entries) state.bytes_written += entry.size_bytes();
        const auto sender = self->current_sender();
        state.waiting[caf::actor_cast<caf::actor_addr>(sender)] = {caf::actor_cast<raft_peer_handle>(sender), append.write.number};
        if (state.is_drain_sent) return;
        state.is_drain_sent = true;
        self->send(self, drain{});
      },
      [=](const check_peer& asked) {
        const auto answer = check(self->state, asked);
        self->send(caf::actor_cast<gateway_handle>(self->current_sender()), answer);
      },
      [=](const record_replica& record) {
        if (const auto failure = self->state.device->record_replica(record.partition, record.is_hosted))
          die(fatal_status::failed, "a replica could not be recorded, the node stops: " + failure->message);
        self->send(caf::actor_cast<replica_host_handle>(self->current_sender()), replica_recorded{record.partition, record.is_hosted});
      },
      [=](const node_tick&) { self->state.metrics->mailbox_seen(self->name(), self->mailbox().size()); },
      [=](const stop&) {
        commit(self);
        self->quit();
      },
      [=](const drain&) { commit(self); },
  };
}

}  // namespace kahuna::actors
