// The end of a transaction: validation, promises, the decision, and telling of it.
//
//   nothing written          validate at every partition that was read, in one round; holds and records nothing
//   all at the anchor        one entry at the anchor
//   otherwise                promises of all others at once, each replicated; then one entry at the anchor, which checks and writes its
//                            own part and records the decision: the commit point. The client is answered; the others are told behind.
#include <algorithm>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/fault_point.hpp"
#include "core/base/planted_bug.hpp"
#include "core/kv/transaction_manager_core.hpp"

namespace kahuna::kv {

namespace {

constexpr duration release_patience = std::chrono::seconds(2);

}  // namespace

observation transaction_manager_core::observed_at(const transaction& t, partition_id partition) const {
  observation seen;
  if (t.header.locking == locking_mode::pessimistic && KAHUNA_PLANTED("transaction.locks_trusted")) return seen;
  for (const auto& [name, entry] : t.keys) {
    if (entry.partition != partition) continue;
    observed_key was{name.first, name.second, entry.base.has_value(), no_revision, false, {}, entry.was_live};
    if (entry.base) {
      was.revision = entry.base->revision;
      was.is_tombstone = entry.base->is_tombstone;
      was.modified = entry.base->modified;
    }
    seen.keys.push_back(std::move(was));
  }
  for (const auto& [name, bucket] : t.buckets)
    if (bucket.partition == partition) seen.buckets.push_back({name.first, name.second, bucket.seen, bucket.valid_until_ms});
  return seen;
}

std::vector<intended_write> transaction_manager_core::written_at(const transaction& t, partition_id partition) const {
  std::vector<intended_write> writes;
  for (const auto& [name, entry] : t.keys) {
    if (entry.partition != partition || !entry.own) continue;
    // One that was set and then deleted has had its revision: the tombstone stands before it, as always.
    if (entry.own->is_tombstone && entry.last_set) writes.push_back({name.first, name.second, *entry.last_set, false});
    const bool is_extended_only = !entry.own->is_tombstone && !entry.last_set;
    writes.push_back({name.first, name.second, *entry.own, is_extended_only});
  }
  return writes;
}

std::set<partition_id> transaction_manager_core::participants_of(const transaction& t) const {
  std::set<partition_id> all;
  for (const auto& [name, entry] : t.keys) all.insert(entry.partition);
  for (const auto& [name, bucket] : t.buckets) all.insert(bucket.partition);
  return all;
}

void transaction_manager_core::start_commit(transaction& t) {
  const auto all = participants_of(t);
  // What was refused is told if what it was judged by proves to be so, as where nothing was to be written.
  const bool is_writing = !t.refusal && std::any_of(t.keys.begin(), t.keys.end(), [](const auto& entry) { return entry.second.own.has_value(); });
  if (all.empty()) return finish_committed(t, stamp_, {});

  t.in = is_writing ? phase::preparing : phase::validating;
  t.awaited = all;
  if (is_writing) t.awaited.erase(options_.self);
  for (const auto partition : t.awaited) {
    call c;
    c.what = purpose::vote;
    c.id = t.header.id;
    c.partition = partition;
    c.ends = t.deadline;
    auto seen = observed_at(t, partition);
    if (is_writing)
      c.op = about(t, partition, participant_prepare{std::move(seen), written_at(t, partition)});
    else
      c.op = about(t, partition, participant_validate{std::move(seen)});
    if (is_writing) t.touched.insert(partition);
    send(std::move(c));
  }
  KAHUNA_FAULT_POINT("transaction.votes_asked");
  if (t.awaited.empty()) send_commit(t);
}

void transaction_manager_core::took_vote(transaction& t, const call& asked, const vote& verdict) {
  if (!verdict.is_yes) return abort(t, verdict.why);
  t.voted = std::max(t.voted, verdict.prepared);
  if (verdict.valid_until_ms != 0 && (t.valid_until_ms == 0 || verdict.valid_until_ms < t.valid_until_ms))
    t.valid_until_ms = verdict.valid_until_ms;
  t.awaited.erase(asked.partition);
  if (!t.awaited.empty() && !(t.in == phase::preparing && KAHUNA_PLANTED("transaction.one_vote_is_enough"))) return;
  if (t.in == phase::validating) {
    // Each partition judges expiry by its own clock, and repeated reads were judged by the one here.
    if (t.valid_until_ms != 0 && t.valid_until_ms <= unix_ms(stamp_)) return abort(t, "a key that it read has expired");
    if (t.refusal) return refuse(t);
    return finish_committed(t, t.voted, {});
  }
  send_commit(t);
}

// From here on only the log knows whether it is committed.
void transaction_manager_core::send_commit(transaction& t) {
  t.in = phase::committing;
  KAHUNA_FAULT_POINT("transaction.promised");
  auto others = participants_of(t);
  others.erase(options_.self);
  call c;
  c.what = purpose::commit;
  c.id = t.header.id;
  c.partition = options_.self;
  c.op = about(t, options_.self,
               participant_commit{observed_at(t, options_.self), written_at(t, options_.self), t.voted, t.valid_until_ms,
                                  {others.begin(), others.end()}});
  c.identity = t.commit_identity;
  c.ends = std::max(t.deadline, now_ + release_patience);
  send(std::move(c));
}

void transaction_manager_core::took_decision(transaction& t, const transaction_status& status) {
  if (status.state != transaction_state::committed) {
    t.in = phase::active;
    return abort(t, status.why);
  }
  if (status.is_repeated) {
    // Another leader has coordinated and committed it: steps that came late have begun it again here, and what this one had
    // promised to it must not be written a second time.
    answer(t, commit_response{status.committed});
    t.in = phase::active;
    return abort(t, "it was committed before");
  }
  auto others = participants_of(t);
  others.erase(options_.self);
  finish_committed(t, status.committed, {others.begin(), others.end()});
}

void transaction_manager_core::finish_committed(transaction& t, timestamp committed, const std::vector<partition_id>& to_tell) {
  ++committed_;
  KAHUNA_FAULT_POINT("transaction.decided");
  answer(t, commit_response{committed});
  if (!to_tell.empty()) telling_[t.header.id] = {*term_, to_tell.size()};
  for (const auto partition : to_tell) resolve(t.header.id, *term_, partition, committed, telling_patience);
  // Where it only locked there is nothing to be told but that it is over. The anchor's own locks went with the commit's entry.
  for (const auto partition : t.touched)
    if (std::find(to_tell.begin(), to_tell.end(), partition) == to_tell.end() &&
        (partition != options_.self || t.in != phase::committing))
      resolve(t.header.id, *term_, partition, timestamp{}, release_patience);
  forget_transaction(t, {transaction_state::committed, committed, {}, now_ + finished_kept});
}

void transaction_manager_core::refuse(transaction& t) {
  const std::string why = "write " + std::to_string(t.refusal->write) + " of its commit was not done";
  abort(t, why, false, std::exchange(t.refusal, std::nullopt));
}

// Nothing of it is decided, and nothing will be: what was promised is let go. `is_asked_for`: by its own client.
void transaction_manager_core::abort(transaction& t, const std::string& why, bool is_asked_for, std::optional<operation_response> told) {
  KAHUNA_CHECK(t.in != phase::committing, describe());
  ++aborted_;
  KAHUNA_FAULT_POINT("transaction.aborted");
  if (!t.answer && is_commit(t.step)) {
    // Another leader of the anchor may have committed it, before steps that came late began it again here.
    for (const auto origin : std::exchange(t.origins, {})) {
      if (told && KAHUNA_PLANTED("transaction.refusal_told_unasked"))
        reply(origin, *told);
      else
        look_up(t.header.id, *term_, origin, t.commit_identity, why, told);
    }
  } else if (!t.answer && !(is_asked_for && std::holds_alternative<rollback_step>(t.step))) {
    answer(t, error{errc::aborted, "the transaction was aborted: " + why});
  }
  for (const auto partition : t.touched) resolve(t.header.id, *term_, partition, timestamp{}, release_patience);
  forget_transaction(t, {transaction_state::aborted, {}, why, std::max(t.deadline, now_ + finished_kept), std::move(told)});
}

void transaction_manager_core::forget_transaction(const transaction& t, finished outcome) {
  const auto id = t.header.id;
  for (const auto token : t.calls) calls_.erase(token);
  kept_bytes_ -= t.kept_bytes();
  finished_until_.emplace_back(outcome.until, id);
  finished_[id] = std::move(outcome);
  transactions_.erase(id);
}

}  // namespace kahuna::kv
