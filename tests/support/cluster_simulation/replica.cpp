#include "tests/support/cluster_simulation/replica.hpp"

#include <algorithm>
#include <utility>

#include "core/base/check.hpp"
#include "messages/codec/portable_archive.hpp"
#include "tests/support/cluster_simulation/node.hpp"

namespace kahuna::testing {

namespace {

// The states of replicas are compared at every so many entries.
constexpr std::uint64_t compared_every = 32;

raft::raft_options options_of(const cluster_options& given) {
  raft::raft_options options;
  options.reads = given.reads;
  if (!given.has_small_bounds) return options;
  options.append_bytes_max = 400;
  options.inflight_appends_max = 4;
  options.inflight_bytes_max = 1'600;
  options.handed_bytes_max = 700;
  options.cached_log_bytes_max = 900;
  options.inflight_pieces_max = 2;
  options.log_bytes_kept = 1'000;
  options.log_bytes_max = 20'000;
  return options;
}

}  // namespace

replica::replica(node& host, partition_id id, raft::configuration founders) : host_(host), id_(id), world_(host.shared_world()) {
  const auto& options = world_.options;
  const auto unwritten = static_cast<std::size_t>(options.unwritten_bytes);
  auto opened = persistence::data_store::open(host.data(), id, [](const error& e) { KAHUNA_CHECK(false, e.message); }, {unwritten, unwritten / 5 + 1});
  KAHUNA_CHECK(opened.has_value());
  store_ = std::move(*opened);
  partition_ = make_partition_core();
  manager_ = std::make_unique<kv::transaction_manager_core>(kv::manager_options{id, static_cast<std::uint32_t>(options.partitions)},
                                                            prng(world_.dice.next()));
  auto& disk = host.log().visible(id);
  disk.applied_index = store_->applied_index();
  disk.snapshot = store_->snapshot();
  log_ = disk;
  if (founders.voters.empty() && disk.last_index() == log_index{}) promised_before_ = disk.state.term;
  raft_ = std::make_unique<raft::raft_core>(host.id(), std::move(founders), options_of(options), disk.found(), disk, prng(world_.dice.next()),
                                            host.steady_now());
}

void replica::send(channel& to, event what) {
  // Most are there at once; now and then the threads are busy.
  const auto at = world_.now() + (world_.dice.chance(1, 60) ? world_.draw(100, 6'000) : world_.draw(1, 20));
  to.last_at = std::max(to.last_at, at);
  host_.post(to.last_at - world_.now(), [life = std::weak_ptr(life_), what = std::move(what)] {
    if (!life.expired()) what();
  });
}

// --- raft_peer ----------------------------------------------------------------------------------------------------

void replica::step_raft(raft::raft_input input) {
  if (partition_->fault()) return;
  const auto term = raft_->term();
  const auto commit_index = raft_->commit_index();
  raft_->step(std::move(input), host_.steady_now());
  raft_->check_invariants();
  KAHUNA_CHECK(raft_->term() >= term && raft_->commit_index() >= commit_index, raft_->describe());
}

// What waits behind in the mailbox is taken first, now and then.
void replica::settle_raft() {
  if (to_raft_.is_drain_sent) return;
  if (!world_.dice.chance(1, 4)) return honour_raft();
  to_raft_.is_drain_sent = true;
  send(to_raft_, [this] {
    to_raft_.is_drain_sent = false;
    honour_raft();
  });
}

void replica::honour_raft() {
  while (raft_->has_ready()) {
    auto ready = raft_->take_ready();
    raft_->check_invariants();
    take_group_news(ready);
    if (ready.write) {
      host_.watch().written(id_, *ready.write, log_,
                            raft_->role() == raft::role_kind::leader ? raft_->term() : term_id{});
      log_.write(*ready.write);
      host_.log().append(id_, std::move(*ready.write));
    }
    if (ready.role) {
      world_.note((ready.role->term.value << 8) + (id_.value << 4) + host_.id().value);
      if (world_.options.has_members())
        host_.post(0, [&host = host_, partition = id_, word = known_leader{ready.role->leader, ready.role->term}] {
          host.members().take_own_leader(partition, word);
        });
      if (ready.role->role == raft::role_kind::leader) {
        host_.watch().leads(id_, ready.role->term, host_.id(), log_);
        committed_at_election_ = raft_->commit_index();
        host_.leads_now(id_, ready.role->term);
      }
    }
    for (const auto& entry : ready.committed) host_.watch().committed(id_, raft_->term(), entry);

    std::map<node_id, std::vector<raft::message_body>> by_peer;
    for (const auto& message : ready.messages)
      if (const auto* vote = std::get_if<raft::vote_response>(&message.body); vote != nullptr && vote->is_granted && !vote->is_pre_vote)
        host_.has_voted();
    for (auto& message : ready.messages) by_peer[message.peer].push_back(std::move(message.body));
    for (auto& [peer, bodies] : by_peer) host_.send_to_peer(peer, id_, std::move(bodies));

    if (ready.role || ready.lease || ready.handover || !ready.committed.empty() || !ready.reads.empty()) {
      auto events = std::make_shared<raft_events>(
          raft_events{ready.role, ready.lease, ready.handover, std::move(ready.committed), std::move(ready.reads)});
      send(to_partition_, [this, events] { take_raft_events(std::move(*events)); });
    }
    if (!ready.snapshot_orders.empty() || !ready.snapshot_pieces.empty())
      send(to_partition_, [this, orders = std::move(ready.snapshot_orders), pieces = std::move(ready.snapshot_pieces)] {
        honour_partition();
        do_snapshot_work(orders, pieces);
        settle_partition();
      });
  }
}

void replica::take_peer_messages(node_id from, const std::vector<raft::message_body>& bodies) {
  for (const auto& body : bodies) {
    note_second_life(body);
    step_raft(raft::receive{{from, body}});
  }
  strike_where_old_entries_reach_a_majority();
  settle_raft();
}

// The moment of [Ongaro14 §3.6.2, figure 3.7]: entries of older terms are at a majority, and none of this term. Should the leader go
// now, they may be overwritten still.
void replica::strike_where_old_entries_reach_a_majority() {
  if (world_.options.strike_percent == 0 || raft_->role() != raft::role_kind::leader || struck_in_ == raft_->term()) return;
  std::vector<log_index> matches;
  for (const auto& [peer, match] : raft_->match_indexes()) matches.push_back(match);
  if (matches.empty()) return;
  std::sort(matches.begin(), matches.end());
  // With the leader itself that is a majority.
  const auto agreed = matches[matches.size() - matches.size() / 2];
  if (agreed <= committed_at_election_ || agreed <= log_.start.index || log_.term_at(agreed) == raft_->term()) return;
  struck_in_ = raft_->term();
  host_.has_old_entries_at_a_majority();
}

void replica::take_persisted(std::uint64_t write_number) {
  step_raft(raft::persisted{write_number});
  settle_raft();
}

void replica::take_connection_lost(node_id peer) {
  step_raft(raft::connection_lost{peer});
  settle_raft();
}

void replica::transfer_leadership(node_id to, bool is_optional) {
  step_raft(raft::transfer_leadership{to, is_optional});
  settle_raft();
}

void replica::tell_raft(raft::raft_input input) {
  send(to_raft_, [this, news = std::move(input)] {
    step_raft(news);
    settle_raft();
  });
}

// --- partition ----------------------------------------------------------------------------------------------------

void replica::step_partition(kv::partition_input input) {
  partition_->step(std::move(input), host_.steady_now());
  partition_->check_invariants();
  KAHUNA_CHECK(!partition_->fault(), partition_->describe());
}

void replica::take_operations(std::vector<kv::partition_request> requests) {
  for (const auto& request : requests) host_.note_era(request.origin, role_.term);
  step_partition(kv::operations{std::move(requests), host_.stamp()});
  settle_partition();
}

void replica::take_raft_events(raft_events events) {
  if (events.role) {
    if (events.role->role != raft::role_kind::leader || events.role->term != role_.term) {
      views_.clear();
      lease_.reset();
    }
    is_handing_over_ = false;
    role_ = *events.role;
    step_partition(*events.role);
  }
  std::erase_if(events.committed, [&](const auto& entry) { return entry.index <= installed_index_; });
  if (events.handover) hand_over(*events.handover);
  if (events.lease) {
    step_partition(*events.lease);
    if (!is_handing_over_) lease_ = events.lease;
  }
  if (!events.committed.empty()) apply_committed(std::move(events.committed));
  if (!events.reads.empty()) step_partition(std::move(events.reads));
  settle_partition();
}

void replica::apply_committed(std::vector<raft::log_entry> entries) {
  kv::committed_entries part;
  for (auto& entry : entries) {
    const auto index = entry.index;
    part.entries.push_back(std::move(entry));
    if (index.value % compared_every != 0) continue;
    step_partition(std::exchange(part, {}));
    // What was applied before a crash may be in the store ahead of the index that it starts from.
    if (host_.note_applied(id_, index)) host_.watch().applied(id_, index, state_digest(), host_.id());
  }
  if (!part.entries.empty()) step_partition(std::move(part));
  host_.note_applied(id_, partition_->applied_index());
}

void replica::hand_over(const raft::handover& change) {
  const bool is_declined = change.is_under_way && change.is_optional && partition_->look().ephemeral_keys != 0;
  if (!is_declined) step_partition(change);
  if (!change.is_under_way) is_handing_over_ = false;
  if (change.is_under_way && !is_declined && !partition_->is_serving()) {
    lease_.reset();
    is_handing_over_ = true;
  }
  honour_partition();
  if (change.is_under_way) tell_raft(raft::handover_prepared{change.term, change.number, is_declined});
}

bool replica::answers_by_lease() const {
  return lease_ && lease_->term == role_.term && role_.role == raft::role_kind::leader && partition_->is_serving() &&
         host_.steady_now() < lease_->until;
}

void replica::settle_partition() {
  if (to_partition_.is_drain_sent) return;
  if (!world_.dice.chance(1, 4)) return honour_partition();
  to_partition_.is_drain_sent = true;
  send(to_partition_, [this] {
    to_partition_.is_drain_sent = false;
    honour_partition();
  });
}

void replica::honour_partition() {
  auto ready = partition_->take_ready();
  host_.observe_own(partition_->last_stamp());
  if (!ready.proposals.empty() || !ready.reads.empty() || ready.applied) {
    std::vector<shared_bytes> payloads;
    for (const auto& batch : ready.proposals) payloads.emplace_back(messages::encode(*batch));
    send(to_raft_, [this, term = ready.proposal_term, payloads = std::move(payloads), reads = std::move(ready.reads),
                    applied = ready.applied] {
      if (applied) step_raft(raft::applied{*applied});
      if (!payloads.empty()) step_raft(raft::propose{term, payloads});
      for (const auto& read : reads) step_raft(read);
      settle_raft();
    });
  }
  if (!ready.manager.is_empty())
    send(to_manager_, [this, news = std::move(ready.manager)] { step_manager(news); });
  for (auto& reply : ready.replies) host_.reply(reply.origin, std::move(reply.response));
}

// --- transaction manager ------------------------------------------------------------------------------------------

void replica::step_manager(kv::manager_input input) {
  manager_->step(std::move(input), host_.stamp(), host_.steady_now());
  manager_->check_invariants();
  auto ready = manager_->take_ready();
  if (!ready.own.empty())
    send(to_partition_, [this, own = std::move(ready.own)] {
      step_partition(kv::operations{own, host_.stamp()});
      settle_partition();
    });
  for (auto& reply : ready.replies) host_.reply(reply.origin, std::move(reply.response));
  for (auto& asked : ready.remote) host_.ask_remote(id_, std::move(asked));
}

void replica::take_remote_answer(std::uint64_t token, kv::operation_response response) {
  kv::remote_answers answers;
  answers.replies.push_back({token, std::move(response)});
  send(to_manager_, [this, answers = std::move(answers)] { step_manager(answers); });
}

// --- time ---------------------------------------------------------------------------------------------------------

void replica::tick() {
  step_raft(raft::tick{});
  settle_raft();
  send(to_manager_, [this] { step_manager(kv::manager_tick{}); });
  if (++ticks_ % 4 != 0) return;
  send(to_partition_, [this] {
    step_partition(kv::sweep{host_.stamp()});
    honour_partition();
  });
}

}  // namespace kahuna::testing
