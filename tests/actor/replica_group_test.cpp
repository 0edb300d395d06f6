// The actors of a node, several nodes in one actor system: what links carry is carried by the test.
#define CAF_SUITE replica_group
#define FAIL CAF_FAIL
#include "caf/test/dsl.hpp"

#include "messages/codec/portable_archive.hpp"
#include "tests/actor/actor_nodes.hpp"

using namespace kahuna;
using namespace kahuna::actors;
using namespace kahuna::testing;

namespace {

// What the network between the nodes knows; the links of the test share it.
struct network {
  std::map<node_id, std::vector<raft_peer_handle>> raft_peers;  // by node, then by partition
  std::map<node_id, cluster_handle> clusters;
  std::set<node_id> unreachable;
  std::chrono::milliseconds delay{0};  // of what goes to raft_peers
  std::vector<messages::group_report> reports;  // of groups, to other nodes
};

// The cluster actor at the other end; nothing where there is no way.
cluster_handle cluster_behind(const network& net, node_id from, node_id to) {
  const auto there = net.clusters.find(to);
  const bool is_cut = net.unreachable.contains(from) || net.unreachable.contains(to);
  return is_cut || there == net.clusters.end() ? cluster_handle() : there->second;
}

// In the place of a link: hands messages over, or loses them.
link_handle::behavior_type wire(link_handle::pointer self, node_id from, node_id to, std::shared_ptr<network> net) {
  return {
      [=](const peer_output& output) {
        if (net->unreachable.contains(from) || net->unreachable.contains(to)) return;
        peer_input input;
        for (const auto& body : output.bodies) input.messages.push_back({from, body});
        const auto there = net->raft_peers.find(to);
        if (there == net->raft_peers.end() || there->second.empty()) return;
        const auto& peer = there->second.at(output.partition.value);
        net->delay.count() == 0 ? self->send(peer, std::move(input)) : self->delayed_send(peer, net->delay, std::move(input));
      },
      [](const forward_requests&) {}, [](const forward_replies&) {}, [](const leaders_changed&) {},
      [=](const messages::map_news& news) {
        if (const auto there = cluster_behind(*net, from, to)) self->send(there, map_heard{from, news});
      },
      [=](const messages::group_order& order) {
        if (const auto there = cluster_behind(*net, from, to)) self->send(there, group_ordered{from, order});
      },
      [=](const messages::group_report& report) {
        net->reports.push_back(report);
        if (const auto there = cluster_behind(*net, from, to)) self->send(there, group_reported{to, report});
      },
      [](const node_tick&) {},
      [=](const stop&) { self->quit(); },
  };
}

// In the place of the gateway: remembers what it is told.
struct told {
  std::map<std::uint64_t, kv::operation_response> replies;
  std::map<partition_id, messages::partition_leader> leaders;
  std::vector<peer_checked> checked;
  std::vector<membership_answered> changed;
  std::uint64_t map_version = 0;
};
gateway_handle::behavior_type listening_gateway(gateway_handle::pointer self, std::shared_ptr<told> heard) {
  return {
      [](const gateway_wiring&) {},
      [=](const partition_replies& replies) {
        for (const auto& reply : replies.replies) CAF_REQUIRE(heard->replies.emplace(reply.origin, reply.response).second);
      },
      // Other partitions can't be reached from here.
      [=](const manager_requests& asked) {
        manager_answers answers;
        for (const auto& request : asked.requests) answers.replies.push_back({request.token, error{errc::not_leader, "no way"}});
        self->send(caf::actor_cast<transaction_manager_handle>(self->current_sender()), std::move(answers));
      },
      [=](const leaders_changed& news) {
        for (const auto& entry : news.partitions) heard->leaders[entry.partition] = entry;
      },
      [=](const peer_checked& checked) { heard->checked.push_back(checked); },
      [](const link_broken&) {},
      [](const link_changed&) {},
      [](const node_tick&) {},
      [=](const map_changed& news) { heard->map_version = news.map.version; },
      [](const links_changed&) {},
      [](const replicas_changed&) {},
      [=](const membership_answered& answered) { heard->changed.push_back(answered); },
      [=](const stop&) { self->quit(); },
  };
}

constexpr std::uint32_t partitions = 2;

struct node : actor_node {
  std::shared_ptr<told> heard = std::make_shared<told>();
};

struct fixture : test_coordinator_fixture<> {
  explicit fixture(std::uint64_t seed = 1, raft::read_mode wanted = raft::read_mode::lease) : dice(seed), reads(wanted) {
    std::vector<std::pair<std::string, std::string>> members;
    for (int i = 1; i <= 3; ++i) members.emplace_back("n" + std::to_string(i), "h:" + std::to_string(i));
    map = routing::form_cluster(members, partitions, 3);
    for (std::uint32_t i = 1; i <= 3; ++i) {
      auto& n = nodes[node_id{i}];
      n.id = node_id{i};
      n.clock = std::make_unique<node_clock>([this] { return wall_ms(); });
      start(n.id);
    }
  }

