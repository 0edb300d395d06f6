// The manager's dealings: who asks what of it, what it asks of partitions, and how it repeats what was not answered. The steps of a
// transaction are in transaction_steps.cpp, its end in transaction_commit.cpp.
#include "core/kv/transaction_manager_core.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/fault_point.hpp"
#include "core/base/planted_bug.hpp"

namespace kahuna::kv {

namespace {

constexpr duration repeat_min = std::chrono::milliseconds(20);
constexpr duration repeat_max = std::chrono::milliseconds(200);
constexpr std::uint32_t budget_ms_max = 60'000;
// What is asked for its own sake, beyond any transaction's deadline.
constexpr duration question_patience = std::chrono::seconds(5);
constexpr std::size_t finished_max = 100'000;
// A transaction that an older one waits for has so long to end; less where its client does nothing.
constexpr duration grace = std::chrono::milliseconds(500);
constexpr duration idle_grace = std::chrono::milliseconds(100);
// That it waits for an older one is said again while it does so; after so long without a word the older one has gone.
constexpr duration stuck_for = std::chrono::milliseconds(400);

bool is_worth_repeating(errc code) {
  return code == errc::not_leader || code == errc::unavailable || code == errc::overloaded || code == errc::timeout ||
         code == errc::leadership_lost;
}

}  // namespace

transaction_manager_core::transaction_manager_core(manager_options options, prng dice)
    : options_(options), dice_(dice), next_token_(dice.next() >> 2) {}

void transaction_manager_core::step(manager_input input, timestamp stamp, instant now) {
  stamp_ = std::max(stamp_ + 1, stamp);
  now_ = std::max(now_, now);
  if (auto* news = std::get_if<manager_news>(&input)) return take_news(std::move(*news));
  if (auto* answers = std::get_if<remote_answers>(&input)) {
    for (auto& reply : answers->replies) take_answer(reply.origin, std::move(reply.response));
    return;
  }
  on_tick();
}

manager_ready transaction_manager_core::take_ready() { return std::exchange(ready_, {}); }

void transaction_manager_core::take_news(manager_news news) {
  for (const auto& change : news.changes) {
    if (term_) end_leadership();
    if (change.term != term_id{}) begin_leadership(change);
  }
  for (auto& request : news.requests) {
    if (!term_)
      reply(request.origin, error{errc::not_leader, "this node does not lead partition " + std::to_string(options_.self.value)});
    else if (std::holds_alternative<transaction_request>(request.op))
      take_step(std::move(request));
    else
      take_query(request);
  }
  for (const auto& question : news.questions)
    if (term_) take_question(question);
  for (auto& reply : news.replies) take_answer(reply.origin, std::move(reply.response));
}

// Decisions of those who led before: their participants may not have heard of them.
void transaction_manager_core::begin_leadership(const manager_news::leadership& change) {
  term_ = change.term;
  for (const auto& record : change.records) {
    telling_[record.id] = {record.term, record.participants.size()};
    for (const auto partition : record.participants)
      resolve(record.id, record.term, partition, record.committed, telling_patience);
  }
}

// What is decided is in the log, or may be: the next leader knows. What is not never will be: nobody else can commit it.
void transaction_manager_core::end_leadership() {
  std::map<std::uint64_t, std::uint64_t> lookups;  // by token: who is to be answered
  for (const auto& [token, asked] : calls_)
    if (asked.what == purpose::lookup) lookups.emplace(token, asked.asked_by);
  const error gone{errc::not_leader, "this node does not lead partition " + std::to_string(options_.self.value) + " any more"};
  for (const auto& [token, asked_by] : lookups) reply(asked_by, gone);
  telling_.clear();
  questions_under_way_.clear();
  while (!transactions_.empty()) {
    auto& t = transactions_.begin()->second;
    if (!t.answer && is_commit(t.step))
      answer(t, error{errc::leadership_lost, "the leader that coordinates the transaction changed while it was committing"});
    if (t.in == phase::committing) {
      kept_bytes_ -= t.kept_bytes();
      transactions_.erase(transactions_.begin());
    } else {
      abort(t, "the node that coordinated the transaction does not lead its partition any more");
    }
  }
  // Locks elsewhere are let go in one try; whoever misses it asks.
  calls_.clear();
  finished_.clear();
  finished_until_.clear();
  term_.reset();
}

// --- asking -------------------------------------------------------------------------------------------------------

participant_request transaction_manager_core::about(const transaction& t, partition_id partition, participant_body body) const {
  return {partition, t.header.id, *term_, options_.self, t.deadline_ms, std::move(body)};
}

transaction_manager_core::request_identity transaction_manager_core::identity_of(const partition_request& request) {
  return {request.client, request.sequence, request.attempt, request.floor, request.issued_at};
}

void transaction_manager_core::send(call c) {
  const auto token = manager_origin | next_token_++;
  hand_out(token, c);
  keep(token, std::move(c));
}

void transaction_manager_core::keep(std::uint64_t token, call c) {
  const bool outlives_it = c.what == purpose::resolve || c.what == purpose::forget || c.what == purpose::lookup || c.what == purpose::question;
  if (const auto owner = transactions_.find(c.id); owner != transactions_.end() && !outlives_it) owner->second.calls.insert(token);
  calls_.emplace(token, std::move(c));
}

void transaction_manager_core::hand_out(std::uint64_t token, const call& c) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(c.ends - now_).count();
  const auto budget_ms = static_cast<std::uint32_t>(std::clamp<std::int64_t>(left, 1, budget_ms_max));
  if (c.partition != options_.self) {
    ready_.remote.push_back({token, c.op, budget_ms});
    return;
  }
  partition_request request;
  if (c.identity) {
    request.client = c.identity->client;
    request.sequence = c.identity->sequence;
    request.attempt = c.identity->attempt;
    request.floor = c.identity->floor;
    request.issued_at = c.identity->issued_at;
  }
  request.origin = token;
  request.op = c.op;
  request.deadline = now_ + std::chrono::milliseconds(budget_ms);
  ready_.own.push_back(std::move(request));
}

