#include "client/client_core.hpp"

#include <algorithm>
#include <utility>

#include "core/base/check.hpp"
#include "core/kv/operation_routing.hpp"
#include "core/kv/operations/validation.hpp"

namespace kahuna::client {

namespace {

std::uint32_t milliseconds_of(duration d) {
  return static_cast<std::uint32_t>(std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::milliseconds>(d).count()));
}

// Whether a write was judged and not done.
bool is_refusal(const kv::operation_response& response) {
  if (const auto* set = std::get_if<kv::set_response>(&response)) return !set->is_set;
  if (const auto* erased = std::get_if<kv::delete_response>(&response)) return !erased->is_deleted;
  if (const auto* extended = std::get_if<kv::extend_response>(&response)) return !extended->is_extended;
  return std::holds_alternative<kv::commit_refusal>(response);
}

}  // namespace

client_core::client_core(client_core_options options, prng dice, instant now)
    : options_(std::move(options)), dice_(dice), now_(now), due_(now) {
  for (const auto& endpoint : options_.endpoints) {
    ready_.connect.emplace_back(static_cast<node_slot>(slots_.size()), endpoint);
    slots_.push_back({});
    slots_.back().address = endpoint;
  }
}

// --- what applications ask ----------------------------------------------------------------------------------------

void client_core::submit(std::uint64_t token, kv::operation op, duration timeout, instant now) {
  if (requests_.size() >= options_.pending_requests_max) {
    ready_.answers.emplace_back(token, error{errc::overloaded, "the client has too many requests under way; retry after 50 ms"});
    return;
  }
  pending_request request;
  request.token = token;
  request.op = std::move(op);
  request.deadline = now + timeout;
  submit_internal(std::move(request), now);
}

std::uint64_t client_core::submit_internal(pending_request request, instant now) {
  const auto sequence = next_sequence_++;
  requests_.emplace(sequence, std::move(request));
  waiting_.insert(sequence);
  dispatch(sequence, now);
  return sequence;
}

// --- sending ------------------------------------------------------------------------------------------------------

// To the leader where it is known and reached; otherwise to any node, which forwards it.
std::optional<node_slot> client_core::choose_slot(const pending_request& request) const {
  const auto can_take = [](const slot_state& slot) { return slot.is_open && slot.silent_since == instant{}; };
  if (request.partition) {
    const auto leader = leaders_[request.partition->value].leader;
    if (leader != no_node)
      for (node_slot slot = 0; slot < slots_.size(); ++slot)
        if (slots_[slot].node == leader && can_take(slots_[slot])) return slot;
  }
  for (const bool is_silent_allowed : {false, true})
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      const auto slot = static_cast<node_slot>(next_slot_++ % slots_.size());
      if (slots_[slot].is_open && (is_silent_allowed || can_take(slots_[slot]))) return slot;
    }
  return std::nullopt;
}

void client_core::dispatch(std::uint64_t sequence, instant now) {
  auto& request = requests_.at(sequence);
  KAHUNA_CHECK(!request.at, sequence);
  if (map_ && !request.partition) {
    // Looked at here too: what is too large for the node's frames would break the connection instead of being refused.
    if (auto wrong = kv::validate(request.op, {value_bytes_max_})) return answer(sequence, std::move(*wrong), now);
    assign_partition(sequence, request);
  }
  if (map_ && !request.partition) return answer(sequence, error{errc::invalid_argument, "there is no such partition"}, now);
  if (request.issued_at == timestamp{} && observed_ != timestamp{}) request.issued_at = estimated_now(now);
  bool is_leader_needed = false;
  if (request.partition && kv::is_write(request.op) && kv::space_of(request.op) == kv::durability::ephemeral) {
    const auto term = leaders_[request.partition->value].term;
    if (!request.may_be_applied)
      request.term = term;
    else if (term > request.term)
      return answer(sequence, error{errc::timeout, "the leader changed while the ephemeral write was under way; it may have been applied, "
                                                   "and went with that leader"},
                    now);
    is_leader_needed = request.term == term_id{};
    if (is_leader_needed)
      request.last_error = error{errc::unavailable, "no leader of partition " + std::to_string(request.partition->value) + " is known"};
  }
  const auto slot = map_ && !is_leader_needed ? choose_slot(request) : std::nullopt;
  if (!slot) {
    request.retry_at = request.deadline;  // until a node is reached, or a leader known
    due_.add(sequence, request.deadline);
    return;
  }
  waiting_.erase(sequence);
  request.at = slot;
  request.attempt_ends = std::min(request.deadline, now + options_.attempt_timeout);
  ++request.attempts;
  slots_[*slot].outbox.push_back(sequence);
  slots_[*slot].at.insert(sequence);
  due_.add(sequence, request.attempt_ends);
}

