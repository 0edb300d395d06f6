// Which partition holds a key, and which nodes hold a partition: one function of (key, map) for everybody.
//
// The map of a cluster is fixed when it is formed and stored in partition 0. Range partitions and splits can come later
// behind the same functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/ids.hpp"

namespace kahuna::routing {

// A member of the cluster as its operators name it.
struct member {
  node_id id;           // its place among the founding members' names in byte order, from 1
  std::string name;     // "n1"
  std::string address;  // "HOST:PORT"

  friend bool operator==(const member&, const member&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& id& name& address;
  }
};

struct partition_map {
  std::uint64_t cluster_id = 0;
  std::uint32_t partitions = 0;
  std::uint32_t replication_factor = 0;
  std::vector<member> members;  // by rising id

  friend bool operator==(const partition_map&, const partition_map&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& cluster_id& partitions& replication_factor& members;
  }
};

inline constexpr std::uint32_t partitions_max = 4096;

// Whether the functions below can be asked of a map that came from elsewhere: 1 to partitions_max partitions, members by
// rising ids above 0, and at least as many of them as a partition has replicas, which are 1 or more.
bool is_well_formed(const partition_map& map);

inline constexpr std::string_view reserved_prefix = "__kahuna:";

// What stands before the last '/' of a key, where that is not empty; otherwise empty: the key is in no bucket.
std::string_view bucket_of(std::string_view key);

// The partition of a key: by its bucket, or by its whole name where it is in no bucket.
partition_id partition_of_key(const partition_map& map, std::string_view key);

// The partition of all keys of a bucket.
partition_id partition_of_bucket(const partition_map& map, std::string_view bucket);

// The same of a map with so many partitions.
partition_id partition_of_key(std::uint32_t partitions, std::string_view key);
partition_id partition_of_bucket(std::uint32_t partitions, std::string_view bucket);

// The replicas of a partition, by rising id: `replication_factor` consecutive members, starting at one that depends on
// the partition, so that replicas spread evenly.
std::vector<node_id> replicas_of(const partition_map& map, partition_id partition);

// Numbers the members by their names, and derives the cluster's id from all that must be the same on every founding
// member. `members` come as (name, address) in any order, names distinct.
partition_map form_cluster(std::vector<std::pair<std::string, std::string>> members, std::uint32_t partitions,
                           std::uint32_t replication_factor);

// The member with this id or name; nullptr where there is none.
const member* find_member(const partition_map& map, node_id id);
const member* find_member(const partition_map& map, std::string_view name);

}  // namespace kahuna::routing
