#include "client/client.hpp"

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

#include "client/client_actor.hpp"
#include "client/transaction_attempts.hpp"
#include "core/base/prng.hpp"
#include "messages/connection/outbound_connection.hpp"

namespace kahuna::client {

namespace {

// The client is one broker on the multiplexer's thread: the scheduler has next to nothing to do.
struct system_config : caf::actor_system_config {
  system_config() {
    load<caf::io::middleman>();
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", 1);
    set("scheduler.max-throughput", 300);
    set("middleman.workers", 0);
    set("middleman.max-consecutive-reads", 1);  // what is left is reported again; asking whether anything is costs a system call each time
  }
};

constexpr std::chrono::milliseconds timeout_max{60'000};

// A node asks its replicas for a second.
constexpr std::chrono::milliseconds inspection_patience{1500};
constexpr std::chrono::milliseconds transfer_look_interval{20};
constexpr std::chrono::milliseconds change_look_interval{100};

error closed_error() { return {errc::unavailable, "the client was closed"}; }

template <class Response>
result<Response> unwrap(kv::operation_response response) {
  if (auto* answer = std::get_if<Response>(&response)) return std::move(*answer);
  if (auto* failure = std::get_if<error>(&response)) return std::move(*failure);
  return error{errc::internal, "a node answered an operation with another one's answer"};
}

}  // namespace

struct client::implementation : std::enable_shared_from_this<implementation> {
  struct lane {
    client_handle actor;
    std::shared_ptr<submission_queue> queue = std::make_shared<submission_queue>();
    cluster_found found;
  };

  ~implementation() { shut_down(); }

  // Transactions may outlive their client, and answers on their way hold them: so this is done on the thread of whoever ends the
  // client, never on an actor's, which it waits for.
  void shut_down() {
    if (is_shut_down.exchange(true)) return;
    for (auto& lane : lanes) {
      const std::lock_guard guard(lane.queue->mutex);
      caf::anon_send(lane.actor, stop_client{});
      lane.actor = client_handle();
    }
    system.reset();
    // What came too late for the actor, and would be held by its own queue for ever.
    for (auto& lane : lanes) {
      std::vector<submission> left;
      {
        const std::lock_guard guard(lane.queue->mutex);
        left.swap(lane.queue->waiting);
      }
      for (auto& s : left) s.done(closed_error());
    }
  }

  std::size_t choose_lane() { return next_lane.fetch_add(1, std::memory_order_relaxed) % lanes.size(); }

  void submit(submission s) { submit_on(choose_lane(), std::move(s)); }

  void submit_on(std::size_t number, submission s) {
    auto& lane = lanes[number];
    {
      const std::lock_guard guard(lane.queue->mutex);
      if (!is_shut_down) {
        const bool is_first = lane.queue->waiting.empty();
        lane.queue->waiting.push_back(std::move(s));
        if (is_first) caf::anon_send(lane.actor, submissions_waiting{lane.queue});
        return;
      }
    }
    s.done(closed_error());
  }

  template <class Response>
  result<Response> call(kv::operation op) {
    // Shared: the waiter may be gone before set_value() has returned.
    auto answered = std::make_shared<std::promise<kv::operation_response>>();
    auto future = answered->get_future();
    submit({std::move(op), options.timeout, [answered](kv::operation_response response) { answered->set_value(std::move(response)); }});
    return unwrap<Response>(future.get());
  }

  result<key_list> list(list_query query) {
    auto answered = std::make_shared<std::promise<result<key_list>>>();
    auto future = answered->get_future();
    submit_list(std::move(query), [answered](result<key_list> list) { answered->set_value(std::move(list)); });
    return future.get();
  }

  void submit_list(list_query query, std::function<void(result<key_list>)> done) {
    if (is_shut_down) return done(closed_error());
    caf::anon_send(lanes.front().actor, list_submission{std::move(query), options.timeout, std::move(done)});
  }

  transaction_attempts attempts(const transaction_options& wanted);
  void begin(transaction_options options, std::function<void(result<transaction>)> done);

  void run_later(std::chrono::microseconds pause, std::function<void()> run) {
    auto& lane = lanes.front();
    const std::lock_guard guard(lane.queue->mutex);
    if (!is_shut_down) caf::delayed_anon_send(lane.actor, pause, client_errand{std::move(run)});
  }

