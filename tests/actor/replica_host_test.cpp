// A node's replicas come and go as the partition map wants it. Partitions are stood in for; the log and the data are real.
#define CAF_SUITE replica_host
#define FAIL CAF_FAIL
#include "caf/test/dsl.hpp"

#include <memory>
#include <set>

#include "actors/cluster_actor.hpp"
#include "actors/log_disk_actor.hpp"
#include "actors/log_writer_actor.hpp"
#include "actors/replica_host_actor.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/raft_log_store.hpp"

using namespace kahuna;
using namespace kahuna::actors;

namespace {

constexpr node_id self_id{4};

raft_peer_handle::behavior_type idle_raft_peer(raft_peer_handle::pointer) {
  return {[](const partition_outputs&) {}, [](const raft_inputs&) {},   [](const peer_input&) {},
          [](const group_ordered&) {},     [](const links_changed&) {}, [](const log_persisted&) {},
          [](const node_tick&) {},         [](const get_status&) { return replica_status{}; },
          [](const drain&) {}};
}

// Ends when it is told to, and its raft_peer with it, unless that has still something to do.
enum class raft_peer_end : std::uint8_t { with_its_partition, later };
partition_handle::behavior_type idle_partition(partition_handle::pointer self, raft_peer_handle raft_peer, raft_peer_end end) {
  if (end == raft_peer_end::with_its_partition) self->link_to(raft_peer);
  return {[](const client_operations&) {}, [](const raft_events&) {},      [](const manager_answers&) {}, [](const snapshot_work&) {},
          [](const prepare_flush&) {},     [](const data_flushed&) {},     [](const system_operation&) {}, [](const node_tick&) {},
          [](const get_status&) { return partition_status{}; },
          [=](const stop&) { self->quit(caf::exit_reason::user_shutdown); },
          [](const drain&) {}};
}

link_handle::behavior_type idle_link(link_handle::pointer self) {
  return {[](const peer_output&) {},           [](const forward_requests&) {},    [](const forward_replies&) {}, [](const leaders_changed&) {},
          [](const messages::map_news&) {},    [](const messages::group_order&) {}, [](const messages::group_report&) {},
          [](const node_tick&) {},             [=](const stop&) { self->quit(); }};
}

struct told {
  std::set<partition_id> by_gateway;
  std::size_t kept = 0;
  std::uint64_t map_version = 0;
  std::vector<messages::membership_reply> replies;
};

gateway_handle::behavior_type listening_gateway(gateway_handle::pointer, std::shared_ptr<told> heard) {
  return {[](const gateway_wiring&) {},  [](const partition_replies&) {}, [](const manager_requests&) {}, [](const leaders_changed&) {},
          [](const peer_checked&) {},    [](const link_broken&) {},       [](const link_changed&) {},
          [=](const map_changed& news) { heard->map_version = news.map.version; },
          [](const links_changed&) {},
          [=](const replicas_changed& news) {
            heard->by_gateway.clear();
            for (const auto& [id, partition] : news.partitions) heard->by_gateway.insert(id);
          },
          [=](const membership_answered& answered) { heard->replies.push_back(answered.reply); }, [](const node_tick&) {}, [](const stop&) {}};
}

data_keeper_handle::behavior_type listening_keeper(data_keeper_handle::pointer, std::shared_ptr<told> heard) {
  return {[=](const hosted_partitions& hosted) { heard->kept = hosted.partitions.size(); }, [](const log_grown&) {},
          [](const flush_data&) {}, [](const stop&) {}, [](const drain&) {}};
}

struct fixture : test_coordinator_fixture<> {
  fixture() {
    map = routing::form_cluster({{"n1", "h:1"}, {"n2", "h:2"}, {"n3", "h:3"}}, 4, 3);
    map.members.push_back({map.next_node, "n4", "h:4"});
    ++map.next_node;
    auto opened = persistence::raft_log_store::open(log_disk, nullptr, [](const error& e) { CAF_FAIL(e.message); });
    log = std::move(*opened);
    keeper = sys.spawn(listening_keeper, heard);
    writer = sys.spawn(log_writer_actor, sys.spawn(log_disk_actor, log, &silent_metrics()), &silent_metrics(), keeper, std::size_t{1} << 20);
    gateway = sys.spawn(listening_gateway, heard);
    cluster = sys.spawn(cluster_actor, cluster_settings{self_id, map, std::chrono::milliseconds(50), &silent_metrics(), &silent_log(), {}, nullptr});
    host = sys.spawn(replica_host_actor, host_settings(), replica_host_peers{cluster, gateway, keeper, writer});
    run();
  }

