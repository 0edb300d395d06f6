// The steps of a transaction, until it ends: what it reads is asked of the partitions once, and what it writes is kept here.
#include <algorithm>
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

// What the step reads and writes, each key once, with the strongest lock.
std::map<std::pair<durability, std::string>, lock_demand> wanted_by(const transaction_step& step) {
  std::map<std::pair<durability, std::string>, lock_demand> wanted;
  for_each_keyed(step, [&](const auto& request) {
    if constexpr (requires { request.as_of; })
      if (request.as_of != timestamp{}) return;
    auto& known = wanted[{request.space, request.key}];
    known = std::max(known, demand_of(request));
  });
  return wanted;
}

operation_response unwrap(result<step_answer> done) {
  if (!done) return done.error();
  return std::visit([](auto& answer) { return operation_response(std::move(answer)); }, *done);
}

bool is_refused(const step_answer& answer) {
  if (const auto* set = std::get_if<set_response>(&answer)) return !set->is_set;
  const auto* extended = std::get_if<extend_response>(&answer);
  return extended != nullptr && !extended->is_extended;
}

bool is_same(const std::optional<version>& a, const std::optional<version>& b) {
  if (!a || !b) return !a && !b;
  return a->revision == b->revision && a->is_tombstone == b->is_tombstone && a->modified == b->modified;
}

}  // namespace

void transaction_manager_core::take_step(partition_request request) {
  const auto& asked = std::get<transaction_request>(request.op);
  const auto& id = asked.transaction.id;
  const bool is_last = is_commit(asked.step);
  const bool is_rollback = std::holds_alternative<rollback_step>(asked.step);
  // Transactions are their clients' own.
  if (id.client != request.client)
    return reply(request.origin, error{errc::invalid_argument, "the transaction is another client's"});
  if (const auto open = transactions_.find(id); open != transactions_.end()) return take_step_of(open->second, request);

  if (is_rollback) return reply(request.origin, rollback_response{});
  if (const auto known = finished_.find(id); known != finished_.end()) {
    const auto& outcome = known->second;
    if (is_last && outcome.state == transaction_state::committed) return reply(request.origin, commit_response{outcome.committed});
    if (!is_last) return reply(request.origin, over(outcome.why));
    if (outcome.state == transaction_state::aborted)
      return look_up(id, *term_, request.origin, identity_of(request), outcome.why, outcome.told);
  }
  if (is_last && asked.number != 1) return look_up(id, *term_, request.origin, identity_of(request));
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
    if (is_commit(asked.step)) return look_up(id, *term_, request.origin, identity_of(request), why);
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
  kept_bytes_ -= std::exchange(t.listed_bytes, 0);
  t.stuck_at.reset();
  t.order = wait_order::first;
  if (is_commit(t.step)) t.commit_identity = identity_of(request);
  KAHUNA_FAULT_POINT("transaction.step_begun");
  if (!line_up(t)) return;
  if (t.missing == 0) return run(t);
  for (std::size_t line = 0; line < t.lines.size(); ++line) ask_next(t, line);
}

void transaction_manager_core::answer(transaction& t, operation_response response) {
  if (t.missing != 0) drop_reads(t);
  // What is no valid step has not been taken: the next one has its number, as where it is refused before it gets here.
  const auto* failure = std::get_if<error>(&response);
  const bool is_taken = failure == nullptr || failure->code != errc::invalid_argument;
  for (const auto origin : std::exchange(t.origins, {})) {
    // An earlier attempt of a commit may come late, here or at another leader, and must not be found valid then.
    if (!is_taken && is_commit(t.step))
      look_up(t.header.id, *term_, origin, t.commit_identity, {}, response);
    else
      reply(origin, response);
  }
  if (is_taken)
    t.told = digest_of(t.told, response);
  else
    --t.step_number;
  t.answer = std::move(response);
  t.answered_at = now_;
}