  client_options options;
  system_config config;
  std::unique_ptr<caf::actor_system> system;
  std::vector<lane> lanes;
  std::atomic<std::size_t> next_lane{0};
  std::atomic<bool> is_shut_down{false};
  std::atomic<std::uint64_t> next_transaction{1};
};

namespace {

// All steps of a transaction go over one connection: it is known by that connection's identity.
template <class Implementation>
class lane_channel final : public transaction_channel {
 public:
  lane_channel(std::shared_ptr<Implementation> implementation, std::size_t lane) : implementation_(std::move(implementation)), lane_(lane) {}

  void submit(kv::operation op, std::function<void(kv::operation_response)> done) override {
    implementation_->submit_on(lane_, {std::move(op), implementation_->options.timeout, std::move(done)});
  }
  void submit_list(list_query query, std::function<void(result<key_list>)> done) override {
    implementation_->submit_list(std::move(query), std::move(done));
  }
  std::uint64_t client_id() const override { return implementation_->lanes[lane_].found.client_id; }
  std::uint32_t partitions() const override { return implementation_->lanes[lane_].found.partitions; }

 private:
  std::shared_ptr<Implementation> implementation_;
  std::size_t lane_;
};

timestamp wall_clock() {
  return timestamp_at(static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count()));
}

// The highest of all partitions' clocks; the first error ends it.
struct clock_round {
  std::mutex mutex;
  std::size_t missing = 0;
  timestamp highest;
  std::optional<error> failure;
};

}  // namespace

result<client> client::connect(client_options options) {
  if (options.endpoints.empty()) return error{errc::invalid_argument, "no endpoint is given"};
  for (const auto& endpoint : options.endpoints)
    if (const auto parsed = messages::parse_endpoint(endpoint); !parsed) return parsed.error();
  if (options.timeout < std::chrono::milliseconds(1) || options.timeout > timeout_max)
    return error{errc::invalid_argument, "a timeout is 1 to " + std::to_string(timeout_max.count()) + " ms"};
  auto impl = std::make_shared<implementation>();
  impl->options = options;
  impl->system = std::make_unique<caf::actor_system>(impl->config);
  for (std::size_t i = 0; i < std::max<std::size_t>(1, options.connections); ++i) {
    impl->lanes.emplace_back();
    // One lane speaks for all: they go to the same nodes.
    auto listener = i == 0 ? options.connection_changed : std::function<void(bool)>();
    impl->lanes.back().actor = spawn_client(*impl->system, {options.endpoints, options.timeout, std::move(listener)});
  }

  std::optional<error> failure;
  caf::scoped_actor self(*impl->system);
  for (auto& lane : impl->lanes)
    self->request(lane.actor, caf::infinite, await_cluster{options.connect_timeout})
        .receive([&](const cluster_found& found) { lane.found = found; }, [&](const caf::error& e) { failure = error_of(e); });
  if (failure) return *failure;
  return client(std::move(impl));
}

client::client(std::shared_ptr<implementation> implementation) : implementation_(std::move(implementation)) {}
client::client(client&&) noexcept = default;
client& client::operator=(client&& other) noexcept {
  std::swap(implementation_, other.implementation_);
  return *this;
}
client::~client() {
  if (implementation_ != nullptr) implementation_->shut_down();
}

result<kv::set_response> client::set(kv::set_request request) {
  return implementation_->call<kv::set_response>(std::move(request));
}
result<kv::get_response> client::get(kv::get_request request) {
  return implementation_->call<kv::get_response>(std::move(request));
}
result<kv::exists_response> client::exists(kv::exists_request request) {
  return implementation_->call<kv::exists_response>(std::move(request));
}
result<kv::delete_response> client::erase(kv::delete_request request) {
  return implementation_->call<kv::delete_response>(std::move(request));
}
result<kv::extend_response> client::extend(kv::extend_request request) {
  return implementation_->call<kv::extend_response>(std::move(request));
}

namespace {

// All under way at once; the answers in the order of the requests.
template <class Response, class Request, class Submit>
std::vector<result<Response>> call_many(std::vector<Request> requests, Submit submit) {
  std::vector<std::future<kv::operation_response>> answers;
  answers.reserve(requests.size());
  for (auto& request : requests) {
    auto answered = std::make_shared<std::promise<kv::operation_response>>();
    answers.push_back(answered->get_future());
    submit(std::move(request), [answered](kv::operation_response response) { answered->set_value(std::move(response)); });
  }
  std::vector<result<Response>> results;
  results.reserve(answers.size());
  for (auto& answer : answers) results.push_back(unwrap<Response>(answer.get()));
  return results;
}

}  // namespace

std::vector<result<kv::set_response>> client::set_many(std::vector<kv::set_request> requests) {
  return call_many<kv::set_response>(std::move(requests), [this](auto request, auto done) { submit(std::move(request), std::move(done)); });
}

std::vector<result<kv::get_response>> client::get_many(std::vector<kv::get_request> requests) {
  return call_many<kv::get_response>(std::move(requests), [this](auto request, auto done) { submit(std::move(request), std::move(done)); });
}

std::optional<error> client::visit_bucket(const std::string& bucket, const std::function<bool(const kv::listed_key&)>& visit,
                                          kv::durability space) {
  kv::get_by_bucket_request request;
  request.bucket = bucket.ends_with('/') ? bucket.substr(0, bucket.size() - 1) : bucket;
  request.space = space;
  do {
    const auto page = implementation_->call<kv::list_response>(request);
    if (!page) return page.error();
    for (const auto& item : page->items)
      if (!visit(item)) return std::nullopt;
    request.after = page->continue_after;
    request.view = page->view;
  } while (!request.after.empty());
  return std::nullopt;
}

result<key_list> client::get_by_bucket(const std::string& bucket, list_options options) {
  return implementation_->list({list_kind::bucket, bucket, std::move(options)});
}

result<key_list> client::scan_by_prefix(const std::string& prefix, list_options options) {
  return implementation_->list({list_kind::scan, prefix, std::move(options)});
}

void client::submit(kv::operation op, std::function<void(kv::operation_response)> done) {
  implementation_->submit({std::move(op), implementation_->options.timeout, std::move(done)});
}

void client::submit_list(list_query query, std::function<void(result<key_list>)> done) {
  implementation_->submit_list(std::move(query), std::move(done));
}

result<cluster_overview> client::inspect_cluster(std::optional<std::uint32_t> described) {
  auto answered = std::make_shared<std::promise<result<cluster_overview>>>();
  auto future = answered->get_future();
  submit_inspection(described, [answered](result<cluster_overview> overview) { answered->set_value(std::move(overview)); });
  return future.get();
}

namespace {

// Why it can't come about, as far as the nodes told.
std::optional<error> why_no_transfer(const cluster_overview& overview, std::uint32_t partition, const std::string& to) {
  if (partition >= overview.partitions.size())
    return error{errc::invalid_argument, "there is no partition " + std::to_string(partition) + "; the last one is " +
                                             std::to_string(overview.partitions.size() - 1)};
  const auto member = std::find_if(overview.members.begin(), overview.members.end(), [&](const auto& m) { return m.name == to; });
  if (member == overview.members.end()) return error{errc::invalid_argument, "there is no node " + to};
  const auto& replicas = overview.partitions[partition].replicas;
  if (std::none_of(replicas.begin(), replicas.end(), [&](const auto& replica) { return replica.node == to; }))
    return error{errc::invalid_argument, to + " has no replica of partition " + std::to_string(partition)};
  if (!member->is_alive) return error{errc::unavailable, to + " does not answer"};
  return std::nullopt;
}

}  // namespace

// Asks, orders, and asks again until it is so. The order is repeated: a leader takes none before its follower has answered it.
namespace {

// Has whoever follows a change take where the cluster stands, after a pause.
template <class Follower>
void look(const std::shared_ptr<Follower>& follower, std::chrono::milliseconds pause) {
  caf::delayed_anon_send(follower->actor, pause, cluster_submission{std::nullopt, inspection_patience, [follower](result<cluster_overview> overview) {
                                                                      follower->take(std::move(overview));
                                                                    }});
}

}  // namespace

struct client::transfer : std::enable_shared_from_this<client::transfer> {
  client_handle actor;
  std::uint32_t partition = 0;
  std::string to;
  std::chrono::steady_clock::time_point deadline;
  std::function<void(result<cluster_overview>)> done;

