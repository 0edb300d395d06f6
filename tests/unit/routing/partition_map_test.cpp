#define CAF_SUITE partition_map
#include "caf/test/unit_test.hpp"

#include <map>
#include <set>

#include "core/routing/partition_map.hpp"

using namespace kahuna;
using namespace kahuna::routing;

namespace {

partition_map of(std::uint32_t nodes, std::uint32_t partitions, std::uint32_t factor) {
  std::vector<std::pair<std::string, std::string>> members;
  for (std::uint32_t i = 1; i <= nodes; ++i) members.emplace_back("n" + std::to_string(i), "h:" + std::to_string(i));
  return form_cluster(std::move(members), partitions, factor);
}

}  // namespace

CAF_TEST(the bucket of a key is what stands before its last slash) {
  CAF_CHECK_EQUAL(bucket_of("services/auth/i1"), "services/auth");
  CAF_CHECK_EQUAL(bucket_of("my-config"), "");
  CAF_CHECK_EQUAL(bucket_of("/x"), "");
  CAF_CHECK_EQUAL(bucket_of("a/"), "a");
  CAF_CHECK_EQUAL(bucket_of("a//"), "a/");
  CAF_CHECK_EQUAL(bucket_of("a//x"), "a/");
  CAF_CHECK_EQUAL(bucket_of("//"), "/");
}

CAF_TEST(all keys of a bucket are on one partition and placement never changes) {
  const auto map = of(3, 16, 3);
  CAF_CHECK(partition_of_key(map, "a/b/1") == partition_of_key(map, "a/b/2"));
  CAF_CHECK(partition_of_key(map, "a/b/1") == partition_of_bucket(map, "a/b"));
  CAF_CHECK(partition_of_key(map, "/x") == partition_of_bucket(map, "/x"));
  // What is stored stands where these numbers say.
  CAF_CHECK_EQUAL(partition_of_key(map, "my-config").value, 7u);
  CAF_CHECK_EQUAL(partition_of_key(map, "services/auth/i1").value, 10u);
  CAF_CHECK_EQUAL(partition_of_key(map, "locks/migration").value, 14u);
}

CAF_TEST(keys spread over the partitions) {
  const auto map = of(3, 16, 3);
  std::map<std::uint32_t, int> counts;
  for (int i = 0; i < 16'000; ++i) ++counts[partition_of_key(map, "key-" + std::to_string(i)).value];
  CAF_CHECK_EQUAL(counts.size(), 16u);
  for (const auto& [partition, count] : counts) CAF_CHECK(count > 850 && count < 1150);
}

CAF_TEST(replicas are distinct members and spread evenly) {
  const auto map = of(5, 20, 3);
  std::map<std::uint32_t, int> hosted;
  for (std::uint32_t p = 0; p < 20; ++p) {
    const auto replicas = replicas_of(map, partition_id{p});
    CAF_CHECK_EQUAL(replicas.size(), 3u);
    CAF_CHECK_EQUAL(std::set(replicas.begin(), replicas.end()).size(), 3u);
    for (const auto replica : replicas) ++hosted[replica.value];
  }
  for (const auto& [node, count] : hosted) CAF_CHECK_EQUAL(count, 12);
}

CAF_TEST(a cluster is the same whoever forms it and another where anything differs) {
  const auto one = form_cluster({{"n2", "h:2"}, {"n1", "h:1"}}, 16, 2);
  const auto other = form_cluster({{"n1", "h:1"}, {"n2", "h:2"}}, 16, 2);
  CAF_CHECK(one == other);
  CAF_CHECK_EQUAL(find_member(one, "n1")->id.value, 1u);
  CAF_CHECK(find_member(one, "n3") == nullptr);
  CAF_CHECK(find_member(one, node_id{3}) == nullptr);
  std::set<std::uint64_t> ids{one.cluster_id, form_cluster({{"n1", "h:1"}, {"n2", "h:2"}}, 8, 2).cluster_id,
                              form_cluster({{"n1", "h:1"}, {"n2", "h:2"}}, 16, 1).cluster_id,
                              form_cluster({{"n1", "h:1"}, {"n2", "h:3"}}, 16, 2).cluster_id,
                              form_cluster({{"n1", "h:1"}, {"n3", "h:2"}}, 16, 2).cluster_id,
                              form_cluster({{"n1", "h:1"}}, 16, 1).cluster_id};
  CAF_CHECK_EQUAL(ids.size(), 6u);
}

CAF_TEST(a map that came from elsewhere is looked at before it is computed with) {
  const auto good = form_cluster({{"n1", "h:1"}, {"n2", "h:2"}}, partitions_max, 2);
  CAF_CHECK(is_well_formed(good));
  auto map = good;
  map.partitions = 0;
  CAF_CHECK(!is_well_formed(map));
  map.partitions = partitions_max + 1;
  CAF_CHECK(!is_well_formed(map));
  map = good;
  map.replication_factor = 0;
  CAF_CHECK(!is_well_formed(map));
  map = good;
  map.placements.pop_back();
  CAF_CHECK(!is_well_formed(map));
  map = good;
  map.placements[7].voters.clear();
  CAF_CHECK(!is_well_formed(map));
  map = good;
  map.placements[7].target = {node_id{3}};
  CAF_CHECK(!is_well_formed(map));
  map = good;
  map.next_node = node_id{2};
  CAF_CHECK(!is_well_formed(map));
  map = good;
  map.members[1].id = map.members[0].id;
  CAF_CHECK(!is_well_formed(map));
  map.members[0].id = no_node;
  CAF_CHECK(!is_well_formed(map));
}

CAF_TEST(of two members of a name the one that stays is found) {
  auto map = form_cluster({{"n1", "h:1"}, {"n2", "h:2"}}, 4, 2);
  map.members[1].state = member_state::leaving;
  CAF_CHECK_EQUAL(find_member(map, "n2")->id.value, 2u);
  map.members.push_back({map.next_node, "n2", "h:2", {}, member_state::joining, {}});
  map.members[1].waits_for = map.next_node;
  ++map.next_node;
  CAF_CHECK_EQUAL(find_member(map, "n2")->id.value, 3u);
  CAF_CHECK(!is_giving_up(map, map.members[1]));
  map.members[2].state = member_state::active;
  CAF_CHECK(is_giving_up(map, map.members[1]));
  CAF_CHECK(!is_former(map, node_id{2}));
  map.members.erase(map.members.begin() + 1);
  CAF_CHECK(is_former(map, node_id{2}));
  CAF_CHECK(!is_former(map, node_id{4}));
}
