#include "node/node.hpp"

#include <algorithm>
#include <future>
#include <map>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "actors/cluster_actor.hpp"
#include "actors/data_keeper_actor.hpp"
#include "actors/fatal.hpp"
#include "actors/gateway.hpp"
#include "actors/link_actor.hpp"
#include "actors/log_writer_actor.hpp"
#include "actors/partition_actor.hpp"
#include "actors/shared_memory_budget.hpp"
#include "core/base/check.hpp"
#include "node/http_server.hpp"
#include "node/peer_probe.hpp"
#include "node/prometheus_metrics.hpp"
#include "node/spdlog_event_log.hpp"
#include "persistence/data_directory.hpp"
#include "persistence/data_store.hpp"

namespace kahuna::node {

namespace {

struct system_config : caf::actor_system_config {
  system_config() {
    load<caf::io::middleman>();
    set("scheduler.policy", caf::atom("sharing"));
    // The other half of the cores is for the network's thread and the log's. One worker more than there are cores to spare costs
    // a fifth of the throughput in switching between them.
    set("scheduler.max-threads", std::max(1u, std::thread::hardware_concurrency() / 2));
    set("scheduler.max-throughput", 300);
    set("middleman.workers", 0);
  }
};

std::uint64_t random_number() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

// What all partitions of a node may keep in memory to be fast.
constexpr std::size_t version_cache_bytes = 64 << 20;
constexpr std::size_t raft_log_cache_bytes = 16 << 20;

// The log of all partitions: when so much was written since the last time, the data is flushed, so that the log can be shortened
// behind it; what stays for followers that were away, and for those that answer.
constexpr std::size_t log_bytes_to_flush = 32 << 20;
constexpr std::size_t log_bytes_kept = 64 << 20;
constexpr std::size_t log_bytes_max = 256 << 20;

constexpr std::chrono::milliseconds handover_time_max{1500};

// Snapshots that a node sends at a time: each has up to a MiB on its way, before the heartbeats of its link.
constexpr int snapshots_sent_max = 2;

// A partition's share, and never too little to be of use.
std::size_t share_of(std::size_t bytes, std::uint32_t partitions) { return std::max<std::size_t>(bytes / partitions, 64 << 10); }

raft::raft_options raft_options_of(const config::node_options& options, std::uint32_t partitions) {
  raft::raft_options raft;
  raft.cached_log_bytes_max = share_of(raft_log_cache_bytes, partitions);
  raft.log_bytes_kept = share_of(log_bytes_kept, partitions);
  raft.log_bytes_max = share_of(log_bytes_max, partitions);
  raft.heartbeat_interval = std::chrono::milliseconds(options.heartbeat_interval_ms);
  raft.election_timeout = std::chrono::milliseconds(options.election_timeout_ms);
  // A tenth: far more than what steady clocks of one election timeout drift apart.
  raft.lease_drift_bound = raft.election_timeout / 10;
  raft.reads = options.read_mode == config::read_mode::lease ? raft::read_mode::lease : raft::read_mode::read_index;
  return raft;
}

// What the data directory was made with wins; what was given must not contradict it.
std::variant<routing::partition_map, start_failure> agree_on_map(const config::node_options& options,
                                                                 const std::optional<persistence::identity>& found) {
  const auto member_count = static_cast<std::uint32_t>(options.initial_members.size());
  const auto factor = options.replication_factor != 0 ? options.replication_factor : std::min(3u, member_count);
  if (!found) return routing::form_cluster(options.initial_members, options.partitions, factor);

  const auto& map = found->map;
  const auto* self = routing::find_member(map, found->node);
  if (self == nullptr || self->name != options.node_id)
    return start_failure{2, options.data_dir + ": belongs to node " + (self != nullptr ? self->name : "?") + ", not to " +
                                options.node_id + "; give its --node-id, or another --data-dir"};
  const auto stored = config::parse_endpoint(self->address);
  if (stored && stored->port != options.listen.port)
    return start_failure{2, options.data_dir + ": its cluster knows " + self->name + " at " + self->address + ", not at " +
                                options.listen.text() + "; give that port to --listen, or another --data-dir"};
  // Without --initial-cluster there is nothing else to compare: the directory knows its cluster.
  if (options.is_initial_cluster_given) {
    const auto given = routing::form_cluster(options.initial_members, map.partitions, map.replication_factor);
    if (given.members != map.members)
      return start_failure{2, options.data_dir + ": belongs to another cluster than --initial-cluster names; give the members "
                                                 "that it was formed with, or another --data-dir"};
  }
  return map;
}

}  // namespace

struct running_node::implementation {
  explicit implementation(const config::node_options& given)
      : options(given), events(make_event_log(given.log_level, given.log_format == config::log_format::json ? log_format::json : log_format::text,
                                              given.node_id)),
        clock(actors::system_wall_ms), system(config) {}

