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
#include "actors/log_disk_actor.hpp"
#include "actors/log_writer_actor.hpp"
#include "actors/network_thread.hpp"
#include "actors/partition_actor.hpp"
#include "actors/replica_host_actor.hpp"
#include "actors/shared_memory_budget.hpp"
#include "core/base/check.hpp"
#include "node/http_server.hpp"
#include "node/join_request.hpp"
#include "node/peer_probe.hpp"
#include "node/prometheus_metrics.hpp"
#include "node/spdlog_event_log.hpp"
#include "persistence/data_directory.hpp"
#include "persistence/data_store.hpp"

namespace kahuna::node {

namespace {

struct system_config : caf::actor_system_config {
  explicit system_config(std::uint32_t partition_threads) {
    load<caf::io::middleman>();
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", std::max<std::uint32_t>(1, partition_threads));
    set("scheduler.max-throughput", 300);
    set("middleman.workers", 0);
    set("middleman.max-consecutive-reads", 1);  // what is left is reported again; asking whether anything is costs a system call each time
    put(content, actors::on_network_thread_option, partition_threads == 0);
  }
};

// Half of the cores: the other half is for the network's thread and the log's. One thread more than there are cores to spare costs a fifth of
// the throughput in switching between them; and where there is hardly one to spare, the network's own does better.
std::uint32_t partition_threads_of(const config::node_options& options) {
  const auto cores = std::thread::hardware_concurrency();
  return options.partition_threads.value_or(cores < 4 ? 0 : cores / 2);
}

std::uint64_t random_number() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

// What all partitions of a node may keep in memory to be fast.
constexpr std::size_t version_cache_bytes = 64 << 20;
constexpr std::size_t raft_log_cache_bytes = 16 << 20;

// The log of all partitions: when so much was written since the last time, the data is flushed, so that the log can be shortened
// behind it, and before the data's memtable is full of as much and RocksDB flushes it by itself; what stays for followers that were away, and
// for those that answer.
constexpr std::size_t log_bytes_to_flush = 24 << 20;
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

// What a node is, and what it knows of its cluster, before it starts.
struct membership {
  routing::partition_map formed;  // see persistence::identity
  routing::partition_map newest;
  node_id self;
  std::uint64_t incarnation = 0;
  bool is_founder = true;
  bool is_new = false;  // there is no data directory yet
};

// What the data directory was made with wins; what was given must not contradict it.
std::variant<membership, start_failure> membership_of(const config::node_options& options, const persistence::identity& found) {
  const auto& map = found.newest;
  const auto* self = routing::find_member(map, found.node);
  if (self == nullptr)
    return start_failure{2, options.data_dir + ": belongs to a node that was removed from its cluster; delete it, or give another --data-dir"};
  if (self->name != options.node_id)
    return start_failure{2, options.data_dir + ": belongs to node " + self->name + ", not to " + options.node_id + "; give its --node-id, or another --data-dir"};
  const auto stored = config::parse_endpoint(self->address);
  if (stored && stored->port != options.listen.port)
    return start_failure{2, options.data_dir + ": its cluster knows " + self->name + " at " + self->address + ", not at " +
                                options.listen.text() + "; give that port to --listen, or another --data-dir"};
  // Without --initial-cluster there is nothing else to compare: the directory knows its cluster. So it does after its members changed.
  if (options.is_initial_cluster_given && found.is_founder) {
    const auto given = routing::form_cluster(options.initial_members, found.map.partitions, found.map.replication_factor);
    if (given.members != found.map.members)
      return start_failure{2, options.data_dir + ": belongs to another cluster than --initial-cluster names; give the members "
                                                 "that it was formed with, or another --data-dir"};
  }
  return membership{found.map, found.newest, found.node, found.incarnation, found.is_founder, false};
}

membership found_cluster(const config::node_options& options) {
  membership forming;
  forming.formed = routing::form_cluster(options.initial_members, options.partitions, options.replication_factor != 0 ? options.replication_factor : 3);
  forming.newest = forming.formed;
  const auto* member = routing::find_member(forming.formed, options.node_id);
  KAHUNA_CHECK(member != nullptr, options.node_id);
  forming.self = member->id;
  forming.incarnation = std::max<std::uint64_t>(1, random_number());
  forming.is_new = true;
  return forming;
}

std::variant<membership, start_failure> join_cluster(const config::node_options& options) {
  std::vector<std::string> members;
  if (options.join) members.push_back(options.join->text());
  if (!options.join)
    for (const auto& [name, address] : options.initial_members)
      if (name != options.node_id) members.push_back(address);
  const auto answer = ask_to_join(members, {options.node_id, options.listen.port, options.election_timeout_ms, options.rejoin});
  if (!answer) return start_failure{2, answer.error().message};
  membership joining;
  joining.formed = joining.newest = answer->map;
  joining.self = answer->node;
  joining.incarnation = std::max<std::uint64_t>(1, random_number());
  joining.is_founder = false;
  joining.is_new = true;
  return joining;
}

}  // namespace

struct running_node::implementation {
  explicit implementation(const config::node_options& given)
      : options(given), events(make_event_log(given.log_level, given.log_format == config::log_format::json ? log_format::json : log_format::text,
                                              given.node_id)),
        clock(actors::system_wall_ms), config(partition_threads_of(given)), system(config) {}

