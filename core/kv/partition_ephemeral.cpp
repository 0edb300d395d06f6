// The part of the partition core that serves ephemeral keys, and its work in the background.
//
// An ephemeral write changes memory here and nothing anywhere else, so it is evaluated and answered as a read is: at once
// under the lease, or once a round confirms that this replica still leads. Why that is linearizable: whatever is answered
// was evaluated before any other leader could have served, and in the order of evaluation; with the leadership goes the
// whole space, and the next leader's starts empty. Why a retry is applied once: the window remembers what this leadership
// applied, and a write that does not name this one is not taken: it may have been applied by an earlier one, been seen, and be gone.
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
#include "core/kv/partition_core.hpp"
#include "core/kv/transaction_resources.hpp"

namespace kahuna::kv {

namespace {

// Keys forgotten a sweep: at five sweeps a second, a million in ten seconds over 16 partitions.
constexpr std::size_t keys_forgotten_per_sweep_max = 2'000;

}  // namespace

void partition_core::evaluate_ephemeral(partition_request request, instant now) {
  if (!is_write(request.op)) {
    auto reply = waiting_reply(request.origin, evaluate_ephemeral_read(request.op), false);
    if (std::holds_alternative<error>(reply.reply.response)) return reply_now(request.origin, std::move(reply.reply.response));
    if (KAHUNA_PLANTED("partition.ephemeral_read_not_confirmed")) return reply_now(request.origin, std::move(reply.reply.response));
    return reply_when_read_is_safe(std::move(reply), now);
  }

  // Not one that names none either: it may be a repetition of what an earlier leadership has applied (docs/incidents/0007).
  if (request.term != role_.term) {
    KAHUNA_SOMETIMES("partition.ephemeral_write_for_another_leadership");
    return reply_now(request.origin, error{errc::not_leader, "the ephemeral write is not meant for this leader of partition " +
                                                                 std::to_string(id_.value)});
  }
  const auto known = ephemeral_window_.lookup(request.client, request.sequence);
  if (known.what == request_window::verdict::answered)
    return reply_when_read_is_safe(waiting_reply(request.origin, repeated_answer(request.op, known.result), true), now);
  if (known.what == request_window::verdict::forgotten)
    return reply_now(request.origin, error{errc::timeout, "the request was answered before, and its answer is forgotten"});
  if (auto refusal = admit_to_window(ephemeral_window_, request)) return reply_now(request.origin, std::move(*refusal));
  std::visit(
      [&](const auto& op) {
        using request_type = std::decay_t<decltype(op)>;
        if constexpr (std::is_same_v<request_type, set_request> || std::is_same_v<request_type, delete_request> ||
                      std::is_same_v<request_type, extend_request>)
          evaluate_ephemeral_write(request, op, now);
        else
          KAHUNA_CHECK(false, "a read is no write");
      },
      request.op);
}

template <class Request>
void partition_core::evaluate_ephemeral_write(const partition_request& request, const Request& op, instant now) {
  const auto stamp = clock_.next();
  auto decision = kv::evaluate(op, *ephemeral_.latest(op.key), stamp);
  const bool is_accepted = decision.effect.has_value();
  if (is_accepted) {
    ephemeral_.put(op.key, std::move(*decision.effect));
    note_modified(durability::ephemeral, op.key, stamp);
  } else {
    ephemeral_.touch(op.key);
  }
  // As with persistent keys: a refusal that was tried before must hold against what is still on its way.
  if (is_accepted || request.attempt > 1)
    ephemeral_window_.note(request.client, request.floor,
                           {request.sequence, is_accepted, decision.response.revision, decision.response.modified}, stamp);
  reply_when_read_is_safe(waiting_reply(request.origin, decision.response, is_accepted), now);
}

operation_response partition_core::evaluate_ephemeral_read(const operation& op) {
  const auto now_ms = unix_ms(stamp_);
  return std::visit(
      [&](const auto& request) -> operation_response {
        using request_type = std::decay_t<decltype(request)>;
        if constexpr (std::is_same_v<request_type, get_request>) {
          ephemeral_.touch(request.key);
          if (request.at_revision) return answer_from_history(*ephemeral_.at_revision(request.key, *request.at_revision));
          return kv::evaluate(request, *ephemeral_.latest(request.key), now_ms);
        } else if constexpr (std::is_same_v<request_type, exists_request>) {
          ephemeral_.touch(request.key);
          return kv::evaluate(request, *ephemeral_.latest(request.key), now_ms);
        } else if constexpr (std::is_same_v<request_type, get_by_bucket_request> ||
                             std::is_same_v<request_type, scan_by_prefix_request>) {
          return list_ephemeral(request);
        } else {
          KAHUNA_CHECK(false, "a write is no read");
          return error{};
        }
      },
      op);
}

// A view that a further page will need is registered, so that what it sees is kept, or its loss noticed.
template <class Request>
operation_response partition_core::list_ephemeral(const Request& request) {
  const auto now_ms = unix_ms(stamp_);
  const auto prefix = prefix_of(request);
  auto view = request.view;
  const bool is_first = view.visible == timestamp{};
  // A stamp of its own, so that no two lists share a registered view.
  if (is_first) view = {clock_.next(), now_ms};
  if (!is_first && !ephemeral_.is_view_intact(prefix, view.visible))
    return error{errc::view_lost, "keys that the list needs are gone with their leader or were evicted; begin it again"};
  auto page = kv::evaluate(request, ephemeral_, view);
  if (!page) return page.error();
  // Where the list's own limit cut it, its user has what was asked for.
  const bool goes_on = !page->response.continue_after.empty() && (request.limit == 0 || page->response.items.size() < request.limit);
  if (goes_on && !ephemeral_.keep_view(prefix, page->response.continue_after, view.visible, now_ms))
    return error{errc::overloaded, "partition " + std::to_string(id_.value) + " has too many lists under way; retry after 1000 ms"};
  return std::move(page->response);
}

// --- in the background --------------------------------------------------------------------------------------------

void partition_core::sweep(timestamp stamp) {
  if (!is_serving()) return;
  clock_.observe(stamp);
  ephemeral_.sweep(unix_ms(clock_.last()), keys_forgotten_per_sweep_max);

  // One piece at a time: what was found last must be applied, or it would be found again.
  if (sweep_under_way_ > applied_proposals_) return;
  auto found = history_.step(store_, unix_ms(clock_.last()), [&](std::string_view key) {
    return overlay_.contains(std::string(key)) || locks_.promised_writer(resource_of_key(durability::persistent, key));
  });
  if (!found) return fail(found.error());
  if (found->removals.empty()) return;
  // An entry of its own: what a step finds is bounded so that it fits into one, and not beside anything else.
  close_batch();
  open_batch();
  open_batch_->removals = std::move(found->removals);
  open_batch_->collected_below_ms = found->collected_below_ms;
  close_batch();
  sweep_under_way_ = applied_proposals_ + proposals_.size();
}

}  // namespace kahuna::kv
