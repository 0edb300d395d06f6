#include "client/transaction.hpp"

#include <algorithm>
#include <future>
#include <map>
#include <mutex>
#include <sstream>
#include <type_traits>
#include <utility>

#include "core/kv/answer_digest.hpp"
#include "core/routing/partition_map.hpp"

namespace kahuna::client {

namespace {

error only_reads() { return {errc::invalid_argument, "a transaction as of a moment only reads"}; }
error over(const std::string& why) { return {errc::aborted, "the transaction is over: " + why + "; begin it again"}; }

// Of none: a step without operations, which the coordinator refuses.
template <class Operations>
std::string first_key_of(const Operations& operations) {
  if (operations.empty()) return {};
  return std::visit([](const auto& request) { return request.key; }, operations.front());
}

bool is_read(const kv::step_operation& operation) {
  return std::holds_alternative<kv::get_request>(operation) || std::holds_alternative<kv::exists_request>(operation);
}

// What a step names first decides which partition coordinates.
std::optional<partition_id> anchor_of(const kv::transaction_step& step, std::uint32_t partitions) {
  return std::visit(
      [&](const auto& s) -> std::optional<partition_id> {
        if constexpr (requires { s.key; })
          return routing::partition_of_key(partitions, s.key);
        else if constexpr (requires { s.bucket; })
          return routing::partition_of_bucket(partitions, s.bucket);
        else if constexpr (requires { s.locks; })
          return routing::partition_of_key(partitions, s.locks.empty() ? std::string() : s.locks.front().key);
        else if constexpr (requires { s.operations; })
          return routing::partition_of_key(partitions, first_key_of(s.operations));
        else if constexpr (requires { s.writes; })
          return routing::partition_of_key(partitions, first_key_of(s.writes));
        else
          return std::nullopt;
      },
      step);
}

}  // namespace

// Shared with the answers that are on their way.
struct transaction::state {
  enum class phase : std::uint8_t { open, ended, aborted };

  mutable std::mutex mutex;
  std::shared_ptr<transaction_channel> channel;
  kv::transaction_header header;
  timestamp as_of;  // not 0: read-only
  bool has_anchor = false;
  std::uint32_t number = 0;  // of the last step that the coordinator has taken
  std::uint64_t heard = 0;   // digest of its answers
  bool is_under_way = false;
  bool is_commit_under_way = false;
  phase in = phase::open;
  std::string why;  // aborted
  std::vector<kv::write_request> at_commit;
  std::optional<kv::commit_refusal> refusal;
  std::map<std::pair<kv::durability, std::string>, kv::lock_demand> touched;