// --- the keys of a step -------------------------------------------------------------------------------------------

// Locks ahead are one line, in the order of names, so that nobody waits in a circle. Others are a line for each partition, where a
// transaction waits for one lock at a time; so they are taken out of order, and say so (order_of). What locks nothing waits for nobody:
// each key is a line. False: there are too many, and the step was answered.
bool transaction_manager_core::line_up(transaction& t) {
  const bool is_locking = t.header.locking == locking_mode::pessimistic;
  const bool is_ahead = std::holds_alternative<lock_step>(t.step);
  std::map<partition_id, std::size_t> line_of;
  std::size_t more = 0;
  std::size_t more_named_bytes = 0;
  t.lines.clear();
  for (const auto& [name, lock] : wanted_by(t.step)) {
    const auto demand = is_locking ? lock : lock_demand::none;
    const auto known = t.keys.find(name);
    if (known != t.keys.end() && known->second.lock >= demand) continue;
    if (known == t.keys.end()) {
      ++more;
      more_named_bytes += name.second.size();
    }
    auto line = t.lines.size();
    if (is_ahead)
      line = 0;
    else if (is_locking)
      line = line_of.try_emplace(routing::partition_of_key(options_.partitions, name.second), line).first->second;
    if (line == t.lines.size()) t.lines.emplace_back();
    t.lines[line].push_back({name.first, name.second, demand});
    t.last_wanted = name;
  }
  if (!has_room(t, more, more_named_bytes)) return false;
  for (const auto& line : t.lines) t.missing += line.size();
  return true;
}

bool transaction_manager_core::has_room(transaction& t, std::size_t more, std::size_t more_named_bytes) {
  if (more != 0 && t.keys.size() + t.buckets.size() + more > options_.keys_max) {
    answer(t, error{errc::invalid_argument, "a transaction may touch at most " + std::to_string(options_.keys_max) + " keys; split it"});
    return false;
  }
  if (more_named_bytes == 0 || t.named_bytes + more_named_bytes <= options_.named_bytes_max) return true;
  answer(t, error{errc::invalid_argument, "the names of a transaction's keys have at most " + std::to_string(options_.named_bytes_max) +
                                              " bytes together; split it"});
  return false;
}

void transaction_manager_core::ask_next(transaction& t, std::size_t line) {
  auto& waiting = t.lines[line];
  if (waiting.empty()) return;
  auto wanted = std::move(waiting.front());
  waiting.pop_front();
  const key_name name{wanted.space, wanted.key};
  const auto order = order_of(t, name);
  const bool is_alone = t.lines.size() == 1;
  if (is_alone) t.stuck_at.reset();
  t.order = is_alone ? order : std::min(t.order, order);
  const auto partition = routing::partition_of_key(options_.partitions, wanted.key);
  call c;
  c.what = purpose::read;
  c.id = t.header.id;
  c.partition = partition;
  c.line = line;
  c.op = about(t, partition, participant_read{wanted.space, std::move(wanted.key), wanted.lock, order});
  c.ends = t.deadline;
  if (wanted.lock != lock_demand::none) t.touched.insert(partition);
  send(std::move(c));
  hurry(t, partition);
}

// How a wait for the key stands to what the transaction holds, and to what it may hold by then, because that is asked for beside it.
wait_order transaction_manager_core::order_of(const transaction& t, const key_name& name) const {
  const bool is_alone = t.lines.size() == 1;
  const bool is_behind_all = (!t.last_locked || *t.last_locked < name) && (is_alone || name == t.last_wanted);
  if (!t.buckets.empty() || t.keys.contains(name) || !is_behind_all) return wait_order::out_of_order;
  return t.last_locked || !is_alone ? wait_order::in_order : wait_order::first;
}