  ~fixture() {
    for (auto& [id, n] : nodes)
      if (n.is_up) kill(id);
    net->raft_peers.clear();
    net->clusters.clear();
    run_jobs();
  }

  std::uint64_t wall_ms() {
    return 1'700'000'000'000 - slow_by_ms + static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(sched.clock().now().time_since_epoch()).count());
  }

  void start(node_id id) {
    auto& n = nodes[id];
    n.heard = std::make_shared<told>();
    actor_nodes_settings settings;
    settings.raft.log_bytes_kept = 2000;
    settings.raft.log_bytes_max = 20'000;
    settings.raft.reads = reads;
    settings.fatal = [](const error& e) { CAF_FAIL(e.message); };
    settings.make_gateway = [&](node_id) -> gateway_handle { return sys.spawn(listening_gateway, n.heard); };
    settings.make_link = [&](node_id from, node_id to) -> link_handle { return sys.spawn(wire, from, to, net); };
    start_actors(n, sys, map, settings, dice, [&] { run_jobs(); });
    net->raft_peers[id] = n.raft_peers;
    net->clusters[id] = n.cluster;
  }

  void kill(node_id id) {
    net->raft_peers[id].clear();
    net->clusters.erase(id);
    end_actors(nodes[id]);
    run_jobs();
    lose_power(nodes[id]);
    net->unreachable.insert(id);
  }

  void run_jobs() { run_in_any_order(sched, dice); }

  void pass(std::chrono::milliseconds time) {
    for (; time.count() > 0; time -= std::chrono::milliseconds(10)) {
      sched.clock().advance_time(std::chrono::milliseconds(10));
      run_jobs();
    }
  }

  // The node that leads a partition, by its own word.
  node_id leader_of(std::uint32_t partition) {
    for (auto& [id, n] : nodes) {
      if (!n.is_up || net->unreachable.contains(id)) continue;
      const auto known = n.heard->leaders.find(partition_id{partition});
      if (known != n.heard->leaders.end() && known->second.leader == id) return id;
    }
    return no_node;
  }

  node_id await_leader(std::uint32_t partition) {
    for (int i = 0; i < 300; ++i) {
      if (const auto leader = leader_of(partition); leader != no_node) return leader;
      pass(std::chrono::milliseconds(10));
    }
    CAF_FAIL("no leader");
    return no_node;
  }

  std::uint64_t set(node_id at, std::uint32_t partition, const std::string& key, const std::string& value, std::uint64_t sequence) {
    kv::set_request request;
    request.key = key;
    request.value = value;
    return ask(at, partition, request, sequence);
  }

  std::uint64_t ask(node_id at, std::uint32_t partition, kv::operation op, std::uint64_t sequence) {
    kv::partition_request request;
    request.origin = ++origin;
    request.client = 5;
    request.sequence = sequence;
    request.issued_at = timestamp_at(wall_ms());
    request.term = nodes[at].heard->leaders[partition_id{partition}].term;
    request.op = std::move(op);
    client_operations work;
    work.requests.push_back(std::move(request));
    anon_send(nodes[at].hosted[partition], std::move(work));
    return origin;
  }

  std::string answer(node_id at, std::uint64_t o) {
    const auto found = nodes[at].heard->replies.find(o);
    if (found == nodes[at].heard->replies.end()) return "none";
    if (const auto* e = std::get_if<error>(&found->second)) return std::string(to_string(e->code));
    if (const auto* s = std::get_if<kv::set_response>(&found->second)) return "r" + std::to_string(s->revision);
    if (const auto* g = std::get_if<kv::get_response>(&found->second)) return g->value.str();
    return "other";
  }

  routing::partition_map stored_map(node_id at) {
    const auto stored = nodes[at].stores[0]->latest("__kahuna:partition_map");
    return *messages::decode<routing::partition_map>((**stored).value.view());
  }

  // Everybody who is up reaches everybody who is.
  void tell_who_is_up() {
    for (auto& [id, n] : nodes)
      for (auto& [other, its] : nodes)
        if (other != id && n.is_up) anon_send(n.cluster, peer_seen{other, its.is_up});
    run_jobs();
  }

