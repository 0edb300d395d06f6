// The steps of a transaction, until it ends: what it reads is asked of the partitions once, and what it writes is kept here.
#include <algorithm>
#include <tuple>
#include <type_traits>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/fault_point.hpp"
#include "core/base/planted_bug.hpp"
#include "core/kv/answer_digest.hpp"
#include "core/kv/operations/delete.hpp"
#include "core/kv/operations/exists.hpp"
#include "core/kv/operations/extend.hpp"
#include "core/kv/operations/get.hpp"
#include "core/kv/operations/set.hpp"
#include "core/kv/transaction_manager_core.hpp"

namespace kahuna::kv {

namespace {

error over(const std::string& why) { return {errc::aborted, "the transaction is over: " + why}; }

bool is_same(const std::optional<version>& a, const std::optional<version>& b) {
  if (!a || !b) return !a && !b;
  return a->revision == b->revision && a->is_tombstone == b->is_tombstone && a->modified == b->modified;
}

}  // namespace

void transaction_manager_core::take_step(partition_request request) {
  const auto& asked = std::get<transaction_request>(request.op);
  const auto& id = asked.transaction.id;
  const bool is_commit = std::holds_alternative<commit_step>(asked.step);
  const bool is_rollback = std::holds_alternative<rollback_step>(asked.step);
  // Transactions are their clients' own.
  if (id.client != request.client)
    return reply(request.origin, error{errc::invalid_argument, "the transaction is another client's"});
  if (const auto open = transactions_.find(id); open != transactions_.end()) return take_step_of(open->second, request);

  if (is_rollback) return reply(request.origin, rollback_response{});
  if (const auto known = finished_.find(id); known != finished_.end()) {
    const auto& outcome = known->second;
    if (is_commit && outcome.state == transaction_state::committed) return reply(request.origin, commit_response{outcome.committed});
    if (!is_commit) return reply(request.origin, over(outcome.why));
    if (outcome.state == transaction_state::aborted) return look_up(id, *term_, request.origin, identity_of(request), outcome.why);
  }
  if (is_commit && asked.number != 1) return look_up(id, *term_, request.origin, identity_of(request));
  if (asked.number != 1)
    return reply(request.origin, over("the node that coordinated it does not lead partition " + std::to_string(options_.self.value) + " any more"));
  if (transactions_.size() >= options_.transactions_max || kept_bytes_ >= options_.kept_bytes_max)
    return reply(request.origin, error{errc::overloaded, "partition " + std::to_string(options_.self.value) +
                                                             " has too many transactions open; retry after 100 ms"});
  auto& t = transactions_[id];
  t.header = asked.transaction;
  t.deadline = now_ + std::chrono::milliseconds(t.header.timeout_ms);
  t.deadline_ms = unix_ms(stamp_) + t.header.timeout_ms;
  begin_step(t, request);
}

void transaction_manager_core::take_step_of(transaction& t, partition_request& request) {
  const auto& asked = std::get<transaction_request>(request.op);
  if (asked.number == t.step_number) {
    if (t.answer) return reply(request.origin, *t.answer);
    t.commit_identity.attempt = std::max(t.commit_identity.attempt, request.attempt);
    return t.origins.push_back(request.origin);
  }
  if (asked.number < t.step_number) return reply(request.origin, error{errc::unavailable, "a later step has come before"});
  if (std::holds_alternative<rollback_step>(asked.step) && t.in != phase::committing) {
    abort(t, "it was rolled back", true);
    return reply(request.origin, rollback_response{});
  }
  if (!t.answer) return reply(request.origin, error{errc::unavailable, "the step before is still under way"});
  // What a missing step would have done nobody knows; and what the client has heard of another coordinator does not hold here.
  const bool is_missing = asked.number != t.step_number + 1;
  if (is_missing || (asked.heard != t.told && !KAHUNA_PLANTED("transaction.answers_of_another_leader"))) {
    const std::string why = is_missing ? "a step of it is missing" : "its earlier steps were answered by another leader";
    const auto id = t.header.id;
    abort(t, why);
    // It may have been begun again here by a step that came late, and have been committed before, where it was coordinated then.
    if (std::holds_alternative<commit_step>(asked.step)) return look_up(id, *term_, request.origin, identity_of(request), why);
    return reply(request.origin, over(why));
  }
  begin_step(t, request);
}

void transaction_manager_core::begin_step(transaction& t, partition_request& request) {
  auto& asked = std::get<transaction_request>(request.op);
  t.step_number = asked.number;
  t.step = std::move(asked.step);
  t.origins = {request.origin};
  t.answer.reset();
  if (std::holds_alternative<commit_step>(t.step)) t.commit_identity = identity_of(request);
  if (auto* lock = std::get_if<lock_step>(&t.step))
    std::sort(lock->locks.begin(), lock->locks.end(),
              [](const wanted_lock& a, const wanted_lock& b) { return std::tie(a.space, a.key) < std::tie(b.space, b.key); });
  KAHUNA_FAULT_POINT("transaction.step_begun");
  run(t);
}

void transaction_manager_core::answer(transaction& t, operation_response response) {
  for (const auto origin : std::exchange(t.origins, {})) reply(origin, response);
  // What is no valid step has not been taken: the next one has its number, as where it is refused before it gets here.
  const auto* failure = std::get_if<error>(&response);
  if (failure != nullptr && failure->code == errc::invalid_argument)
    --t.step_number;
  else
    t.told = digest_of(t.told, response);
  t.answer = std::move(response);
  t.answered_at = now_;
}

// --- steps --------------------------------------------------------------------------------------------------------

template <class Step>
void transaction_manager_core::run_step(transaction& t, const Step& step) {
  if constexpr (std::is_same_v<Step, set_request> || std::is_same_v<Step, delete_request> || std::is_same_v<Step, extend_request>) {
    run_write(t, step);
  } else if constexpr (std::is_same_v<Step, get_request> || std::is_same_v<Step, exists_request>) {
    run_read(t, step);
  } else if constexpr (std::is_same_v<Step, commit_step>) {
    start_commit(t);
  } else if constexpr (std::is_same_v<Step, rollback_step>) {
    const auto origins = t.origins;
    abort(t, "it was rolled back", true);
    for (const auto origin : origins) reply(origin, rollback_response{});
  } else if constexpr (std::is_same_v<Step, lock_step>) {
    for (const auto& wanted : step.locks)
      if (need_key(t, wanted.space, wanted.key, wanted.lock == lock_demand::exclusive) == nullptr) return;
    answer(t, lock_response{});
  } else {
    static_assert(std::is_same_v<Step, get_by_bucket_request>);
    const auto partition = routing::partition_of_bucket(options_.partitions, step.bucket);
    call c;
    c.id = t.header.id;
    c.partition = partition;
    c.ends = t.deadline;
    if (step.as_of != timestamp{}) {
      c.what = purpose::history;
      c.op = step;
    } else {
      c.what = purpose::list;
      const auto lock = t.header.locking == locking_mode::pessimistic ? lock_demand::shared : lock_demand::none;
      participant_list list{step, lock};
      const auto known = t.buckets.find({step.space, step.bucket});
      if (known != t.buckets.end() && step.space == durability::persistent) list.list.view = known->second.view;
      c.op = about(t, partition, std::move(list));
      if (lock != lock_demand::none) t.touched.insert(partition);
      t.stuck_at.reset();
      t.order = wait_order::out_of_order;
    }
    send(std::move(c));
    hurry(t, partition);
  }
}

void transaction_manager_core::run(transaction& t) {
  // A copy: an answer may end the transaction, and the step with it.
  const auto step = t.step;
  std::visit([&](const auto& s) { run_step(t, s); }, step);
}

bool transaction_manager_core::has_room(transaction& t) {
  if (t.keys.size() + t.buckets.size() < options_.keys_max) return true;
  answer(t, error{errc::invalid_argument, "a transaction may touch at most " + std::to_string(options_.keys_max) + " keys; split it"});
  return false;
}

transaction_manager_core::working_key* transaction_manager_core::need_key(transaction& t, durability space, const std::string& key,
                                                                          bool is_for_write) {
  auto demand = lock_demand::none;
  if (t.header.locking == locking_mode::pessimistic) demand = is_for_write ? lock_demand::exclusive : lock_demand::shared;
  const auto known = t.keys.find({space, key});
  if (known != t.keys.end() && known->second.lock >= demand) return &known->second;
  if (known == t.keys.end() && !has_room(t)) return nullptr;
  if (known == t.keys.end() && t.named_bytes + key.size() > options_.named_bytes_max) {
    answer(t, error{errc::invalid_argument, "the names of a transaction's keys have at most " + std::to_string(options_.named_bytes_max) +
                                                " bytes together; split it"});
    return nullptr;
  }
  const auto partition = routing::partition_of_key(options_.partitions, key);
  call c;
  c.what = purpose::read;
  c.id = t.header.id;
  c.partition = partition;
  t.stuck_at.reset();
  t.order = wait_order::out_of_order;
  if (known == t.keys.end() && t.buckets.empty() && (!t.last_locked || *t.last_locked < key_name{space, key}))
    t.order = t.last_locked ? wait_order::in_order : wait_order::first;
  c.op = about(t, partition, participant_read{space, key, demand, t.order});
  c.ends = t.deadline;
  if (demand != lock_demand::none) t.touched.insert(partition);
  send(std::move(c));
  hurry(t, partition);
  return nullptr;
}

void transaction_manager_core::took_read(transaction& t, const call& asked, read_answer found) {
  const auto& read = std::get<participant_read>(std::get<participant_request>(asked.op).body);
  auto [place, is_new] = t.keys.try_emplace({read.space, read.key});
  auto& entry = place->second;
  if (read.lock != lock_demand::none && (!t.last_locked || *t.last_locked < place->first)) t.last_locked = place->first;
  if (is_new) {
    // It has seen the key's bucket before, and not this.
    const auto bucket = t.buckets.find({read.space, std::string(routing::bucket_of(read.key))});
    if (bucket != t.buckets.end() && found.newest && found.newest->modified > bucket->second.seen) {
      t.keys.erase(place);
      return abort(t, "key " + read.key + " was changed by another");
    }
    const auto bytes = sizeof(working_key) + read.key.size() + (found.newest ? found.newest->value.size() : 0);
    if (t.read_bytes + bytes > options_.read_bytes_max) {
      t.keys.erase(place);
      return answer(t, error{errc::invalid_argument, "what a transaction reads has at most " +
                                                         std::to_string(options_.read_bytes_max) + " bytes; split it, or read as of a moment"});
    }
    if (kept_bytes_ + bytes > 2 * options_.kept_bytes_max) {
      t.keys.erase(place);
      return abort(t, "the transactions of its partition have read and written more than is kept for them; begin it again later");
    }
    t.read_bytes += bytes;
    kept_bytes_ += bytes;
    t.named_bytes += read.key.size();
    entry.partition = asked.partition;
    entry.was_live = found.newest && found.newest->is_live(found.judged_ms);
    entry.base = std::move(found.newest);
  } else if (!is_same(entry.base, found.newest)) {
    return abort(t, "key " + read.key + " was changed by another");
  }
  entry.lock = std::max({entry.lock, read.lock, found.lock});
  KAHUNA_FAULT_POINT("transaction.key_read");
  run(t);
}

// What the transaction sees of a key now. One that had expired when it was read stays absent.
std::optional<version> transaction_manager_core::current(const working_key& entry) const {
  if (entry.own) return entry.own;
  auto seen = entry.base;
  if (seen && !entry.was_live) seen->is_tombstone = true;
  return seen;
}

template <class Request>
void transaction_manager_core::run_read(transaction& t, const Request& request) {
  call history;
  history.what = purpose::history;
  history.id = t.header.id;
  history.partition = routing::partition_of_key(options_.partitions, request.key);
  history.op = request;
  history.ends = t.deadline;
  if (request.as_of != timestamp{}) return send(std::move(history));

  const auto* entry = need_key(t, request.space, request.key, false);
  if (entry == nullptr) return;
  if constexpr (std::is_same_v<Request, get_request>) {
    if (request.at_revision) {
      if (entry->last_set && entry->last_set->revision == *request.at_revision) return answer(t, answer_from_history(entry->last_set));
      return send(std::move(history));
    }
  }
  answer(t, kv::evaluate(request, current(*entry), unix_ms(stamp_)));
}

// Evaluated as the partition would, on what the transaction sees. A key moves by one revision however often it is set.
template <class Request>
void transaction_manager_core::run_write(transaction& t, const Request& request) {
  auto* entry = need_key(t, request.space, request.key, true);
  if (entry == nullptr) return;
  stamp_ = stamp_ + 1;
  auto decision = kv::evaluate(request, current(*entry), stamp_);
  if (decision.effect) {
    // One that is set and then deleted is written as both.
    const auto weight = [&](const std::optional<version>& own) {
      if (!own) return std::size_t{0};
      return request.key.size() + own->value.size() + (own->is_tombstone && entry->last_set ? entry->last_set->value.size() : 0);
    };
    const auto bytes = weight(decision.effect);
    const auto before = weight(entry->own);
    if (t.written_bytes - before + bytes > options_.written_bytes_max)
      return answer(t, error{errc::invalid_argument, "what a transaction writes has at most " +
                                                         std::to_string(options_.written_bytes_max) + " bytes; split it"});
    t.written_bytes = t.written_bytes - before + bytes;
    kept_bytes_ = kept_bytes_ - before + bytes;
    if constexpr (std::is_same_v<Request, set_request>) {
      if (entry->last_set) decision.effect->revision = entry->last_set->revision;
      decision.response.revision = decision.effect->revision;
      entry->last_set = decision.effect;
    } else if constexpr (std::is_same_v<Request, extend_request>) {
      if (entry->last_set) entry->last_set = decision.effect;
    }
    entry->own = std::move(decision.effect);
  }
  answer(t, decision.response);
}

// --- buckets ------------------------------------------------------------------------------------------------------

void transaction_manager_core::took_list(transaction& t, const call& asked, list_answer found) {
  const auto& request = std::get<participant_list>(std::get<participant_request>(asked.op).body).list;
  const key_name name{request.space, request.bucket};
  if (!t.buckets.contains(name) && !has_room(t)) return;
  if (const auto* changed = find_contradiction(t, request, found.page))
    return abort(t, "key " + *changed + " was changed by another");
  auto [place, is_new] = t.buckets.try_emplace(name, working_bucket{asked.partition, found.seen, 0, found.page.view});
  auto& bucket = place->second;
  // Ephemeral keys keep no view of what they were: what has changed meanwhile shows by its stamp, or when the commit is validated.
  for (const auto& item : found.page.items)
    if (item.modified > bucket.seen) return abort(t, "bucket " + request.bucket + " was changed by another");
  for (const auto& item : found.page.items)
    if (item.expires_at_ms != 0 && (bucket.valid_until_ms == 0 || item.expires_at_ms < bucket.valid_until_ms))
      bucket.valid_until_ms = item.expires_at_ms;
  lay_over(t, request, found.page);
  answer(t, std::move(found.page));
}

// A key in the part of the bucket that the page stands for, which the transaction has read before and which was otherwise then.
const std::string* transaction_manager_core::find_contradiction(const transaction& t, const get_by_bucket_request& request,
                                                                const list_response& page) const {
  const auto prefix = request.bucket + '/';
  for (auto known = t.keys.lower_bound({request.space, prefix}); known != t.keys.end(); ++known) {
    const auto& [space, key] = known->first;
    if (space != request.space || !key.starts_with(prefix)) break;
    if (key.find('/', prefix.size()) != std::string::npos || key <= request.after) continue;
    if (!page.continue_after.empty() && key > page.continue_after) continue;
    const auto item = std::lower_bound(page.items.begin(), page.items.end(), key,
                                       [](const listed_key& listed, const std::string& name) { return listed.key < name; });
    const bool is_listed = item != page.items.end() && item->key == key;
    const auto& entry = known->second;
    if (is_listed != entry.was_live || (is_listed && (item->revision != entry.base->revision || item->modified != entry.base->modified)))
      return &key;
  }
  return nullptr;
}

// What the transaction has written of the bucket itself, in the part of it that the page stands for.
void transaction_manager_core::lay_over(const transaction& t, const get_by_bucket_request& request, list_response& page) const {
  const auto now_ms = unix_ms(stamp_);
  std::map<std::string, listed_key> items;
  for (auto& item : std::exchange(page.items, {})) items.emplace(item.key, std::move(item));
  const auto prefix = request.bucket + '/';
  for (auto own = t.keys.lower_bound({request.space, prefix}); own != t.keys.end(); ++own) {
    const auto& [space, key] = own->first;
    if (space != request.space || !key.starts_with(prefix)) break;
    const auto& v = own->second.own;
    if (!v || key.find('/', prefix.size()) != std::string::npos || key <= request.after) continue;
    if (!page.continue_after.empty() && key > page.continue_after) continue;
    if (v->is_live(now_ms))
      items[key] = {key, v->value, v->revision, v->expires_at_ms, v->modified};
    else
      items.erase(key);
  }
  for (auto& [key, item] : items) {
    if (request.limit != 0 && page.items.size() == request.limit) {
      page.has_more = true;
      page.continue_after = page.items.back().key;
      break;
    }
    page.items.push_back(std::move(item));
  }
}

}  // namespace kahuna::kv
