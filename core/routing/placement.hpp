// Where the replicas of partitions belong, and the next step on the way there. Pure.
//
// The order of what is done, one partition at a time:
//   1. nobody who gives up what it holds holds anything;
//   2. every partition has as many replicas as the replication factor asks for, or as there are members;
//   3. no two replicas of a partition are in one zone where that can be helped;
//   4. members hold as many replicas as each other, within one, as far as 3 allows.
// Each step brings one of these closer and none before it further away, so that steps come to an end.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "core/routing/partition_map.hpp"

namespace kahuna::routing {

struct placement_step {
  partition_id partition;
  std::vector<node_id> replicas;  // that it is to have; sorted

  friend bool operator==(const placement_step&, const placement_step&) = default;
};

// The next step, taking partitions as they are assigned. Only `usable` members get anything, and only when all members are usable is
// anything moved for 3 and 4. Nothing where there is none to do.
std::optional<placement_step> next_step(const partition_map& map, const std::set<node_id>& usable);

// The next step for one partition alone, by 1 and 2.
std::optional<placement_step> next_step_of(const partition_map& map, partition_id partition, const std::set<node_id>& usable);

// How many steps there are, were all members usable, the one under way included.
std::size_t steps_left(const partition_map& map);

// Members that hold replicas, or could.
std::set<node_id> active_members(const partition_map& map);

// How many partitions each member that is active is assigned.
std::map<node_id, std::size_t> replica_counts(const partition_map& map);

}  // namespace kahuna::routing