  std::optional<start_failure> start();
  std::optional<start_failure> bind_ports();
  std::optional<start_failure> open_data();
  actors::link_handle spawn_link(const routing::member& peer);
  std::variant<actors::hosted_replica, start_failure> open_replica(partition_id id, raft::configuration founders);
  std::optional<start_failure> open_replicas();
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
  membership member;  // as of the start

  std::unique_ptr<persistence::data_directory> directory;
  // Of replicas that no replica_host has taken over, because the start failed: their actors use them until they have ended.
  std::vector<std::unique_ptr<persistence::data_store>> stores_left;
  std::vector<std::unique_ptr<raft::log_reader>> readers_left;

  caf::actor_system system;  // gone before what its actors point to
  actors::cluster_handle cluster;
  actors::gateway_handle gateway;
  actors::data_keeper_handle data_keeper;
  actors::log_writer_handle log_writer;
  std::map<node_id, actors::link_handle> links;  // at the start
  std::map<partition_id, actors::hosted_replica> hosted;  // until the replica_host has them
  actors::replica_host_handle replica_host;
  std::unique_ptr<http_server> http;
};

std::variant<std::unique_ptr<running_node>, start_failure> running_node::start(const config::node_options& options) {
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
  std::variant<membership, start_failure> agreed = start_failure{};
  // A node that has data knows its cluster: it joins no other, and has lost nothing.
  if (found)
    agreed = membership_of(options, *found);
  else if (options.join || options.rejoin)
    agreed = join_cluster(options);
  else
    agreed = found_cluster(options);
  if (auto* failure = std::get_if<start_failure>(&agreed)) return std::move(*failure);
  member = std::move(std::get<membership>(agreed));

  ephemeral_budget = std::make_shared<actors::shared_memory_budget>(options.ephemeral_max_bytes, member.newest.partitions);
  if (auto failure = bind_ports()) return failure;
  if (member.is_new && member.is_founder)
    if (const auto refusal = ask_members_for_refusal(member.newest, member.self, member.incarnation, options.election_timeout_ms))
      return start_failure{2, *refusal};
  if (auto failure = open_data()) return failure;
  for (const auto& peer : member.newest.members)
    if (peer.id != member.self && !routing::is_superseded(member.newest, peer)) links[peer.id] = spawn_link(peer);
  if (auto failure = open_replicas()) return failure;
  wire();
  events->write(severity::info, "started",
                {{"listen", options.listen.text()},
                 {"data_dir", options.data_dir},
                 {"members", std::to_string(member.newest.members.size())},
                 {"partitions", std::to_string(member.newest.partitions)}});
  return std::nullopt;
}

// Whoever connects before wire() is told to come again.
std::optional<start_failure> running_node::implementation::bind_ports() {
  // Heartbeats leave on ticks, so a tick is as long as the heartbeat interval; but deadlines are looked at by it too.
  const auto tick = std::chrono::milliseconds(std::min(options.heartbeat_interval_ms, 50u));
  actors::cluster_settings cluster_settings{member.self, member.newest, tick, &metrics, events.get(), {}, nullptr};
  cluster_settings.membership.election_timeout_ms = options.election_timeout_ms;
  cluster_settings.make_link = [this](const routing::member& peer) { return spawn_link(peer); };
  cluster = system.spawn(actors::cluster_actor, std::move(cluster_settings));
  actors::gateway_settings settings;
  settings.host = options.listen.host;
  settings.port = options.listen.port;
  settings.self = member.self;
  settings.map = member.newest;
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
    http = http_server::start(options.http->host, options.http->port, member.self, [this] { return status(); },
                              [this] { return metrics_text(); });
    if (!http)
      return start_failure{2, "can't listen on " + options.http->text() + ": the port is in use, or the address is not this machine's; give another --http, or off"};
  }
  return std::nullopt;
}