  std::shared_ptr<replica_host_settings> host_settings() {
    auto settings = std::make_shared<replica_host_settings>();
    settings->self = self_id;
    settings->map = map;
    settings->data = data_disk;
    settings->events = &silent_log();
    settings->remember = [this](const routing::partition_map& newest) { remembered = newest.version; };
    settings->open = [this](partition_id id) {
      ++openings;
      hosted_replica opened_now;
      auto store = persistence::data_store::open(data_disk, id, [](const error& e) { CAF_FAIL(e.message); });
      opened_now.store = std::move(*store);
      CAF_CHECK(opened_now.store->applied_index() == log_index{});
      opened_now.reader = log->reader(id);
      opened_now.raft_peer = sys.spawn(idle_raft_peer);
      opened_now.partition = sys.spawn(idle_partition, opened_now.raft_peer, raft_peers_end);
      stores[id] = opened_now.store.get();
      raft_peers[id] = opened_now.raft_peer;
      return opened_now;
    };
    return settings;
  }

  ~fixture() {
    anon_send(host, stop{});
    for (const auto& handle : {caf::actor_cast<caf::actor>(cluster), caf::actor_cast<caf::actor>(gateway), caf::actor_cast<caf::actor>(writer),
                               caf::actor_cast<caf::actor>(keeper)})
      anon_send_exit(handle, caf::exit_reason::kill);
    run();
  }

  void tell() {
    ++map.version;
    anon_send(host, map_changed{map});
    run();
  }

  node_id leader_known_to(const cluster_handle& asked, std::uint32_t p) {
    node_id leader;
    sched.run();
    self->send(asked, get_status{});
    sched.run();
    self->receive([&](const node_status& status) { leader = status.leaders.at(p).leader; });
    return leader;
  }

  bool is_recorded(std::uint32_t p) { return log->is_hosted(partition_id{p})->value_or(false); }

  std::shared_ptr<persistence::memory_store> log_disk = std::make_shared<persistence::memory_store>();
  std::shared_ptr<persistence::memory_store> data_disk = std::make_shared<persistence::memory_store>();
  std::shared_ptr<persistence::raft_log_store> log;
  std::map<partition_id, persistence::data_store*> stores;
  std::map<partition_id, raft_peer_handle> raft_peers;
  raft_peer_end raft_peers_end = raft_peer_end::with_its_partition;
  std::shared_ptr<told> heard = std::make_shared<told>();
  routing::partition_map map;
  data_keeper_handle keeper;
  log_writer_handle writer;
  gateway_handle gateway;
  cluster_handle cluster;
  replica_host_handle host;
  std::uint64_t remembered = 0;
  int openings = 0;
};

kv::write_batch batch_of(const std::string& key) {
  kv::write_batch batch;
  batch.mutations.push_back({key, kv::version{0, false, timestamp{5}, timestamp{5}, 0, "v"}});
  return batch;
}

void apply(persistence::data_store& store, const std::string& key) {
  const auto batch = batch_of(key);
  kv::applied_effects effects;
  effects.index = store.applied_index() + 1;
  effects.stamp = timestamp{5};
  effects.mutations = &batch.mutations;
  store.apply(effects);
  store.checkpoint({});
  store.write_out();
}

}  // namespace

CAF_TEST_FIXTURE_SCOPE(replica_host_tests, fixture)