bool transaction_manager_core::repeat_later(std::uint64_t token, const call& c, const error& why) {
  if (!is_worth_repeating(why.code) || now_ >= c.ends) return false;
  auto again = c;
  const auto pause = std::min(repeat_max, repeat_min * (std::int64_t{1} << std::min<std::uint32_t>(again.failures, 4)));
  ++again.failures;
  again.repeat_at = now_ + duration(dice_.between(static_cast<std::uint64_t>(pause.count() / 2), static_cast<std::uint64_t>(pause.count())));
  keep(token, std::move(again));
  return true;
}

void transaction_manager_core::resolve(const txn::transaction_id& id, term_id term, partition_id partition, timestamp committed,
                                       duration patience) {
  call c;
  c.what = purpose::resolve;
  c.id = id;
  c.partition = partition;
  c.op = participant_request{partition, id, term, options_.self, 0, participant_resolve{committed}};
  c.ends = now_ + patience;
  send(std::move(c));
}

void transaction_manager_core::look_up(const txn::transaction_id& id, term_id term, std::uint64_t origin,
                                       std::optional<request_identity> commit, std::string why,
                                       std::optional<operation_response> told) {
  call c;
  c.what = purpose::lookup;
  c.id = id;
  c.partition = options_.self;
  c.op = participant_request{options_.self, id, term, options_.self, 0, participant_lookup{}};
  c.asked_by = origin;
  c.identity = std::move(commit);
  c.why = std::move(why);
  c.told = std::move(told);
  c.ends = now_ + question_patience;
  send(std::move(c));
}

