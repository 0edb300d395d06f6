// What the partition core does for transactions that it takes part in (docs/transactions.md): reads under locks, validation, promises, the
// anchor's decision, and what becomes of it all.
#include <algorithm>
#include <type_traits>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/fault_point.hpp"
#include "core/base/planted_bug.hpp"
#include "core/kv/operations/list.hpp"
#include "core/kv/partition_core.hpp"
#include "core/kv/transaction_resources.hpp"

namespace kahuna::kv {

namespace {

// A bucket is watched so long beyond the transaction's deadline: it may be committing then.
constexpr std::uint64_t watch_margin_ms = 10'000;

observed_key observed(durability space, const std::string& key, const std::optional<version>& newest, std::uint64_t now_ms) {
  if (!newest) return {space, key, false, no_revision, false, {}, false};
  return {space, key, true, newest->revision, newest->is_tombstone, newest->modified, newest->is_live(now_ms)};
}

void lower(std::uint64_t& bound, std::uint64_t to) {
  if (to != 0 && (bound == 0 || to < bound)) bound = to;
}

std::size_t bytes_of(const std::vector<intended_write>& writes) {
  std::size_t bytes = 0;
  for (const auto& write : writes) bytes += write.key.size() + write.version.value.size() + 64;
  return bytes;
}

std::vector<intended_write> of_space(const std::vector<intended_write>& writes, durability space) {
  std::vector<intended_write> some;
  for (const auto& write : writes)
    if (write.space == space) some.push_back(write);
  return some;
}

version stamped(const intended_write& write, timestamp committed) {
  auto v = write.version;
  if (!write.keeps_created) v.created = committed;
  // Extending changes a version that reads as of moments before this see too, and have seen live: it ends behind them.
  if (write.keeps_created && v.expires_at_ms != 0) v.expires_at_ms = std::max(v.expires_at_ms, unix_ms(committed) + 1);
  v.modified = committed;
  return v;
}

transaction_status aborted(std::string why) { return {transaction_state::aborted, {}, std::move(why)}; }

}  // namespace

// --- what is read and whether it has changed ----------------------------------------------------------------------

result<partition_core::current_version> partition_core::current_of(durability space, const std::string& key) {
  if (space == durability::persistent) return current_of(key);
  ephemeral_.touch(key);
  return current_version{*ephemeral_.latest(key), 0};
}

void partition_core::note_modified(durability space, const std::string& key, timestamp stamp) {
  if (watched_buckets_.is_idle()) return;
  if (const auto bucket = resource_of_bucket_of(space, key); !bucket.empty()) watched_buckets_.note(bucket, stamp);
}

result<std::optional<std::string>> partition_core::find_change(const observation& seen, timestamp stamp, vote& out,
                                                               proposal_number& rests_on) {
  const auto now_ms = unix_ms(stamp);
  for (const auto& was : seen.keys) {
    const auto current = current_of(was.space, was.key);
    if (!current) return current.error();
    const bool is_exempt = KAHUNA_PLANTED("transaction.reads_not_validated") ||
                           (!was.is_live && KAHUNA_PLANTED("transaction.absence_not_validated"));
    if (observed(was.space, was.key, current->newest, now_ms) != was && !is_exempt)
      return std::optional<std::string>("key " + was.key + " was changed by another");
    if (was.is_live) lower(out.valid_until_ms, current->newest->expires_at_ms);
    if (was.space == durability::persistent) note_verdict(current->newest, now_ms);
    rests_on = std::max(rests_on, current->rests_on);
  }
  for (const auto& was : seen.buckets) {
    if (!watched_buckets_.is_unchanged_since(resource_of_bucket(was.space, was.bucket), was.seen) &&
        !KAHUNA_PLANTED("transaction.buckets_not_validated"))
      return std::optional<std::string>("bucket " + was.bucket + " was changed by another");
    if (was.valid_until_ms != 0 && was.valid_until_ms <= now_ms)
      return std::optional<std::string>("a key of bucket " + was.bucket + " has expired");
    lower(out.valid_until_ms, was.valid_until_ms);
  }
  return std::optional<std::string>();
}

bool partition_core::try_acquire_all(const txn::transaction_id& id, const observation& seen,
                                     const std::vector<intended_write>& writes, instant now) {
  if (const auto known = known_transactions_.find(id); known != known_transactions_.end())
    for (const auto& write : writes)
      if (auto resource = resource_of_key(write.space, write.key); known->second.read_for_writing.contains(resource)) upgraded_.note(resource, now);
  const auto all = [](const auto& range, auto has) { return std::all_of(range.begin(), range.end(), has); };
  return all(seen.keys,
             [&](const observed_key& key) {
               return locks_.try_acquire(id, resource_of_key(key.space, key.key), txn::lock_mode::shared);
             }) &&
         all(seen.buckets,
             [&](const observed_bucket& bucket) {
               return locks_.try_acquire(id, resource_of_bucket(bucket.space, bucket.bucket), txn::lock_mode::shared);
             }) &&
         all(writes, [&](const intended_write& write) {
           const auto bucket = resource_of_bucket_of(write.space, write.key);
           return locks_.try_acquire(id, resource_of_key(write.space, write.key), txn::lock_mode::exclusive) &&
                  (bucket.empty() || locks_.try_acquire(id, bucket, txn::lock_mode::intent));
         });
}

std::vector<mutation> partition_core::mutations_of(const std::vector<intended_write>& writes, timestamp committed) {
  std::vector<mutation> all;
  for (const auto& write : writes)
    if (write.space == durability::persistent) all.push_back({write.key, stamped(write, committed)});
  return all;
}

// --- what participants are asked ----------------------------------------------------------------------------------

void partition_core::answer_participant(const partition_request& request, participant_response response, proposal_number rests_on,
                                        instant now) {
  reply_when_certain(rests_on, waiting_reply(request.origin, std::move(response), false), now);
}

template <>
void partition_core::evaluate_body(const partition_request& request, const participant_request& asked, const participant_read& body,
                                   instant now) {
  const auto resource = resource_of_key(body.space, body.key);
  auto lock = body.lock;
  if (lock == lock_demand::none) {
    if (const auto writer = locks_.promised_writer(resource, asked.id)) return park_for_outcome(*writer, request, now);
  } else {
    known_transactions_.try_emplace(asked.id, known_transaction{asked.term, asked.anchor, asked.deadline_ms, now, {}});
    if (lock == lock_demand::shared && upgraded_.has(resource, now)) {
      lock = lock_demand::exclusive;
      known_transactions_.at(asked.id).read_for_writing.insert(resource);
    }
    const bool has_lock = lock == lock_demand::exclusive
                              ? acquire_for_write(request, asked.id, body.space, body.key, now)
                              : acquire(request, asked.id, resource, txn::lock_mode::shared, now);
    if (!has_lock) return;
  }
  if (body.space == durability::persistent)
    if (const auto reader = reader_past_expiry(body.key, asked.id)) return park_for_outcome(*reader, request, now);
  auto current = current_of(body.space, body.key);
  if (!current) return reply_now(request.origin, current.error());
  const auto now_ms = unix_ms(stamp_);
  if (body.space == durability::persistent) note_verdict(current->newest, now_ms);
  answer_participant(request, read_answer{std::move(current->newest), now_ms, lock}, current->rests_on, now);
}

template <>
void partition_core::evaluate_body(const partition_request& request, const participant_request& asked, const participant_list& body,
                                   instant now) {
  const auto& wanted = body.list;
  const auto resource = resource_of_bucket(wanted.space, wanted.bucket);
  const auto prefix = prefix_of(wanted);
  if (body.lock != lock_demand::none) {
    known_transactions_.try_emplace(asked.id, known_transaction{asked.term, asked.anchor, asked.deadline_ms, now, {}});
    if (!acquire(request, asked.id, resource, txn::lock_mode::shared, now)) return;
  }
  if (const auto writer = writer_within(wanted.space, prefix, asked.id, {})) return park_for_outcome(*writer, request, now);
  if (wanted.space == durability::persistent)
    if (const auto reader = reader_past_expiry_within(prefix, asked.id)) return park_for_outcome(*reader, request, now);
  if (wanted.view.visible == timestamp{}) {
    // What is on its way is not in what a list shows, and would count as a change of it.
    proposal_number last = 0;
    for (const auto& [key, under_way] : overlay_)
      if (wanted.space == durability::persistent && key.starts_with(prefix)) last = std::max(last, under_way.proposal);
    if (last != 0) return park_for_proposal(last, request, now);
    const auto since = wanted.space == durability::persistent ? store_.applied_stamp() : clock_.last();
    if (!watched_buckets_.watch(resource, since, asked.deadline_ms + watch_margin_ms))
      return reply_now(request.origin, error{errc::overloaded, "too many buckets are being read by transactions; retry after 1000 ms"});
  }
  auto response = wanted.space == durability::persistent ? list(wanted) : list_ephemeral(wanted);
  auto* page = std::get_if<list_response>(&response);
  if (page == nullptr) return reply_now(request.origin, std::move(response));
  const auto seen = page->view.visible;
  answer_participant(request, list_answer{std::move(*page), seen}, 0, now);
}

template <>
void partition_core::evaluate_body(const partition_request& request, const participant_request& asked,
                                   const participant_validate& body, instant now) {
  for (const auto& key : body.seen.keys)
    if (const auto writer = locks_.promised_writer(resource_of_key(key.space, key.key), asked.id))
      return park_for_outcome(*writer, request, now);
  for (const auto& bucket : body.seen.buckets)
    if (const auto writer = writer_within(bucket.space, bucket.bucket + '/', asked.id, {}))
      return park_for_outcome(*writer, request, now);
  vote verdict;
  proposal_number rests_on = 0;
  const auto change = find_change(body.seen, stamp_, verdict, rests_on);
  if (!change) return reply_now(request.origin, change.error());
  verdict.is_yes = !*change;
  verdict.why = change->value_or("");
  verdict.prepared = stamp_;
  answer_participant(request, verdict, rests_on, now);
}

template <>
void partition_core::evaluate_body(const partition_request& request, const participant_request& asked,
                                   const participant_prepare& body, instant now) {
  const auto& id = asked.id;
  const auto known_as = known_transactions_.find(id);
  if (locks_.is_promised(id) && known_as != known_transactions_.end() && known_as->second.term != asked.term) {
    // Another leader of the anchor has coordinated it before, and may have decided.
    ask_about(id, {}, now);
    return reply_now(request.origin, participant_response(vote{false, "it was begun twice", {}, 0}));
  }
  if (const auto known = promises_under_way_.find(id); known != promises_under_way_.end())
    return reply_when_applied(known->second.proposal,
                              waiting_reply(request.origin, participant_response(known->second.promised), false));
  if (const auto known = transactions_.prepared().find(id); known != transactions_.prepared().end())
    return answer_participant(request, vote{true, {}, known->second.prepared, known->second.valid_until_ms}, 0, now);

  const auto stamp = clock_.next();
  stamp_ = stamp;
  vote verdict{false, {}, stamp, 0};
  proposal_number rests_on = 0;
  // Waiting here could be for ever: two that prepare at two partitions in different order would wait for each other.
  if (!try_acquire_all(id, body.seen, body.writes, now)) {
    verdict.why = "what it read or writes is held by another transaction";
  } else {
    const auto change = find_change(body.seen, stamp, verdict, rests_on);
    if (!change) {
      transaction_ended(id);
      return reply_now(request.origin, change.error());
    }
    verdict.is_yes = !*change;
    verdict.why = change->value_or("");
  }
  if (!verdict.is_yes) {
    // It is aborted now: nobody can commit without this vote.
    transaction_ended(id);
    return reply_now(request.origin, participant_response(std::move(verdict)));
  }

  prepared_transaction promise{id, asked.term, asked.anchor, stamp, verdict.valid_until_ms, asked.deadline_ms, {}, {}, {}};
  for (const auto& key : body.seen.keys)
    if (key.space == durability::persistent) promise.read_keys.push_back(key.key);
  for (const auto& bucket : body.seen.buckets)
    if (bucket.space == durability::persistent) promise.read_buckets.push_back(bucket.bucket);
  promise.writes = of_space(body.writes, durability::persistent);
  if (auto ephemeral = of_space(body.writes, durability::ephemeral); !ephemeral.empty())
    promised_ephemeral_writes_[id] = std::move(ephemeral);
  known_transactions_.insert_or_assign(id, known_transaction{asked.term, asked.anchor, asked.deadline_ms, now, {}});
  locks_.promise(id);

  if (verdict.valid_until_ms != 0) lower(earliest_promise_expiry_ms_, verdict.valid_until_ms);

  make_room(bytes_of(promise.writes));
  open_batch();
  open_batch_bytes_ += bytes_of(promise.writes) + payload_bytes(request.op);
  open_batch_->transactions.prepared.push_back(std::move(promise));
  const auto number = applied_proposals_ + proposals_.size();
  promises_under_way_[id] = {number, verdict, {}};
  KAHUNA_FAULT_POINT("transaction.promise_proposed");
  if (KAHUNA_PLANTED("transaction.vote_before_replicated"))
    return reply_now(request.origin, participant_response(std::move(verdict)));
  reply_when_applied(number, waiting_reply(request.origin, participant_response(std::move(verdict)), false));
}

template <>
void partition_core::evaluate_body(const partition_request& request, const participant_request& asked,
                                   const participant_commit& body, instant now) {
  const auto& id = asked.id;
  // Coordinated in another term: whatever held in that one need not hold any more.
  if (asked.term != role_.term)
    return reply_now(request.origin, error{errc::not_leader, "the leadership in which it was coordinated is over"});
  if (answer_repeated(request)) return;
  if (auto refusal = admit_to_window(window_, request)) return reply_now(request.origin, std::move(*refusal));
  KAHUNA_FAULT_POINT("transaction.commit_received");
  // Under another anchor, then: no client of ours does that, and what one anchor holds is not another's to let go.
  if (locks_.is_promised(id)) return reply_now(request.origin, participant_response(aborted("another anchor coordinates it")));

  // Above what every participant has promised and every read that was served here.
  clock_.observe(body.prepared);
  const auto stamp = clock_.next();
  stamp_ = stamp;
  std::string why;
  vote own;
  proposal_number rests_on = 0;
  if (!try_acquire_all(id, body.seen, body.writes, now)) {
    why = "what it read or writes is held by another transaction";
  } else {
    const auto change = find_change(body.seen, stamp, own, rests_on);
    if (!change) {
      transaction_ended(id);
      return reply_now(request.origin, change.error());
    }
    why = change->value_or("");
    if (why.empty() && body.valid_until_ms != 0 && body.valid_until_ms <= unix_ms(stamp)) why = "a key that it read has expired";
  }
  if (!why.empty()) {
    transaction_ended(id);
    return reply_now(request.origin, participant_response(aborted(std::move(why))));
  }

  make_room(bytes_of(body.writes));
  open_batch();
  note_result(request, {request.sequence, true, no_revision, stamp});
  for (auto& change : mutations_of(body.writes, stamp)) note_effect(change.key, std::move(change.version));
  if (!body.participants.empty()) open_batch_->transactions.decided.push_back({id, asked.term, stamp, body.participants});
  open_batch_bytes_ += 64 + 16 * body.participants.size();
  const auto number = applied_proposals_ + proposals_.size();
  commits_under_way_[id] = number;
  committing commit{id, stamp, of_space(body.writes, durability::ephemeral)};
  // Whoever waits for its locks may go on at once, on what this entry writes: their answers wait for it too. Ephemeral keys are
  // written when it is applied, and held until then.
  const bool has_ephemeral = !commit.ephemeral_writes.empty();
  proposals_.back().commits.push_back(std::move(commit));
  participant_response decision = transaction_status{transaction_state::committed, stamp, {}};
  KAHUNA_FAULT_POINT("transaction.commit_proposed");
  if (KAHUNA_PLANTED("transaction.decision_before_replicated"))
    reply_now(request.origin, std::move(decision));
  else
    reply_when_applied(number, waiting_reply(request.origin, std::move(decision), true));
  if (!has_ephemeral) transaction_ended(id);
}

template <>
void partition_core::evaluate_body(const partition_request& request, const participant_request& asked,
                                   const participant_resolve& body, instant now) {
  const auto& id = asked.id;
  const transaction_status status{body.committed != timestamp{} ? transaction_state::committed : transaction_state::aborted,
                                  body.committed, {}};
  if (const auto known = resolutions_under_way_.find(id); known != resolutions_under_way_.end())
    return reply_when_applied(known->second.proposal, waiting_reply(request.origin, participant_response(status), false));
  const auto prepared = transactions_.prepared().find(id);
  const bool is_prepared = prepared != transactions_.prepared().end();
  if (const auto known = known_transactions_.find(id); locks_.is_promised(id) && known->second.term != asked.term)
    return answer_participant(request, status, 0, now);  // of another coordinator's, which has nothing promised here any more
  if (!is_prepared && !promises_under_way_.contains(id)) {
    // Nothing was promised here, or it is done. That is certain only of a leader: another may know of a promise.
    transaction_ended(id);
    return answer_participant(request, status, 0, now);
  }
  if (!is_prepared && body.committed != timestamp{})
    return reply_now(request.origin, error{errc::unavailable, "the promise is not applied yet; retry"});

  committing commit{id, body.committed, {}};
  if (body.committed != timestamp{}) {
    clock_.observe(body.committed);
    stamp_ = clock_.next();
    if (is_prepared) make_room(bytes_of(prepared->second.writes));
    open_batch();
    for (auto& change : mutations_of(prepared->second.writes, body.committed)) note_effect(change.key, std::move(change.version));
    if (const auto ephemeral = promised_ephemeral_writes_.find(id); ephemeral != promised_ephemeral_writes_.end())
      commit.ephemeral_writes = ephemeral->second;
  } else {
    open_batch();
  }
  open_batch_->transactions.resolved.push_back(id);
  open_batch_bytes_ += 64;
  const auto number = applied_proposals_ + proposals_.size();
  resolutions_under_way_[id] = {number, {}, body.committed};
  KAHUNA_FAULT_POINT("transaction.resolution_proposed");
  proposals_.back().commits.push_back(std::move(commit));
  reply_when_applied(number, waiting_reply(request.origin, participant_response(status), false));
}

template <>
void partition_core::evaluate_body(const partition_request& request, const participant_request& asked,
                                   const participant_lookup&, instant now) {
  if (request.sequence != 0 && answer_repeated(request)) return;
  if (const auto found = transactions_.records().find(asked.id); found != transactions_.records().end() && found->second.term == asked.term)
    return answer_participant(request, transaction_status{transaction_state::committed, found->second.committed, {}}, 0, now);
  if (commits_under_way_.contains(asked.id)) return answer_participant(request, transaction_status{}, 0, now);
  if (KAHUNA_PLANTED("transaction.abort_told_without_a_leaders_certainty"))
    return reply_now(request.origin, participant_response(aborted("nothing is known of it")));
  if (request.sequence != 0 && request.attempt > 1) {
    // As with any refused write: an earlier attempt, and the steps before it, may still come, here or at a leader to come, and must
    // not commit any more once this answer is out. A first attempt needs nothing of that: there is no other.
    if (auto refusal = admit_to_window(window_, request)) return reply_now(request.origin, std::move(*refusal));
    open_batch();
    open_batch_bytes_ += 64;
    note_result(request, {request.sequence, false, no_revision, {}});
    return reply_when_applied(applied_proposals_ + proposals_.size(),
                              waiting_reply(request.origin, participant_response(aborted("it is over, or its coordinator is gone")), false));
  }
  answer_participant(request, aborted("nothing is known of it: it is over, or its coordinator is gone"), 0, now);
}

template <>
void partition_core::evaluate_body(const partition_request& request, const participant_request& asked, const participant_forget&,
                                   instant) {
  if (transactions_.records().contains(asked.id)) {
    open_batch();
    open_batch_->transactions.forgotten.push_back(asked.id);
    open_batch_bytes_ += 32;
  }
  reply_now(request.origin, participant_response(transaction_status{transaction_state::committed, {}, {}}));
}

template <>
void partition_core::evaluate_body(const partition_request& request, const participant_request& asked,
                                   const participant_stop_waiting&, instant) {
  const auto known = known_transactions_.find(asked.id);
  if (const auto waiting = waiting_for_lock_.find(asked.id);
      waiting != waiting_for_lock_.end() && known != known_transactions_.end() && known->second.term == asked.term) {
    refuse_parked(waiting->second, {errc::aborted, "an older transaction needs what it holds"});
    waiting_for_lock_.erase(waiting);
    locks_.stop_waiting(asked.id);
  }
  reply_now(request.origin, participant_response(transaction_status{}));
}

void partition_core::evaluate_participant(const partition_request& request, instant now) {
  const auto& asked = std::get<participant_request>(request.op);
  std::visit(
      [&](const auto& body) {
        if constexpr (std::is_same_v<std::decay_t<decltype(body)>, transaction_query>)
          KAHUNA_CHECK(false, "questions are the manager's");
        else
          evaluate_body(request, asked, body, now);
      },
      asked.body);
}

// --- applying -----------------------------------------------------------------------------------------------------

// The stamp is fresh, so that whoever has listed a bucket meanwhile is seen to have missed it.
void partition_core::write_ephemeral(const committing& commit) {
  for (const auto& write : commit.ephemeral_writes) {
    ephemeral_.put(write.key, stamped(write, commit.committed));
    note_modified(write.space, write.key, clock_.next());
  }
}

void partition_core::note_applied(const proposal_under_way& proposal) {
  for (const auto& prepared : proposal.batch->transactions.prepared) {
    promises_under_way_.erase(prepared.id);
    KAHUNA_FAULT_POINT("transaction.promise_applied");
  }
  for (const auto& commit : proposal.commits) {
    write_ephemeral(commit);
    if (commits_under_way_.erase(commit.id) != 0) KAHUNA_FAULT_POINT("transaction.commit_applied");
    if (resolutions_under_way_.erase(commit.id) != 0) KAHUNA_FAULT_POINT("transaction.resolution_applied");
    promised_ephemeral_writes_.erase(commit.id);
    transaction_ended(commit.id);
  }
}

}  // namespace kahuna::kv
