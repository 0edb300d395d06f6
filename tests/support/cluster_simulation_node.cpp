// What the actors of a node do, with mailboxes in between: raft_peer, partition, transaction_manager, log_writer and data_keeper of
// actors/, as calls and events. Where those are changed, this is.
#include <algorithm>

#include "core/base/check.hpp"
#include "core/kv/operation_routing.hpp"
#include "core/routing/partition_map.hpp"
#include "messages/codec/portable_archive.hpp"
#include "tests/support/cluster_simulation.hpp"

namespace kahuna::testing {

namespace {

constexpr std::int64_t ms = 1000;
constexpr std::size_t piece_bytes = 600;

kv::partition_options small_bounds() {
  kv::partition_options bounds;
  bounds.checkpoint_entries = 7;
  return bounds;
}

std::unique_ptr<kv::partition_core> core_over(partition_id partition, persistence::data_store& store) {
  return std::make_unique<kv::partition_core>(partition, small_bounds(), store,
                                              [](std::string_view payload) { return messages::decode<kv::write_batch>(payload); });
}

}  // namespace

void cluster_simulation::open(node& n, replica& r) {
  r.to_raft = r.to_core = r.to_manager = {};
  r.role = {};
  r.views.clear();
  r.staged_pieces = 0;
  r.flushing.clear();
  auto opened = persistence::data_store::open(r.disk, r.partition, [](const error& e) { KAHUNA_CHECK(false, e.message); });
  KAHUNA_CHECK(opened.has_value());
  r.store = std::move(*opened);
  r.installed = r.store->applied_index();
  r.core = core_over(r.partition, *r.store);
  r.manager = std::make_unique<kv::transaction_manager_core>(
      kv::manager_options{r.partition, static_cast<std::uint32_t>(options_.work.partitions)}, prng(dice_.next()));
  n.clock.observe(r.core->last_stamp());
  r.raft->disk().applied_index = r.store->applied_index();
  r.raft->disk().snapshot = r.store->snapshot();
  r.raft->start(clock_of(n));
  drain_raft(n, r);
}

// --- raft_peer and log_writer -------------------------------------------------------------------------------------

void cluster_simulation::step_raft(node& n, replica& r, raft::raft_input input) {
  r.raft->step(std::move(input), clock_of(n));
  drain_raft(n, r);
}

void cluster_simulation::drain_raft(node& n, replica& r) {
  while (r.raft->core().has_ready()) {
    auto ready = r.raft->take_ready();
    if (ready.role) check_leader(n, r, *ready.role);
    if (ready.write) {
      if (ready.write->truncate_from && !ready.write->start) ++happened_["conflicting entries were taken back"];
      at_node(n, static_cast<std::int64_t>(dice_.between(50, static_cast<std::uint64_t>(options_.disk_ms_max) * ms)), [this, &n, &r] {
        r.raft->finish_write(clock_of(n));
        drain_raft(n, r);
      });
    }
    for (auto& message : ready.messages) {
      auto& to = *nodes_[message.peer.value - 1];
      auto& its = *to.replicas[r.partition.value];
      send(n, to, [this, &to, &its, body = std::make_shared<const raft::message_body>(std::move(message.body)), from = n.id, now = n.clock.last()] {
        to.clock.observe(now);
        post(to, its.to_raft, [this, &to, &its, body, from] { step_raft(to, its, raft::receive{{from, *body}}); });
      });
    }
    const auto orders = std::move(ready.snapshot_orders);
    const auto pieces = std::make_shared<const std::vector<raft::snapshot_piece>>(std::move(ready.snapshot_pieces));
    if (ready.role || ready.lease || ready.handover || !ready.committed.empty() || !ready.reads.empty()) {
      auto events = std::make_shared<raft_events>(raft_events{ready.role, ready.lease, ready.handover, std::move(ready.committed), std::move(ready.reads)});
      post(n, r.to_core, [this, &n, &r, events] { take_raft_events(n, r, *events); });
    }
    if (!orders.empty() || !pieces->empty())
      post(n, r.to_core, [this, &n, &r, orders, pieces] {
        for (const auto& order : orders) honour(n, r, order);
        for (const auto& piece : *pieces) store_piece(n, r, piece);
      });
  }
}

// --- partition ----------------------------------------------------------------------------------------------------

void cluster_simulation::take_raft_events(node& n, replica& r, raft_events& events) {
  const auto now = clock_of(n);
  if (events.role) {
    if (events.role->role != raft::role_kind::leader || events.role->term != r.role.term) r.views.clear();
    r.role = *events.role;
    r.core->step(*events.role, now);
  }
  std::erase_if(events.committed, [&](const auto& entry) { return entry.index <= r.installed; });
  if (events.handover) hand_over(n, r, *events.handover);
  if (events.lease) r.core->step(*events.lease, now);
  for (const auto& entry : events.committed) check_applied(r, entry);
  if (!events.committed.empty()) r.core->step(kv::committed_entries{std::move(events.committed)}, now);
  if (!events.reads.empty()) r.core->step(std::move(events.reads), now);
  drain_core(n, r);
}

void cluster_simulation::hand_over(node& n, replica& r, const raft::handover& change) {
  const bool is_declined = change.is_under_way && change.is_optional && dice_.chance(1, 20);
  if (!is_declined) r.core->step(change, clock_of(n));
  drain_core(n, r);
  if (!change.is_under_way) return;
  ++happened_["handover"];
  post(n, r.to_raft, [this, &n, &r, prepared = raft::handover_prepared{change.term, is_declined}] { step_raft(n, r, prepared); });
}

void cluster_simulation::step_core(node& n, replica& r, kv::partition_input input) {
  r.core->step(std::move(input), clock_of(n));
  drain_core(n, r);
}

void cluster_simulation::drain_core(node& n, replica& r) {
  r.core->check_invariants();
  KAHUNA_CHECK(!r.core->fault(), r.core->describe());
  // It dies with what it was about to say, every other time.
  if (is_fatal_ && dice_.chance(1, 2)) return;
  auto ready = r.core->take_ready();
  n.clock.observe(r.core->last_stamp());
  if (!ready.proposals.empty() || !ready.reads.empty() || ready.applied) {
    std::vector<shared_bytes> payloads;
    for (const auto& batch : ready.proposals) payloads.emplace_back(messages::encode(*batch));
    post(n, r.to_raft, [this, &n, &r, payloads = std::move(payloads), term = ready.proposal_term, reads = std::move(ready.reads), applied = ready.applied] {
      if (applied) r.raft->step(raft::applied{*applied}, clock_of(n));
      if (!payloads.empty()) r.raft->step(raft::propose{term, payloads}, clock_of(n));
      for (const auto& read : reads) r.raft->step(read, clock_of(n));
      drain_raft(n, r);
    });
  }
  if (!ready.manager.is_empty())
    post(n, r.to_manager, [this, &n, &r, news = std::make_shared<kv::manager_news>(std::move(ready.manager))] { step_manager(n, r, std::move(*news)); });
  for (auto& reply : ready.replies) replied(reply.origin, std::move(reply.response), n.clock.last());
}

// --- transaction_manager ------------------------------------------------------------------------------------------

void cluster_simulation::step_manager(node& n, replica& r, kv::manager_input input) {
  r.manager->step(std::move(input), stamp_of(n), clock_of(n));
  r.manager->check_invariants();
  if (is_fatal_ && dice_.chance(1, 2)) return;
  auto ready = r.manager->take_ready();
  if (!ready.own.empty())
    post(n, r.to_core, [this, &n, &r, own = std::move(ready.own)] { step_core(n, r, kv::operations{own, stamp_of(n)}); });
  for (auto& reply : ready.replies) replied(reply.origin, std::move(reply.response), n.clock.last());
  for (auto& asked : ready.remote) {
    kv::partition_request request;
    request.op = asked.op;
    const auto partition = *kv::partition_of(routing::partition_map{0, static_cast<std::uint32_t>(options_.work.partitions), 1, {}}, asked.op);
    ask(
        partition, request, std::chrono::milliseconds(std::min<std::uint32_t>(asked.budget_ms, 1'000)), n.clock,
        [this, &n, &r, life = n.life, token = asked.token](const kv::operation_response& response) {
          if (!n.is_up || n.life != life) return;
          post(n, r.to_manager, [this, &n, &r, token, response] {
            kv::remote_answers answers;
            answers.replies.push_back({token, response});
            step_manager(n, r, std::move(answers));
          });
        },
        0, &n);
  }
}

// --- snapshots and data_keeper ------------------------------------------------------------------------------------

void cluster_simulation::honour(node& n, replica& r, const raft::snapshot_order& order) {
  using what = raft::snapshot_order::what;
  const auto found = r.views.find(order.peer);
  const bool is_known = found != r.views.end() && found->second.transfer == order.transfer;
  if (order.wanted == what::open) {
    // Now and then there is no room for it.
    if (is_known || dice_.chance(1, 5)) return;
    drain_core(n, r);
    r.core->checkpoint();
    r.views[order.peer] = {order.transfer, r.store->open_snapshot(), 0};
    post(n, r.to_raft, [this, &n, &r, opened = raft::snapshot_opened{order.peer, order.transfer, r.core->applied_index()}] { step_raft(n, r, opened); });
    return;
  }
  if (!is_known) return;
  if (order.wanted == what::close) return static_cast<void>(r.views.erase(found));
  if (found->second.next_piece != order.number) return;
  ++found->second.next_piece;
  auto piece = found->second.pieces->next(piece_bytes);
  KAHUNA_CHECK(piece.has_value());
  if (piece->is_last) found->second.next_piece = ~std::uint64_t{0};
  raft::snapshot_read read{order.peer, order.transfer, order.number, piece->is_last, shared_bytes(std::move(piece->bytes))};
  post(n, r.to_raft, [this, &n, &r, read = std::move(read)] { step_raft(n, r, read); });
}

void cluster_simulation::store_piece(node& n, replica& r, const raft::snapshot_piece& piece) {
  if (piece.number != 0 && piece.number != r.staged_pieces) return;
  drain_core(n, r);
  r.staged_pieces = piece.number + 1;
  KAHUNA_CHECK(!r.store->stage(piece.number == 0, piece.data.view()));
  post(n, r.to_raft, [this, &n, &r, stored = raft::snapshot_stored{piece.term, piece.transfer, piece.number}] { step_raft(n, r, stored); });
  if (!piece.is_last || r.core->applied_index() >= piece.at.index || r.role.role == raft::role_kind::leader) return;
  ++happened_["snapshot installed"];
  r.core->checkpoint();
  const auto damage = r.store->install_staged(piece.at);
  KAHUNA_CHECK(!damage, damage->message);
  r.installed = piece.at.index;
  r.core = core_over(r.partition, *r.store);
  r.core->step(r.role, clock_of(n));
  r.flushing.push_back(raft::snapshot_installed{piece.at});
  drain_core(n, r);
  flush_later(n, r);
}

void cluster_simulation::flush(node& n, replica& r) {
  r.core->checkpoint();
  r.flushing.push_back(raft::flushed{r.core->applied_index()});
  flush_later(n, r);
}

void cluster_simulation::flush_later(node& n, replica& r) {
  at_node(n, static_cast<std::int64_t>(dice_.between(50, 50 * ms)), [this, &n, &r] {
    // What was applied is known before that it was flushed.
    drain_core(n, r);
    r.disk->flush();
    auto now_true = std::move(r.flushing.front());
    r.flushing.pop_front();
    post(n, r.to_raft, [this, &n, &r, now_true = std::move(now_true)] { step_raft(n, r, now_true); });
  });
}

// --- what must hold -----------------------------------------------------------------------------------------------

void cluster_simulation::check_leader(const node& n, const replica& r, const raft::role_change& role) {
  if (role.role != raft::role_kind::leader) return;
  const auto [known, is_new] = leaders_.emplace(std::pair(r.partition, role.term), n.id);
  KAHUNA_CHECK(known->second == n.id, "two leaders of one term", r.partition, role.term, options_.describe());
  if (is_new) ++happened_["leadership"];
  // Leader completeness [Ongaro14 §3.6.3]: what was answered for in terms before its own is in its log.
  for (const auto& [term, index] : acknowledged_[r.partition])
    KAHUNA_CHECK(term >= role.term || r.raft->core().last_index() >= index, "an acknowledged entry is missing", options_.describe());
}

// State machine safety [Ongaro14 §3.6.3].
void cluster_simulation::check_applied(const replica& r, const raft::log_entry& entry) {
  std::uint64_t what = 14695981039346656037ull ^ entry.term.value;
  for (const char c : entry.payload.view()) what = (what ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  const auto [known, is_new] = applied_[r.partition].emplace(entry.index.value, what);
  KAHUNA_CHECK(known->second == what, "another entry was applied at this index", r.partition, entry.index, options_.describe());
  if (is_new) note(std::to_string(what));
  if (r.role.role == raft::role_kind::leader && r.role.term == entry.term && entry.kind == raft::entry_kind::command)
    acknowledged_[r.partition][entry.term] = entry.index;
}

}  // namespace kahuna::testing