void transaction_manager_core::take_answer(std::uint64_t token, operation_response response) {
  const auto found = calls_.find(token);
  if (found == calls_.end()) return;  // of a transaction that is over, or repeated and answered before
  const auto asked = std::move(found->second);
  calls_.erase(found);
  const auto owner = transactions_.find(asked.id);
  if (owner != transactions_.end()) owner->second.calls.erase(token);
  const auto* failure = std::get_if<error>(&response);
  const auto* said = std::get_if<participant_response>(&response);
  const auto* status = said != nullptr ? std::get_if<transaction_status>(said) : nullptr;

  switch (asked.what) {
    case purpose::resolve: {
      if (failure != nullptr && repeat_later(token, asked, *failure)) return;
      if (status == nullptr || status->state != transaction_state::committed) return;
      const auto told = telling_.find(asked.id);
      if (told == telling_.end()) return;
      if (--told->second.missing != 0 && !KAHUNA_PLANTED("transaction.record_forgotten_early")) return;
      KAHUNA_FAULT_POINT("transaction.all_told");
      call forget;
      forget.what = purpose::forget;
      forget.id = asked.id;
      forget.partition = options_.self;
      forget.op = participant_request{options_.self, asked.id, told->second.term, options_.self, 0, participant_forget{}};
      forget.ends = now_ + question_patience;
      telling_.erase(told);
      return send(std::move(forget));
    }
    case purpose::forget:
      // Given up, the record stays until the next leader tells of it.
      if (failure != nullptr) (void)repeat_later(token, asked, *failure);
      return;
    case purpose::question: {
      questions_under_way_.erase(asked.id);
      if (status == nullptr || status->state == transaction_state::pending) return;  // whoever waits has it asked again
      const auto& question = std::get<participant_request>(asked.op);
      const auto outcome = status->state == transaction_state::committed ? status->committed : timestamp{};
      return resolve(asked.id, question.term, options_.self, outcome, question_patience);
    }
    case purpose::lookup:
      if (status == nullptr) return reply(asked.asked_by, std::move(response));
      if (!asked.identity) return reply(asked.asked_by, std::move(response));
      if (status->state == transaction_state::committed) return reply(asked.asked_by, commit_response{status->committed});
      if (asked.told) return reply(asked.asked_by, *asked.told);
      return reply(asked.asked_by, error{errc::aborted, "the transaction was aborted: " + (asked.why.empty() ? status->why : asked.why)});
    default:
      break;
  }

  if (owner == transactions_.end() || asked.what == purpose::hurry) return;
  auto& t = owner->second;
  if (asked.what == purpose::commit) {
    if (status != nullptr) return took_decision(t, *status);
    // Refused before anything was proposed: it can be tried again. Anything else may have been proposed.
    if (failure != nullptr && failure->code == errc::overloaded && repeat_later(token, asked, *failure)) return;
    if (failure != nullptr && (failure->code == errc::overloaded || failure->code == errc::data_corrupted || failure->code == errc::not_leader)) {
      t.in = phase::active;
      return abort(t, failure->message);
    }
    answer(t, failure != nullptr ? std::move(response)
                                 : operation_response(error{errc::internal, "a commit was answered with another operation's answer"}));
    forget_transaction(t, {transaction_state::pending, {}, {}, now_ + finished_kept});
    return;
  }
  if (failure != nullptr) {
    if (repeat_later(token, asked, *failure)) return;
    if (asked.what == purpose::vote || failure->code == errc::aborted || failure->code == errc::view_lost)
      return abort(t, failure->message);
    if (is_commit(t.step)) {
      // Its writes can't be made, and the next attempt of it must not find that they can.
      const bool is_damaged = failure->code == errc::data_corrupted;
      return abort(t, failure->message, false, is_damaged ? std::optional(response) : std::nullopt);
    }
    // The step can't be done; the transaction goes on.
    auto why = *failure;
    if (is_worth_repeating(why.code)) why = {errc::unavailable, "partition " + std::to_string(asked.partition.value) + " can't be asked: " + why.message};
    return answer(t, std::move(why));
  }
  if (asked.what == purpose::history) return answer(t, std::move(response));
  if (said == nullptr) return answer(t, error{errc::internal, "a participant answered with another operation's answer"});
  if (const auto* read = std::get_if<read_answer>(said); read != nullptr && asked.what == purpose::read) return took_read(t, asked, *read);
  if (auto* list = std::get_if<list_answer>(std::get_if<participant_response>(&response)); list != nullptr && asked.what == purpose::list)
    return took_list(t, asked, std::move(*list));
  if (const auto* verdict = std::get_if<vote>(said); verdict != nullptr && asked.what == purpose::vote) return took_vote(t, asked, *verdict);
  answer(t, error{errc::internal, "a participant answered with another operation's answer"});
}

// --- being asked --------------------------------------------------------------------------------------------------

// A question of its own, about a transaction that is anchored here too, comes back at once.
void transaction_manager_core::reply(std::uint64_t origin, operation_response response) {
  if (is_from_manager(origin)) return take_answer(origin, std::move(response));
  ready_.replies.push_back({origin, std::move(response)});
}

// What is known here for certain is answered at once. That it is aborted must be certain for whoever asks: a coordinator of another
// term may have it in hand, and this one not know that it leads no longer.
void transaction_manager_core::take_query(const partition_request& request) {
  const auto& asked = std::get<participant_request>(request.op);
  const auto& query = std::get<transaction_query>(asked.body);
  const auto found = transactions_.find(asked.id);
  if (found != transactions_.end() && asked.term == *term_) {
    hear_of(found->second, query);
    if (transactions_.contains(asked.id)) return reply(request.origin, participant_response(transaction_status{}));
  }
  look_up(asked.id, asked.term, request.origin, std::nullopt);
}

