#include "core/routing/partition_map.hpp"

#include <algorithm>
#include <utility>

#include "core/base/check.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace kahuna::routing {

namespace {

// XXH64 with seed 0: specified, stable, and spread well. The placement of every stored key depends on it: never change it.
std::uint64_t stable_hash(std::string_view bytes) { return XXH64(bytes.data(), bytes.size(), 0); }

}  // namespace

bool is_well_formed(const partition_map& map) {
  if (map.partitions == 0 || map.partitions > partitions_max) return false;
  if (map.replication_factor == 0 || map.replication_factor > map.members.size()) return false;
  node_id last = no_node;
  return std::all_of(map.members.begin(), map.members.end(), [&](const member& m) { return std::exchange(last, m.id) < m.id; });
}

std::string_view bucket_of(std::string_view key) {
  const auto slash = key.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : key.substr(0, slash);
}

partition_id partition_of_bucket(std::uint32_t partitions, std::string_view bucket) {
  KAHUNA_CHECK(partitions > 0);
  return partition_id{static_cast<std::uint32_t>(stable_hash(bucket) % partitions)};
}

partition_id partition_of_key(std::uint32_t partitions, std::string_view key) {
  const auto bucket = bucket_of(key);
  return partition_of_bucket(partitions, bucket.empty() ? key : bucket);
}

partition_id partition_of_bucket(const partition_map& map, std::string_view bucket) { return partition_of_bucket(map.partitions, bucket); }
partition_id partition_of_key(const partition_map& map, std::string_view key) { return partition_of_key(map.partitions, key); }

std::vector<node_id> replicas_of(const partition_map& map, partition_id partition) {
  const auto n = map.members.size();
  KAHUNA_CHECK(n > 0 && map.replication_factor <= n, n, map.replication_factor);
  std::vector<node_id> replicas;
  for (std::size_t i = 0; i < map.replication_factor; ++i) replicas.push_back(map.members[(partition.value + i) % n].id);
  std::sort(replicas.begin(), replicas.end());
  return replicas;
}

partition_map form_cluster(std::vector<std::pair<std::string, std::string>> members, std::uint32_t partitions,
                           std::uint32_t replication_factor) {
  std::sort(members.begin(), members.end());
  partition_map map;
  map.partitions = partitions;
  map.replication_factor = std::min<std::uint32_t>(replication_factor, static_cast<std::uint32_t>(members.size()));
  std::string identity = std::to_string(partitions) + ' ' + std::to_string(map.replication_factor);
  for (const auto& [name, address] : members) {
    map.members.push_back({node_id{static_cast<std::uint32_t>(map.members.size() + 1)}, name, address});
    identity += ' ' + name + '=' + address;
  }
  map.cluster_id = stable_hash(identity);
  return map;
}

const member* find_member(const partition_map& map, node_id id) {
  for (const auto& m : map.members)
    if (m.id == id) return &m;
  return nullptr;
}

const member* find_member(const partition_map& map, std::string_view name) {
  for (const auto& m : map.members)
    if (m.name == name) return &m;
  return nullptr;
}

}  // namespace kahuna::routing