CAF_TEST(what a map wants is made and known to everybody) {
  CAF_CHECK_EQUAL(openings, 0);
  map.placements[2].target = {node_id{1}, node_id{3}, self_id};
  tell();
  CAF_CHECK_EQUAL(openings, 1);
  CAF_CHECK_EQUAL(remembered, map.version);
  CAF_CHECK(is_recorded(2));
  CAF_CHECK(heard->by_gateway == std::set<partition_id>{partition_id{2}});
  CAF_CHECK_EQUAL(heard->kept, 1u);
  // The same again, and older news, change nothing.
  anon_send(host, map_changed{map});
  auto older = map;
  older.version = 1;
  older.placements[2].target.clear();
  anon_send(host, map_changed{older});
  run();
  CAF_CHECK_EQUAL(openings, 1);
  CAF_CHECK(heard->by_gateway.contains(partition_id{2}));
}

CAF_TEST(a replica goes only when its partition is settled without it) {
  map.placements[2].target = {node_id{1}, node_id{3}, self_id};
  tell();
  apply(*stores[partition_id{2}], "k");
  raft::log_write write;
  write.number = 1;
  write.state = raft::hard_state{term_id{9}, node_id{1}};
  log->add(partition_id{2}, write);
  CAF_REQUIRE(!log->commit());
  // Others were chosen: until they have agreed it may be one of those whom a majority rests on.
  map.placements[2].target = {node_id{1}, node_id{2}};
  tell();
  CAF_CHECK(heard->by_gateway.contains(partition_id{2}));
  map.placements[2].voters = {node_id{1}, node_id{2}};
  map.placements[2].target.clear();
  tell();
  CAF_CHECK(heard->by_gateway.empty());
  CAF_CHECK_EQUAL(heard->kept, 0u);
  CAF_CHECK(!is_recorded(2));
  const auto left = persistence::data_store::open(data_disk, partition_id{2}, [](const error& e) { CAF_FAIL(e.message); });
  CAF_CHECK((*left)->applied_index() == log_index{});
  CAF_CHECK(!(*left)->latest("k")->has_value());
  // What it had promised it still knows when it is made again.
  map.placements[2].target = {node_id{1}, self_id};
  tell();
  CAF_CHECK_EQUAL(openings, 2);
  CAF_CHECK(is_recorded(2));
  CAF_CHECK((log->load(partition_id{2}, {})->state == raft::hard_state{term_id{9}, node_id{1}}));
}

// Whoever is given something must have dropped what it was to drop before.
CAF_TEST(a version is told to be settled when all is made and dropped that it wants) {
  std::map<std::uint64_t, bool> was_recorded;  // the replica of partition 2, by the version that was told
  const link_handle link = sys.spawn([&](link_handle::pointer) -> link_handle::behavior_type {
    return {[](const peer_output&) {}, [](const forward_requests&) {}, [](const forward_replies&) {}, [](const leaders_changed&) {},
            [&](const messages::map_news& news) { was_recorded.emplace(news.settled_version, is_recorded(2)); },
            [](const messages::group_order&) {}, [](const messages::group_report&) {}, [](const node_tick&) {}, [](const stop&) {}};
  });
  cluster_wiring wiring;
  wiring.gateway = gateway;
  wiring.links[node_id{1}] = link;
  wiring.log_writer = writer;
  wiring.replica_host = host;
  anon_send(cluster, wiring);
  sched.run();
  const auto tell_without_ticks = [&] {
    ++map.version;
    anon_send(host, map_changed{map});
    sched.run();
  };
  map.placements[2].target = {node_id{1}, node_id{3}, self_id};
  tell_without_ticks();
  const auto made = map.version;
  map.placements[2].voters = {node_id{1}, node_id{2}};
  map.placements[2].target.clear();
  tell_without_ticks();
  CAF_CHECK((was_recorded == std::map<std::uint64_t, bool>{{made, true}, {map.version, false}}));
  anon_send(cluster, stop{});
  anon_send_exit(link, caf::exit_reason::kill);
}

