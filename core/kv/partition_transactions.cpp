// How the partition core makes operations meet transactions (docs/transactions.md): who waits for whom, and who is asked about it. What
// the partition does for a transaction that it takes part in is in partition_participant.cpp.
//
// A transaction holds keys and buckets here in one of two ways: by locks, as it goes, if it is pessimistic; and by a promise, once it
// is prepared. Locks keep writers out, and are lost with the leadership: a commit does not rest on them but on finding everything
// that was read unchanged. A promise is in the log: whoever leads holds what was promised until the decision is known. So
//   - a read waits for a promise to write what it reads: the transaction may be committed already, somewhere else;
//   - a write waits for locks and promises, as if it were a transaction of one operation;
//   - whoever waits has the anchor asked, after a moment, what has become of the transaction: its coordinator may be gone.
//
// What may go wrong between this partition and the anchor, and what then:
//   - a request is lost, here or with its answer: it is repeated, and finds that it was done.
//   - a prepare comes late, after the transaction was resolved: it finds what the transaction wrote, and is refused; or it holds
//     what it only read, until the anchor is asked and says that it knows nothing.
//   - the leader here goes: locks are lost, promises are not; what waited is refused and tried again at the next leader.
//   - the anchor's leader goes: nothing is decided that is not in the anchor's log; the next leader knows all that is.
#include <algorithm>
#include <type_traits>
#include <utility>

#include "core/base/planted_bug.hpp"
#include "core/base/sometimes.hpp"
#include "core/kv/operations/exists.hpp"
#include "core/kv/operations/get.hpp"
#include "core/kv/operations/list.hpp"
#include "core/kv/partition_core.hpp"
#include "core/kv/transaction_resources.hpp"