  void take(result<cluster_overview> overview) {
    if (!overview) return done(std::move(overview));
    if (auto refusal = why_no_transfer(*overview, partition, to)) return done(std::move(*refusal));
    if (overview->partitions[partition].leader == to) return done(std::move(overview));
    if (std::chrono::steady_clock::now() >= deadline)
      return done(error{errc::timeout, "partition " + std::to_string(partition) + " is still led by " +
                                           overview->partitions[partition].leader.value_or("nobody")});
    caf::anon_send(actor, leader_transfer_submission{partition, to});
    look(shared_from_this(), transfer_look_interval);
  }
};

result<cluster_overview> client::transfer_leader(std::uint32_t partition, const std::string& to) {
  auto answered = std::make_shared<std::promise<result<cluster_overview>>>();
  auto future = answered->get_future();
  submit_transfer(partition, to, [answered](result<cluster_overview> overview) { answered->set_value(std::move(overview)); });
  return future.get();
}

void client::submit_transfer(std::uint32_t partition, std::string to, std::function<void(result<cluster_overview>)> done) {
  auto order = std::make_shared<transfer>();
  order->actor = implementation_->lanes.front().actor;
  order->partition = partition;
  order->to = std::move(to);
  order->deadline = std::chrono::steady_clock::now() + implementation_->options.timeout;
  order->done = std::move(done);
  look(order, {});
}

void client::submit_inspection(std::optional<std::uint32_t> described, std::function<void(result<cluster_overview>)> done) {
  caf::anon_send(implementation_->lanes.front().actor,
                 cluster_submission{described, std::min(implementation_->options.timeout, inspection_patience), std::move(done)});
}

namespace {

const member_overview* member_of(const cluster_overview& overview, const std::string& name) {
  const member_overview* found = nullptr;
  for (const auto& m : overview.members)
    if (m.name == name && (found == nullptr || found->state == routing::member_state::leaving)) found = &m;
  return found;
}

bool is_here(const cluster_overview& overview, const std::string& name) {
  const auto* m = member_of(overview, name);
  return m != nullptr && m->state == routing::member_state::active;
}

bool waits_to_be_started(const cluster_overview& overview, const std::string& name) {
  const auto* m = member_of(overview, name);
  return m != nullptr && m->state == routing::member_state::joining && !m->is_alive;
}

}  // namespace

// Orders, then looks until it is so.
struct client::member_change : std::enable_shared_from_this<client::member_change> {
  client_handle actor;
  routing::membership_command what;
  std::chrono::milliseconds timeout{};
  std::function<void(const cluster_overview&)> progress;
  std::function<void(result<cluster_overview>)> done;
  std::optional<std::size_t> left;
  std::chrono::steady_clock::time_point moved_at = std::chrono::steady_clock::now();

