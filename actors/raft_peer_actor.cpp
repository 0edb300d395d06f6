#include "actors/raft_peer_actor.hpp"

#include <utility>

#include "actors/fatal.hpp"

namespace kahuna::actors {

namespace {

using self_pointer = placed_pointer<raft_peer_handle, raft_peer_state>;

// Reads of this actor's own have this bit in their number; the partition counts from 1.
constexpr std::uint64_t own_read = std::uint64_t{1} << 63;

const char* reason_of(raft::change_refusal refusal) {
  switch (refusal) {
    case raft::change_refusal::none: return "";
    case raft::change_refusal::not_leader: return "its replica does not lead";
    case raft::change_refusal::invalid: return "these can't become its voters";
    case raft::change_refusal::under_way: return "another change is under way";
    case raft::change_refusal::would_lose_quorum: return "not enough of those who are to vote answer";
    case raft::change_refusal::outdated: return "a later change was asked for";
  }
  return "";
}

void step(self_pointer self, raft::raft_input input) {
  auto& state = self->state;
  if (!state.is_out_of_service) state.core->step(std::move(input), now_of(*self));
}

// This replica led after it was asked, and is the only one that changes the group: so what it knows of it is all that there is.
void report(self_pointer self) {
  auto& state = self->state;
  const auto& [members, index, is_committed] = state.configuration;
  const auto asked = std::exchange(state.ordered, std::nullopt);
  // By this order or a later one, so that none before it can change anything any more.
  const bool is_settled = is_committed && !members.is_joint() && members.learners.empty() && members.change_id >= asked->order.version;
  self->send(state.cluster, group_reported{asked->by, {state.settings.partition, asked->order.version, members.voters, is_settled, reason_of(state.refusal)}});
}

// The one place that persists, sends and tells the partition. The order of the durability argument: what rests on a
// write is kept back inside the core until log_persisted names it, so everything that comes out may go at once.
//   - lost before the write: nothing that depended on it has left.
//   - lost after the write, before log_persisted: the peers ask again; restart finds it in the log.
void honour(self_pointer self, raft::ready ready) {
  auto& state = self->state;
  const auto partition = state.settings.partition;
  if (ready.configuration) state.configuration = std::move(*ready.configuration);
  for (const auto& change : ready.changes) state.refusal = change.refusal;
  std::erase_if(ready.reads, [&](const raft::read_answer& answer) {
    if ((answer.read_id & own_read) == 0) return false;
    if (!state.ordered || answer.read_id != state.ordered_read) return true;
    answer.is_safe ? report(self) : state.ordered.reset();
    return true;
  });
  if (ready.write) self->send(state.log_writer, append_to_log{partition, std::move(*ready.write)});

  std::map<node_id, std::vector<raft::message_body>> by_peer;
  for (auto& message : ready.messages) {
    if (const auto* append = std::get_if<raft::append_request>(&message.body); append != nullptr && !append->entries.empty())
      state.settings.metrics->append_sent(append->entries.size());
    by_peer[message.peer].push_back(std::move(message.body));
  }
  for (auto& [peer, bodies] : by_peer)
    if (const auto link = state.links.find(peer); link != state.links.end())
      self->send(link->second, peer_output{partition, std::move(bodies)});

  if (ready.role)
    self->send(state.cluster, leaders_changed{{{partition, ready.role->term, ready.role->leader}}});
  if (ready.role || ready.lease || ready.handover || !ready.committed.empty() || !ready.reads.empty())
    self->send(state.partition, raft_events{std::move(ready.role), std::move(ready.lease), std::move(ready.handover),
                                            std::move(ready.committed), std::move(ready.reads)});
  if (!ready.snapshot_orders.empty() || !ready.snapshot_pieces.empty())
    self->send(state.partition, snapshot_work{std::move(ready.snapshot_orders), std::move(ready.snapshot_pieces)});
}

void honour_all(self_pointer self) {
  auto& state = self->state;
  while (!state.is_out_of_service && state.core->has_ready()) honour(self, state.core->take_ready());
}

// Ends every input: at once where nothing else waits, else behind what does, so that it all goes together.
void settle(self_pointer self) {
  auto& state = self->state;
  if (state.is_drain_sent || !state.core->has_ready()) return;
  if (self->mailbox().size() == 0) return honour_all(self);
  state.is_drain_sent = true;
  self->send(self, drain{});
}

replica_status status_of(const raft_peer_state& state) {
  const auto& core = *state.core;
  return {state.settings.partition, core.role(),          core.term(),     core.leader(),
          core.commit_index(),      core.applied_index(), core.describe(), core.last_index(), core.match_indexes()};
}

}  // namespace

raft_peer_handle::behavior_type raft_peer_actor(self_pointer self, raft_peer_settings settings, partition_handle partition,
                                                log_writer_handle log_writer, cluster_handle cluster,
                                                std::map<node_id, link_handle> links) {
  die_on_exceptions(self);
  auto& state = self->state;
  state.core = std::make_unique<raft::raft_core>(settings.self, settings.voters, settings.options, settings.found,
                                                 *settings.log, prng(settings.seed), now_of(*self));
  state.settings = std::move(settings);
  state.partition = std::move(partition);
  state.log_writer = std::move(log_writer);
  state.cluster = std::move(cluster);
  state.links = std::move(links);

  return {
      [=](partition_outputs& outputs) {
        if (outputs.is_out_of_service) self->state.is_out_of_service = true;
        // Applied first: it may let the core hand out more, and costs nothing.
        if (outputs.applied) step(self, raft::applied{*outputs.applied});
        if (!outputs.proposals.empty()) step(self, raft::propose{outputs.proposal_term, std::move(outputs.proposals)});
        for (const auto& read : outputs.reads) step(self, read);
        settle(self);
      },
      [=](raft_inputs& news) {
        const auto deadline = self->state.core->election_deadline();
        for (auto& input : news.inputs) step(self, std::move(input));
        // A campaign that was put forward is not to wait for the next tick.
        const auto now = now_of(*self);
        if (const auto sooner = self->state.core->election_deadline(); sooner < deadline)
          self->delayed_send(self, std::max(sooner - now, duration{}), node_tick{});
        settle(self);
      },
      [=](peer_input& input) {
        for (auto& message : input.messages) step(self, raft::receive{std::move(message)});
        settle(self);
      },
      [=](group_ordered& ordered) {
        auto& current = self->state;
        if (current.is_out_of_service || current.core->role() != raft::role_kind::leader) return;
        raft::change_configuration change;
        change.change_id = ordered.order.version;
        change.voters = ordered.order.voters;
        // Orders are repeated sooner than a round may take: the one that was begun for this version answers them all.
        const bool is_asked = current.ordered && current.ordered->order.version == ordered.order.version;
        current.ordered = std::move(ordered);
        step(self, std::move(change));
        if (!is_asked) {
          current.ordered_read = (current.ordered_read + 1) | own_read;
          step(self, raft::read{current.ordered_read});
        }
        settle(self);
      },
      [=](const links_changed& news) { self->state.links = news.links; },
      [=](const log_persisted& done) {
        step(self, raft::persisted{done.write_number});
        settle(self);
      },
      [=](const node_tick&) {
        self->state.settings.metrics->mailbox_seen(self->name(), self->mailbox().size());
        step(self, raft::tick{});
        settle(self);
      },
      [=](const get_status&) { return status_of(self->state); },
      [=](const drain&) {
        self->state.is_drain_sent = false;
        honour_all(self);
      },
  };
}

}  // namespace kahuna::actors
