#define CAF_SUITE leader_spread
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <map>

#include "actors/leader_spread.hpp"
#include "core/base/prng.hpp"

using namespace kahuna;
using namespace kahuna::actors;

namespace {

routing::partition_map cluster_of(int nodes, std::uint32_t partitions) {
  std::vector<std::pair<std::string, std::string>> members;
  for (int i = 1; i <= nodes; ++i) members.emplace_back("n" + std::to_string(i), "h:" + std::to_string(i));
  return routing::form_cluster(members, partitions, 3);
}

std::map<node_id, int> led(const std::vector<messages::partition_leader>& leaders) {
  std::map<node_id, int> counts;
  for (const auto& entry : leaders) ++counts[entry.leader];
  return counts;
}

}  // namespace

CAF_TEST(whatever the leaders are they become even and stay so) {
  prng dice(7);
  for (int round = 0; round < 200; ++round) {
    const int nodes = static_cast<int>(dice.between(3, 6));
    const auto map = cluster_of(nodes, static_cast<std::uint32_t>(nodes) * 4);
    std::vector<messages::partition_leader> leaders;
    for (std::uint32_t p = 0; p < map.partitions; ++p) {
      const auto replicas = routing::replicas_of(map, partition_id{p});
      leaders.push_back({partition_id{p}, term_id{1}, replicas[dice.below(replicas.size())]});
    }
    int moves = 0;
    for (bool has_moved = true; has_moved;) {
      has_moved = false;
      for (const auto& member : map.members) {
        const auto chosen = choose_handover(map, member.id, leaders, dice.next());
        if (!chosen) continue;
        has_moved = true;
        CAF_REQUIRE(++moves < 500);
        CAF_CHECK(leaders[chosen->partition.value].leader == member.id);
        leaders[chosen->partition.value].leader = chosen->to;
      }
    }
    const auto counts = led(leaders);
    int most = 0, fewest = 1000;
    for (const auto& member : map.members) {
      const auto found = counts.find(member.id);
      const int count = found == counts.end() ? 0 : found->second;
      most = std::max(most, count);
      fewest = std::min(fewest, count);
    }
    CAF_CHECK(most - fewest <= 1);
  }
}

CAF_TEST(a row of handovers is done from its end) {
  // n1 leads three whose other replica is on n2; n2 leads two of which one could be led by n3, who leads one.
  auto map = cluster_of(3, 6);
  std::vector<messages::partition_leader> leaders;
  const auto set = [&](std::uint32_t p, std::uint32_t leader, std::vector<node_id> voters) {
    map.placements[p].voters = std::move(voters);
    leaders.push_back({partition_id{p}, term_id{1}, node_id{leader}});
  };
  const node_id n1{1}, n2{2}, n3{3};
  for (std::uint32_t p = 0; p < 3; ++p) set(p, 1, {n1, n2});
  set(3, 2, {n1, n2});
  set(4, 2, {n2, n3});
  set(5, 3, {n2, n3});
  CAF_CHECK(!choose_handover(map, n1, leaders, 0));
  CAF_CHECK(choose_handover(map, n2, leaders, 0) == (chosen_handover{partition_id{4}, n3}));
  leaders[4].leader = n3;
  CAF_CHECK(choose_handover(map, n1, leaders, 1) == (chosen_handover{partition_id{1}, n2}));
  leaders[1].leader = n2;
  for (const auto node : {n1, n2, n3}) CAF_CHECK(!choose_handover(map, node, leaders, 0));
}

CAF_TEST(who leaves is made the leader of nothing) {
  auto map = cluster_of(4, 8);
  map.members[3].state = routing::member_state::leaving;
  std::vector<messages::partition_leader> leaders;
  for (std::uint32_t p = 0; p < 8; ++p) leaders.push_back({partition_id{p}, term_id{1}, map.placements[p].voters.front()});
  for (std::uint64_t turn = 0; turn < 8; ++turn)
    for (std::uint32_t node = 1; node <= 4; ++node)
      if (const auto chosen = choose_handover(map, node_id{node}, leaders, turn)) CAF_CHECK(chosen->to != node_id{4});
}

CAF_TEST(while a partition has no leader nothing moves) {
  const auto map = cluster_of(3, 4);
  std::vector<messages::partition_leader> leaders;
  for (std::uint32_t p = 0; p < 4; ++p) leaders.push_back({partition_id{p}, term_id{1}, node_id{1}});
  CAF_CHECK(choose_handover(map, node_id{1}, leaders, 0).has_value());
  CAF_CHECK(!choose_handover(map, node_id{2}, leaders, 0));
  leaders[3].leader = no_node;
  CAF_CHECK(!choose_handover(map, node_id{1}, leaders, 0));
}