// The step is over before everything is there. A lock that was asked for may be granted all the same.
void transaction_manager_core::drop_reads(transaction& t) {
  std::erase_if(t.calls, [&](std::uint64_t token) {
    const auto found = calls_.find(token);
    if (found->second.what != purpose::read) return false;
    const auto& read = std::get<participant_read>(std::get<participant_request>(found->second.op).body);
    if (read.lock != lock_demand::none) note_locked(t, {read.space, read.key});
    calls_.erase(found);
    return true;
  });
  t.lines.clear();
  t.missing = 0;
}

void transaction_manager_core::note_locked(transaction& t, const key_name& name) {
  if (!t.last_locked || *t.last_locked < name) t.last_locked = name;
}

void transaction_manager_core::took_read(transaction& t, const call& asked, read_answer found) {
  const auto& read = std::get<participant_read>(std::get<participant_request>(asked.op).body);
  const key_name name{read.space, read.key};
  const bool is_new = !t.keys.contains(name);
  if (read.lock != lock_demand::none) note_locked(t, name);
  if (is_new) {
    // It has seen the key's bucket before, and not this.
    const auto bucket = t.buckets.find({read.space, std::string(routing::bucket_of(read.key))});
    if (bucket != t.buckets.end() && found.newest && found.newest->modified > bucket->second.seen)
      return abort(t, "key " + read.key + " was changed by another");
    if (!keep_read(t, sizeof(working_key) + read.key.size() + (found.newest ? found.newest->value.size() : 0))) return;
    t.named_bytes += read.key.size();
  }
  auto& entry = t.keys[name];
  if (is_new) {
    entry.partition = asked.partition;
    entry.was_live = found.newest && found.newest->is_live(found.judged_ms);
    entry.base = std::move(found.newest);
  } else if (!is_same(entry.base, found.newest)) {
    return abort(t, "key " + read.key + " was changed by another");
  }
  entry.lock = std::max({entry.lock, read.lock, found.lock});
  KAHUNA_FAULT_POINT("transaction.key_read");
  if (--t.missing == 0) return run(t);
  ask_next(t, asked.line);
}

// --- steps --------------------------------------------------------------------------------------------------------

template <class Step>
void transaction_manager_core::run_step(transaction& t, const Step& step) {
  if constexpr (std::is_same_v<Step, commit_step>) {
    start_commit(t);
  } else if constexpr (std::is_same_v<Step, rollback_step>) {
    const auto origins = t.origins;
    abort(t, "it was rolled back", true);
    for (const auto origin : origins) reply(origin, rollback_response{});
  } else if constexpr (std::is_same_v<Step, lock_step>) {
    answer(t, lock_response{});
  } else if constexpr (std::is_same_v<Step, several_step>) {
    run_several(t, step);
  } else if constexpr (std::is_same_v<Step, write_and_commit_step>) {
    run_last_writes(t, step);
  } else if constexpr (std::is_same_v<Step, get_by_bucket_request>) {
    run_list(t, step);
  } else if constexpr (std::is_same_v<Step, get_request> || std::is_same_v<Step, exists_request>) {
    run_read(t, step);
  } else {
    answer(t, unwrap(write_in(t, step)));
  }
}

// Its keys are there. What is left of the step says what it was.
void transaction_manager_core::run(transaction& t) {
  const auto step = std::move(t.step);
  std::visit([&](const auto& s) { run_step(t, s); }, step);
}

// Whether so much more may be kept for all of them; where not, this one is over.
bool transaction_manager_core::may_keep(transaction& t, std::size_t bytes) {
  if (kept_bytes_ + bytes <= 2 * options_.kept_bytes_max) return true;
  abort(t, "the transactions of its partition have read and written more than is kept for them; begin it again later");
  return false;
}

