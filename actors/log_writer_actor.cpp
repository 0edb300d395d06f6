#include "actors/log_writer_actor.hpp"

#include <set>

#include "actors/fatal.hpp"
#include "core/base/check.hpp"

namespace kahuna::actors {

namespace {

using self_pointer = placed_pointer<log_writer_handle, log_writer_state>;

constexpr std::size_t batch_bytes_max = 1 << 20;
constexpr std::size_t small_bytes_max = 64 << 10;

enum class amount : std::uint8_t { a_batch, everything };

void send_collected(self_pointer self, amount how_much) {
  auto& state = self->state;
  if (state.collected.empty()) return;
  log_batch batch;
  log_writer_state::waiting_peers waiting;
  std::vector<log_writer_state::waiting_write> kept;
  std::set<partition_id> held_up;
  std::size_t bytes = 0;
  for (auto& write : state.collected) {
    const auto partition = write.append.partition;
    const bool is_too_much = how_much == amount::a_batch && write.bytes > small_bytes_max && bytes + write.bytes > batch_bytes_max && bytes != 0;
    if (is_too_much || held_up.contains(partition)) {
      held_up.insert(partition);
      kept.push_back(std::move(write));
      continue;
    }
    bytes += write.bytes;
    waiting[caf::actor_cast<caf::actor_addr>(write.by)] = {write.by, write.append.write.number};
    batch.writes.push_back(std::move(write.append));
  }
  state.collected = std::move(kept);
  self->send(state.disk, std::move(batch));
  state.on_the_way.push_back(std::move(waiting));
}

// Behind what is in the mailbox, so that it all goes together; or behind the batch that is on its way.
void want_sent(self_pointer self) {
  auto& state = self->state;
  if (state.is_drain_sent || !state.on_the_way.empty()) return;
  state.is_drain_sent = true;
  self->send(self, drain{});
}

void take_synced(self_pointer self) {
  auto& state = self->state;
  KAHUNA_CHECK(!state.on_the_way.empty());
  for (auto& [address, done] : state.on_the_way.front()) self->send(done.first, log_persisted{done.second});
  state.on_the_way.pop_front();
  if (!state.collected.empty()) want_sent(self);
  if (state.bytes_written < state.bytes_to_flush) return;
  state.bytes_written = 0;
  self->send(state.data_keeper, log_grown{});
}

}  // namespace

log_writer_handle::behavior_type log_writer_actor(self_pointer self, log_disk_handle disk, node_metrics* metrics,
                                                  data_keeper_handle data_keeper, std::size_t bytes_to_flush) {
  die_on_exceptions(self);
  self->state.disk = std::move(disk);
  self->state.metrics = metrics;
  self->state.data_keeper = std::move(data_keeper);
  self->state.bytes_to_flush = bytes_to_flush;
  return {
      [=](append_to_log& append) {
        auto& state = self->state;
        std::size_t bytes = 0;
        for (const auto& entry : append.write.entries) bytes += entry.size_bytes();
        state.bytes_written += bytes;
        state.collected.push_back({std::move(append), caf::actor_cast<raft_peer_handle>(self->current_sender()), bytes});
        want_sent(self);
      },
      [=](const log_batch_synced&) { take_synced(self); },
      [=](const check_peer& asked) {
        self->send(self->state.disk, peer_check_asked{asked, caf::actor_cast<gateway_handle>(self->current_sender())});
      },
      [=](const record_replica& record) {
        send_collected(self, amount::everything);
        self->send(self->state.disk, replica_record_asked{record, caf::actor_cast<replica_host_handle>(self->current_sender())});
      },
      [=](const node_tick&) { self->state.metrics->mailbox_seen(self->name(), self->mailbox().size()); },
      [=](const stop&) {
        send_collected(self, amount::everything);
        self->send(self->state.disk, stop{});
        self->quit();
      },
      [=](const drain&) {
        self->state.is_drain_sent = false;
        if (self->state.on_the_way.empty()) send_collected(self, amount::a_batch);
      },
  };
}

}  // namespace kahuna::actors
