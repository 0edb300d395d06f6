#define CAF_SUITE placement
#include "caf/test/unit_test.hpp"

#include <algorithm>

#include "core/base/prng.hpp"
#include "core/routing/placement.hpp"

using namespace kahuna;
using namespace kahuna::routing;

namespace {

partition_map of(std::uint32_t nodes, std::uint32_t partitions, std::uint32_t factor) {
  std::vector<std::pair<std::string, std::string>> members;
  for (std::uint32_t i = 1; i <= nodes; ++i) members.emplace_back("n" + std::to_string(i), "h:" + std::to_string(i));
  return form_cluster(std::move(members), partitions, factor);
}

member& add(partition_map& map, const std::string& zone = "") {
  const auto text = std::to_string(map.next_node.value);
  map.members.push_back({map.next_node, "n" + text, "h:" + text, zone, member_state::active, {}});
  ++map.next_node;
  return map.members.back();
}

int moved(const std::vector<node_id>& before, const std::vector<node_id>& after) {
  return static_cast<int>(std::count_if(after.begin(), after.end(), [&](node_id n) { return std::find(before.begin(), before.end(), n) == before.end(); }));
}

// Does all steps, each of which is looked at; how many there were.
int settle(partition_map& map) {
  const auto foreseen = steps_left(map);
  int steps = 0;
  while (const auto step = next_step(map, active_members(map))) {
    CAF_REQUIRE(++steps < 5000);
    CAF_REQUIRE(std::is_sorted(step->replicas.begin(), step->replicas.end()));
    CAF_REQUIRE(std::adjacent_find(step->replicas.begin(), step->replicas.end()) == step->replicas.end());
    CAF_REQUIRE(!step->replicas.empty());
    auto& held = map.placements[step->partition.value];
    CAF_REQUIRE(step->replicas != held.voters);
    held.voters = step->replicas;
  }
  CAF_CHECK_EQUAL(static_cast<std::size_t>(steps), foreseen);
  return steps;
}

std::size_t spread(const partition_map& map) {
  std::size_t most = 0, least = ~std::size_t{0};
  for (const auto& [node, count] : replica_counts(map)) {
    most = std::max(most, count);
    least = std::min(least, count);
  }
  return most - least;
}

// Replicas that share their zone with another one of their partition.
std::size_t crowded(const partition_map& map) {
  std::size_t pairs = 0;
  for (const auto& held : map.placements)
    for (const auto a : held.voters)
      for (const auto b : held.voters)
        if (a < b && find_member(map, a)->zone == find_member(map, b)->zone && !find_member(map, a)->zone.empty()) ++pairs;
  return pairs;
}

}  // namespace

CAF_TEST(a cluster that was just formed has nothing to do) {
  for (std::uint32_t nodes = 1; nodes <= 7; ++nodes) {
    auto map = of(nodes, 7 * nodes, 3);
    CAF_CHECK_EQUAL(settle(map), 0);
    CAF_CHECK(spread(map) == 0);
  }
}

CAF_TEST(a single node grows to three replicas as soon as there are three) {
  auto map = of(1, 16, 3);
  add(map);
  add(map);
  CAF_CHECK_EQUAL(settle(map), 16);
  for (const auto& held : map.placements) CAF_CHECK_EQUAL(held.voters.size(), 3u);
}

CAF_TEST(members that come and go leave replicas even to within one) {
  prng dice(11);
  for (int round = 0; round < 300; ++round) {
    auto map = of(static_cast<std::uint32_t>(dice.between(1, 6)), static_cast<std::uint32_t>(dice.between(1, 40)), static_cast<std::uint32_t>(dice.between(1, 5)));
    for (int change = 0; change < 6; ++change) {
      const auto before = map.placements;
      const auto leaving = dice.below(map.members.size());
      if (dice.below(2) == 0)
        add(map);
      else if (active_members(map).size() > 1)
        map.members[leaving].state = member_state::leaving;
      settle(map);
      CAF_CHECK(spread(map) <= 1);
      const auto active = active_members(map);
      for (const auto& held : map.placements) {
        CAF_CHECK(held.voters.size() == std::min<std::size_t>(map.replication_factor, active.size()));
        for (const auto node : held.voters) CAF_CHECK(active.contains(node));
      }
      // No more was copied than what had to come to somebody new, and what evens that out.
      int copies = 0;
      for (std::uint32_t p = 0; p < map.partitions; ++p) copies += moved(before[p].voters, map.placements[p].voters);
      const auto replicas = map.partitions * std::min<std::size_t>(map.replication_factor, active.size());
      CAF_CHECK(static_cast<std::size_t>(copies) <= map.partitions + replicas / active.size() + active.size());
    }
  }
}

CAF_TEST(replicas of a partition are in different zones where there are enough) {
  prng dice(12);
  for (int round = 0; round < 200; ++round) {
    auto map = of(3, static_cast<std::uint32_t>(dice.between(1, 30)), 3);
    const auto zone_count = dice.between(2, 4);
    for (auto& m : map.members) m.zone = "z" + std::to_string(dice.below(zone_count));
    for (std::uint64_t more = dice.below(6); more > 0; --more) add(map, "z" + std::to_string(dice.below(zone_count)));
    settle(map);
    std::set<std::string> zones;
    for (const auto& m : map.members) zones.insert(m.zone);
    for (const auto& held : map.placements) {
      std::set<std::string> used;
      for (const auto node : held.voters) used.insert(find_member(map, node)->zone);
      CAF_CHECK(used.size() == std::min<std::size_t>(3, zones.size()));
    }
  }
}

CAF_TEST(zones of one size are even too) {
  auto map = of(6, 24, 3);
  for (std::size_t i = 0; i < 6; ++i) map.members[i].zone = i % 2 == 0 ? "a" : i < 3 ? "b" : "c";
  map.members[0].zone = map.members[1].zone = "a";
  map.members[2].zone = map.members[3].zone = "b";
  map.members[4].zone = map.members[5].zone = "c";
  settle(map);
  CAF_CHECK_EQUAL(crowded(map), 0u);
  CAF_CHECK(spread(map) <= 1);
}

CAF_TEST(nobody gets anything who can not be used) {
  auto map = of(3, 16, 3);
  const auto fourth = add(map).id;
  map.members[1].state = member_state::leaving;
  auto usable = active_members(map);
  usable.erase(fourth);
  // Two are left for two replicas, and a third is wanted: what leaves stays until somebody comes.
  CAF_CHECK(!next_step(map, usable));
  usable.insert(fourth);
  const auto step = next_step(map, usable);
  CAF_REQUIRE(step.has_value());
  CAF_CHECK(step->replicas == (std::vector{node_id{1}, node_id{3}, fourth}));
}

CAF_TEST(who is replaced holds on until the other one is there) {
  auto map = of(3, 16, 3);
  auto& fourth = add(map);
  fourth.state = member_state::joining;
  const auto id = fourth.id;
  map.members[1].state = member_state::leaving;
  map.members[1].waits_for = id;
  CAF_CHECK(!next_step(map, {node_id{1}, node_id{2}, node_id{3}, id}));
  map.members[3].state = member_state::active;
  CAF_CHECK_EQUAL(settle(map), 16);
  for (const auto& held : map.placements) CAF_CHECK(held.voters == (std::vector{node_id{1}, node_id{3}, id}));
}