// A crash would bring back what is told to be gone.
CAF_TEST(nothing is told to be settled before the log has recorded it) {
  std::vector<record_replica> records;
  const log_writer_handle slow = sys.spawn([&](log_writer_handle::pointer) -> log_writer_handle::behavior_type {
    return {[](const append_to_log&) {}, [](const log_batch_synced&) {}, [](const check_peer&) {},
            [&](const record_replica& record) { records.push_back(record); }, [](const node_tick&) {}, [](const stop&) {}, [](const drain&) {}};
  });
  std::uint64_t settled = 0;
  const link_handle link = sys.spawn([&](link_handle::pointer) -> link_handle::behavior_type {
    return {[](const peer_output&) {}, [](const forward_requests&) {}, [](const forward_replies&) {}, [](const leaders_changed&) {},
            [&](const messages::map_news& news) { settled = std::max(settled, news.settled_version); },
            [](const messages::group_order&) {}, [](const messages::group_report&) {}, [](const node_tick&) {}, [](const stop&) {}};
  });
  const auto slow_host = sys.spawn(replica_host_actor, host_settings(), replica_host_peers{cluster, gateway, keeper, slow});
  cluster_wiring wiring;
  wiring.gateway = gateway;
  wiring.links[node_id{1}] = link;
  wiring.log_writer = slow;
  wiring.replica_host = slow_host;
  anon_send(cluster, wiring);
  const auto tell_slow_host = [&] {
    ++map.version;
    anon_send(slow_host, map_changed{map});
    sched.run();
  };
  const auto record = [&](bool is_hosted) {
    CAF_REQUIRE_EQUAL(records.size(), 1u);
    CAF_CHECK_EQUAL(records.front().is_hosted, is_hosted);
    records.clear();
    anon_send(slow_host, replica_recorded{partition_id{2}, is_hosted});
    sched.run();
  };
  for (const bool is_made : {true, false}) {
    map.placements[2].voters = {node_id{1}, node_id{3}};
    if (is_made) map.placements[2].voters.push_back(self_id);
    const auto before = settled;
    tell_slow_host();
    // Another map, in which nothing else changes, does not make it more so.
    tell_slow_host();
    CAF_CHECK_EQUAL(settled, before);
    record(is_made);
    CAF_CHECK_EQUAL(settled, map.version);
  }
  anon_send(slow_host, stop{});
  anon_send(cluster, stop{});
  for (const auto& handle : {caf::actor_cast<caf::actor>(link), caf::actor_cast<caf::actor>(slow)}) anon_send_exit(handle, caf::exit_reason::kill);
  sched.run();
}

// Entries that came behind the record would be found by the replica that is made next.
CAF_TEST(a replica is recorded as dropped behind all that it had written) {
  raft_peers_end = raft_peer_end::later;
  map.placements[2].target = {node_id{1}, node_id{3}, self_id};
  tell();
  map.placements[2].target.clear();
  tell();
  CAF_CHECK(heard->by_gateway.empty());
  CAF_CHECK(is_recorded(2));
  raft::log_write write;
  write.number = 1;
  write.state = raft::hard_state{term_id{9}, node_id{1}};
  write.entries = {raft::log_entry{term_id{9}, log_index{1}, raft::entry_kind::command, "late"}};
  self->send(writer, append_to_log{partition_id{2}, std::move(write)});
  anon_send_exit(raft_peers.at(partition_id{2}), caf::exit_reason::user_shutdown);
  run();
  self->receive([](const log_persisted& done) { CAF_CHECK_EQUAL(done.write_number, 1u); });
  CAF_CHECK(!is_recorded(2));
  const auto left = log->load(partition_id{2}, {});
  CAF_REQUIRE(left.has_value());
  CAF_CHECK(left->last_index == log_index{});
  CAF_CHECK((left->dropped == raft::log_position{log_index{1}, term_id{9}}));
}

CAF_TEST(what was dropped does not come back by a crash) {
  map.placements[2].target = {node_id{1}, node_id{3}, self_id};
  tell();
  apply(*stores[partition_id{2}], "k");
  CAF_REQUIRE(!data_disk->flush());
  map.placements[2].target.clear();
  tell();
  map.placements[2].target = {node_id{1}, node_id{3}, self_id};
  tell();
  CAF_CHECK(is_recorded(2));
  // That it is empty is on disk before it is recorded that it is there.
  data_disk->lose_unsynced();
  const auto found = persistence::data_store::open(data_disk, partition_id{2}, [](const error& e) { CAF_FAIL(e.message); });
  CAF_CHECK((*found)->applied_index() == log_index{});
  CAF_CHECK(!(*found)->latest("k")->has_value());
}