// After a pause that is drawn anew and grows, so that many clients of a cluster without a leader do not come in step.
void client_core::wait(std::uint64_t sequence, instant now) {
  auto& request = requests_.at(sequence);
  leave_slot(sequence, request);
  waiting_.insert(sequence);
  const auto most = std::min(options_.backoff_max, options_.backoff_min * (1 << std::min(request.attempts, 6u)));
  const auto pause = duration(dice_.between(static_cast<std::uint64_t>(options_.backoff_min.count()),
                                            static_cast<std::uint64_t>(most.count())));
  request.retry_at = std::min(request.deadline, now + pause);
  due_.add(sequence, request.retry_at);
}

void client_core::leave_slot(std::uint64_t sequence, pending_request& request) {
  if (!request.at) return;
  auto& slot = slots_[*request.at];
  slot.at.erase(sequence);
  std::erase(slot.outbox, sequence);
  request.at.reset();
}

// A key's partition never changes. Requests get theirs in the order of their sequences: before the map is known none is
// sent, and then all that wait are looked at before any is.
void client_core::assign_partition(std::uint64_t sequence, pending_request& request) {
  request.partition = kv::partition_of(*map_, request.op);
  if (request.partition && kv::is_write(request.op)) open_writes_[request.partition->value].insert(sequence);
}

// Whoever asked has the answers of all writes to the partition below its oldest one that is open.
std::uint64_t client_core::floor_of(partition_id partition) const {
  const auto& open = open_writes_[partition.value];
  return open.empty() ? next_sequence_ : *open.begin();
}

messages::client_requests client_core::make_batch(slot_state& slot, std::size_t& taken, instant now) {
  messages::client_requests batch;
  batch.observed = observed_;
  std::size_t bytes = 0;
  for (; taken < slot.outbox.size() && batch.requests.size() < options_.batch_requests_max && bytes < options_.batch_bytes_max;
       ++taken) {
    const auto sequence = slot.outbox[taken];
    const auto& request = requests_.at(sequence);
    bytes += kv::payload_bytes(request.op);
    batch.requests.push_back({sequence, request.issued_at, floor_of(*request.partition), request.attempts,
                              milliseconds_of(request.attempt_ends - now), request.term, request.op});
  }
  return batch;
}

client_ready client_core::take_ready() {
  for (node_slot number = 0; number < slots_.size(); ++number) {
    auto& slot = slots_[number];
    for (std::size_t taken = 0; taken < slot.outbox.size();) ready_.send.emplace_back(number, make_batch(slot, taken, now_));
    slot.outbox.clear();
  }
  return std::exchange(ready_, {});
}

// --- what nodes say -----------------------------------------------------------------------------------------------

void client_core::observe(timestamp stamp, instant now) {
  if (stamp <= observed_) return;
  observed_ = stamp;
  observed_at_ = now;
}

timestamp client_core::estimated_now(instant now) const {
  const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - observed_at_).count();
  return std::max(observed_, timestamp_at(unix_ms(observed_) + static_cast<std::uint64_t>(std::max<std::int64_t>(0, elapsed))));
}

void client_core::node_opened(node_slot number, const messages::welcome& said, instant now) {
  now_ = std::max(now_, now);
  auto& slot = slots_.at(number);
  observe(said.now, now);
  if (!map_) {
    map_ = said.map;
    value_bytes_max_ = said.value_bytes_max;
    for (std::uint32_t p = 0; p < map_->partitions; ++p) leaders_.push_back({partition_id{p}, {}, no_node});
    open_writes_.resize(map_->partitions);
  } else if (map_->cluster_id != said.map.cluster_id) {
    last_failure_ = error{errc::invalid_argument, slot.address + " belongs to another cluster than the other endpoints"};
    slot.is_given_up = true;
    return;
  } else {
    take_map(said.map, now);
  }
  slot.node = said.node;
  slot.is_open = !slot.is_left;
  slot.silent_since = {};
  learn_members(now);
  retry_waiting(now);
}

void client_core::map_came(const messages::map_news& news, instant now) {
  now_ = std::max(now_, now);
  if (!map_ || !news.map || !routing::is_well_formed(*news.map)) return;
  take_map(*news.map, now);
  retry_waiting(now);
}

