#include "core/routing/partition_map.hpp"

#include <algorithm>
#include <iterator>
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
  if (map.partitions == 0 || map.partitions > partitions_max || map.placements.size() != map.partitions) return false;
  if (map.replication_factor == 0 || map.members.empty()) return false;
  node_id last = no_node;
  const bool has_order = std::all_of(map.members.begin(), map.members.end(), [&](const member& m) { return std::exchange(last, m.id) < m.id; });
  if (!has_order || last >= map.next_node) return false;
  const auto are_members = [&](const std::vector<node_id>& nodes) {
    node_id before = no_node;
    return std::all_of(nodes.begin(), nodes.end(), [&](node_id node) { return std::exchange(before, node) < node && find_member(map, node) != nullptr; });
  };
  return std::all_of(map.placements.begin(), map.placements.end(),
                     [&](const placement& p) { return !p.voters.empty() && are_members(p.voters) && are_members(p.target); });
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
  const auto& held = map.placements.at(partition.value);
  std::vector<node_id> replicas;
  std::set_union(held.voters.begin(), held.voters.end(), held.target.begin(), held.target.end(), std::back_inserter(replicas));
  return replicas;
}

partition_map form_cluster(std::vector<std::pair<std::string, std::string>> members, std::uint32_t partitions,
                           std::uint32_t replication_factor) {
  std::sort(members.begin(), members.end());
  partition_map map;
  map.partitions = partitions;
  map.replication_factor = replication_factor;
  const auto count = static_cast<std::uint32_t>(members.size());
  const auto factor = std::min(replication_factor, count);
  std::string identity = std::to_string(partitions) + ' ' + std::to_string(factor);
  for (const auto& [name, address] : members) {
    map.members.push_back({node_id{static_cast<std::uint32_t>(map.members.size() + 1)}, name, address});
    identity += ' ' + name + '=' + address;
  }
  map.cluster_id = stable_hash(identity);
  complete_formed(map);
  return map;
}

void complete_formed(partition_map& map) {
  const auto count = static_cast<std::uint32_t>(map.members.size());
  map.next_node = node_id{count + 1};
  map.placements.clear();
  for (std::uint32_t p = 0; p < map.partitions; ++p) {
    placement held;
    for (std::uint32_t i = 0; i < std::min(map.replication_factor, count); ++i) held.voters.push_back(map.members[(p + i) % count].id);
    std::sort(held.voters.begin(), held.voters.end());
    map.placements.push_back(std::move(held));
  }
}

const member* find_member(const partition_map& map, node_id id) {
  for (const auto& m : map.members)
    if (m.id == id) return &m;
  return nullptr;
}

const member* find_member(const partition_map& map, std::string_view name) {
  const member* found = nullptr;
  for (const auto& m : map.members)
    if (m.name == name && (found == nullptr || found->state == member_state::leaving)) found = &m;
  return found;
}

bool is_former(const partition_map& map, node_id id) {
  return id != no_node && id < map.next_node && find_member(map, id) == nullptr;
}

bool is_superseded(const partition_map& map, const member& m) {
  return m.state == member_state::leaving &&
         std::any_of(map.members.begin(), map.members.end(), [&](const member& other) { return other.id > m.id && other.address == m.address; });
}

bool is_giving_up(const partition_map& map, const member& m) {
  if (m.state != member_state::leaving) return false;
  const auto* successor = find_member(map, m.waits_for);
  return successor == nullptr || successor->state != member_state::joining;
}

}  // namespace kahuna::routing