// Whether so much more may be kept of what it has read; where not, the step was answered, or the transaction is over.
bool transaction_manager_core::keep_read(transaction& t, std::size_t bytes) {
  if (t.read_bytes + bytes > options_.read_bytes_max) {
    answer(t, error{errc::invalid_argument, "what a transaction reads has at most " + std::to_string(options_.read_bytes_max) +
                                                " bytes; split it, or read as of a moment"});
    return false;
  }
  if (!may_keep(t, bytes)) return false;
  t.read_bytes += bytes;
  kept_bytes_ += bytes;
  return true;
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
  bool is_of_history = request.as_of != timestamp{};
  if constexpr (std::is_same_v<Request, get_request>) {
    if (request.at_revision) {
      const auto& entry = t.keys.at({request.space, request.key});
      if (entry.last_set && entry.last_set->revision == *request.at_revision) return answer(t, answer_from_history(entry.last_set));
      is_of_history = true;
    }
  }
  if (!is_of_history) return answer(t, unwrap(evaluate_in(t, request)));
  call history;
  history.what = purpose::history;
  history.id = t.header.id;
  history.partition = routing::partition_of_key(options_.partitions, request.key);
  history.op = request;
  history.ends = t.deadline;
  send(std::move(history));
}

template <class Request>
result<step_answer> transaction_manager_core::evaluate_in(transaction& t, const Request& request) {
  if constexpr (std::is_same_v<Request, wanted_lock>)
    return step_answer(lock_response{});
  else if constexpr (std::is_same_v<Request, get_request> || std::is_same_v<Request, exists_request>)
    return step_answer(kv::evaluate(request, current(t.keys.at({request.space, request.key})), unix_ms(stamp_)));
  else
    return write_in(t, request);
}

// Evaluated as the partition would, on what the transaction sees. A key moves by one revision however often it is set.
template <class Request>
result<step_answer> transaction_manager_core::write_in(transaction& t, const Request& request) {
  auto& entry = t.keys.at({request.space, request.key});
  stamp_ = stamp_ + 1;
  auto decision = kv::evaluate(request, current(entry), stamp_);
  if (!decision.effect) return step_answer(decision.response);
  // One that is set and then deleted is written as both.
  const auto weight = [&](const std::optional<version>& own) {
    if (!own) return std::size_t{0};
    return request.key.size() + own->value.size() + (own->is_tombstone && entry.last_set ? entry.last_set->value.size() : 0);
  };
  const auto bytes = weight(decision.effect);
  const auto before = weight(entry.own);
  if (t.written_bytes - before + bytes > options_.written_bytes_max)
    return error{errc::invalid_argument, "what a transaction writes has at most " + std::to_string(options_.written_bytes_max) +
                                             " bytes; split it"};
  t.written_bytes = t.written_bytes - before + bytes;
  kept_bytes_ = kept_bytes_ - before + bytes;
  if constexpr (std::is_same_v<Request, set_request>) {
    if (entry.last_set) decision.effect->revision = entry.last_set->revision;
    decision.response.revision = decision.effect->revision;
    entry.last_set = decision.effect;
  } else if constexpr (std::is_same_v<Request, extend_request>) {
    if (entry.last_set) entry.last_set = decision.effect;
  }
  entry.own = std::move(decision.effect);
  return step_answer(decision.response);
}

// --- several at once ----------------------------------------------------------------------------------------------

template <class Operations>
transaction_manager_core::written_before transaction_manager_core::remember(transaction& t, const Operations& operations) {
  written_before before{t.written_bytes, {}};
  const auto add = [&](const auto& request) {
    if constexpr (requires { request.as_of; } || requires { request.lock; }) return;
    auto& entry = t.keys.at({request.space, request.key});
    before.keys.emplace_back(&entry, entry);
  };
  for (const auto& operation : operations) std::visit(add, operation);
  return before;
}

void transaction_manager_core::take_back(transaction& t, written_before before) {
  kept_bytes_ = kept_bytes_ - t.written_bytes + before.written_bytes;
  t.written_bytes = before.written_bytes;
  for (auto& [entry, was] : before.keys) *entry = std::move(was);
}

