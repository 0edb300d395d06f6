#include "actors/data_keeper_actor.hpp"

#include <utility>

#include "actors/fatal.hpp"

namespace kahuna::actors {

namespace {

using self_pointer = data_keeper_handle::stateful_pointer<data_keeper_state>;

// Whatever was written before those who wait asked is flushed by this. Dies before: they find what the last flush left, and their
// logs, which nobody has shortened.
void flush(self_pointer self) {
  auto& state = self->state;
  state.is_drain_sent = false;
  if (state.waiting.empty()) return;
  const auto waiting = std::exchange(state.waiting, {});
  if (const auto failure = state.data->flush())
    die(fatal_status::failed, "the data could not be flushed, the node stops: " + failure->message);
  for (const auto& partition : waiting) self->send(partition, data_flushed{});
}

}  // namespace

data_keeper_handle::behavior_type data_keeper_actor(self_pointer self, std::shared_ptr<persistence::ordered_store> data) {
  die_on_exceptions(self);
  self->state.data = std::move(data);
  return {
      [=](const hosted_partitions& hosted) {
        auto& state = self->state;
        state.partitions = hosted.partitions;
        // Whoever is gone does not prepare any more.
        state.preparing = 0;
        if (state.waiting.empty() || std::exchange(state.is_drain_sent, true)) return;
        self->send(self, drain{});
      },
      [=](const log_grown&) {
        auto& state = self->state;
        // One that went away in the last round does not hold up the next ones.
        state.preparing = state.partitions.size();
        for (const auto& partition : state.partitions) self->send(partition, prepare_flush{});
      },
      [=](const flush_data& asked) {
        auto& state = self->state;
        state.waiting.push_back(caf::actor_cast<partition_handle>(self->current_sender()));
        if (asked.is_prepared && state.preparing > 0) --state.preparing;
        // Those that prepare wait for each other; who asks by himself does not.
        if (state.is_drain_sent || (asked.is_prepared && state.preparing > 0)) return;
        state.is_drain_sent = true;
        self->send(self, drain{});
      },
      [=](const stop&) { self->quit(); },
      [=](const drain&) { flush(self); },
  };
}

}  // namespace kahuna::actors
