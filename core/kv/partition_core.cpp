#include "core/kv/partition_core.hpp"

#include <algorithm>
#include <sstream>
#include <type_traits>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/planted_bug.hpp"
#include "core/base/sometimes.hpp"
#include "core/kv/operations/delete.hpp"
#include "core/kv/operations/exists.hpp"
#include "core/kv/operations/extend.hpp"
#include "core/kv/operations/get.hpp"
#include "core/kv/operations/list.hpp"
#include "core/kv/operations/set.hpp"

namespace kahuna::kv {

namespace {

constexpr std::size_t request_overhead_bytes = 256;

// A request older than this is refused: what the window remembered of it may be forgotten soon. Half the retention
// leaves room for clocks that disagree.
constexpr std::uint64_t request_age_ms_max = request_window::retention_ms / 2;

error not_leader(partition_id id) {
  return {errc::not_leader, "this node does not lead partition " + std::to_string(id.value)};
}

bool is_for_manager(const operation& op) {
  if (std::holds_alternative<transaction_request>(op)) return true;
  const auto* asked = std::get_if<participant_request>(&op);
  return asked != nullptr && std::holds_alternative<transaction_query>(asked->body);
}

// As of which moment it reads; timestamp{}: now.
timestamp moment_of(const operation& op) {
  if (const auto* get = std::get_if<get_request>(&op)) return get->as_of;
  if (const auto* exists = std::get_if<exists_request>(&op)) return exists->as_of;
  const auto* bucket = std::get_if<get_by_bucket_request>(&op);
  return bucket != nullptr ? bucket->as_of : timestamp{};
}

error leadership_lost(partition_id id) {
  return {errc::leadership_lost,
          "the leader of partition " + std::to_string(id.value) + " changed while the write was under way"};
}

}  // namespace

partition_core::partition_core(partition_id id, partition_options options, partition_store& store, batch_decoder decode)
    : id_(id), options_(options), store_(store), decode_(std::move(decode)), applied_index_(store.applied_index()),
      cache_(options.cache_bytes_max), ephemeral_(options.ephemeral_budget), history_(options.history) {
  clock_.observe(store.applied_stamp());
  if (auto windows = store.load_windows())
    window_.load(std::move(*windows));
  else
    fail(windows.error());
  if (auto transactions = store.load_transactions())
    transactions_.load(std::move(*transactions));
  else
    fail(transactions.error());
}

void partition_core::step(partition_input input, instant now) {
  if (auto* work = std::get_if<operations>(&input)) {
    take_operations(std::move(*work), now);
    return wake(now);
  }
  if (auto* entries = std::get_if<committed_entries>(&input)) {
    take_committed(*entries, now);
    // The no-op may have been among them.
    return evaluate_waiting(now);
  }
  if (const auto* change = std::get_if<raft::handover>(&input)) {
    take_handover(*change);
    return evaluate_waiting(now);
  }
  if (const auto* due = std::get_if<kv::sweep>(&input)) {
    sweep(due->stamp);
    sweep_transactions(now);
    return wake(now);
  }
  if (auto* role = std::get_if<raft::role_change>(&input)) return take_role(*role, now);
  if (auto* lease = std::get_if<raft::lease_grant>(&input)) {
    if (!is_handing_over_) lease_ = *lease;
    return;
  }
  take_read_answers(std::get<std::vector<raft::read_answer>>(input));
}

void partition_core::evaluate_waiting(instant now) {
  if (is_serving() && !has_begun_serving_) begin_serving(now);
  while (is_serving() && !waiting_for_no_op_.empty()) {
    auto [request, bytes] = std::move(waiting_for_no_op_.front());
    waiting_for_no_op_.pop_front();
    --pending_requests_;
    pending_bytes_ -= bytes;
    stamp_ = clock_.last();
    evaluate(std::move(request), now);
  }
  wake(now);
}

partition_ready partition_core::take_ready() {
  close_batch();
  if (!unconfirmed_.empty()) {
    // One read confirms the leadership for everything that was evaluated before it was asked.
    const auto read_id = next_read_id_++;
    reads_under_way_.emplace(read_id, std::exchange(unconfirmed_, {}));
    ready_.reads.push_back({read_id});
  }
  return std::exchange(ready_, {});
}

// --- evaluating ---------------------------------------------------------------------------------------------------

void partition_core::take_operations(operations input, instant now) {
  clock_.observe(input.stamp);
  for (auto& request : input.requests) {
    if (fault_) {
      reply_now(request.origin, *fault_);
    } else if (!is_leader()) {
      reply_now(request.origin, not_leader(id_));
    } else if (auto refusal = admit(request)) {
      reply_now(request.origin, std::move(*refusal));
    } else if (!is_serving()) {
      const auto bytes = payload_bytes(request.op) + request_overhead_bytes;
      ++pending_requests_;
      pending_bytes_ += bytes;
      waiting_for_no_op_.emplace_back(std::move(request), bytes);
    } else {
      stamp_ = clock_.last();
      evaluate(std::move(request), now);
    }
  }
}

// Everything that can be said of a request without looking at keys.
std::optional<error> partition_core::admit(const partition_request& request) const {
  if (!request.is_internal)
    if (auto e = validate(request.op, options_.bounds)) return e;
  // What ends a transaction lets go what others wait for: it never waits behind them.
  const auto* asked = std::get_if<participant_request>(&request.op);
  const bool is_ending = asked != nullptr && (std::holds_alternative<participant_resolve>(asked->body) ||
                                              std::holds_alternative<participant_commit>(asked->body) ||
                                              std::holds_alternative<participant_lookup>(asked->body) ||
                                              std::holds_alternative<participant_forget>(asked->body) ||
                                              std::holds_alternative<participant_stop_waiting>(asked->body));
  if (is_ending) return std::nullopt;
  if (pending_requests_ >= options_.pending_requests_max ||
      (pending_bytes_ != 0 && pending_bytes_ + payload_bytes(request.op) > options_.pending_bytes_max))
    return error{errc::overloaded, "partition " + std::to_string(id_.value) + " has too much under way; retry after 50 ms"};
  if (!is_write(request.op)) return std::nullopt;
  if (unix_ms(request.issued_at) + request_age_ms_max < unix_ms(clock_.last()))
    return error{errc::timeout, "the request was first sent more than " + std::to_string(request_age_ms_max / 1000) +
                                    " s ago; whether it was applied then is not remembered"};
  return std::nullopt;
}

// What bounds the request window. The oldest write that a client has open is let in whatever is remembered: with its answer
// the client's floor rises, and what is below is forgotten.
std::optional<error> partition_core::admit_to_window(const request_window& window, const partition_request& request) const {
  if (request.is_internal) return std::nullopt;
  const bool is_known = window.has_client(request.client) || clients_under_way_.contains(request.client);
  if (is_known && request.sequence == request.floor) return std::nullopt;
  const bool is_client_full = window.results_of(request.client, request.floor) >= options_.window_results_per_client_max;
  const bool is_full = window.results() >= options_.window_results_max || (!is_known && window.clients() + clients_under_way_.size() >= options_.window_clients_max);
  if (!is_client_full && (!is_full || window.has_overdue(clock_.last()))) return std::nullopt;
  return error{errc::overloaded,
               "partition " + std::to_string(id_.value) + " remembers as many unheard answers as it may; retry after 1000 ms"};
}

void partition_core::evaluate(partition_request request, instant now, const std::optional<txn::transaction_id>& waited_as) {
  expired_ms_ = 0;
  if (is_for_manager(request.op)) return ready_.manager.requests.push_back(std::move(request));
  if (std::holds_alternative<participant_request>(request.op)) return evaluate_participant(request, now);
  if (const auto moment = moment_of(request.op); moment != timestamp{}) return evaluate_as_of(std::move(request), moment, now);
  auto owner = waited_as;
  if (!pass_transactions(request, owner, now)) return;
  evaluate_single(std::move(request), now);
  // It stood in the lock table only as long as it had to wait.
  if (owner) locks_.release(*owner);
}

// An operation that no transaction stands in the way of.
void partition_core::evaluate_single(partition_request request, instant now) {
  if (space_of(request.op) == durability::ephemeral) return evaluate_ephemeral(std::move(request), now);
  if (is_write(request.op)) return evaluate_write(std::move(request), now);
  auto reply = waiting_reply(request.origin, evaluate_read(request.op), false);
  // A damaged record is an answer that needs nobody's consent.
  if (std::holds_alternative<error>(reply.reply.response))
    reply_now(request.origin, std::move(reply.reply.response));
  else
    reply_when_certain(0, std::move(reply), now);
}

void partition_core::note_verdict(const std::optional<version>& newest, std::uint64_t now_ms) {
  if (newest && !newest->is_tombstone && !newest->is_live(now_ms)) expired_ms_ = std::max(expired_ms_, newest->expires_at_ms);
}

// Now; but where a modification of the key is under way, the time at which that was judged. It may have found the key live and
// be about to extend it: then the key never was absent, and a read that comes before it may not say that it had expired. No
// earlier than what is applied: somebody may have been told of an expiry until then, and nobody of a later one.
std::uint64_t partition_core::judging_ms(const std::string& key) const {
  const auto now_ms = unix_ms(stamp_);
  const auto under_way = overlay_.find(key);
  if (under_way == overlay_.end()) return now_ms;
  return std::max(unix_ms(store_.applied_stamp()), std::min(now_ms, under_way->second.judged_ms));
}

std::uint64_t partition_core::judging_ms_of(std::string_view prefix) const {
  auto judged_ms = unix_ms(stamp_);
  for (const auto& [key, under_way] : overlay_)
    if (key.starts_with(prefix)) judged_ms = std::min(judged_ms, under_way.judged_ms);
  return std::max(unix_ms(store_.applied_stamp()), judged_ms);
}

// Every modification up to the applied stamp is applied, and every later one will get a higher stamp: so a view at the
// applied stamp stays the same however long its pages take, as long as nothing that it sees is collected.
template <class Request>
operation_response partition_core::list(const Request& request) {
  const auto now_ms = judging_ms_of(prefix_of(request));
  auto view = request.view;
  if (view.visible == timestamp{}) view = {store_.applied_stamp(), now_ms};
  if (view.visible > store_.applied_stamp())
    return error{errc::unavailable, "this replica has not applied what the list's first page saw; retry"};
  view.judged_ms = std::min(view.judged_ms, now_ms);
  if (std::min(unix_ms(view.visible), view.judged_ms) < store_.collected_below_ms() && request.view.visible != timestamp{})
    return error{errc::view_lost, "versions that the list needs were collected while it was read; begin it again"};
  auto page = kv::evaluate(request, store_, view);
  if (!page) return page.error();
  expired_ms_ = std::max(expired_ms_, page->expired_ms);
  return std::move(page->response);
}

// Reads see applied state alone: a write that is not applied was acknowledged to nobody yet.
operation_response partition_core::evaluate_read(const operation& op) {
  const auto newest_of = [&](const std::string& key, std::uint64_t now_ms) -> result<std::optional<version>> {
    if (const auto* cached = cache_.find(key)) {
      ++cache_hits_;
      note_verdict(*cached, now_ms);
      return *cached;
    }
    ++cache_misses_;
    auto stored = store_.latest(key);
    if (!stored) return stored;
    cache_.put(key, *stored);
    note_verdict(*stored, now_ms);
    return stored;
  };
  return std::visit(
      [&](const auto& request) -> operation_response {
        using request_type = std::decay_t<decltype(request)>;
        if constexpr (std::is_same_v<request_type, get_request>) {
          if (request.at_revision) {
            auto found = store_.at_revision(request.key, *request.at_revision);
            if (!found) return found.error();
            return answer_from_history(*found);
          }
          const auto now_ms = judging_ms(request.key);
          auto newest = newest_of(request.key, now_ms);
          if (!newest) return newest.error();
          return kv::evaluate(request, *newest, now_ms);
        } else if constexpr (std::is_same_v<request_type, exists_request>) {
          const auto now_ms = judging_ms(request.key);
          auto newest = newest_of(request.key, now_ms);
          if (!newest) return newest.error();
          return kv::evaluate(request, *newest, now_ms);
        } else if constexpr (std::is_same_v<request_type, get_by_bucket_request> ||
                             std::is_same_v<request_type, scan_by_prefix_request>) {
          return list(request);
        } else if constexpr (std::is_same_v<request_type, read_clock_request>) {
          return clock_response{clock_.last()};
        } else {
          KAHUNA_CHECK(false, "a write is no read");
          return error{};
        }
      },
      op);
}

void partition_core::evaluate_write(partition_request request, instant now) {
  if (answer_repeated(request)) return;
  if (auto refusal = admit_to_window(window_, request)) return reply_now(request.origin, std::move(*refusal));
  std::visit(
      [&](const auto& op) {
        using request_type = std::decay_t<decltype(op)>;
        if constexpr (std::is_same_v<request_type, set_request> || std::is_same_v<request_type, delete_request> ||
                      std::is_same_v<request_type, extend_request>)
          evaluate_write(request, op, now);
        else
          KAHUNA_CHECK(false, "a read is no write");
      },
      request.op);
}

template <class Request>
void partition_core::evaluate_write(const partition_request& request, const Request& op, instant now) {
  auto current = current_of(op.key);
  if (!current) return reply_now(request.origin, current.error());
  const auto stamp = clock_.next();
  stamp_ = stamp;
  note_verdict(current->newest, unix_ms(stamp_));
  auto decision = kv::evaluate(op, current->newest, stamp);
  auto reply = waiting_reply(request.origin, decision.response, true, payload_bytes(request.op));
  const write_result result{request.sequence, decision.effect.has_value(), decision.response.revision, decision.response.modified};
  if (decision.effect) return propose(request, op.key, std::move(decision.effect), result, std::move(reply));

  // Refused. Another attempt of it may be on its way, here or at a leader to come, and be judged otherwise: it must not
  // change anything any more once this answer is out. A first attempt needs nothing of that: the client does not take
  // its refusal where it has tried again.
  if (request.attempt > 1 && !KAHUNA_PLANTED("partition.refusal_of_a_retry_not_kept")) return propose(request, op.key, std::nullopt, result, std::move(reply));
  // Nothing of it is in the log, but the refusal is a read of what it was computed from.
  reply.is_write = false;
  reply_when_certain(current->rests_on, std::move(reply), now);
}

bool partition_core::answer_repeated(const partition_request& request) {
  if (KAHUNA_PLANTED("partition.request_window_not_consulted")) return false;
  const auto identity = std::pair(request.client, request.sequence);
  if (const auto found = window_overlay_.find(identity); found != window_overlay_.end()) {
    KAHUNA_SOMETIMES("partition.retry_meets_its_first_attempt_under_way");
    const auto& [proposal, result] = found->second;
    reply_when_applied(proposal, waiting_reply(request.origin, repeated_answer(request.op, result), true));
    return true;
  }
  const auto known = window_.lookup(request.client, request.sequence);
  switch (known.what) {
    case request_window::verdict::fresh:
      return false;
    case request_window::verdict::answered:
      KAHUNA_SOMETIMES("partition.retry_answered_from_the_window");
      // It is applied: true whoever leads now.
      reply_now(request.origin, repeated_answer(request.op, known.result));
      return true;
    case request_window::verdict::forgotten:
      KAHUNA_SOMETIMES("partition.late_request_is_forgotten");
      reply_now(request.origin, error{errc::timeout, "the request was answered before, and its answer is forgotten"});
      return true;
  }
  return false;
}

result<partition_core::current_version> partition_core::current_of(const std::string& key) {
  if (const auto under_way = overlay_.find(key); under_way != overlay_.end())
    return current_version{under_way->second.newest, under_way->second.proposal};
  if (const auto* cached = cache_.find(key)) {
    ++cache_hits_;
    return current_version{*cached, 0};
  }
  ++cache_misses_;
  auto stored = store_.latest(key);
  if (!stored) return stored.error();
  cache_.put(key, *stored);
  return current_version{std::move(*stored), 0};
}

void partition_core::propose(const partition_request& request, const std::string& key, std::optional<version> effect,
                             const write_result& result, pending_reply reply) {
  open_batch();
  // The system's own writes have no client that could repeat them.
  if (!request.is_internal) note_result(request, result);
  open_batch_bytes_ += 64;
  if (effect) note_effect(key, std::move(*effect));

  ++pending_requests_;
  pending_bytes_ += reply.bytes;
  proposals_.back().waiting.push_back(std::move(reply));
  if (open_batch_bytes_ >= options_.batch_bytes_max) close_batch();
}

void partition_core::note_result(const partition_request& request, const write_result& result) {
  auto& batch = *open_batch_;
  auto update =
      std::find_if(batch.windows.begin(), batch.windows.end(), [&](const window_update& u) { return u.client == request.client; });
  if (update == batch.windows.end()) update = batch.windows.insert(update, window_update{request.client, 0, {}});
  update->floor = std::max(update->floor, request.floor);
  update->results.push_back(result);
  window_overlay_[{request.client, request.sequence}] = {applied_proposals_ + proposals_.size(), result};
  if (!window_.has_client(request.client)) clients_under_way_.insert(request.client);
}

void partition_core::note_effect(const std::string& key, version effect) {
  open_batch_bytes_ += key.size() + effect.value.size();
  auto& under_way = overlay_[key];
  const auto judged_ms = under_way.proposal != 0 ? under_way.judged_ms : unix_ms(stamp_);
  under_way = {effect, applied_proposals_ + proposals_.size(), judged_ms};
  note_modified(durability::persistent, key, open_batch_->stamp);
  open_batch_->mutations.push_back({key, std::move(effect)});
}

// The batch that the next proposal will carry; what is put into it has the clock's last stamp at most.
void partition_core::open_batch() {
  if (!open_batch_) {
    open_batch_ = std::make_shared<write_batch>();
    proposals_.emplace_back();
  }
  open_batch_->stamp = clock_.last();
}

void partition_core::make_room(std::size_t bytes) {
  if (open_batch_bytes_ + bytes > options_.batch_bytes_max) close_batch();
}

void partition_core::close_batch() {
  if (!open_batch_) return;
  proposals_.back().batch = open_batch_;
  ready_.proposal_term = role_.term;
  ready_.proposals.push_back(std::move(open_batch_));
  open_batch_.reset();
  open_batch_bytes_ = 0;
}

// --- replying -----------------------------------------------------------------------------------------------------

partition_core::pending_reply partition_core::waiting_reply(std::uint64_t origin, operation_response response, bool is_write,
                                                            std::size_t request_bytes) {
  const auto bytes = request_overhead_bytes + request_bytes + payload_bytes(response);
  return {{origin, std::move(response)}, bytes, is_write};
}

void partition_core::deliver(partition_reply reply) {
  auto& replies = is_from_manager(reply.origin) ? ready_.manager.replies : ready_.replies;
  replies.push_back(std::move(reply));
}

void partition_core::reply_now(std::uint64_t origin, operation_response response) { deliver({origin, std::move(response)}); }

void partition_core::reply_when_certain(proposal_number rests_on, pending_reply reply, instant now) {
  // Somebody is to hear that a key has expired. Should this leader go now, the next one's clock may be behind the expiry,
  // and the key live there: so a stamp behind it goes into the log first. One entry serves all that expired until now.
  if (expired_ms_ > unix_ms(store_.applied_stamp())) {
    const bool is_on_its_way =
        !open_batch_ && !proposals_.empty() && unix_ms(proposals_.back().batch->stamp) >= expired_ms_;
    if (!is_on_its_way) open_batch();
    rests_on = applied_proposals_ + proposals_.size();
  }
  if (rests_on == 0) return reply_when_read_is_safe(std::move(reply), now);
  // What goes to Raft after this is acknowledged after this. What went before may have been acknowledged by those who have elected
  // another since, while this replica was stopped, and be committed by their old answers (docs/incidents/0003).
  reply.is_to_be_confirmed = !open_batch_ || rests_on != applied_proposals_ + proposals_.size();
  reply_when_applied(rests_on, std::move(reply));
}

void partition_core::reply_when_read_is_safe(pending_reply reply, instant now) {
  if (has_lease(now) || KAHUNA_PLANTED("partition.read_not_confirmed")) return deliver(std::move(reply.reply));
  ++pending_requests_;
  pending_bytes_ += reply.bytes;
  unconfirmed_.push_back(std::move(reply));
}

void partition_core::reply_when_applied(proposal_number proposal, pending_reply reply) {
  KAHUNA_CHECK(proposal > applied_proposals_ && proposal <= applied_proposals_ + proposals_.size(), proposal,
               applied_proposals_, proposals_.size());
  ++pending_requests_;
  pending_bytes_ += reply.bytes;
  proposals_[proposal - applied_proposals_ - 1].waiting.push_back(std::move(reply));
}

void partition_core::release(pending_reply& reply) {
  --pending_requests_;
  pending_bytes_ -= reply.bytes;
  deliver(std::move(reply.reply));
}

void partition_core::refuse(pending_reply& reply) {
  reply.reply.response = reply.is_write ? leadership_lost(id_) : not_leader(id_);
  release(reply);
}

bool partition_core::has_lease(instant now) const {
  if (!lease_ || lease_->term != role_.term) return false;
  if (now < lease_->until || KAHUNA_PLANTED("partition.read_under_an_expired_lease")) return true;
  KAHUNA_SOMETIMES("partition.lease_expired_while_leading");
  return false;
}

void partition_core::take_read_answers(const std::vector<raft::read_answer>& answers) {
  for (const auto& answer : answers) {
    const auto found = reads_under_way_.find(answer.read_id);
    if (found == reads_under_way_.end()) continue;  // refused already, when the leadership was lost
    // What these replies read was applied state with nothing unapplied of older terms: all that was acknowledged before
    // they were evaluated. The confirmation says that no other leader acknowledged anything by then.
    for (auto& reply : found->second) answer.is_safe ? release(reply) : refuse(reply);
    reads_under_way_.erase(found);
  }
}

// --- leading and following ----------------------------------------------------------------------------------------

void partition_core::take_role(const raft::role_change& change, instant) {
  const bool is_same_leadership =
      is_leader() && change.role == raft::role_kind::leader && change.term == role_.term;
  if (is_leader() && !is_same_leadership) drop_overlay();
  role_ = change;
  is_handing_over_ = false;
  if (!is_same_leadership) lease_.reset();
}

// Nothing rests on the lease any more from here on: what is read already is answered, or waits to be confirmed.
void partition_core::take_handover(const raft::handover& change) {
  if (!is_leader() || change.term != role_.term || KAHUNA_PLANTED("partition.lease_kept_in_a_handover")) return;
  is_handing_over_ = change.is_under_way;
  if (is_handing_over_) lease_.reset();
}

// What was proposed may still come to be committed by the next leader: nobody here knows. Repeating it under its
// identity finds out.
void partition_core::drop_overlay() {
  for (auto& proposal : proposals_)
    for (auto& reply : proposal.waiting) KAHUNA_PLANTED("partition.acknowledged_when_leadership_is_lost") ? release(reply) : refuse(reply);
  for (auto& [read_id, replies] : reads_under_way_)
    for (auto& reply : replies) refuse(reply);
  for (auto& reply : unconfirmed_) refuse(reply);
  for (auto& [request, bytes] : waiting_for_no_op_) {
    --pending_requests_;
    pending_bytes_ -= bytes;
    reply_now(request.origin, not_leader(id_));
  }
  if (!proposals_.empty()) KAHUNA_SOMETIMES("partition.overlay_dropped");
  if (ephemeral_.keys() != 0) KAHUNA_SOMETIMES("partition.ephemeral_keys_dropped");
  proposals_.clear();
  applied_proposals_ = 0;
  open_batch_.reset();
  open_batch_bytes_ = 0;
  ready_.proposals.clear();  // of the old term: Raft would drop them
  ready_.reads.clear();
  reads_under_way_.clear();
  unconfirmed_.clear();
  waiting_for_no_op_.clear();
  if (!KAHUNA_PLANTED("partition.overlay_kept")) overlay_.clear();
  window_overlay_.clear();
  clients_under_way_.clear();
  if (!KAHUNA_PLANTED("partition.ephemeral_keys_survive")) ephemeral_.clear();
  ephemeral_window_ = {};
  sweep_under_way_ = 0;
  history_.reset();
  drop_transactions();
  KAHUNA_CHECK(pending_requests_ == 0 && pending_bytes_ == 0, describe());
}

// --- applying -----------------------------------------------------------------------------------------------------

void partition_core::take_committed(const committed_entries& input, instant now) {
  for (const auto& entry : input.entries) {
    if (fault_) return;
    apply(entry, now);
  }
}

void partition_core::apply(const raft::log_entry& entry, instant now) {
  KAHUNA_CHECK(entry.index == applied_index_ + 1, entry.index, describe());
  const bool is_own = is_leader() && entry.term == role_.term && entry.kind == raft::entry_kind::command;
  if (entry.kind != raft::entry_kind::command) {
    apply_batch(entry.index, write_batch{});
    return;
  }
  if (!is_own) {
    auto batch = decode_(entry.payload.view());
    if (!batch) return fail(batch.error());
    apply_batch(entry.index, *batch);
    return;
  }

  KAHUNA_CHECK(!proposals_.empty() && proposals_.front().batch != nullptr, entry.index, describe());
  auto proposal = std::move(proposals_.front());
  proposals_.pop_front();
  const auto number = ++applied_proposals_;
  apply_batch(entry.index, *proposal.batch);
  for (const auto& mutation : proposal.batch->mutations)
    if (const auto found = overlay_.find(mutation.key); found != overlay_.end() && found->second.proposal == number)
      overlay_.erase(found);
  for (const auto& update : proposal.batch->windows) {
    clients_under_way_.erase(update.client);
    for (const auto& result : update.results) window_overlay_.erase({update.client, result.sequence});
  }
  note_applied(proposal);
  for (auto& reply : proposal.waiting) {
    if (!reply.is_to_be_confirmed) {
      release(reply);
      continue;
    }
    --pending_requests_;
    pending_bytes_ -= reply.bytes;
    reply_when_read_is_safe(std::move(reply), now);
  }
}

void partition_core::apply_batch(log_index index, const write_batch& batch) {
  const auto stamp = std::max(store_.applied_stamp(), batch.stamp);
  window_.apply(batch.windows, stamp);
  const auto collected_below_ms = std::max(store_.collected_below_ms(), batch.collected_below_ms);
  transactions_.apply(batch.transactions);
  store_.apply({index, stamp, &batch.mutations, &batch.removals, collected_below_ms,
                batch.transactions.is_empty() ? nullptr : &batch.transactions});
  if (++entries_since_checkpoint_ >= options_.checkpoint_entries) note_checkpoint();
  for (const auto& removal : batch.removals) cache_.drop(removal.key);
  versions_collected_ += batch.removals.size();
  if (!batch.mutations.empty()) history_.note_written();
  for (const auto& mutation : batch.mutations) {
    if (is_leader())
      cache_.put(mutation.key, mutation.version);
    else
      cache_.drop(mutation.key);
  }
  applied_index_ = index;
  clock_.observe(stamp);
  ready_.applied = index;
}

void partition_core::checkpoint() {
  note_checkpoint();
  store_.write_out();
}

void partition_core::note_checkpoint() {
  if (entries_since_checkpoint_ == 0) return;
  entries_since_checkpoint_ = 0;
  store_.checkpoint(window_.take_changes());
}

void partition_core::fail(error damage) {
  fault_ = std::move(damage);
  drop_overlay();
}

// --- looking inside -----------------------------------------------------------------------------------------------

void partition_core::check_invariants() const {
  KAHUNA_CHECK(fault_ || applied_index_ == store_.applied_index(), describe());
  ephemeral_.check_invariants();
  KAHUNA_CHECK(is_leader() || (ephemeral_.keys() == 0 && ephemeral_window_.clients() == 0), describe());
  KAHUNA_CHECK(is_leader() || (overlay_.empty() && proposals_.empty() && window_overlay_.empty()), describe());
  for (const auto& [key, under_way] : overlay_)
    KAHUNA_CHECK(under_way.proposal > applied_proposals_ && under_way.proposal <= applied_proposals_ + proposals_.size(), key,
                 describe());
  std::size_t waiting = waiting_for_no_op_.size() + unconfirmed_.size();
  for (const auto& proposal : proposals_) waiting += proposal.waiting.size();
  for (const auto& [read_id, replies] : reads_under_way_) waiting += replies.size();
  waiting += waiting_for_lock_.size() + due_.size();
  for (const auto& [id, parked] : waiting_for_outcome_) waiting += parked.size();
  for (const auto& [proposal, parked] : waiting_for_proposal_) waiting += parked.size();
  locks_.check_invariants();
  KAHUNA_CHECK(has_begun_serving_ || locks_.is_empty(), describe());
  KAHUNA_CHECK(waiting == pending_requests_, waiting, describe());
}

partition_core::figures partition_core::look() const {
  figures f;
  f.cache_hits = cache_hits_;
  f.cache_misses = cache_misses_;
  f.versions_collected = versions_collected_;
  f.ephemeral_evictions = ephemeral_.evictions();
  f.ephemeral_keys = ephemeral_.keys();
  f.ephemeral_bytes = ephemeral_.bytes();
  f.cache_bytes = cache_.bytes();
  f.pending_requests = pending_requests_;
  f.window_clients = window_.clients();
  f.promises = transactions_.prepared().size();
  f.lock_waiters = waiting_for_lock_.size();
  f.lock_holders = known_transactions_.size();
  return f;
}

std::string partition_core::describe() const {
  std::ostringstream out;
  out << "partition " << id_ << (is_leader() ? " leader" : " follower") << " term " << role_.term << " applied "
      << applied_index_ << " no_op " << role_.no_op_index << " proposals " << proposals_.size() << " overlay "
      << overlay_.size() << " pending " << pending_requests_ << " (" << pending_bytes_ << " B) reads "
      << reads_under_way_.size() << " cache " << cache_.bytes() << " B clients " << window_.clients() << " ephemeral "
      << ephemeral_.keys() << " keys " << ephemeral_.bytes() << " B prepared " << transactions_.prepared().size() << " decided "
      << transactions_.records().size() << " holding " << locks_.owners() << locks_.describe();
  if (fault_) out << " fault: " << fault_->message;
  return out.str();
}

}  // namespace kahuna::kv
