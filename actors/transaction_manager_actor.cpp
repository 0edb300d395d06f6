#include "actors/transaction_manager_actor.hpp"

#include <utility>

#include "actors/fatal.hpp"
#include "actors/raft_peer_actor.hpp"

namespace kahuna::actors {

namespace {

using self_pointer = placed_pointer<transaction_manager_handle, transaction_manager_state>;

// The one place that asks and answers. Whatever is lost from here on is asked again, or answered by a deadline.
void honour(self_pointer self) {
  auto& state = self->state;
  auto ready = state.core->take_ready();
  if (!ready.own.empty()) self->send(state.partition, client_operations{std::move(ready.own)});
  if (!ready.remote.empty()) self->send(state.gateway, manager_requests{state.settings.options.self, std::move(ready.remote)});
  if (!ready.replies.empty()) self->send(state.gateway, partition_replies{std::move(ready.replies)});
}

// At once where nothing else waits, else behind what does, so that it all goes together.
void step(self_pointer self, kv::manager_input input) {
  auto& state = self->state;
  state.core->step(std::move(input), state.settings.clock->now(), now_of(*self));
  if (state.is_drain_sent) return;
  if (self->mailbox().size() == 0) return honour(self);
  state.is_drain_sent = true;
  self->send(self, drain{});
}

void report(transaction_manager_state& state) {
  const auto committed = state.core->committed() - std::exchange(state.committed_reported, state.core->committed());
  const auto aborted = state.core->aborted() - std::exchange(state.aborted_reported, state.core->aborted());
  if (committed != 0 || aborted != 0) state.settings.metrics->transactions_ended(committed, aborted);
}

}  // namespace

transaction_manager_handle::behavior_type transaction_manager_actor(self_pointer self, transaction_manager_settings settings,
                                                                    partition_handle partition, gateway_handle gateway) {
  die_on_exceptions(self);
  auto& state = self->state;
  state.core = std::make_unique<kv::transaction_manager_core>(settings.options, prng(settings.seed));
  state.settings = std::move(settings);
  state.partition = std::move(partition);
  state.gateway = std::move(gateway);
  return {
      [=](manager_update& update) { step(self, std::move(update.news)); },
      [=](manager_answers& answers) { step(self, kv::remote_answers{std::move(answers.replies)}); },
      [=](const node_tick&) {
        step(self, kv::manager_tick{});
        report(self->state);
      },
      [=](const drain&) {
        self->state.is_drain_sent = false;
        honour(self);
      },
  };
}

}  // namespace kahuna::actors