  prng dice;
  raft::read_mode reads;
  routing::partition_map map;
  std::shared_ptr<network> net = std::make_shared<network>();
  std::map<node_id, node> nodes;
  std::uint64_t origin = 0;
  std::uint64_t slow_by_ms = 0;
};

kv::operation get_of(const std::string& key) {
  kv::get_request request;
  request.key = key;
  return request;
}

}  // namespace

CAF_TEST_FIXTURE_SCOPE(replica_group_tests, fixture)

CAF_TEST(a write at the leader is answered and reaches every replica) {
  const auto leader = await_leader(0);
  pass(std::chrono::milliseconds(100));
  const auto write = set(leader, 0, "k", "v", 1);
  run_jobs();
  CAF_CHECK_EQUAL(answer(leader, write), "r0");
  const auto read = ask(leader, 0, get_of("k"), 2);
  run_jobs();
  CAF_CHECK_EQUAL(answer(leader, read), "v");
  pass(std::chrono::milliseconds(100));
  for (auto& [id, n] : nodes) CAF_CHECK(n.stores[0]->latest("k")->has_value());
  for (auto& [id, n] : nodes) {
    if (id == leader) continue;
    const auto refused = set(id, 0, "k", "w", 3);
    run_jobs();
    CAF_CHECK_EQUAL(answer(id, refused), "not_leader");
  }
}

CAF_TEST(the partition map is stored in partition zero) {
  const auto leader = await_leader(0);
  pass(std::chrono::milliseconds(200));
  const auto stored = nodes[leader].stores[0]->latest("__kahuna:partition_map");
  CAF_REQUIRE(stored.has_value());
  CAF_REQUIRE(stored->has_value());
  CAF_CHECK(*messages::decode<routing::partition_map>((*stored)->value.view()) == map);
}

CAF_TEST(a member that is dead is removed from all groups) {
  static_cast<void>(await_leader(0));
  static_cast<void>(await_leader(1));
  pass(std::chrono::milliseconds(200));
  const auto ask_to_remove = [&](node_id at, const std::string& name) -> std::optional<error> {
    nodes[at].heard->changed.clear();
    anon_send(nodes[at].cluster, membership_asked{7, {9, routing::remove_member{name}}});
    pass(std::chrono::milliseconds(100));
    CAF_REQUIRE_EQUAL(nodes[at].heard->changed.size(), 1u);
    CAF_CHECK_EQUAL(nodes[at].heard->changed[0].session, 7u);
    CAF_CHECK_EQUAL(nodes[at].heard->changed[0].reply.token, 9u);
    return nodes[at].heard->changed[0].reply.refusal;
  };
  const node_id dead = leader_of(0);
  kill(dead);
  net->unreachable.insert(dead);
  pass(std::chrono::milliseconds(1500));
  const auto leader = await_leader(0);
  tell_who_is_up();
  pass(std::chrono::milliseconds(300));
  const auto other = node_id{6 - dead.value - leader.value};
  CAF_CHECK(ask_to_remove(other, "n1")->code == errc::not_leader);
  CAF_CHECK(ask_to_remove(leader, "n9")->code == errc::invalid_argument);
  CAF_CHECK(ask_to_remove(leader, "n" + std::to_string(other.value))->code == errc::unavailable);
  CAF_CHECK(!ask_to_remove(leader, "n" + std::to_string(dead.value)));
  pass(std::chrono::milliseconds(3000));
  const auto changed = stored_map(leader);
  CAF_CHECK(routing::is_former(changed, dead));
  for (const auto& held : changed.placements) {
    CAF_CHECK_EQUAL(held.voters.size(), 2u);
    CAF_CHECK(held.is_settled());
  }
  // Everybody has heard of it.
  CAF_CHECK_EQUAL(nodes[other].heard->map_version, changed.version);
  for (std::uint32_t p = 0; p < partitions; ++p) {
    self->send(net->raft_peers[leader].at(p), get_status{});
    run_jobs();
    self->receive([&](const replica_status& status) { CAF_CHECK(status.description.find(" voters ") != std::string::npos); });
  }
  // Asked again it is so already; nothing is written.
  CAF_CHECK(!ask_to_remove(leader, "n" + std::to_string(dead.value)));
  CAF_CHECK(stored_map(leader) == changed);
}