namespace kahuna::kv {

namespace {

// What a transaction waits for is done in a few milliseconds as a rule: nobody is asked before.
constexpr duration patience = std::chrono::milliseconds(100);
constexpr duration ask_interval = std::chrono::milliseconds(150);
// A promise of which nothing was heard for so long is asked about though nobody waits for it.
constexpr duration promise_patience = std::chrono::milliseconds(1000);
// Locks are let go so long beyond the transaction's deadline, whether its anchor can be asked or not.
constexpr std::uint64_t lock_margin_ms = 2'000;
// A moment may be so far ahead of this partition's clock.
constexpr std::uint64_t moment_ahead_ms_max = 500;
// Writes that wait stand in the lock table under names that no transaction has.
constexpr std::uint64_t single_operation = std::uint64_t{1} << 63;
bool is_single_operation(const txn::transaction_id& owner) { return (owner.number & single_operation) != 0; }

const std::string* key_of(const operation& op) {
  return std::visit(
      [](const auto& request) -> const std::string* {
        if constexpr (requires { request.key; })
          return &request.key;
        else
          return nullptr;
      },
      op);
}

// A single operation holds nothing while it waits.
wait_order order_of(const operation& op) {
  const auto* asked = std::get_if<participant_request>(&op);
  if (asked == nullptr) return wait_order::first;
  const auto* read = std::get_if<participant_read>(&asked->body);
  return read != nullptr ? read->order : wait_order::out_of_order;
}

}  // namespace

// --- serving ------------------------------------------------------------------------------------------------------

// Everything that is in the log of older terms is applied: so every promise and every decision is known that this partition has
// ever answered for.
void partition_core::begin_serving(instant now) {
  has_begun_serving_ = true;
  manager_news::leadership change{role_.term, {}};
  for (const auto& [id, record] : transactions_.records()) change.records.push_back(record);
  ready_.manager.changes.push_back(std::move(change));
  if (!transactions_.prepared().empty()) KAHUNA_SOMETIMES("partition.new_leader_meets_promises");
  for (const auto& [id, prepared] : transactions_.prepared()) {
    // Its coordinator may have gone with the leader that promised: it is asked about as soon as somebody waits.
    if (KAHUNA_PLANTED("transaction.promises_not_restored")) continue;
    known_transactions_[id] = {prepared.term, prepared.anchor, prepared.deadline_ms, now, {}};
    for (const auto& key : prepared.read_keys)
      locks_.restore(id, resource_of_key(durability::persistent, key), txn::lock_mode::shared);
    for (const auto& bucket : prepared.read_buckets)
      locks_.restore(id, resource_of_bucket(durability::persistent, bucket), txn::lock_mode::shared);
    for (const auto& write : prepared.writes) {
      locks_.restore(id, resource_of_key(write.space, write.key), txn::lock_mode::exclusive);
      if (const auto bucket = resource_of_bucket_of(write.space, write.key); !bucket.empty())
        locks_.restore(id, bucket, txn::lock_mode::intent);
    }
    locks_.promise(id);
  }
}

void partition_core::drop_transactions() {
  const error why{errc::not_leader, "this node does not lead partition " + std::to_string(id_.value) + " any more"};
  for (auto& [owner, parked] : waiting_for_lock_) refuse_parked(parked, why);
  for (auto& [id, all] : waiting_for_outcome_)
    for (auto& parked : all) refuse_parked(parked, why);
  for (auto& [proposal, all] : waiting_for_proposal_)
    for (auto& parked : all) refuse_parked(parked, why);
  for (auto& parked : due_) refuse_parked(parked, why);
  waiting_for_lock_.clear();
  waiting_for_outcome_.clear();
  waiting_for_proposal_.clear();
  due_.clear();
  locks_.clear();
  watched_buckets_.clear();
  upgraded_.clear();
  known_transactions_.clear();
  promised_ephemeral_writes_.clear();
  promises_under_way_.clear();
  resolutions_under_way_.clear();
  commits_under_way_.clear();
  for (const auto& request : std::exchange(ready_.manager.requests, {})) reply_now(request.origin, why);
  ready_.manager.questions.clear();
  if (std::exchange(has_begun_serving_, false)) ready_.manager.changes.push_back({});
}

// --- waiting ------------------------------------------------------------------------------------------------------

partition_core::parked_request partition_core::park(const partition_request& request,
                                                    const std::optional<txn::transaction_id>& owner, instant now) {
  parked_request parked{request, payload_bytes(request.op) + sizeof(partition_request), now, owner};
  ++pending_requests_;
  pending_bytes_ += parked.bytes;
  return parked;
}

partition_request partition_core::unpark(parked_request& parked) {
  --pending_requests_;
  pending_bytes_ -= parked.bytes;
  return std::move(parked.request);
}

void partition_core::refuse_parked(parked_request& parked, error why) {
  const auto request = unpark(parked);
  reply_now(request.origin, std::move(why));
}

void partition_core::park_for_outcome(const txn::transaction_id& writer, const partition_request& request, instant now) {
  waiting_for_outcome_[writer].push_back(park(request, std::nullopt, now));
}

void partition_core::park_for_proposal(proposal_number proposal, const partition_request& request, instant now) {
  waiting_for_proposal_[proposal].push_back(park(request, std::nullopt, now));
}

// Whoever has the lock goes on; whoever has not is parked, and those in the way hear of it.
bool partition_core::acquire(const partition_request& request, const txn::transaction_id& owner, const std::string& resource,
                             txn::lock_mode mode, instant now) {
  const bool is_upgrade = mode == txn::lock_mode::exclusive && locks_.holds(owner, resource);
  if (locks_.acquire(owner, resource, mode)) return true;
  if (is_upgrade) upgraded_.note(resource, now);
  if (const auto earlier = waiting_for_lock_.find(owner); earlier != waiting_for_lock_.end()) {
    refuse_parked(earlier->second, {errc::unavailable, "the request was repeated"});
    waiting_for_lock_.erase(earlier);
  }
  waiting_for_lock_.emplace(owner, park(request, owner, now));
  const auto order = order_of(request.op);
  for (const auto& holder : locks_.blockers_of(owner))
    if (owner < holder || order != wait_order::first) tell(holder, {true, owner < holder, order, false});
  if (order == wait_order::out_of_order && locks_.waits_for_older(owner)) tell(owner, {false, false, order, true});
  return false;
}

bool partition_core::acquire_for_write(const partition_request& request, const txn::transaction_id& owner, durability space,
                                       const std::string& key, instant now) {
  const auto bucket = resource_of_bucket_of(space, key);
  return (bucket.empty() || acquire(request, owner, bucket, txn::lock_mode::intent, now)) &&
         acquire(request, owner, resource_of_key(space, key), txn::lock_mode::exclusive, now);
}

bool partition_core::pass_transactions(const partition_request& request, std::optional<txn::transaction_id>& owner, instant now) {
  if (locks_.is_empty()) return true;
  if (!is_write(request.op)) {
    auto promised = writer_of(request.op);
    if (!promised) promised = reader_past_expiry(request.op);
    if (!promised || KAHUNA_PLANTED("transaction.read_passes_promise")) return true;
    park_for_outcome(*promised, request, now);
    return false;
  }
  if (!owner) {
    owner = txn::transaction_id{stamp_, request.client, request.sequence | single_operation};
    while (waiting_for_lock_.contains(*owner)) owner->began_at = owner->began_at + 1;
  }
  if (acquire_for_write(request, *owner, space_of(request.op), *key_of(request.op), now)) return true;
  // A single operation holds nothing while it waits.
  locks_.release_held(*owner);
  return false;
}

std::optional<txn::transaction_id> partition_core::writer_of(const operation& op) const {
  if (const auto* key = key_of(op)) return locks_.promised_writer(resource_of_key(space_of(op), *key));
  if (const auto* bucket = std::get_if<get_by_bucket_request>(&op)) return writer_within(bucket->space, prefix_of(*bucket), {}, {});
  if (const auto* scan = std::get_if<scan_by_prefix_request>(&op)) return writer_within(scan->space, prefix_of(*scan), {}, {});
  return std::nullopt;
}

// Who has promised to keep what it read of these keys, where that has expired since. The anchor judges by its own clock, which may be
// behind: it may still commit, with a stamp below the expiry, and nobody who reads here that a key is gone may have come before that.
std::optional<txn::transaction_id> partition_core::reader_past_expiry(const operation& op) const {
  if (space_of(op) != durability::persistent) return std::nullopt;
  if (const auto* key = key_of(op)) return reader_past_expiry(*key, {});
  const auto* bucket = std::get_if<get_by_bucket_request>(&op);
  const auto* scan = std::get_if<scan_by_prefix_request>(&op);
  if (bucket == nullptr && scan == nullptr) return std::nullopt;
  const auto prefix = bucket != nullptr ? prefix_of(*bucket) : prefix_of(*scan);
  return reader_past_expiry_within(prefix, {});
}

std::optional<txn::transaction_id> partition_core::reader_past_expiry(const std::string& key, const txn::transaction_id& reader) const {
  const auto bucket = resource_of_bucket_of(durability::persistent, key);
  if (!locks_.has_promised_holder(resource_of_key(durability::persistent, key)) && !locks_.has_promised_holder(bucket)) return std::nullopt;
  return first_promise([&](const prepared_transaction& prepared) {
    const auto has = [](const std::vector<std::string>& names, std::string_view name) { return std::find(names.begin(), names.end(), name) != names.end(); };
    return prepared.id != reader && has_read_what_expired(prepared) &&
           (has(prepared.read_keys, key) || has(prepared.read_buckets, routing::bucket_of(key)));
  });
}

std::optional<txn::transaction_id> partition_core::reader_past_expiry_within(std::string_view prefix, const txn::transaction_id& reader) const {
  return first_promise([&](const prepared_transaction& prepared) {
    return prepared.id != reader && has_read_what_expired(prepared) &&
           (std::any_of(prepared.read_keys.begin(), prepared.read_keys.end(), [&](const std::string& key) { return key.starts_with(prefix); }) ||
            std::any_of(prepared.read_buckets.begin(), prepared.read_buckets.end(), [&](const std::string& name) {
              const auto bucket = name + '/';
              return bucket.starts_with(prefix) || prefix.starts_with(bucket);
            }));
  });
}

bool partition_core::has_read_what_expired(const prepared_transaction& prepared) const {
  return prepared.valid_until_ms != 0 && prepared.valid_until_ms <= unix_ms(stamp_);
}

// `as_of`: only those matter whose commit may be at or below it; 0: all.
std::optional<txn::transaction_id> partition_core::writer_within(durability space, std::string_view prefix,
                                                                 const txn::transaction_id& reader, timestamp as_of) const {
  const auto is_within = [&](const std::vector<intended_write>& writes) {
    return std::any_of(writes.begin(), writes.end(), [&](const intended_write& write) { return write.key.starts_with(prefix); });
  };
  if (space == durability::ephemeral) {
    for (const auto& [id, writes] : promised_ephemeral_writes_)
      if (id != reader && is_within(writes)) return id;
    return std::nullopt;
  }
  // What is not applied yet gets a stamp above the moment.
  return first_promise([&](const prepared_transaction& prepared) {
    return prepared.id != reader && (as_of == timestamp{} || prepared.prepared <= as_of) && is_within(prepared.writes);
  });
}

// Of those that are in the log, applied or on their way.
template <class Predicate>
std::optional<txn::transaction_id> partition_core::first_promise(Predicate&& is_meant) const {
  for (const auto& [id, prepared] : transactions_.prepared())
    if (is_meant(prepared)) return id;
  for (const auto& proposal : proposals_) {
    const auto& batch = proposal.batch != nullptr ? proposal.batch : open_batch_;
    for (const auto& prepared : batch->transactions.prepared)
      if (is_meant(prepared)) return prepared.id;
  }
  return std::nullopt;
}

void partition_core::transaction_ended(const txn::transaction_id& id) {
  locks_.release(id);
  known_transactions_.erase(id);
  if (const auto waiting = waiting_for_lock_.find(id); waiting != waiting_for_lock_.end()) {
    refuse_parked(waiting->second, {errc::aborted, "the transaction is over"});
    waiting_for_lock_.erase(waiting);
  }
  if (const auto waiting = waiting_for_outcome_.find(id); waiting != waiting_for_outcome_.end()) {
    std::move(waiting->second.begin(), waiting->second.end(), std::back_inserter(due_));
    waiting_for_outcome_.erase(waiting);
  }
}

void partition_core::wake(instant now) {
  while (is_serving()) {
    for (const auto& owner : locks_.take_granted())
      if (const auto waiting = waiting_for_lock_.find(owner); waiting != waiting_for_lock_.end()) {
        due_.push_back(std::move(waiting->second));
        waiting_for_lock_.erase(waiting);
      }
    while (!waiting_for_proposal_.empty() && waiting_for_proposal_.begin()->first <= applied_proposals_) {
      auto& all = waiting_for_proposal_.begin()->second;
      std::move(all.begin(), all.end(), std::back_inserter(due_));
      waiting_for_proposal_.erase(waiting_for_proposal_.begin());
    }
    if (due_.empty()) return;
    for (auto& parked : std::exchange(due_, {})) {
      stamp_ = clock_.last();
      const auto owner = parked.owner && is_single_operation(*parked.owner) ? parked.owner : std::nullopt;
      evaluate(unpark(parked), now, owner);
    }
  }
}

// --- asking the anchor --------------------------------------------------------------------------------------------

// Of a wait that has just begun: a circle is to be broken at once. One that is not known is a single operation, which is over in a
// moment; one that has promised waits for nobody.
void partition_core::tell(const txn::transaction_id& id, transaction_query what) {
  const auto known = known_transactions_.find(id);
  if (known != known_transactions_.end() && !locks_.is_promised(id))
    ready_.manager.questions.push_back({id, known->second.term, known->second.anchor, what});
}

void partition_core::ask_about(const txn::transaction_id& id, transaction_query what, instant now) {
  const auto found = known_transactions_.find(id);
  if (found == known_transactions_.end()) return;  // a single operation, which is over in a moment
  auto& known = found->second;
  if (known.asked_at != instant{} && now - known.asked_at < ask_interval) return;
  known.asked_at = now;
  ready_.manager.questions.push_back({id, known.term, known.anchor, what});
}

void partition_core::sweep_transactions(instant now) {
  if (!is_serving()) return;
  const auto now_ms = unix_ms(clock_.last());
  watched_buckets_.forget_overdue(now_ms);
  const auto is_given_up = [&](const parked_request& parked) {
    return parked.request.deadline != instant{} && parked.request.deadline <= now;
  };
  const error late{errc::timeout, "the deadline passed while the request waited for a transaction"};
  std::map<txn::transaction_id, transaction_query> to_ask;
  for (auto waiting = waiting_for_lock_.begin(); waiting != waiting_for_lock_.end();) {
    auto& [owner, parked] = *waiting;
    if (is_given_up(parked)) {
      refuse_parked(parked, late);
      // A single operation may have been granted what another gave up just now.
      is_single_operation(owner) ? locks_.release(owner) : locks_.stop_waiting(owner);
      waiting = waiting_for_lock_.erase(waiting);
      continue;
    }
    if (now - parked.since >= patience) {
      const auto order = order_of(parked.request.op);
      for (const auto& blocker : locks_.blockers_of(owner)) {
        auto& asked = to_ask[blocker];
        if (locks_.is_promised(blocker)) continue;
        asked.is_wanted = asked.is_wanted || order != wait_order::first;
        asked.is_wound = asked.is_wound || owner < blocker;
        if (owner < blocker) asked.order = std::min(asked.order, order);
      }
      if (order == wait_order::out_of_order && locks_.waits_for_older(owner)) to_ask[owner].is_stuck = true;
    }
    ++waiting;
  }
  for (const auto& [blocker, what] : to_ask) ask_about(blocker, what, now);
  for (auto waiting = waiting_for_outcome_.begin(); waiting != waiting_for_outcome_.end();) {
    auto& all = waiting->second;
    for (auto& parked : all)
      if (is_given_up(parked)) refuse_parked(parked, late);
    std::erase_if(all, is_given_up);
    if (!all.empty() && now - all.front().since >= patience) ask_about(waiting->first, {}, now);
    waiting = all.empty() ? waiting_for_outcome_.erase(waiting) : std::next(waiting);
  }
  std::vector<txn::transaction_id> overdue;
  for (const auto& [id, known] : known_transactions_) {
    const bool is_promised = locks_.is_promised(id);
    if (known.deadline_ms <= now_ms || (is_promised && now - known.since >= promise_patience)) ask_about(id, {}, now);
    // Its anchor may be without a quorum for long. Nothing rests on locks: whoever comes for what they were to keep finds it changed.
    if (!is_promised && !commits_under_way_.contains(id) && known.deadline_ms + lock_margin_ms <= now_ms) overdue.push_back(id);
  }
  for (const auto& id : overdue) transaction_ended(id);
}

// --- reads as of a moment -----------------------------------------------------------------------------------------

// What was current then is settled once a stamp at or above the moment is applied, and no promise from before it is open: all later
// modifications, whoever leads then, get higher stamps.
void partition_core::evaluate_as_of(partition_request request, timestamp moment, instant now) {
  if (unix_ms(moment) > unix_ms(clock_.last()) + moment_ahead_ms_max)
    return reply_now(request.origin, error{errc::invalid_argument, "the moment to read as of is in the future"});
  if (unix_ms(moment) < store_.collected_below_ms())
    return reply_now(request.origin, error{errc::invalid_argument, "the history of that moment has been collected; the oldest that can be "
                                                                   "read is " + std::to_string(store_.collected_below_ms()) + " (Unix ms)"});
  if (moment > store_.applied_stamp() && !KAHUNA_PLANTED("transaction.moment_not_settled")) {
    clock_.observe(moment);
    const bool is_on_its_way = !open_batch_ && !proposals_.empty() && proposals_.back().batch->stamp >= moment;
    if (!is_on_its_way) open_batch();
    return park_for_proposal(applied_proposals_ + proposals_.size(), request, now);
  }
  const auto prefix = [&]() -> std::string {
    if (const auto* bucket = std::get_if<get_by_bucket_request>(&request.op)) return prefix_of(*bucket);
    return *key_of(request.op);
  }();
  if (const auto writer = writer_within(durability::persistent, prefix, {}, moment);
      writer && !KAHUNA_PLANTED("transaction.moment_passes_promise"))
    return park_for_outcome(*writer, request, now);
  auto answer = answer_as_of(request.op, moment);
  reply_now(request.origin, answer ? std::move(*answer) : operation_response(answer.error()));
}

result<operation_response> partition_core::answer_as_of(const operation& op, timestamp moment) const {
  if (const auto* bucket = std::get_if<get_by_bucket_request>(&op)) {
    auto page = kv::evaluate(*bucket, store_, {moment, unix_ms(moment)});
    if (!page) return page.error();
    return operation_response(std::move(page->response));
  }
  const auto& key = *key_of(op);
  std::optional<version> current;
  const auto damage = store_.walk_keys(key, "", moment, [&](std::string_view found, const version* newest) {
    if (found == key && newest != nullptr) current = *newest;
    return version_reader::step{version_reader::walk::stop, {}};
  });
  if (damage) return *damage;
  if (const auto* get = std::get_if<get_request>(&op)) return operation_response(kv::evaluate(*get, current, unix_ms(moment)));
  return operation_response(kv::evaluate(std::get<exists_request>(op), current, unix_ms(moment)));
}

}  // namespace kahuna::kv