std::optional<start_failure> running_node::implementation::open_data() {
  persistence::identity identity;
  identity.node = member.self;
  identity.incarnation = member.incarnation;
  identity.map = member.formed;
  identity.is_founder = member.is_founder;
  identity.newest = member.newest;
  auto opened = persistence::data_directory::open(options.data_dir, identity, [](const error& e) {
    actors::die(e.code == errc::data_corrupted ? actors::fatal_status::damaged : actors::fatal_status::failed, e.message);
  });
  if (const auto* wrong = std::get_if<persistence::open_failure>(&opened))
    return start_failure{wrong->is_damage ? 4 : 2, wrong->message};
  directory = std::move(std::get<std::unique_ptr<persistence::data_directory>>(opened));
  if (member.is_new) events->write(severity::info, "data directory made", {{"data_dir", options.data_dir}});
  if (!directory->repaired().empty()) events->write(severity::warn, "data directory repaired", {{"what", directory->repaired()}});
  data_keeper = system.spawn<caf::detached>(actors::data_keeper_actor, directory->data());
  const auto log_disk = system.spawn<caf::detached>(actors::log_disk_actor, directory->log(), &metrics);
  log_writer = system.spawn(actors::log_writer_actor, log_disk, &metrics, data_keeper, log_bytes_to_flush);
  return std::nullopt;
}

// Also from the cluster's actor, when members come.
actors::link_handle running_node::implementation::spawn_link(const routing::member& peer) {
  actors::link_settings settings;
  settings.peer = peer.id;
  settings.peer_name = peer.name;
  settings.connection.address = peer.address;
  settings.connection.frame_bytes_max = messages::frame_bytes_max(static_cast<std::uint32_t>(options.max_value_size));
  settings.connection.seed = random_number();
  settings.connection.hello.role = messages::connection_role::node;
  settings.connection.hello.cluster_id = member.newest.cluster_id;
  settings.connection.hello.node = member.self;
  settings.connection.hello.incarnation = member.incarnation;
  settings.connection.hello.election_timeout_ms = options.election_timeout_ms;
  settings.connection.hello.zone = options.zone;
  settings.clock = &clock;
  settings.events = events.get();
  return caf::actor_cast<actors::link_handle>(system.middleman().spawn_broker(
      actors::link_actor, settings, gateway, cluster, [name = peer.name](const std::string& reason) {
        actors::die(actors::fatal_status::refused, name + " says: " + reason);
      }));
}

// Also from the replica_host, when this node is to hold something more. `founders`: nobody where the group is to be heard of first.
std::variant<actors::hosted_replica, start_failure> running_node::implementation::open_replica(partition_id id, raft::configuration founders) {
  const auto fatal = [](const error& e) { actors::die(actors::fatal_status::failed, e.message); };
  const auto partitions = member.newest.partitions;
  actors::hosted_replica opened;
  auto store = persistence::data_store::open(directory->data(), id, fatal, persistence::write_behind_of(partitions));
  if (!store) return start_failure{4, options.data_dir + "/data: " + store.error().message};
  auto found = directory->log()->load(id, (*store)->applied_index(), (*store)->snapshot());
  if (!found) return start_failure{4, options.data_dir + "/log: " + found.error().message};
  opened.store = std::move(*store);
  opened.reader = directory->log()->reader(id);

  actors::partition_settings settings;
  settings.raft.partition = id;
  settings.raft.self = member.self;
  settings.raft.voters = std::move(founders);
  settings.raft.options = raft_options_of(options, partitions);
  settings.raft.found = *found;
  settings.raft.log = opened.reader.get();
  settings.raft.seed = random_number();
  settings.raft.metrics = &metrics;
  settings.metrics = &metrics;
  settings.options.bounds.value_bytes_max = options.max_value_size;
  settings.options.cache_bytes_max = share_of(version_cache_bytes, partitions);
  settings.options.history = {options.history_max_revisions, options.history_max_age_ms};
  settings.options.ephemeral_budget = ephemeral_budget;
  settings.manager.options = {id, partitions};
  settings.manager.options.written_bytes_max = options.max_value_size + (1 << 20);
  settings.manager.options.answered_bytes_max = options.max_value_size + (1 << 20);
  settings.manager.seed = random_number();
  settings.manager.clock = &clock;
  settings.manager.metrics = &metrics;
  settings.store = opened.store.get();
  settings.clock = &clock;
  settings.events = events.get();
  settings.snapshot_permits = snapshot_permits;

  auto announced = std::make_shared<std::promise<actors::raft_peer_handle>>();
  auto raft_peer = announced->get_future();
  opened.partition = system.spawn(actors::partition_actor, std::move(settings), actors::partition_peers{gateway, log_writer, data_keeper, cluster, links},
                                  [announced](actors::raft_peer_handle peer) { announced->set_value(std::move(peer)); });
  opened.raft_peer = raft_peer.get();
  return opened;
}