  void order() {
    caf::anon_send(actor, membership_submission{what, timeout, [self = shared_from_this()](std::optional<error> refusal) {
                                                  if (refusal) return self->done(std::move(*refusal));
                                                  look(self, {});
                                                }});
  }

  bool is_waiting(const cluster_overview& overview) const {
    if (const auto* add = std::get_if<routing::add_member>(&what)) return waits_to_be_started(overview, add->name);
    if (const auto* replace = std::get_if<routing::replace_member>(&what)) return waits_to_be_started(overview, replace->by);
    return false;
  }

  bool is_done(const cluster_overview& overview) const {
    if (overview.steps_left != 0) return false;
    if (const auto* add = std::get_if<routing::add_member>(&what)) return is_here(overview, add->name);
    if (const auto* remove = std::get_if<routing::remove_member>(&what)) return member_of(overview, remove->name) == nullptr;
    if (const auto* replace = std::get_if<routing::replace_member>(&what))
      return is_here(overview, replace->by) && member_of(overview, replace->name) == nullptr;
    return true;
  }

  void take(result<cluster_overview> overview) {
    if (overview && (is_waiting(*overview) || is_done(*overview))) return done(std::move(overview));
    const auto now = std::chrono::steady_clock::now();
    if (overview && left != overview->steps_left) {
      left = overview->steps_left;
      moved_at = now;
      if (progress) progress(*overview);
    }
    if (now - moved_at >= timeout)
      return done(error{errc::timeout, "the change was taken and goes on, but nothing has moved for " + std::to_string(timeout.count()) + " ms, with " +
                                           std::to_string(left.value_or(0)) + " replicas to go; see that all nodes run, then ask again to follow it"});
    look(shared_from_this(), change_look_interval);
  }
};

result<cluster_overview> client::change_members(routing::membership_command what) {
  auto answered = std::make_shared<std::promise<result<cluster_overview>>>();
  auto future = answered->get_future();
  submit_change(std::move(what), nullptr, [answered](result<cluster_overview> overview) { answered->set_value(std::move(overview)); });
  return future.get();
}

void client::submit_change(routing::membership_command what, std::function<void(const cluster_overview&)> progress,
                           std::function<void(result<cluster_overview>)> done) {
  auto change = std::make_shared<member_change>();
  change->actor = implementation_->lanes.front().actor;
  change->what = std::move(what);
  change->timeout = implementation_->options.timeout;
  change->progress = std::move(progress);
  change->done = std::move(done);
  change->order();
}

// --- transactions -------------------------------------------------------------------------------------------------

namespace {

std::optional<error> wrong_in(const transaction_options& options) {
  if (options.timeout < std::chrono::milliseconds(1) || options.timeout > std::chrono::milliseconds(kv::transaction_timeout_ms_max))
    return error{errc::invalid_argument, "a transaction's timeout is 1 to " + std::to_string(kv::transaction_timeout_ms_max) + " ms"};
  return std::nullopt;
}

}  // namespace

transaction_attempts client::implementation::attempts(const transaction_options& wanted) {
  const auto now = wall_clock();
  return transaction_attempts(wanted, now, prng(now.value ^ next_transaction.load()));
}

void client::submit_begin(transaction_options options, std::function<void(result<transaction>)> done) {
  if (auto wrong = wrong_in(options)) return done(std::move(*wrong));
  implementation_->begin(options, std::move(done));
}

void client::implementation::begin(transaction_options options, std::function<void(result<transaction>)> done) {
  const auto channel = std::make_shared<lane_channel<implementation>>(shared_from_this(), choose_lane());
  const auto number = next_transaction.fetch_add(1);
  const auto began_at = options.began_at != timestamp{} ? options.began_at : wall_clock();
  if (!options.is_as_of_now || options.as_of != timestamp{}) return done(transaction(channel, options, began_at, number));

  auto round = std::make_shared<clock_round>();
  const auto partitions = channel->partitions();
  round->missing = partitions;
  for (std::uint32_t p = 0; p < partitions; ++p)
    channel->submit(kv::read_clock_request{partition_id{p}}, [round, channel, options, number, done](kv::operation_response response) mutable {
      bool is_last = false;
      {
        const std::lock_guard guard(round->mutex);
        if (const auto* clock = std::get_if<kv::clock_response>(&response))
          round->highest = std::max(round->highest, clock->now);
        else if (const auto* failure = std::get_if<error>(&response))
          round->failure = *failure;
        is_last = --round->missing == 0;
      }
      if (!is_last) return;
      if (round->failure) return done(*round->failure);
      options.as_of = round->highest;
      done(transaction(channel, options, round->highest, number));
    });
}

result<transaction> client::begin(transaction_options options) {
  auto begun = std::make_shared<std::promise<result<transaction>>>();
  auto future = begun->get_future();
  submit_begin(options, [begun](result<transaction> t) { begun->set_value(std::move(t)); });
  return future.get();
}

result<timestamp> client::read_clock() {
  transaction_options options;
  options.is_as_of_now = true;
  auto begun = std::make_shared<std::promise<result<timestamp>>>();
  auto future = begun->get_future();
  submit_begin(options, [begun](result<transaction> t) {
    if (!t) return begun->set_value(t.error());
    begun->set_value(t->moment());
  });
  return future.get();
}

// Locks first what attempts before have touched. Only those of the blocking form wait.
result<kv::commit_response> client::run_transaction(const std::function<std::optional<error>(transaction&)>& body,
                                                    transaction_options options) {
  if (auto wrong = wrong_in(options)) return *wrong;
  const auto deadline = std::chrono::steady_clock::now() + implementation_->options.timeout;
  auto attempts = implementation_->attempts(options);
  for (;;) {
    auto begun = begin(attempts.options());
    if (!begun) return begun.error();
    transaction& attempt = *begun;
    auto failure = attempts.locks().empty() ? std::nullopt : attempt.lock(attempts.locks());
    if (!failure) failure = body(attempt);
    if (!failure) {
      auto committed = attempt.commit();
      if (committed) return committed;
      failure = committed.error();
    }
    if (failure->code != errc::aborted || attempt.refusal()) return *failure;
    const auto pause = attempts.lost(attempt.touched());
    if (std::chrono::steady_clock::now() + pause >= deadline) return *failure;
    std::this_thread::sleep_for(pause);
  }
}

// The attempts of one submit_transaction(), one after the other. Held by whatever is to call it next; where that is dropped, because
// the client has stopped, it says so.
struct client::running_transaction : std::enable_shared_from_this<running_transaction> {
  running_transaction(std::shared_ptr<implementation> of, transaction_options options) : owner(std::move(of)), attempts(owner->attempts(options)) {}
  running_transaction(const running_transaction&) = delete;
  running_transaction& operator=(const running_transaction&) = delete;
  ~running_transaction() {
    if (done) finish(closed_error());
  }