void client_core::take_map(const routing::partition_map& map, instant now) {
  if (map.version <= map_->version || map.cluster_id != map_->cluster_id || map.partitions != map_->partitions) return;
  map_ = map;
  for (node_slot number = 0; number < slots_.size(); ++number) {
    if (slots_[number].is_left || !routing::is_former(map, slots_[number].node)) continue;
    // Another member may be at its address.
    const bool is_address_used = std::any_of(map.members.begin(), map.members.end(), [&](const auto& m) { return m.address == slots_[number].address; });
    if (is_address_used) continue;
    slots_[number].is_left = true;
    ready_.disconnect.push_back(number);
    node_lost(number, {errc::unavailable, slots_[number].address + " is no member of the cluster any more"}, true, now);
  }
  learn_members(now);
}

std::optional<node_slot> client_core::system_slot() const {
  const auto leader = leaders_.empty() ? no_node : leaders_.front().leader;
  std::optional<node_slot> any;
  for (node_slot slot = 0; slot < slots_.size(); ++slot) {
    if (!slots_[slot].is_open) continue;
    if (slots_[slot].node == leader) return slot;
    if (!any) any = slot;
  }
  return any;
}

// A connection to every member; to one that an endpoint leads to already, no second one.
void client_core::learn_members(instant) {
  for (const auto& member : map_->members) {
    const bool is_known = std::any_of(slots_.begin(), slots_.end(), [&](const slot_state& slot) {
      return !slot.is_left && (slot.node == member.id || slot.address == member.address);
    });
    if (is_known) continue;
    ready_.connect.emplace_back(static_cast<node_slot>(slots_.size()), member.address);
    slots_.push_back({});
    slots_.back().address = member.address;
  }
}

void client_core::node_lost(node_slot number, const error& reason, bool is_final, instant now) {
  now_ = std::max(now_, now);
  auto& slot = slots_.at(number);
  slot.is_open = false;
  slot.is_given_up |= is_final;
  last_failure_ = reason;
  slot.silent_since = {};
  const auto outbox = std::exchange(slot.outbox, {});
  for (const auto sequence : std::set<std::uint64_t>(slot.at)) {
    auto& request = requests_.at(sequence);
    const bool is_unsent = std::find(outbox.begin(), outbox.end(), sequence) != outbox.end();
    request.may_be_applied |= !is_unsent && kv::is_write(request.op);
    request.last_error = reason;
    leave_slot(sequence, request);
    waiting_.insert(sequence);
    request.retry_at = now;
    dispatch(sequence, now);
  }
}

void client_core::leaders_came(node_slot, const messages::leaders& news, instant now) {
  now_ = std::max(now_, now);
  if (!map_) return;
  for (const auto& entry : news.partitions) {
    if (entry.partition.value >= leaders_.size()) continue;
    auto& known = leaders_[entry.partition.value];
    // A node that has lost its leader says so under the term that it knows; the last leader is as good a guess.
    if (entry.leader == no_node || entry.term < known.term) continue;
    known = entry;
  }
  retry_waiting(now);
}

// Something has changed for the better: what waits tries at once where a node that leads is reached.
void client_core::retry_waiting(instant now) {
  for (const auto sequence : std::vector<std::uint64_t>(waiting_.begin(), waiting_.end())) {
    const auto found = requests_.find(sequence);
    if (found != requests_.end() && now < found->second.deadline) dispatch(sequence, now);
  }
}

void client_core::replies_came(node_slot slot, messages::client_replies replies, instant now) {
  now_ = std::max(now_, now);
  observe(replies.now, now);
  slots_.at(slot).silent_since = {};
  for (auto& reply : replies.replies) take_reply(slot, std::move(reply), now);
}

void client_core::take_reply(node_slot slot, messages::client_reply reply, instant now) {
  const auto found = requests_.find(reply.sequence);
  if (found == requests_.end()) return;  // answered already: a late answer of an earlier attempt
  auto& request = found->second;
  const auto* failure = std::get_if<error>(&reply.response);
  // What an earlier attempt was told about itself counts only if it is an answer; its refusal says nothing of the
  // attempt that is under way.
  const bool is_current = request.at && *request.at == slot && reply.attempt == request.attempts;
  if (failure == nullptr) {
    // A later attempt may be judged otherwise than this one was: its answer is the one that holds.
    if (is_refusal(reply.response) && !is_current) return;
    return answer(reply.sequence, std::move(reply.response), now);
  }
  const bool is_write = kv::is_write(request.op);
  switch (failure->code) {
    case errc::leadership_lost:
    case errc::timeout:
      request.may_be_applied |= is_write;
      [[fallthrough]];
    case errc::not_leader:
    case errc::unavailable:
      if (!is_current) return;
      if (failure->code == errc::not_leader && request.partition) {
        auto& known = leaders_[request.partition->value];
        if (known.leader == slots_[slot].node) known.leader = no_node;  // until somebody says better
      }
      request.last_error = *failure;
      return wait(reply.sequence, now);
    case errc::overloaded:
      if (!is_current) return;
      if (!request.may_be_applied) break;
      request.last_error = *failure;
      return wait(reply.sequence, now);
    default:
      if (!is_current) return;
      break;
  }
  answer(reply.sequence, std::move(reply.response), now);
}

