#include "actors/partition_actor.hpp"

#include <utility>

#include "actors/fatal.hpp"
#include "actors/transaction_manager_actor.hpp"
#include "messages/codec/portable_archive.hpp"

namespace kahuna::actors {

namespace {

using self_pointer = placed_pointer<partition_handle, partition_state>;

bool is_from_system(std::uint64_t origin) { return !kv::is_from_manager(origin) && (origin & system_origin) != 0; }

void take_system_operation(self_pointer self, system_operation& asked) {
  auto& state = self->state;
  kv::partition_request request;
  request.origin = asked.token | system_origin;
  request.is_internal = true;
  request.issued_at = state.settings.clock->now();
  request.op = std::move(asked.op);
  kv::operations work;
  work.stamp = state.settings.clock->now();
  work.requests.push_back(std::move(request));
  state.core->step(std::move(work), now_of(*self));
}

// The one place that proposes, asks and answers. A reply is in the core's ready only when what it was computed from is
// applied here; lost after that, the client asks again and the request window answers.
void honour(self_pointer self, kv::partition_ready ready) {
  auto& state = self->state;
  state.settings.clock->observe(state.core->last_stamp());
  if (!ready.proposals.empty() || !ready.reads.empty() || ready.applied) {
    partition_outputs outputs{ready.proposal_term, {}, std::move(ready.reads), ready.applied, false};
    outputs.proposals.reserve(ready.proposals.size());
    for (const auto& batch : ready.proposals) outputs.proposals.emplace_back(messages::encode(*batch));
    self->send(state.raft_peer, std::move(outputs));
  }
  if (!ready.manager.is_empty()) self->send(state.transaction_manager, manager_update{std::move(ready.manager)});
  std::erase_if(ready.replies, [&](kv::partition_reply& reply) {
    if (!is_from_system(reply.origin)) return false;
    self->send(state.cluster, system_answer{reply.origin & ~system_origin, std::move(reply.response)});
    return true;
  });
  if (!ready.replies.empty()) self->send(state.gateway, partition_replies{std::move(ready.replies)});

  if (const auto& fault = state.core->fault(); fault && !state.is_fault_told) {
    state.is_fault_told = true;
    partition_outputs last_words;
    last_words.is_out_of_service = true;
    self->send(state.raft_peer, std::move(last_words));
    state.settings.events->write(severity::error, "partition out of service",
                                 {{"partition", std::to_string(state.settings.raft.partition.value)},
                                  {"reason", fault->message}});
  }
}

// Whatever was proposed goes before the word that nothing more will be. What would be lost by an optional one are ephemeral keys.
void hand_over(self_pointer self, const raft::handover& change) {
  auto& core = *self->state.core;
  const bool is_declined = change.is_under_way && change.is_optional && core.look().ephemeral_keys != 0;
  if (!is_declined) core.step(change, now_of(*self));
  honour(self, core.take_ready());
  if (!change.is_under_way) return;
  raft_inputs prepared;
  prepared.inputs.emplace_back(raft::handover_prepared{change.term, change.number, is_declined});
  self->send(self->state.raft_peer, std::move(prepared));
}

// Ends every input: at once where nothing else waits, else behind what does, so that it all goes together.
void settle(self_pointer self) {
  auto& state = self->state;
  if (state.is_drain_sent) return;
  if (self->mailbox().size() == 0) return honour(self, state.core->take_ready());
  state.is_drain_sent = true;
  self->send(self, drain{});
}

}  // namespace

std::unique_ptr<kv::partition_core> make_partition_core(const partition_settings& settings) {
  return std::make_unique<kv::partition_core>(
      settings.raft.partition, settings.options, *settings.store,
      [](std::string_view payload) { return messages::decode<kv::write_batch>(payload); });
}

partition_handle::behavior_type partition_actor(self_pointer self, partition_settings settings, partition_peers peers,
                                                std::function<void(raft_peer_handle)> announce) {
  die_on_exceptions(self);
  auto& state = self->state;
  state.core = make_partition_core(settings);
  state.data_keeper = std::move(peers.data_keeper);
  state.gateway = peers.gateway;
  state.cluster = peers.cluster;
  state.raft_peer = self->spawn<caf::linked>(raft_peer_actor, settings.raft, partition_handle(self), peers.log_writer,
                                             peers.cluster, std::move(peers.links));
  state.transaction_manager =
      self->spawn<caf::linked>(transaction_manager_actor, settings.manager, partition_handle(self), std::move(peers.gateway));
  state.settings = std::move(settings);
  announce(state.raft_peer);

  return {
      [=](client_operations& operations) {
        auto& current = self->state;
        current.core->step(kv::operations{std::move(operations.requests), current.settings.clock->now()}, now_of(*self));
        settle(self);
      },
      [=](raft_events& events) {
        auto& current = self->state;
        const auto now = now_of(*self);
        if (events.role) {
          if (events.role->role != raft::role_kind::leader || events.role->term != current.role.term) current.views.clear();
          current.role = *events.role;
          current.core->step(std::move(*events.role), now);
        }
        // They were on their way when a snapshot brought what they do.
        std::erase_if(events.committed, [&](const auto& entry) { return entry.index <= current.installed_index; });
        if (events.handover) hand_over(self, *events.handover);
        if (events.lease) current.core->step(*events.lease, now);
        if (!events.committed.empty()) current.core->step(kv::committed_entries{std::move(events.committed)}, now);
        if (!events.reads.empty()) current.core->step(std::move(events.reads), now);
        settle(self);
      },
      [=](system_operation& asked) {
        take_system_operation(self, asked);
        settle(self);
      },
      [=](manager_answers& answers) { self->send(self->state.transaction_manager, std::move(answers)); },
      [=](snapshot_work& work) {
        // What waits to go out was computed from the state that it may replace.
        honour(self, self->state.core->take_ready());
        do_snapshot_work(self, work);
        settle(self);
      },
      [=](const prepare_flush&) { prepare_to_flush(self); },
      [=](const data_flushed&) {
        // That it was applied is known before that it was flushed.
        honour(self, self->state.core->take_ready());
        take_flushed(self);
      },
      [=](const node_tick&) {
        auto& current = self->state;
        self->send(current.transaction_manager, node_tick{});
        current.settings.metrics->mailbox_seen(self->name(), self->mailbox().size());
        current.core->step(kv::sweep{current.settings.clock->now()}, now_of(*self));
        honour(self, current.core->take_ready());
      },
      [=](const get_status&) {
        const auto& current = self->state;
        return partition_status{current.settings.raft.partition, current.core->look(), current.core->describe()};
      },
      [=](const drain&) {
        auto& current = self->state;
        current.is_drain_sent = false;
        honour(self, current.core->take_ready());
      },
      // What was proposed and not heard of was promised to nobody.
      [=](const stop&) {
        self->state.core->checkpoint();
        self->quit(caf::exit_reason::user_shutdown);
      },
  };
}

}  // namespace kahuna::actors