// Somebody waits for what this one holds, or it waits for an older one. To abort it as soon as an older one wants what it holds would be
// a waste: mostly it is done in a moment, and of many that want the same key only the oldest would ever get anywhere. But nobody may
// wait in a circle. Every circle has one in it that waits out of order, and somebody who waits for that one. If it waits for an older
// one, it is stuck, and wanted: it is aborted. If it waits for a younger one, that one, which waits too, is told not to.
void transaction_manager_core::hear_of(transaction& t, const transaction_query& news) {
  if (t.in == phase::committing) return;
  constexpr std::string_view why = "an older transaction needs what it holds";
  const bool is_waiting = t.in == phase::active && !t.answer;
  t.is_wanted = t.is_wanted || news.is_wanted;
  if (news.is_stuck && is_waiting && t.order == wait_order::out_of_order) t.stuck_at = now_;
  const bool is_stuck = is_waiting && t.stuck_at && now_ - *t.stuck_at < stuck_for;
  if (t.is_wanted && is_stuck) return abort(t, "it would wait for another transaction that waits for it");
  if (!news.is_wound) return;
  if (!t.wounded_at) t.wounded_at = now_;
  const bool is_idle = t.answer && now_ - t.answered_at >= idle_grace;
  if (is_idle || now_ - *t.wounded_at >= grace) return abort(t, std::string(why));
  if (news.order != wait_order::out_of_order) return;
  t.must_not_wait = true;
  std::vector<partition_id> asked;
  for (const auto token : t.calls)
    if (const auto& c = calls_.at(token); c.what == purpose::read || c.what == purpose::list) asked.push_back(c.partition);
  for (const auto partition : asked) hurry(t, partition);
}

// It asks for a lock: whether it waits for it the participant knows.
void transaction_manager_core::hurry(transaction& t, partition_id partition) {
  if (!t.must_not_wait) return;
  call c;
  c.what = purpose::hurry;
  c.id = t.header.id;
  c.partition = partition;
  c.op = about(t, partition, participant_stop_waiting{});
  c.ends = t.deadline;
  send(std::move(c));
}

// On the partition's behalf. One that is anchored here is asked like any other, but without a way.
void transaction_manager_core::take_question(const manager_news::question& question) {
  if (question.anchor == options_.self && question.term == *term_)
    if (const auto found = transactions_.find(question.id); found != transactions_.end()) return hear_of(found->second, question.what);
  if (KAHUNA_PLANTED("transaction.resolved_without_asking"))
    return resolve(question.id, question.term, options_.self, timestamp{}, question_patience);
  const bool is_under_way = !questions_under_way_.insert(question.id).second;
  if (is_under_way && !question.what.is_wanted && !question.what.is_wound && !question.what.is_stuck) return;
  call c;
  c.what = purpose::question;
  c.id = question.id;
  c.partition = question.anchor;
  c.op = participant_request{question.anchor, question.id, question.term, question.anchor, 0, question.what};
  c.ends = now_ + question_patience;
  send(std::move(c));
}

void transaction_manager_core::on_tick() {
  if (!term_) return;
  std::vector<std::uint64_t> due;
  std::vector<std::uint64_t> given_up;
  for (const auto& [token, c] : calls_) {
    if (c.repeat_at && *c.repeat_at <= now_) due.push_back(token);
    if (c.repeat_at && c.ends <= now_) given_up.push_back(token);
  }
  std::sort(due.begin(), due.end());  // the order of an unordered map must not be seen
  for (const auto token : due) {
    auto& c = calls_.at(token);
    c.repeat_at.reset();
    hand_out(token, c);
  }
  for (const auto token : given_up)
    if (const auto found = calls_.find(token); found != calls_.end() && found->second.what == purpose::question) {
      questions_under_way_.erase(found->second.id);
      calls_.erase(found);
    }

  std::vector<txn::transaction_id> late;
  for (const auto& [id, t] : transactions_)
    if (t.deadline <= now_ && t.in != phase::committing) late.push_back(id);
  for (const auto& id : late) abort(transactions_.at(id), "it ran past its deadline");

  while (!finished_until_.empty() && (finished_until_.front().first <= now_ || finished_until_.size() > finished_max)) {
    finished_.erase(finished_until_.front().second);
    finished_until_.pop_front();
  }
}

// --- looking inside -----------------------------------------------------------------------------------------------

void transaction_manager_core::check_invariants() const {
  std::size_t kept = 0;
  for (const auto& [id, t] : transactions_) kept += t.kept_bytes();
  KAHUNA_CHECK(kept == kept_bytes_, kept, describe());
  KAHUNA_CHECK(term_ || (transactions_.empty() && calls_.empty() && telling_.empty()), describe());
  for (const auto& [id, t] : transactions_) {
    KAHUNA_CHECK(t.in != phase::committing || t.awaited.empty(), id, describe());
    KAHUNA_CHECK(t.answer || !t.origins.empty(), id, describe());
    KAHUNA_CHECK(!t.answer || t.missing == 0, id, describe());
    for (const auto token : t.calls) KAHUNA_CHECK(calls_.at(token).id == id, id, describe());
  }
}

std::string transaction_manager_core::describe() const {
  std::ostringstream out;
  out << "transactions of partition " << options_.self << ": ";
  if (term_)
    out << "term " << *term_;
  else
    out << "not leading";
  out << " open " << transactions_.size() << " asked " << calls_.size() << " to be told " << telling_.size() << " committed "
      << committed_ << " aborted " << aborted_;
  return out.str();
}

}  // namespace kahuna::kv