// A link connects while the node still opens its replicas.
CAF_TEST(a map that is heard of before the node has started is not lost) {
  int links_made = 0;
  const auto make_link = [&](const routing::member&) -> link_handle {
    ++links_made;
    return sys.spawn(idle_link);
  };
  const auto starting = sys.spawn(cluster_actor, cluster_settings{self_id, map, std::chrono::milliseconds(50), &silent_metrics(), &silent_log(), {}, make_link});
  auto newer = map;
  newer.members.push_back({newer.next_node, "n5", "h:5"});
  ++newer.next_node;
  newer.placements[2].target = {node_id{1}, node_id{3}, self_id};
  ++newer.version;
  anon_send(starting, map_heard{node_id{1}, {newer.version, newer}});
  run();
  // Those that there are come with the wiring: a second one to the same node would tell of connections that nobody uses.
  CAF_CHECK_EQUAL(links_made, 0);
  std::map<node_id, link_handle> links;
  for (std::uint32_t peer = 1; peer <= 3; ++peer) links[node_id{peer}] = sys.spawn(idle_link);
  anon_send(host, map_changed{map});
  anon_send(starting, cluster_wiring{gateway, links, {}, {}, writer, host});
  sched.run();
  CAF_CHECK_EQUAL(links_made, 1);
  CAF_CHECK_EQUAL(remembered, newer.version);
  CAF_CHECK_EQUAL(heard->map_version, newer.version);
  CAF_CHECK(is_recorded(2));
  CAF_CHECK_EQUAL(openings, 1);
  anon_send(starting, stop{});
  run();
}

CAF_TEST(a replica that is gone leads nothing) {
  const auto wired = sys.spawn(cluster_actor, cluster_settings{self_id, map, std::chrono::milliseconds(50), &silent_metrics(), &silent_log(), {}, nullptr});
  replicas_changed held;
  for (const std::uint32_t p : {0u, 2u}) {
    held.raft_peers[partition_id{p}] = sys.spawn(idle_raft_peer);
    held.partitions[partition_id{p}] = sys.spawn(idle_partition, held.raft_peers[partition_id{p}], raft_peer_end::with_its_partition);
  }
  anon_send(wired, cluster_wiring{gateway, {}, held.raft_peers, held.partitions, writer, host});
  for (const std::uint32_t p : {0u, 2u}) anon_send(wired, leaders_changed{{{partition_id{p}, term_id{9}, self_id}}});
  sched.run();
  anon_send(wired, replicas_changed{});
  anon_send(wired, leaders_heard{{{partition_id{2}, term_id{9}, node_id{1}}}});
  anon_send(wired, membership_asked{7, {9, routing::remove_member{"n1"}}});
  sched.run();
  CAF_REQUIRE_EQUAL(heard->replies.size(), 1u);
  CAF_CHECK(heard->replies[0].refusal && heard->replies[0].refusal->code == errc::not_leader);
  CAF_CHECK(leader_known_to(wired, 0) == no_node);
  CAF_CHECK(leader_known_to(wired, 2) == node_id{1});
  anon_send(wired, stop{});
  for (const auto& [id, partition] : held.partitions) anon_send(partition, stop{});
  run();
}

// Its group let it go while it was down, in a term that it had begun alone.
CAF_TEST(the word of a leader counts for a node whose own replica is of a later term and knows nobody) {
  anon_send(cluster, leaders_changed{{{partition_id{2}, term_id{9}, no_node}}});
  anon_send(cluster, leaders_heard{{{partition_id{2}, term_id{8}, node_id{1}}}});
  CAF_CHECK(leader_known_to(cluster, 2) == node_id{1});
  anon_send(cluster, leaders_changed{{{partition_id{2}, term_id{10}, node_id{3}}}});
  anon_send(cluster, leaders_heard{{{partition_id{2}, term_id{8}, node_id{1}}}});
  CAF_CHECK(leader_known_to(cluster, 2) == node_id{3});
}

CAF_TEST_FIXTURE_SCOPE_END()