// --- time ---------------------------------------------------------------------------------------------------------

void client_core::tick(instant now) {
  now_ = std::max(now_, now);
  due_.advance(now, [&](std::uint64_t sequence) { on_due(sequence, now); });
}

void client_core::on_due(std::uint64_t sequence, instant now) {
  const auto found = requests_.find(sequence);
  if (found == requests_.end()) return;
  auto& request = found->second;
  if (request.at) {
    if (now < request.attempt_ends) return;  // of an earlier attempt
    // It was sent and not answered: whatever it was, it may have been done.
    request.may_be_applied |= kv::is_write(request.op);
    if (!request.last_error) request.last_error = error{errc::unavailable, slots_[*request.at].address + " did not answer in time"};
    slots_[*request.at].silent_since = now;
    leave_slot(sequence, request);
    waiting_.insert(sequence);
    request.retry_at = now;
  }
  if (now >= request.deadline) return answer(sequence, deadline_error(request), now);
  if (now >= request.retry_at) dispatch(sequence, now);
}

error client_core::deadline_error(const pending_request& request) const {
  const auto why = request.last_error ? ": " + request.last_error->message
                   : last_failure_    ? ": " + last_failure_->message
                                      : std::string();
  if (request.may_be_applied) return {errc::timeout, "the deadline passed; the write may have been applied" + why};
  return {errc::unavailable, "no node could serve it by the deadline" + why};
}

void client_core::answer(std::uint64_t sequence, kv::operation_response response, instant now) {
  auto node = requests_.extract(sequence);
  auto& request = node.mapped();
  leave_slot(sequence, request);
  waiting_.erase(sequence);
  if (request.partition && kv::is_write(request.op)) open_writes_[request.partition->value].erase(sequence);
  if (request.is_of_list) return take_page(request, std::move(response), now);
  if (auto* failure = std::get_if<error>(&response); failure != nullptr && failure->code == errc::view_lost) failure->code = errc::unavailable;
  ready_.answers.emplace_back(request.token, std::move(response));
}

void client_core::close(const std::string& why) {
  while (!requests_.empty()) {
    const auto sequence = requests_.begin()->first;
    auto& request = requests_.begin()->second;
    request.may_be_applied |= request.at.has_value() && kv::is_write(request.op);
    answer(sequence, error{request.may_be_applied ? errc::timeout : errc::unavailable, why}, now_);
  }
}

bool client_core::is_hopeless() const {
  return !map_ && std::all_of(slots_.begin(), slots_.end(), [](const slot_state& slot) { return slot.is_given_up; });
}

// --- lists --------------------------------------------------------------------------------------------------------

void client_core::submit_list(std::uint64_t token, list_query query, duration timeout, instant now) {
  // The bucket `a/` is asked for as `a//`: one slash is the user's way to write where a bucket ends.
  if (query.kind == list_kind::bucket && query.argument.ends_with('/')) query.argument.pop_back();
  const auto number = next_list_++;
  lists_.emplace(number, pending_list{token, std::move(query), now + timeout, {}, 0});
  start_list(number, now);
}

void client_core::start_list(std::uint64_t number, instant now) {
  auto& list = lists_.at(number);
  if (list.query.kind == list_kind::scan && !map_) {
    // How many partitions there are is not known: the first one's answer waits for a node, and then it is.
    list.parts.resize(1);
    list.parts_under_way = 1;
    return ask_page(number, 0, {}, now);
  }
  const auto count = list.query.kind == list_kind::bucket ? 1 : map_->partitions;
  list.parts.resize(count);
  list.parts_under_way = count;
  // The first part may be refused here at once, and end the list.
  for (std::uint32_t part = 0; part < count && lists_.contains(number); ++part) ask_page(number, part, {}, now);
}