void transaction_manager_core::run_several(transaction& t, const several_step& step) {
  auto before = remember(t, step.operations);
  several_response all;
  for (const auto& operation : step.operations) {
    auto done = std::visit([&](const auto& request) { return evaluate_in(t, request); }, operation);
    if (!done) {
      take_back(t, std::move(before));
      return answer(t, done.error());
    }
    all.answers.push_back(std::move(*done));
  }
  operation_response response = std::move(all);
  if (payload_bytes(response) <= options_.answered_bytes_max) return answer(t, std::move(response));
  take_back(t, std::move(before));
  answer(t, error{errc::invalid_argument, "what is read in one step has at most " + std::to_string(options_.answered_bytes_max) +
                                              " bytes; read it in several steps"});
}

void transaction_manager_core::run_last_writes(transaction& t, const write_and_commit_step& step) {
  auto before = remember(t, step.writes);
  for (std::size_t i = 0; i < step.writes.size(); ++i) {
    auto done = std::visit([&](const auto& request) { return write_in(t, request); }, step.writes[i]);
    if (!done) {
      take_back(t, std::move(before));
      return answer(t, done.error());
    }
    if (!is_refused(*done) || KAHUNA_PLANTED("transaction.refused_write_passed_over")) continue;
    t.refusal = commit_refusal{static_cast<std::uint32_t>(i), std::move(*done)};
    break;
  }
  start_commit(t);
}

// --- buckets ------------------------------------------------------------------------------------------------------

void transaction_manager_core::run_list(transaction& t, const get_by_bucket_request& request) {
  const auto partition = routing::partition_of_bucket(options_.partitions, request.bucket);
  call c;
  c.id = t.header.id;
  c.partition = partition;
  c.ends = t.deadline;
  if (request.as_of != timestamp{}) {
    c.what = purpose::history;
    c.op = request;
  } else {
    c.what = purpose::list;
    const auto lock = t.header.locking == locking_mode::pessimistic ? lock_demand::shared : lock_demand::none;
    participant_list list{request, lock};
    const auto known = t.buckets.find({request.space, request.bucket});
    if (known != t.buckets.end() && request.space == durability::persistent) list.list.view = known->second.view;
    c.op = about(t, partition, std::move(list));
    if (lock != lock_demand::none) t.touched.insert(partition);
    t.order = wait_order::out_of_order;
  }
  send(std::move(c));
  hurry(t, partition);
}

void transaction_manager_core::took_list(transaction& t, const call& asked, list_answer found) {
  const auto& request = std::get<participant_list>(std::get<participant_request>(asked.op).body).list;
  const key_name name{request.space, request.bucket};
  const bool is_first_page = !t.buckets.contains(name);
  if (is_first_page && !has_room(t, 1, request.bucket.size())) return;
  if (const auto* changed = find_contradiction(t, request, found.page))
    return abort(t, "key " + *changed + " was changed by another");
  if (is_first_page) {
    if (!keep_read(t, sizeof(working_bucket) + request.bucket.size())) return;
    t.named_bytes += request.bucket.size();
  }
  auto& bucket = t.buckets.try_emplace(name, working_bucket{asked.partition, found.seen, 0, found.page.view}).first->second;
  // Ephemeral keys keep no view of what they were: what has changed meanwhile shows by its stamp, or when the commit is validated.
  for (const auto& item : found.page.items)
    if (item.modified > bucket.seen) return abort(t, "bucket " + request.bucket + " was changed by another");
  for (const auto& item : found.page.items)
    if (item.expires_at_ms != 0 && (bucket.valid_until_ms == 0 || item.expires_at_ms < bucket.valid_until_ms))
      bucket.valid_until_ms = item.expires_at_ms;
  lay_over(t, request, found.page);
  operation_response response = std::move(found.page);
  const auto bytes = payload_bytes(response);
  if (!may_keep(t, bytes)) return;
  answer(t, std::move(response));
  t.listed_bytes = bytes;
  kept_bytes_ += bytes;
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