  std::optional<start_failure> start();
  std::optional<start_failure> bind_ports();
  std::optional<start_failure> open_data(bool is_new, std::uint64_t incarnation);
  std::optional<start_failure> spawn_partitions();
  void spawn_links(std::uint64_t incarnation);
  void wire();
  std::optional<actors::node_status> status();
  std::string metrics_text();
  void hand_over();
  void stop_actors();

  const config::node_options options;
  std::unique_ptr<event_log> events;
  actors::node_clock clock;
  prometheus_metrics metrics;
  std::shared_ptr<actors::shared_memory_budget> ephemeral_budget;
  std::shared_ptr<actors::shared_permits> snapshot_permits = std::make_shared<actors::shared_permits>(snapshots_sent_max);
  system_config config;
  routing::partition_map map;
  node_id self;

  std::unique_ptr<persistence::data_directory> directory;
  std::vector<std::unique_ptr<persistence::data_store>> stores;
  std::vector<std::unique_ptr<raft::log_reader>> readers;

  caf::actor_system system;  // gone before what its actors point to
  actors::cluster_handle cluster;
  actors::gateway_handle gateway;
  actors::data_keeper_handle data_keeper;
  actors::log_writer_handle log_writer;
  std::map<node_id, actors::link_handle> links;
  std::map<partition_id, actors::partition_handle> partitions;
  std::map<partition_id, actors::raft_peer_handle> raft_peers;
  std::unique_ptr<http_server> http;
};

std::variant<std::unique_ptr<running_node>, start_failure> running_node::start(const config::node_options& options) {
  if (options.rejoin)
    return start_failure{2, "--rejoin is not available in this version: restore the data directory from a copy of this node's"};
  auto impl = std::make_unique<implementation>(options);
  if (auto failure = impl->start()) {
    impl->stop_actors();
    return std::move(*failure);
  }
  return std::unique_ptr<running_node>(new running_node(std::move(impl)));
}

std::optional<start_failure> running_node::implementation::start() {
  auto inspected = persistence::data_directory::inspect(options.data_dir);
  if (const auto* wrong = std::get_if<persistence::open_failure>(&inspected))
    return start_failure{wrong->is_damage ? 4 : 2, wrong->message};
  const auto& found = std::get<std::optional<persistence::identity>>(inspected);
  auto agreed = agree_on_map(options, found);
  if (auto* failure = std::get_if<start_failure>(&agreed)) return std::move(*failure);
  map = std::get<routing::partition_map>(agreed);
  const auto* member = routing::find_member(map, options.node_id);
  KAHUNA_CHECK(member != nullptr, options.node_id);
  self = member->id;
  const auto incarnation = found ? found->incarnation : std::max<std::uint64_t>(1, random_number());

  ephemeral_budget = std::make_shared<actors::shared_memory_budget>(options.ephemeral_max_bytes, map.partitions);
  if (auto failure = bind_ports()) return failure;
  if (!found)
    if (const auto refusal = ask_members_for_refusal(map, self, incarnation, options.election_timeout_ms)) return start_failure{2, *refusal};
  if (auto failure = open_data(!found, incarnation)) return failure;
  spawn_links(incarnation);
  if (auto failure = spawn_partitions()) return failure;
  wire();
  events->write(severity::info, "started",
                {{"listen", options.listen.text()},
                 {"data_dir", options.data_dir},
                 {"members", std::to_string(map.members.size())},
                 {"partitions", std::to_string(map.partitions)}});
  return std::nullopt;
}

// Whoever connects before wire() is told to come again.
std::optional<start_failure> running_node::implementation::bind_ports() {
  // Heartbeats leave on ticks, so a tick is as long as the heartbeat interval; but deadlines are looked at by it too.
  const auto tick = std::chrono::milliseconds(std::min(options.heartbeat_interval_ms, 50u));
  cluster = system.spawn(actors::cluster_actor, actors::cluster_settings{self, map, tick, &metrics});
  actors::gateway_settings settings;
  settings.host = options.listen.host;
  settings.port = options.listen.port;
  settings.self = self;
  settings.map = map;
  settings.value_bytes_max = static_cast<std::uint32_t>(options.max_value_size);
  settings.election_timeout_ms = options.election_timeout_ms;
  settings.first_token = random_number() | 1;
  settings.clock = &clock;
  settings.events = events.get();
  settings.metrics = &metrics;
  auto listening = std::make_shared<std::promise<bool>>();
  auto is_listening = listening->get_future();
  gateway = caf::actor_cast<actors::gateway_handle>(system.middleman().spawn_broker(
      actors::gateway_actor, settings, cluster, [listening](bool succeeded) { listening->set_value(succeeded); }));
  if (!is_listening.get())
    return start_failure{2, "can't listen on " + options.listen.text() + ": the port is in use, or the address is not this machine's; give another --listen"};
  if (options.http) {
    http = http_server::start(options.http->host, options.http->port, map, self, [this] { return status(); },
                              [this] { return metrics_text(); });
    if (!http)
      return start_failure{2, "can't listen on " + options.http->text() + ": the port is in use, or the address is not this machine's; give another --http, or off"};
  }
  return std::nullopt;
}

std::optional<start_failure> running_node::implementation::open_data(bool is_new, std::uint64_t incarnation) {
  persistence::identity identity;
  identity.node = self;
  identity.incarnation = incarnation;
  identity.map = map;
  auto opened = persistence::data_directory::open(options.data_dir, identity, [](const error& e) {
    actors::die(e.code == errc::data_corrupted ? actors::fatal_status::damaged : actors::fatal_status::failed, e.message);
  });
  if (const auto* wrong = std::get_if<persistence::open_failure>(&opened))
    return start_failure{wrong->is_damage ? 4 : 2, wrong->message};
  directory = std::move(std::get<std::unique_ptr<persistence::data_directory>>(opened));
  if (is_new) events->write(severity::info, "data directory made", {{"data_dir", options.data_dir}});
  if (!directory->repaired().empty()) events->write(severity::warn, "data directory repaired", {{"what", directory->repaired()}});
  data_keeper = system.spawn<caf::detached>(actors::data_keeper_actor, directory->data());
  log_writer = system.spawn<caf::detached>(actors::log_writer_actor, directory->log(), &metrics, data_keeper, log_bytes_to_flush);
  return std::nullopt;
}

void running_node::implementation::spawn_links(std::uint64_t incarnation) {
  for (const auto& member : map.members) {
    if (member.id == self) continue;
    actors::link_settings settings;
    settings.peer = member.id;
    settings.peer_name = member.name;
    settings.connection.address = member.address;
    settings.connection.frame_bytes_max = messages::frame_bytes_max(static_cast<std::uint32_t>(options.max_value_size));
    settings.connection.seed = random_number();
    settings.connection.hello.role = messages::connection_role::node;
    settings.connection.hello.cluster_id = map.cluster_id;
    settings.connection.hello.node = self;
    settings.connection.hello.incarnation = incarnation;
    settings.connection.hello.election_timeout_ms = options.election_timeout_ms;
    settings.clock = &clock;
    settings.events = events.get();
    links[member.id] = caf::actor_cast<actors::link_handle>(system.middleman().spawn_broker(
        actors::link_actor, settings, gateway, cluster, [name = member.name](const std::string& reason) {
          actors::die(actors::fatal_status::refused, name + " says: " + reason);
        }));
  }
}

std::optional<start_failure> running_node::implementation::spawn_partitions() {
  const auto fatal = [](const error& e) { actors::die(actors::fatal_status::failed, e.message); };
  for (std::uint32_t number = 0; number < map.partitions; ++number) {
    const partition_id id{number};
    const auto replicas = routing::replicas_of(map, id);
    if (std::find(replicas.begin(), replicas.end(), self) == replicas.end()) continue;
    auto store = persistence::data_store::open(directory->data(), id, fatal);
    if (!store) return start_failure{4, options.data_dir + "/data: " + store.error().message};
    auto found = directory->log()->load(id, (*store)->applied_index(), (*store)->snapshot());
    if (!found) return start_failure{4, options.data_dir + "/log: " + found.error().message};
    stores.push_back(std::move(*store));
    readers.push_back(directory->log()->reader(id));

    actors::partition_settings settings;
    settings.raft.partition = id;
    settings.raft.self = self;
    settings.raft.voters.voters = replicas;
    settings.raft.options = raft_options_of(options, map.partitions);
    settings.raft.found = *found;
    settings.raft.log = readers.back().get();
    settings.raft.seed = random_number();
    settings.raft.metrics = &metrics;
    settings.metrics = &metrics;
    settings.options.bounds.value_bytes_max = options.max_value_size;
    settings.options.cache_bytes_max = share_of(version_cache_bytes, map.partitions);
    settings.options.history = {options.history_max_revisions, options.history_max_age_ms};
    settings.options.ephemeral_budget = ephemeral_budget;
    settings.manager.options = {id, map.partitions};
    settings.manager.options.written_bytes_max = options.max_value_size + (1 << 20);
    settings.manager.seed = random_number();
    settings.manager.clock = &clock;
    settings.manager.metrics = &metrics;
    settings.store = stores.back().get();
    settings.clock = &clock;
    settings.events = events.get();
    settings.map = map;
    settings.snapshot_permits = snapshot_permits;

    std::map<node_id, actors::link_handle> links_of_replicas;
    for (const auto replica : replicas)
      if (replica != self) links_of_replicas[replica] = links.at(replica);
    auto announced = std::make_shared<std::promise<actors::raft_peer_handle>>();
    auto raft_peer = announced->get_future();
    partitions[id] = system.spawn(actors::partition_actor, std::move(settings),
                                  actors::partition_peers{gateway, log_writer, data_keeper, cluster, std::move(links_of_replicas)},
                                  [announced](actors::raft_peer_handle peer) { announced->set_value(std::move(peer)); });
    raft_peers[id] = raft_peer.get();
  }
  return std::nullopt;
}

void running_node::implementation::wire() {
  caf::anon_send(gateway, actors::gateway_wiring{log_writer, partitions, raft_peers, links});
  actors::cluster_wiring wiring{gateway, links, {}, {}, log_writer};
  for (const auto& [id, partition] : partitions) wiring.partitions.push_back(partition);
  wiring.raft_peers = raft_peers;
  caf::anon_send(data_keeper, actors::hosted_partitions{wiring.partitions});
  caf::anon_send(cluster, std::move(wiring));
}

std::optional<actors::node_status> running_node::implementation::status() {
  std::optional<actors::node_status> known;
  caf::scoped_actor asking(system);
  asking->request(cluster, std::chrono::seconds(2), actors::get_status{})
      .receive([&](actors::node_status& answered) { known = std::move(answered); }, [](const caf::error&) {});
  return known;
}

std::string running_node::implementation::metrics_text() {
  const auto known = status();
  if (!known) return metrics.text(map, nullptr);
  const node_reading reading{*known, directory_bytes(options.data_dir + "/log"), directory_bytes(options.data_dir + "/data"),
                             ephemeral_budget->used(), ephemeral_budget->bytes_max()};
  return metrics.text(map, &reading);
}

void running_node::wait_until_ready(const std::function<bool()>& should_stop) {
  auto& node = *implementation_;
  while (!should_stop()) {
    const auto status = node.status();
    if (status && is_ready(node.map, node.self, *status)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

void running_node::implementation::stop_actors() {
  http.reset();
  if (gateway) caf::anon_send(gateway, actors::stop{});
  if (cluster) caf::anon_send(cluster, actors::stop{});
  for (const auto& [peer, link] : links) caf::anon_send(link, actors::stop{});
  for (const auto& [id, partition] : partitions) caf::anon_send(partition, actors::stop{});
  if (log_writer) caf::anon_send(log_writer, actors::stop{});
  if (data_keeper) caf::anon_send(data_keeper, actors::stop{});
  gateway = actors::gateway_handle();
  cluster = actors::cluster_handle();
  links.clear();
  partitions.clear();
  raft_peers.clear();
  log_writer = actors::log_writer_handle();
  data_keeper = actors::data_keeper_handle();
  system.await_all_actors_done();
}

// Whatever this node leads goes to others while it still answers, so that nobody has to wait for an election.
void running_node::implementation::hand_over() {
  const auto deadline = std::chrono::steady_clock::now() + handover_time_max;
  const auto leads_any = [&](const actors::node_status& status) {
    return std::any_of(status.leaders.begin(), status.leaders.end(), [&](const auto& entry) { return entry.leader == self; });
  };
  auto known = status();
  if (!known || known->alive.size() < 2) return;
  caf::anon_send(cluster, actors::hand_over_all{});
  while (known && leads_any(*known) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    known = status();
  }
}

// The door first, so that nobody is promised anything more; the stores last.
void running_node::stop() {
  auto& node = *implementation_;
  node.events->write(severity::info, "stopping", {});
  node.hand_over();
  node.stop_actors();
  // Not needed for safety: it spares the next start the replay.
  if (const auto failure = node.directory->data()->flush())
    node.events->write(severity::error, "the data could not be flushed; it will be replayed from the log", {{"reason", failure->message}});
  node.events->write(severity::info, "stopped", {});
}

running_node::running_node(std::unique_ptr<implementation> implementation) : implementation_(std::move(implementation)) {}
running_node::~running_node() = default;

}  // namespace kahuna::node