void client_core::ask_page(std::uint64_t number, std::uint32_t part, kv::read_view view, instant now) {
  const auto& list = lists_.at(number);
  const auto& options = list.query.options;
  const auto& so_far = list.parts[part];
  const auto& after = so_far.continue_after.empty() ? options.after : so_far.continue_after;
  // Where all that was asked for is there, one more says whether anything follows.
  const auto limit = options.limit == 0 ? 0 : std::max(1u, options.limit - static_cast<std::uint32_t>(so_far.items.size()));
  pending_request request;
  request.token = number;
  request.is_of_list = true;
  request.list_part = part;
  request.deadline = list.deadline;
  if (list.query.kind == list_kind::bucket)
    request.op = kv::get_by_bucket_request{list.query.argument, options.space, after, limit, view, options.as_of};
  else
    request.op = kv::scan_by_prefix_request{list.query.argument, options.space, partition_id{part}, after, limit, view};
  submit_internal(std::move(request), now);
}

void client_core::take_page(const pending_request& request, kv::operation_response response, instant now) {
  const auto number = request.token;
  const auto found = lists_.find(number);
  if (found == lists_.end()) return;  // another part has failed
  if (const auto* failure = std::get_if<error>(&response)) {
    // From the start again, with a view of today. Its deadline bounds how often.
    if (failure->code == errc::view_lost && now < found->second.deadline) return restart_list(number, now);
    const bool is_ours = failure->code == errc::view_lost;
    return finish_list(number, is_ours ? error{errc::unavailable, failure->message} : *failure);
  }
  auto* page = std::get_if<kv::list_response>(&response);
  if (page == nullptr) return finish_list(number, error{errc::internal, "a node answered a list with something else"});

  auto& list = found->second;
  auto& part = list.parts[request.list_part];
  part.items.insert(part.items.end(), std::make_move_iterator(page->items.begin()), std::make_move_iterator(page->items.end()));
  const auto limit = list.query.options.limit;
  const bool is_full = limit != 0 && part.items.size() >= limit;
  part.continue_after = page->continue_after;
  const bool is_known_to_go_on = page->has_more || part.items.size() > limit;
  if (!page->continue_after.empty() && !(is_full && is_known_to_go_on))
    return ask_page(number, request.list_part, page->view, now);
  part.has_more = page->has_more;

  if (list.query.kind == list_kind::scan && list.parts.size() < map_->partitions) {
    // Now the partitions are known: the rest of them.
    const auto first = list.parts.size();
    list.parts.resize(map_->partitions);
    list.parts_under_way += list.parts.size() - first;
    const auto count = static_cast<std::uint32_t>(list.parts.size());
    for (auto next = static_cast<std::uint32_t>(first); next < count && lists_.contains(number); ++next)
      ask_page(number, next, {}, now);
  }
  if (--list.parts_under_way == 0) finish_list(number, std::nullopt);
}

// Under another number: answers to what was asked before belong to nobody any more.
void client_core::restart_list(std::uint64_t number, instant now) {
  auto list = lists_.extract(number);
  list.key() = next_list_++;
  list.mapped().parts.clear();
  const auto again = list.key();
  lists_.insert(std::move(list));
  start_list(again, now);
}

void client_core::finish_list(std::uint64_t number, std::optional<error> failure) {
  auto list = std::move(lists_.extract(number).mapped());
  if (failure) {
    ready_.list_answers.emplace_back(list.token, std::move(*failure));
    // The other parts' requests go on and are answered into nothing; reads, and bounded by the deadline.
    return;
  }
  key_list joined;
  for (auto& part : list.parts) {
    joined.has_more |= part.has_more;
    joined.items.insert(joined.items.end(), std::make_move_iterator(part.items.begin()), std::make_move_iterator(part.items.end()));
  }
  if (list.parts.size() > 1)
    std::sort(joined.items.begin(), joined.items.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  const auto limit = list.query.options.limit;
  if (limit != 0 && joined.items.size() > limit) {
    joined.items.resize(limit);
    joined.has_more = true;
  }
  ready_.list_answers.emplace_back(list.token, std::move(joined));
}

void client_core::check_invariants() const {
  std::size_t at_nodes = 0;
  for (const auto& slot : slots_) {
    at_nodes += slot.at.size();
    KAHUNA_CHECK(slot.is_open || slot.at.empty(), slot.address);
  }
  KAHUNA_CHECK(at_nodes + waiting_.size() == requests_.size(), at_nodes, waiting_.size(), requests_.size());
  for (const auto sequence : waiting_) KAHUNA_CHECK(!requests_.at(sequence).at, sequence);
}

}  // namespace kahuna::client