// Orders are repeated every 100 ms; to confirm the leadership takes 160 ms.
CAF_TEST(a group reports although its rounds take longer than orders are apart) {
  fixture slow(1, raft::read_mode::read_index);
  slow.net->delay = std::chrono::milliseconds(80);
  const auto leader = slow.await_leader(1);
  const node_id driver{leader.value % 3 + 1};
  slow.pass(std::chrono::milliseconds(500));
  slow.net->reports.clear();
  for (int i = 0; i < 20; ++i) {
    anon_send(slow.nodes[leader].cluster, group_ordered{driver, {partition_id{1}, slow.map.version, slow.map.placements[1].voters}});
    slow.pass(std::chrono::milliseconds(100));
  }
  CAF_CHECK(slow.net->reports.size() >= 5);
}

// What is reported as settled lets go of whoever is not in it: so it must be in the logs, and no order from before may undo it.
CAF_TEST(a group is settled when it has committed the order or a later one) {
  const auto leader = await_leader(1);
  const node_id driver{leader.value % 3 + 1};
  pass(std::chrono::milliseconds(500));
  net->delay = std::chrono::milliseconds(80);
  const auto report_after = [&](std::uint64_t version, std::chrono::milliseconds time) {
    net->reports.clear();
    auto newer = map;
    newer.version = version;
    anon_send(nodes[leader].cluster, map_heard{driver, {version, newer}});
    anon_send(nodes[leader].cluster, group_ordered{driver, {partition_id{1}, version, map.placements[1].voters}});
    run_jobs();
    pass(time);
    CAF_REQUIRE_EQUAL(net->reports.size(), 1u);
    CAF_CHECK_EQUAL(net->reports.front().version, version);
    CAF_CHECK(net->reports.front().voters == map.placements[1].voters);
    return net->reports.front().is_settled;
  };
  // These are its voters already. It answers at once by its lease, while the entry that says the order's number is in its log alone.
  CAF_CHECK(!report_after(map.version + 1, {}));
  CAF_CHECK(!report_after(map.version + 1, std::chrono::milliseconds(500)));
  CAF_CHECK(report_after(map.version + 1, {}));
  // While it hands over nothing is appended. What is committed are the voters that are wanted, but by an older order.
  net->reports.clear();
  const auto& peer = net->raft_peers[leader].at(1);
  raft_inputs transfer;
  transfer.inputs.push_back(raft::transfer_leadership{driver, false});
  anon_send(peer, std::move(transfer));
  anon_send(peer, group_ordered{driver, {partition_id{1}, map.version + 3, map.placements[1].voters}});
  run_jobs();
  CAF_REQUIRE_EQUAL(net->reports.size(), 1u);
  CAF_CHECK_EQUAL(net->reports.front().version, map.version + 3);
  CAF_CHECK(!net->reports.front().is_settled);
}

CAF_TEST(an order that is older than the map changes nothing) {
  const auto leader = await_leader(1);
  pass(std::chrono::milliseconds(200));
  auto newer = map;
  newer.version += 5;
  anon_send(nodes[leader].cluster, map_heard{node_id{leader.value % 3 + 1}, {newer.version, newer}});
  const auto voters_after = [&](std::uint64_t version) {
    anon_send(nodes[leader].cluster, group_ordered{leader, {partition_id{1}, version, {leader}}});
    pass(std::chrono::milliseconds(500));
    self->send(net->raft_peers[leader].at(1), get_status{});
    run_jobs();
    std::string described;
    self->receive([&](const replica_status& status) { described = status.description; });
    return described;
  };
  CAF_CHECK(voters_after(newer.version - 1).find("voters") == std::string::npos);
  CAF_CHECK(voters_after(newer.version).find("voters") != std::string::npos);
}

CAF_TEST(after the leader died another serves and a repeated write is applied once) {
  const auto old_leader = await_leader(1);
  pass(std::chrono::milliseconds(100));
  const auto write = set(old_leader, 1, "k", "v", 1);
  run_jobs();
  CAF_REQUIRE_EQUAL(answer(old_leader, write), "r0");
  kill(old_leader);
  const auto leader = await_leader(1);
  CAF_CHECK(leader != old_leader);
  pass(std::chrono::milliseconds(100));
  const auto again = set(leader, 1, "k", "v", 1);
  run_jobs();
  CAF_CHECK_EQUAL(answer(leader, again), "r0");
  const auto next = set(leader, 1, "k", "w", 2);
  run_jobs();
  CAF_CHECK_EQUAL(answer(leader, next), "r1");

  // It comes back on what its disk has, and catches up.
  net->unreachable.erase(old_leader);
  start(old_leader);
  pass(std::chrono::milliseconds(1000));
  CAF_CHECK_EQUAL(+(*nodes[old_leader].stores[1]->latest("k"))->revision, 1);
}

