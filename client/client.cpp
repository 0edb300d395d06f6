#include "client/client.hpp"

#include <atomic>
#include <future>
#include <utility>

#include "client/client_actor.hpp"
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
  }
};

constexpr std::chrono::milliseconds timeout_max{60'000};

// A node asks its replicas for a second.
constexpr std::chrono::milliseconds inspection_patience{1500};
constexpr std::chrono::milliseconds transfer_look_interval{20};

template <class Response>
result<Response> unwrap(kv::operation_response response) {
  if (auto* answer = std::get_if<Response>(&response)) return std::move(*answer);
  if (auto* failure = std::get_if<error>(&response)) return std::move(*failure);
  return error{errc::internal, "a node answered an operation with another one's answer"};
}

}  // namespace

struct client::implementation {
  struct lane {
    client_handle actor;
    std::shared_ptr<submission_queue> queue = std::make_shared<submission_queue>();
  };

  ~implementation() {
    for (const auto& lane : lanes) caf::anon_send(lane.actor, stop_client{});
    lanes.clear();
    system.reset();  // waits for the actors
  }

  void submit(submission s) {
    auto& lane = lanes[next_lane.fetch_add(1, std::memory_order_relaxed) % lanes.size()];
    bool is_first = false;
    {
      const std::lock_guard guard(lane.queue->mutex);
      is_first = lane.queue->waiting.empty();
      lane.queue->waiting.push_back(std::move(s));
    }
    if (is_first) caf::anon_send(lane.actor, submissions_waiting{lane.queue});
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
    caf::anon_send(lanes.front().actor, list_submission{std::move(query), options.timeout, std::move(done)});
  }

  client_options options;
  system_config config;
  std::unique_ptr<caf::actor_system> system;
  std::vector<lane> lanes;
  std::atomic<std::size_t> next_lane{0};
};

result<client> client::connect(client_options options) {
  if (options.endpoints.empty()) return error{errc::invalid_argument, "no endpoint is given"};
  for (const auto& endpoint : options.endpoints)
    if (const auto parsed = messages::parse_endpoint(endpoint); !parsed) return parsed.error();
  if (options.timeout < std::chrono::milliseconds(1) || options.timeout > timeout_max)
    return error{errc::invalid_argument, "a timeout is 1 to " + std::to_string(timeout_max.count()) + " ms"};
  auto impl = std::make_unique<implementation>();
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
  for (const auto& lane : impl->lanes)
    self->request(lane.actor, caf::infinite, await_cluster{options.connect_timeout})
        .receive([](const cluster_found&) {}, [&](const caf::error& e) { failure = error_of(e); });
  if (failure) return *failure;
  return client(std::move(impl));
}

client::client(std::unique_ptr<implementation> implementation) : implementation_(std::move(implementation)) {}
client::client(client&&) noexcept = default;
client& client::operator=(client&&) noexcept = default;
client::~client() = default;

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
struct client::transfer : std::enable_shared_from_this<client::transfer> {
  client_handle actor;
  std::uint32_t partition = 0;
  std::string to;
  std::chrono::steady_clock::time_point deadline;
  std::function<void(result<cluster_overview>)> done;

  void look(std::chrono::milliseconds pause) {
    caf::delayed_anon_send(actor, pause,
                           cluster_submission{std::nullopt, inspection_patience, [self = shared_from_this()](result<cluster_overview> overview) {
                                                self->take(std::move(overview));
                                              }});
  }

  void take(result<cluster_overview> overview) {
    if (!overview) return done(std::move(overview));
    if (auto refusal = why_no_transfer(*overview, partition, to)) return done(std::move(*refusal));
    if (overview->partitions[partition].leader == to) return done(std::move(overview));
    if (std::chrono::steady_clock::now() >= deadline)
      return done(error{errc::timeout, "partition " + std::to_string(partition) + " is still led by " +
                                           overview->partitions[partition].leader.value_or("nobody")});
    caf::anon_send(actor, leader_transfer_submission{partition, to});
    look(transfer_look_interval);
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
  order->look({});
}

void client::submit_inspection(std::optional<std::uint32_t> described, std::function<void(result<cluster_overview>)> done) {
  caf::anon_send(implementation_->lanes.front().actor,
                 cluster_submission{described, std::min(implementation_->options.timeout, inspection_patience), std::move(done)});
}

}  // namespace kahuna::client