// What was recorded counts, and where nothing was, what the cluster was formed with.
std::optional<start_failure> running_node::implementation::open_replicas() {
  for (std::uint32_t number = 0; number < member.newest.partitions; ++number) {
    const partition_id id{number};
    const auto recorded = directory->log()->is_hosted(id);
    if (!recorded) return start_failure{4, options.data_dir + "/log: " + recorded.error().message};
    const auto& founders = member.formed.placements[number].voters;
    const bool is_founder = member.is_founder && !*recorded && std::binary_search(founders.begin(), founders.end(), member.self);
    if (!is_founder && !recorded->value_or(false)) {
      // What is left of a replica that was dropped.
      if (recorded->has_value())
        if (const auto failure = persistence::data_store::clear(*directory->data(), id)) return start_failure{3, options.data_dir + "/data: " + failure->message};
      continue;
    }
    auto opened = open_replica(id, is_founder ? raft::configuration{founders, {}, {}} : raft::configuration{});
    if (auto* failure = std::get_if<start_failure>(&opened)) return std::move(*failure);
    hosted.emplace(id, std::move(std::get<actors::hosted_replica>(opened)));
  }
  return std::nullopt;
}

void running_node::implementation::wire() {
  actors::cluster_wiring wiring{gateway, links, {}, {}, log_writer, {}};
  actors::hosted_partitions kept;
  for (const auto& [id, replica] : hosted) {
    wiring.partitions[id] = replica.partition;
    wiring.raft_peers[id] = replica.raft_peer;
    kept.partitions.push_back(replica.partition);
  }
  caf::anon_send(gateway, actors::gateway_wiring{log_writer, wiring.partitions, wiring.raft_peers, links});
  caf::anon_send(data_keeper, std::move(kept));

  auto settings = std::make_shared<actors::replica_host_settings>();
  settings->self = member.self;
  settings->map = member.newest;
  settings->data = directory->data();
  settings->hosted = std::move(hosted);
  settings->open = [this](partition_id id) {
    auto opened = open_replica(id, {});
    if (const auto* failure = std::get_if<start_failure>(&opened)) actors::die(static_cast<actors::fatal_status>(failure->exit_status), failure->message);
    return std::move(std::get<actors::hosted_replica>(opened));
  };
  settings->remember = [this](const routing::partition_map& newest) {
    if (const auto failure = directory->remember(newest))
      actors::die(actors::fatal_status::failed, "the partition map could not be written, the node stops: " + failure->message);
  };
  settings->events = events.get();
  replica_host = system.spawn<caf::detached>(actors::replica_host_actor, std::move(settings),
                                             actors::replica_host_peers{cluster, gateway, data_keeper, log_writer});
  wiring.replica_host = replica_host;
  // Before the cluster's actor knows it, which may have newer ones to tell.
  caf::anon_send(replica_host, actors::links_changed{links});
  // There may be something to do at once: the last life ended before it was done.
  caf::anon_send(replica_host, actors::map_changed{member.newest});
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
  if (!known) return metrics.text(member.newest, nullptr);
  const node_reading reading{*known, directory_bytes(options.data_dir + "/log"), directory_bytes(options.data_dir + "/data"),
                             ephemeral_budget->used(), ephemeral_budget->bytes_max()};
  return metrics.text(known->map, &reading);
}

void running_node::wait_until_ready(const std::function<bool()>& should_stop) {
  auto& node = *implementation_;
  while (!should_stop()) {
    const auto status = node.status();
    if (status && is_ready(node.member.self, *status)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

void running_node::implementation::stop_actors() {
  http.reset();
  if (gateway) caf::anon_send(gateway, actors::stop{});
  if (cluster) caf::anon_send(cluster, actors::stop{});
  // Where the wiring was not reached nobody else stops them.
  if (!replica_host) {
    for (const auto& [peer, link] : links) caf::anon_send(link, actors::stop{});
    for (auto& [id, replica] : hosted) {
      caf::anon_send(replica.partition, actors::stop{});
      stores_left.push_back(std::move(replica.store));
      readers_left.push_back(std::move(replica.reader));
    }
  } else {
    caf::anon_send(replica_host, actors::stop{});
  }
  if (log_writer) caf::anon_send(log_writer, actors::stop{});
  if (data_keeper) caf::anon_send(data_keeper, actors::stop{});
  gateway = actors::gateway_handle();
  cluster = actors::cluster_handle();
  links.clear();
  hosted.clear();
  replica_host = actors::replica_host_handle();
  log_writer = actors::log_writer_handle();
  data_keeper = actors::data_keeper_handle();
  system.await_all_actors_done();
}

// Whatever this node leads goes to others while it still answers, so that nobody has to wait for an election.
void running_node::implementation::hand_over() {
  const auto deadline = std::chrono::steady_clock::now() + handover_time_max;
  const auto leads_any = [&](const actors::node_status& status) {
    return std::any_of(status.leaders.begin(), status.leaders.end(), [&](const auto& entry) { return entry.leader == member.self; });
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