CAF_TEST(the log is shortened and who was away for long gets a snapshot) {
  static_cast<void>(await_leader(1));
  pass(std::chrono::milliseconds(100));
  std::uint64_t sequence = 0;
  const auto write_much = [&] {
    const auto leader = await_leader(1);
    for (int i = 0; i < 100; ++i) {
      static_cast<void>(set(leader, 1, "k" + std::to_string(i % 20), std::string(300, static_cast<char>('a' + i % 26)), ++sequence));
      pass(std::chrono::milliseconds(10));
    }
    pass(std::chrono::milliseconds(200));
  };
  const auto log_of = [&](node_id id) { return *nodes[id].log->load(partition_id{1}, nodes[id].stores[1]->applied_index()); };
  write_much();
  for (auto& [id, n] : nodes) CAF_CHECK(log_of(id).start.index > log_index{0});

  for (const std::uint32_t away : {1u, 2u}) {
    const node_id victim{away};
    kill(victim);
    write_much();
    for (auto& [id, n] : nodes)
      if (id != victim) CAF_CHECK(log_of(id).log_bytes < 40'000);
    net->unreachable.erase(victim);
    start(victim);
    const auto had_to = log_of(victim).last_index;
    const auto leader = await_leader(1);
    CAF_CHECK(log_of(leader).start.index > had_to);
    // While it gets its snapshot the others go on; it may die on the way.
    pass(std::chrono::milliseconds(away == 1 ? 40 : 150));
    kill(victim);
    net->unreachable.erase(victim);
    start(victim);
    static_cast<void>(set(await_leader(1), 1, "meanwhile", "v", ++sequence));
    pass(std::chrono::milliseconds(3000));
    CAF_CHECK(log_of(victim).start.index > had_to);
    for (const auto* key : {"k0", "k19", "meanwhile"}) {
      const auto here = nodes[victim].stores[1]->latest(key);
      const auto there = nodes[await_leader(1)].stores[1]->latest(key);
      CAF_REQUIRE(here.has_value() && here->has_value());
      CAF_CHECK((*here)->value == (*there)->value);
      CAF_CHECK((*here)->revision == (*there)->revision);
    }
    // It is as good as any: with it alone beside the other follower a leader is elected that has everything.
    const auto old_leader = await_leader(1);
    if (old_leader != victim) {
      kill(old_leader);
      const auto next = await_leader(1);
      const auto again = set(next, 1, "meanwhile", "w", ++sequence);
      pass(std::chrono::milliseconds(200));
      CAF_CHECK_EQUAL(answer(next, again), "r" + std::to_string(2 * away - 1));
      net->unreachable.erase(old_leader);
      start(old_leader);
      pass(std::chrono::milliseconds(1000));
    }
  }
}

CAF_TEST(a leadership is handed over at once and nothing is lost) {
  const auto old_leader = await_leader(1);
  pass(std::chrono::milliseconds(100));
  std::uint64_t sequence = 0;
  std::vector<std::uint64_t> writes;
  for (int i = 0; i < 5; ++i) writes.push_back(set(old_leader, 1, "k", std::to_string(i), ++sequence));
  const node_id to{old_leader.value % 3 + 1};
  raft_inputs order;
  order.inputs.emplace_back(raft::transfer_leadership{to, false});
  anon_send(net->raft_peers[old_leader].at(1), std::move(order));
  for (int i = 5; i < 10; ++i) writes.push_back(set(old_leader, 1, "k", std::to_string(i), ++sequence));
  // Without a tick: nothing of it waits for a timeout.
  run_jobs();
  CAF_CHECK(leader_of(1) == to);
  std::size_t written = 0;
  for (const auto write : writes) {
    const auto said = answer(old_leader, write);
    CAF_CHECK(said == "not_leader" || said.front() == 'r');
    written += said.front() == 'r';
  }
  CAF_CHECK(written >= 5);
  const auto read = ask(to, 1, get_of("k"), ++sequence);
  run_jobs();
  CAF_CHECK_EQUAL(answer(to, read), std::to_string(written - 1));
}

CAF_TEST(a node that is about to stop leads nothing any more) {
  static_cast<void>(await_leader(0));
  static_cast<void>(await_leader(1));
  pass(std::chrono::milliseconds(200));
  const auto leaving = leader_of(0);
  anon_send(nodes[leaving].cluster, hand_over_all{});
  run_jobs();
  for (std::uint32_t p = 0; p < partitions; ++p) CAF_CHECK(leader_of(p) != leaving && leader_of(p) != no_node);
  // Also not when the others go: it does not campaign.
  pass(std::chrono::milliseconds(3000));
  for (std::uint32_t p = 0; p < partitions; ++p) CAF_CHECK(leader_of(p) != leaving);
}

CAF_TEST(leaders spread but not from where ephemeral keys are) {
  static_cast<void>(await_leader(0));
  static_cast<void>(await_leader(1));
  pass(std::chrono::milliseconds(200));
  // Both to one node.
  const node_id crowded = leader_of(0);
  if (leader_of(1) != crowded) {
    raft_inputs order;
    order.inputs.emplace_back(raft::transfer_leadership{crowded, false});
    anon_send(net->raft_peers[leader_of(1)].at(1), std::move(order));
    run_jobs();
  }
  CAF_REQUIRE(leader_of(1) == crowded);
  kv::set_request ephemeral;
  ephemeral.key = "e";
  ephemeral.value = "v";
  ephemeral.space = kv::durability::ephemeral;
  const auto write = ask(crowded, 0, ephemeral, 1);
  run_jobs();
  CAF_REQUIRE_EQUAL(answer(crowded, write), "r0");
  for (auto& [id, n] : nodes)
    for (auto& [other, link] : n.links) anon_send(n.cluster, peer_seen{other, true});
  pass(std::chrono::milliseconds(12'000));
  CAF_CHECK(leader_of(0) == crowded);
  CAF_CHECK(leader_of(1) != crowded);
}

CAF_TEST(a broken connection to the leader is as good as a timeout) {
  const auto old_leader = await_leader(1);
  pass(std::chrono::milliseconds(500));
  kill(old_leader);
  for (auto& [id, n] : nodes) {
    if (!n.is_up) continue;
    anon_send(n.cluster, peer_seen{old_leader, true});
    anon_send(n.cluster, peer_seen{old_leader, false});
  }
  pass(std::chrono::milliseconds(380));
  for (std::uint32_t p = 0; p < partitions; ++p) CAF_CHECK(leader_of(p) != no_node && leader_of(p) != old_leader);
}

CAF_TEST(ephemeral keys are with their leader alone and go with it) {
  const auto old_leader = await_leader(1);
  pass(std::chrono::milliseconds(100));
  const auto ephemeral_set = [](const std::string& key, const std::string& value) {
    kv::set_request request;
    request.key = key;
    request.value = value;
    request.space = kv::durability::ephemeral;
    return kv::operation(request);
  };
  kv::get_request get;
  get.key = "k";
  get.space = kv::durability::ephemeral;
  const auto write = ask(old_leader, 1, ephemeral_set("k", "v"), 1);
  run_jobs();
  CAF_CHECK_EQUAL(answer(old_leader, write), "r0");
  const auto persistent = ask(old_leader, 1, get_of("k"), 2);
  run_jobs();
  CAF_CHECK_EQUAL(answer(old_leader, persistent), "");

  // Cut off, it answers from its copy as long as its lease runs and not a moment longer.
  net->unreachable.insert(old_leader);
  pass(std::chrono::milliseconds(400));
  const auto stale = ask(old_leader, 1, get, 3);
  const auto lost = ask(old_leader, 1, ephemeral_set("k", "w"), 4);
  pass(std::chrono::milliseconds(1000));
  CAF_CHECK_EQUAL(answer(old_leader, stale), "not_leader");
  CAF_CHECK(answer(old_leader, lost) == "leadership_lost" || answer(old_leader, lost) == "not_leader");
  const auto leader = await_leader(1);
  CAF_REQUIRE(leader != old_leader);
  const auto empty = ask(leader, 1, get, 5);
  const auto first = ask(leader, 1, ephemeral_set("k", "new"), 6);
  pass(std::chrono::milliseconds(100));
  CAF_CHECK_EQUAL(answer(leader, empty), "");
  CAF_CHECK_EQUAL(answer(leader, first), "r0");
  net->unreachable.clear();
  pass(std::chrono::milliseconds(500));
  const auto late = ask(old_leader, 1, get, 7);
  run_jobs();
  CAF_CHECK_EQUAL(answer(old_leader, late), "not_leader");
}

CAF_TEST(what was seen expired stays so at a leader whose clock is slow) {
  const auto old_leader = await_leader(1);
  pass(std::chrono::milliseconds(100));
  kv::set_request expiring;
  expiring.key = "k";
  expiring.value = "v";
  expiring.expires_ms = 200;
  const auto write = ask(old_leader, 1, expiring, 1);
  run_jobs();
  CAF_REQUIRE_EQUAL(answer(old_leader, write), "r0");
  pass(std::chrono::milliseconds(200));
  const auto seen = ask(old_leader, 1, get_of("k"), 2);
  pass(std::chrono::milliseconds(10));
  CAF_REQUIRE_EQUAL(answer(old_leader, seen), "");
  kill(old_leader);
  // From now on every wall clock shows a time before the expiry.
  slow_by_ms = 100'000;
  const auto leader = await_leader(1);
  pass(std::chrono::milliseconds(100));
  const auto again = ask(leader, 1, get_of("k"), 3);
  pass(std::chrono::milliseconds(10));
  CAF_CHECK_EQUAL(answer(leader, again), "");
}

CAF_TEST(a leader that is cut off answers nothing as done) {
  const auto old_leader = await_leader(1);
  pass(std::chrono::milliseconds(100));
  net->unreachable.insert(old_leader);
  const auto write = set(old_leader, 1, "k", "lost", 1);
  pass(std::chrono::milliseconds(200));
  CAF_CHECK_EQUAL(answer(old_leader, write), "none");
  pass(std::chrono::milliseconds(800));
  CAF_CHECK_EQUAL(answer(old_leader, write), "leadership_lost");
  const auto leader = await_leader(1);
  const auto other = set(leader, 1, "k", "kept", 2);
  pass(std::chrono::milliseconds(100));
  CAF_CHECK_EQUAL(answer(leader, other), "r0");
  net->unreachable.clear();
  pass(std::chrono::milliseconds(1000));
  CAF_CHECK((*nodes[old_leader].stores[1]->latest("k"))->value == shared_bytes("kept"));
}

CAF_TEST(a replica with a damaged record falls silent and the others serve) {
  const auto harmed = await_leader(1);
  pass(std::chrono::milliseconds(100));
  static_cast<void>(set(harmed, 1, "k", "v", 1));
  pass(std::chrono::milliseconds(100));
  auto& n = nodes[harmed];
  CAF_REQUIRE(!n.data_disk->flush());
  auto batch = n.data_disk->make_batch();
  batch->put(persistence::family::window, std::string("\0\0\0\1\0\0\0\0\0\0\0\1", 12), "damaged");
  CAF_REQUIRE(!n.data_disk->write(*batch, persistence::sync::yes));
  kill(harmed);
  net->unreachable.erase(harmed);
  start(harmed);
  pass(std::chrono::milliseconds(2000));
  const auto refused = ask(harmed, 1, get_of("k"), 5);
  run_jobs();
  CAF_CHECK_EQUAL(answer(harmed, refused), "data_corrupted");
  // Its other partition is as well as ever.
  CAF_CHECK(nodes[harmed].stores[0]->applied_index() > log_index{0});
  const auto leader = await_leader(1);
  CAF_CHECK(leader != harmed);
  const auto write = set(leader, 1, "k", "w", 2);
  run_jobs();
  CAF_CHECK_EQUAL(answer(leader, write), "r1");
}

CAF_TEST(what is waiting is written with one sync) {
  const auto leader = await_leader(1);
  pass(std::chrono::milliseconds(100));
  auto& device = *nodes[leader].device;
  const auto commits = device.commits;
  const auto added = device.added;
  // Two partitions' writes, both in the log_writer's mailbox before it runs.
  raft::log_write write;
  write.number = 1;
  write.state = raft::hard_state{term_id{100}, node_id{1}};
  auto self_handle = nodes[leader].log_writer;
  anon_send(self_handle, append_to_log{partition_id{7}, write});
  anon_send(self_handle, append_to_log{partition_id{8}, write});
  // In the order of their arrival: the lot is for others.
  sched.run();
  CAF_CHECK_EQUAL(device.added, added + 2);
  CAF_CHECK_EQUAL(device.commits, commits + 1);
}

CAF_TEST(what comes while a batch is on its way is the next batch) {
  const auto batches = std::make_shared<std::vector<std::size_t>>();
  const log_disk_handle disk = sys.spawn([batches]() -> log_disk_handle::behavior_type {
    return {[=](const log_batch& batch) { batches->push_back(batch.writes.size()); }, [](const peer_check_asked&) {},
            [](const replica_record_asked&) {}, [](const stop&) {}};
  });
  const auto writer = sys.spawn(log_writer_actor, disk, &silent_metrics(), nodes[node_id{1}].data_keeper, std::size_t{1} << 20);
  const auto append = [&](std::uint32_t partition) {
    raft::log_write write;
    write.number = 1;
    anon_send(writer, append_to_log{partition_id{partition}, write});
  };
  append(1);
  sched.run();
  append(2);
  append(3);
  sched.run();
  CAF_CHECK((*batches == std::vector<std::size_t>{1}));
  anon_send(writer, log_batch_synced{});
  sched.run();
  CAF_CHECK((*batches == std::vector<std::size_t>{1, 2}));
  // What must be behind everything that was to be written before does not wait for the batch that is on its way.
  append(4);
  anon_send(writer, record_replica{partition_id{1}, false});
  sched.run();
  CAF_CHECK((*batches == std::vector<std::size_t>{1, 2, 1}));
  anon_send(writer, stop{});
  sched.run();
}

CAF_TEST(large writes take turns and small ones pass them) {
  using batch_partitions = std::vector<std::uint32_t>;
  const auto batches = std::make_shared<std::vector<batch_partitions>>();
  const log_disk_handle disk = sys.spawn([batches]() -> log_disk_handle::behavior_type {
    return {[=](const log_batch& batch) {
              batches->emplace_back();
              for (const auto& write : batch.writes) batches->back().push_back(write.partition.value);
            },
            [](const peer_check_asked&) {}, [](const replica_record_asked&) {}, [](const stop&) {}};
  });
  const auto writer = sys.spawn(log_writer_actor, disk, &silent_metrics(), nodes[node_id{1}].data_keeper, std::size_t{1} << 30);
  const auto append = [&](std::uint32_t partition, std::size_t bytes) {
    raft::log_write write;
    write.number = 1;
    write.entries.push_back({term_id{1}, log_index{1}, raft::entry_kind::command, shared_bytes(std::string(bytes, 'v'))});
    anon_send(writer, append_to_log{partition_id{partition}, write});
  };
  append(1, 900 << 10);
  append(2, 900 << 10);
  append(2, 10);  // must not pass the one before
  append(3, 10);
  append(4, 900 << 10);
  sched.run();
  for (int i = 0; i < 3; ++i) {
    anon_send(writer, log_batch_synced{});
    sched.run();
  }
  CAF_CHECK((*batches == std::vector<batch_partitions>{{1, 3}, {2, 2}, {4}}));
  anon_send(writer, stop{});
  sched.run();
}

CAF_TEST(a node is known by the data that it came with first) {
  auto& n = nodes[node_id{1}];
  const auto check = [&](std::uint64_t token, std::uint64_t incarnation, bool is_probe) {
    n.heard->checked.clear();
    caf::send_as(n.gateway, n.log_writer, check_peer{token, node_id{2}, incarnation, is_probe});
    run_jobs();
    CAF_REQUIRE_EQUAL(n.heard->checked.size(), 1u);
    CAF_CHECK_EQUAL(n.heard->checked[0].token, token);
    return !n.heard->checked[0].is_known_otherwise;
  };
  CAF_CHECK(check(1, 10, true));
  CAF_CHECK(check(2, 11, false));  // a probe is not remembered
  CAF_CHECK(check(3, 11, false));
  CAF_CHECK(!check(4, 12, false));
  CAF_CHECK(!check(5, 12, true));
}

CAF_TEST(the cluster knows where its replicas stand) {
  static_cast<void>(await_leader(0));
  static_cast<void>(await_leader(1));
  pass(std::chrono::milliseconds(200));
  auto& n = nodes[node_id{1}];
  anon_send(n.cluster, peer_seen{node_id{2}, true});
  run_jobs();
  self->send(n.cluster, get_status{});
  run_jobs();
  bool is_answered = false;
  self->receive([&](const node_status& status) {
    is_answered = true;
    CAF_CHECK_EQUAL(status.alive.size(), 2u);
    CAF_CHECK_EQUAL(status.replicas.size(), partitions);
    for (const auto& known : status.leaders) CAF_CHECK(known.leader == leader_of(known.partition.value));
  });
  CAF_CHECK(is_answered);
}

CAF_TEST_FIXTURE_SCOPE_END()

CAF_TEST(any order of the jobs gives the same outcome) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAF_MESSAGE("seed " << seed);
    fixture group(seed);
    const auto leader = group.await_leader(0);
    group.pass(std::chrono::milliseconds(100));
    std::vector<std::uint64_t> writes;
    for (std::uint64_t i = 0; i < 50; ++i) writes.push_back(group.set(leader, 0, "k", std::to_string(i), i + 1));
    group.pass(std::chrono::milliseconds(100));
    // A gateway's operations reach the partition in the order in which it sent them.
    for (std::uint64_t i = 0; i < 50; ++i) CAF_CHECK_EQUAL(group.answer(leader, writes[i]), "r" + std::to_string(i));
    group.pass(std::chrono::milliseconds(200));
    for (auto& [id, n] : group.nodes) CAF_CHECK_EQUAL(+(*n.stores[0]->latest("k"))->revision, 49);
  }
}