  // What can be said without asking anybody; nothing: it is to be asked.
  std::optional<kv::operation_response> answer_here(const kv::transaction_step& step);
  kv::operation ask(kv::transaction_step step);
  kv::operation ask_as_of(kv::transaction_step step) const;
  void give_to_commit(kv::write_request write);
  template <class Request>
  void touch(const Request& request);
  void took(const kv::transaction_step& step, const kv::operation_response& response);
};

std::optional<kv::operation_response> transaction::state::answer_here(const kv::transaction_step& step) {
  const bool is_commit = kv::is_commit(step);
  const bool is_rollback = std::holds_alternative<kv::rollback_step>(step);
  // One that waits for a lock can be given up; what is being committed can't.
  if (is_under_way && (!is_rollback || is_commit_under_way)) return error{errc::invalid_argument, "the step before is still under way"};
  if (in == phase::ended) return error{errc::invalid_argument, "the transaction has ended"};
  if (in == phase::aborted) {
    if (!is_rollback) return over(why);
    in = phase::ended;
    return kv::rollback_response{};
  }
  const bool is_last = is_commit || is_rollback;
  const bool is_writing = !at_commit.empty() || std::holds_alternative<kv::write_and_commit_step>(step);
  if (is_writing && !is_last)
    return error{errc::invalid_argument, "what was given to the commit comes last; commit, or roll back"};
  if (is_writing && is_commit && as_of != timestamp{}) return only_reads();
  if (is_last && (as_of != timestamp{} || !(has_anchor || (is_commit && is_writing)))) {
    // Nothing of it is anywhere else.
    in = phase::ended;
    if (is_rollback) return kv::rollback_response{};
    return kv::commit_response{as_of != timestamp{} ? as_of : header.id.began_at};
  }
  if (as_of == timestamp{} || is_last) return std::nullopt;
  if (std::holds_alternative<kv::lock_step>(step)) return kv::lock_response{};
  if (std::holds_alternative<kv::get_request>(step) || std::holds_alternative<kv::exists_request>(step) ||
      std::holds_alternative<kv::get_by_bucket_request>(step))
    return std::nullopt;
  const auto* several = std::get_if<kv::several_step>(&step);
  if (several != nullptr && std::all_of(several->operations.begin(), several->operations.end(), [](const kv::step_operation& operation) {
        return is_read(operation) || std::holds_alternative<kv::wanted_lock>(operation);
      }))
    return std::nullopt;
  return only_reads();
}

kv::operation transaction::state::ask(kv::transaction_step step) {
  if (std::holds_alternative<kv::rollback_step>(step)) {
    // Behind the step that is under way, whose answer is of no interest from here on.
    in = phase::ended;
    return kv::transaction_request{header, number + 1 + (is_under_way ? 1 : 0), heard, std::move(step)};
  }
  is_under_way = true;
  is_commit_under_way = kv::is_commit(step);
  if (as_of != timestamp{}) return ask_as_of(std::move(step));
  if (is_commit_under_way && !at_commit.empty()) {
    kv::write_and_commit_step last{at_commit};
    if (auto* more = std::get_if<kv::write_and_commit_step>(&step)) last.writes.insert(last.writes.end(), more->writes.begin(), more->writes.end());
    step = std::move(last);
  }
  if (!has_anchor) {
    header.anchor = *anchor_of(step, channel->partitions());
    has_anchor = true;
  }
  kv::for_each_keyed(step, [&](const auto& request) { touch(request); });
  return kv::transaction_request{header, number + 1, heard, std::move(step)};
}

kv::operation transaction::state::ask_as_of(kv::transaction_step step) const {
  if (auto* get = std::get_if<kv::get_request>(&step)) {
    if (!get->at_revision && get->as_of == timestamp{}) get->as_of = as_of;
    return std::move(*get);
  }
  auto exists = std::get<kv::exists_request>(step);
  if (exists.as_of == timestamp{}) exists.as_of = as_of;
  return exists;
}

template <class Request>
void transaction::state::touch(const Request& request) {
  const auto known = touched.find({request.space, request.key});
  if (known != touched.end())
    known->second = std::max(known->second, kv::demand_of(request));
  else if (touched.size() < kv::locks_max)
    touched.emplace(std::pair(request.space, request.key), kv::demand_of(request));
}

void transaction::state::give_to_commit(kv::write_request write) {
  const std::lock_guard guard(mutex);
  std::visit([&](const auto& request) { touch(request); }, write);
  at_commit.push_back(std::move(write));
}

void transaction::state::took(const kv::transaction_step& step, const kv::operation_response& response) {
  is_under_way = is_commit_under_way = false;
  if (in == phase::ended) return;  // it was rolled back meanwhile
  if (as_of != timestamp{}) return;
  const auto* failure = std::get_if<error>(&response);
  // A step that is no valid one the coordinator has not taken.
  if (failure != nullptr && failure->code == errc::invalid_argument) return;
  ++number;
  heard = kv::digest_of(heard, response);
  if (const auto* refused = std::get_if<kv::commit_refusal>(&response)) {
    refusal = *refused;
    in = phase::aborted;
    why = error_of(*refused).message;
    return;
  }
  if (failure == nullptr || failure->code == errc::data_corrupted) {
    if (kv::is_commit(step)) in = phase::ended;
    return;
  }
  // Aborted; or nobody knows what the coordinator has of it.
  in = phase::aborted;
  why = failure->message;
}

transaction::transaction(std::shared_ptr<transaction_channel> channel, transaction_options options, timestamp began_at,
                         std::uint64_t number)
    : state_(std::make_shared<state>()) {
  state_->channel = std::move(channel);
  state_->header.id = {began_at, state_->channel->client_id(), number};
  state_->header.locking = options.locking;
  state_->header.timeout_ms = static_cast<std::uint32_t>(options.timeout.count());
  state_->as_of = options.as_of;
}

transaction::transaction(transaction&&) noexcept = default;

transaction& transaction::operator=(transaction&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

transaction::~transaction() {
  if (state_ == nullptr) return;
  std::optional<kv::operation> last;
  {
    const std::lock_guard guard(state_->mutex);
    // Also one that failed may be open at its coordinator. Nobody waits for the answer: its deadline would do the same.
    if (state_->in != state::phase::ended && state_->has_anchor)
      last = kv::transaction_request{state_->header, state_->number + 1 + (state_->is_under_way ? 1 : 0), 0, kv::rollback_step{}};
  }
  if (last) state_->channel->submit(std::move(*last), [](const kv::operation_response&) {});
}

std::string transaction::id() const {
  std::ostringstream out;
  const auto& id = state_->header.id;
  out << id.began_at << '-' << std::hex << id.client << '-' << std::dec << id.number;
  return out.str();
}

timestamp transaction::began_at() const { return state_->header.id.began_at; }

timestamp transaction::moment() const { return state_->as_of; }

std::vector<kv::wanted_lock> transaction::touched() const {
  const std::lock_guard guard(state_->mutex);
  std::vector<kv::wanted_lock> all;
  for (const auto& [name, lock] : state_->touched) all.push_back({name.first, name.second, lock});
  return all;
}

std::optional<kv::commit_refusal> transaction::refusal() const {
  const std::lock_guard guard(state_->mutex);
  return state_->refusal;
}

void transaction::set_at_commit(kv::set_request request) { state_->give_to_commit(std::move(request)); }
void transaction::erase_at_commit(kv::delete_request request) { state_->give_to_commit(std::move(request)); }
void transaction::extend_at_commit(kv::extend_request request) { state_->give_to_commit(std::move(request)); }

bool transaction::is_open() const {
  const std::lock_guard guard(state_->mutex);
  return state_->in == state::phase::open;
}

namespace {

// Reads of a moment that were asked for in one step: each goes to its own partition.
struct gathering {
  std::mutex mutex;
  kv::several_response all;
  std::size_t missing = 0;
  std::optional<error> failure;
  transaction::step_done done;

  void take(std::size_t place, kv::operation_response response) {
    {
      const std::lock_guard guard(mutex);
      if (auto* get = std::get_if<kv::get_response>(&response))
        all.answers[place] = std::move(*get);
      else if (auto* exists = std::get_if<kv::exists_response>(&response))
        all.answers[place] = std::move(*exists);
      else
        failure = std::get<error>(response);
      if (--missing != 0) return;
    }
    failure ? done(std::move(*failure)) : done(std::move(all));
  }
};

}  // namespace

void transaction::submit_gathered(kv::several_step step, step_done done) {
  std::optional<kv::operation_response> here;
  {
    const std::lock_guard guard(state_->mutex);
    here = state_->answer_here(step);
    if (!here) state_->is_under_way = true;
  }
  if (here) return done(std::move(*here));
  auto reads = std::make_shared<gathering>();
  reads->all.answers.assign(step.operations.size(), kv::lock_response{});
  reads->missing = static_cast<std::size_t>(std::count_if(step.operations.begin(), step.operations.end(), is_read));
  reads->done = [state = state_, step, done = std::move(done)](kv::operation_response response) {
    {
      const std::lock_guard guard(state->mutex);
      state->took(step, response);
    }
    done(std::move(response));
  };
  if (reads->missing == 0) return reads->done(std::move(reads->all));
  const auto ask = [&](std::size_t place, kv::operation read) {
    state_->channel->submit(std::move(read), [reads, place](kv::operation_response response) { reads->take(place, std::move(response)); });
  };
  for (std::size_t i = 0; i < step.operations.size(); ++i) {
    if (const auto* get = std::get_if<kv::get_request>(&step.operations[i])) ask(i, state_->ask_as_of(*get));
    if (const auto* exists = std::get_if<kv::exists_request>(&step.operations[i])) ask(i, state_->ask_as_of(*exists));
  }
}

void transaction::submit(kv::transaction_step step, step_done done) {
  if (const auto* several = std::get_if<kv::several_step>(&step); several != nullptr && state_->as_of != timestamp{})
    return submit_gathered(*several, std::move(done));
  std::optional<kv::operation_response> here;
  std::optional<kv::operation> asked;
  {
    const std::lock_guard guard(state_->mutex);
    here = state_->answer_here(step);
    if (!here) asked = state_->ask(step);
  }
  if (here) return done(std::move(*here));
  state_->channel->submit(std::move(*asked), [state = state_, step = std::move(step), done = std::move(done)](kv::operation_response response) {
    {
      const std::lock_guard guard(state->mutex);
      state->took(step, response);
    }
    done(std::move(response));
  });
}

error error_of(const kv::commit_refusal& refusal) {
  const auto revision = std::visit(
      [](const auto& answer) {
        if constexpr (requires { answer.revision; })
          return answer.revision;
        else
          return kv::no_revision;
      },
      refusal.answer);
  return {errc::aborted, "nothing was committed: write " + std::to_string(refusal.write) +
                             " of the commit was not done, because its condition does not hold; its key is at revision " + std::to_string(revision)};
}

// --- lists --------------------------------------------------------------------------------------------------------

namespace {

// A bucket in the transaction, page by page.
struct bucket_reading : std::enable_shared_from_this<bucket_reading> {
  std::function<void(kv::transaction_step, transaction::step_done)> ask;
  kv::get_by_bucket_request request;
  std::uint32_t limit = 0;
  key_list list;
  transaction::list_done done;

  void next() {
    auto self = shared_from_this();
    ask(request, [self](kv::operation_response response) { self->took(std::move(response)); });
  }

  void took(kv::operation_response response) {
    if (auto* failure = std::get_if<error>(&response)) return done(std::move(*failure));
    auto* page = std::get_if<kv::list_response>(&response);
    if (page == nullptr) return done(error{errc::internal, "a node answered an operation with another one's answer"});
    for (auto& item : page->items) list.items.push_back(std::move(item));
    const bool is_full = limit != 0 && list.items.size() >= limit;
    if (is_full || page->continue_after.empty()) {
      list.has_more = is_full && page->has_more;
      return done(std::move(list));
    }
    request.after = page->continue_after;
    request.view = page->view;
    if (limit != 0) request.limit = limit - static_cast<std::uint32_t>(list.items.size());
    next();
  }
};

}  // namespace

void transaction::submit_list(const std::string& bucket, list_options options, list_done done) {
  timestamp as_of;
  std::shared_ptr<transaction_channel> channel;
  {
    const std::lock_guard guard(state_->mutex);
    as_of = state_->as_of;
    channel = state_->channel;
    if (as_of != timestamp{})
      if (auto here = state_->answer_here(kv::get_by_bucket_request{})) return done(std::get<error>(*here));
  }
  if (as_of != timestamp{}) {
    if (options.as_of == timestamp{}) options.as_of = as_of;
    return channel->submit_list({list_kind::bucket, bucket, std::move(options)}, std::move(done));
  }
  auto reading = std::make_shared<bucket_reading>();
  reading->request.bucket = bucket.ends_with('/') ? bucket.substr(0, bucket.size() - 1) : bucket;
  reading->request.space = options.space;
  reading->request.after = std::move(options.after);
  reading->request.as_of = options.as_of;
  reading->request.limit = reading->limit = options.limit;
  reading->done = std::move(done);
  // Steps of the transaction's state, which outlives the object where it is given up.
  reading->ask = [state = state_](kv::transaction_step step, step_done step_answered) {
    transaction steps{state};
    steps.submit(std::move(step), std::move(step_answered));
    steps.state_.reset();
  };
  reading->next();
}

// --- blocking -----------------------------------------------------------------------------------------------------

namespace {

template <class Response>
result<Response> wait_for(transaction& t, kv::transaction_step step) {
  // Shared: the waiter may be gone before set_value() has returned.
  auto answered = std::make_shared<std::promise<kv::operation_response>>();
  auto future = answered->get_future();
  t.submit(std::move(step), [answered](kv::operation_response response) { answered->set_value(std::move(response)); });
  auto response = future.get();
  if (auto* answer = std::get_if<Response>(&response)) return std::move(*answer);
  if (auto* failure = std::get_if<error>(&response)) return std::move(*failure);
  if (const auto* refusal = std::get_if<kv::commit_refusal>(&response)) return error_of(*refusal);
  return error{errc::internal, "a node answered an operation with another one's answer"};
}

}  // namespace

result<kv::set_response> transaction::set(kv::set_request request) { return wait_for<kv::set_response>(*this, std::move(request)); }
result<kv::get_response> transaction::get(kv::get_request request) { return wait_for<kv::get_response>(*this, std::move(request)); }
result<kv::exists_response> transaction::exists(kv::exists_request request) {
  return wait_for<kv::exists_response>(*this, std::move(request));
}
result<kv::delete_response> transaction::erase(kv::delete_request request) {
  return wait_for<kv::delete_response>(*this, std::move(request));
}
result<kv::extend_response> transaction::extend(kv::extend_request request) {
  return wait_for<kv::extend_response>(*this, std::move(request));
}
result<kv::commit_response> transaction::commit() { return wait_for<kv::commit_response>(*this, kv::commit_step{}); }

result<std::vector<kv::step_answer>> transaction::run(std::vector<kv::step_operation> operations) {
  const auto asked = operations.size();
  auto done = wait_for<kv::several_response>(*this, kv::several_step{std::move(operations)});
  if (!done) return done.error();
  if (done->answers.size() != asked) return error{errc::internal, "a node answered another number of operations than it was asked"};
  return std::move(done->answers);
}

result<std::vector<kv::get_response>> transaction::get_many(std::vector<kv::get_request> requests, kv::lock_demand lock) {
  std::vector<kv::step_operation> operations(requests.begin(), requests.end());
  for (const auto& request : requests)
    if (lock == kv::lock_demand::exclusive) operations.push_back(kv::wanted_lock{request.space, request.key, lock});
  auto answers = run(std::move(operations));
  if (!answers) return answers.error();
  std::vector<kv::get_response> found;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    auto* get = std::get_if<kv::get_response>(&(*answers)[i]);
    if (get == nullptr) return error{errc::internal, "a node answered an operation with another one's answer"};
    found.push_back(std::move(*get));
  }
  return found;
}

std::optional<error> transaction::lock(std::vector<kv::wanted_lock> keys) {
  const auto done = wait_for<kv::lock_response>(*this, kv::lock_step{std::move(keys)});
  return done ? std::nullopt : std::optional(done.error());
}

std::optional<error> transaction::rollback() {
  const auto done = wait_for<kv::rollback_response>(*this, kv::rollback_step{});
  return done ? std::nullopt : std::optional(done.error());
}

result<key_list> transaction::get_by_bucket(const std::string& bucket, list_options options) {
  auto answered = std::make_shared<std::promise<result<key_list>>>();
  auto future = answered->get_future();
  submit_list(bucket, std::move(options), [answered](result<key_list> list) { answered->set_value(std::move(list)); });
  return future.get();
}

}  // namespace kahuna::client