  // As of now each attempt reads another moment.
  void begin_attempt() {
    owner->begin(attempts.options(), [self = shared_from_this()](result<transaction> begun) {
      if (!begun) return self->finish(begun.error());
      self->attempt.emplace(std::move(*begun));
      self->run_attempt();
    });
  }

  void run_attempt() {
    auto self = shared_from_this();
    ++attempt_number;
    // Called a second time, or for an attempt that is over, it does nothing.
    const auto run_body = [self] {
      self->body(*self->attempt, [self, number = self->attempt_number](std::optional<error> failure) {
        if (number == self->attempt_number && !std::exchange(self->is_body_over, true)) self->body_ended(std::move(failure));
      });
    };
    is_body_over = false;
    if (attempts.locks().empty()) return run_body();
    attempt->submit(kv::lock_step{attempts.locks()}, [self, run_body](kv::operation_response response) {
      if (auto* failure = std::get_if<error>(&response)) return self->take_outcome(std::move(*failure));
      run_body();
    });
  }

  void body_ended(std::optional<error> failure) {
    if (failure) return take_outcome(std::move(*failure));
    attempt->submit(kv::commit_step{}, [self = shared_from_this()](kv::operation_response response) {
      if (const auto* refusal = std::get_if<kv::commit_refusal>(&response)) return self->finish(error_of(*refusal));
      self->take_outcome(unwrap<kv::commit_response>(std::move(response)));
    });
  }

