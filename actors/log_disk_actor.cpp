#include "actors/log_disk_actor.hpp"

#include <chrono>
#include <utility>

#include "actors/fatal.hpp"

namespace kahuna::actors {

namespace {

using self_pointer = log_disk_handle::stateful_pointer<log_disk_state>;

//   - dies before the sync: nothing of the batch was promised to anybody.
//   - dies between the sync and its note: the note lags, which makes one check of the next start weaker.
//   - dies between the sync and log_batch_synced: the entries are there after a restart, promised or not, which Raft allows.
void write(self_pointer self, const log_batch& batch) {
  auto& state = self->state;
  const auto began = std::chrono::steady_clock::now();
  for (const auto& [partition, written] : batch.writes) state.device->add(partition, written);
  if (const auto failure = state.device->commit())
    die(fatal_status::failed, "the log could not be written, the node stops: " + failure->message);
  state.metrics->synced(batch.writes.size(), std::chrono::duration_cast<duration>(std::chrono::steady_clock::now() - began));
}

peer_checked check(log_disk_state& state, const check_peer& asked) {
  const auto known = state.device->incarnation_of(asked.peer);
  if (known != 0) return {asked.token, known != asked.incarnation};
  if (asked.is_probe) return {asked.token, false};
  if (const auto failure = state.device->remember_peer(asked.peer, asked.incarnation))
    die(fatal_status::failed, "a peer could not be remembered, the node stops: " + failure->message);
  return {asked.token, false};
}

}  // namespace

log_disk_handle::behavior_type log_disk_actor(self_pointer self, std::shared_ptr<persistence::log_device> device, node_metrics* metrics) {
  die_on_exceptions(self);
  self->state.device = std::move(device);
  self->state.metrics = metrics;
  return {
      [=](const log_batch& batch) {
        write(self, batch);
        self->send(caf::actor_cast<log_writer_handle>(self->current_sender()), log_batch_synced{});
        self->state.device->note_commit();
      },
      [=](const peer_check_asked& check_asked) {
        self->send(check_asked.by, check(self->state, check_asked.asked));
        self->state.device->note_commit();
      },
      [=](const replica_record_asked& asked) {
        const auto& record = asked.record;
        if (const auto failure = self->state.device->record_replica(record.partition, record.is_hosted))
          die(fatal_status::failed, "a replica could not be recorded, the node stops: " + failure->message);
        self->send(asked.by, replica_recorded{record.partition, record.is_hosted});
        self->state.device->note_commit();
      },
      [=](const stop&) { self->quit(); },
  };
}

}  // namespace kahuna::actors