  void take_outcome(result<kv::commit_response> outcome) {
    if (outcome || outcome.error().code != errc::aborted) return finish(std::move(outcome));
    const auto pause = attempts.lost(attempt->touched());
    if (std::chrono::steady_clock::now() + pause >= deadline) return finish(std::move(outcome));
    owner->run_later(pause, [self = shared_from_this()] { self->begin_attempt(); });
  }

  void finish(result<kv::commit_response> outcome) { std::exchange(done, nullptr)(std::move(outcome)); }

  std::shared_ptr<implementation> owner;
  transaction_attempts attempts;
  std::chrono::steady_clock::time_point deadline;
  std::function<void(transaction&, attempt_ended)> body;
  std::function<void(result<kv::commit_response>)> done;
  std::optional<transaction> attempt;
  std::uint64_t attempt_number = 0;
  bool is_body_over = false;
};

void client::submit_transaction(std::function<void(transaction&, attempt_ended)> body, transaction_options options,
                                std::function<void(result<kv::commit_response>)> done) {
  if (auto wrong = wrong_in(options)) return done(std::move(*wrong));
  auto running = std::make_shared<running_transaction>(implementation_, options);
  running->deadline = std::chrono::steady_clock::now() + implementation_->options.timeout;
  running->body = std::move(body);
  running->done = std::move(done);
  running->begin_attempt();
}

}  // namespace kahuna::client
