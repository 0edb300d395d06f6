// Which leadership a node hands over so that leaders spread evenly over the nodes. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/routing/partition_map.hpp"
#include "messages/protocol.hpp"

namespace kahuna::actors {

struct chosen_handover {
  partition_id partition;
  node_id to;

  friend bool operator==(const chosen_handover&, const chosen_handover&) = default;
};

// One of the partitions that `self` leads, to the replica whose node leads least, where that is at least two fewer than `self` does;
// nothing otherwise, or where a partition has no leader: then something else is going on. `leaders` are by partition. Every step makes
// the spread more even, so steps come to an end. `turn` chooses among those that would do as well: one that declines does not stand
// in the way of the others.
std::optional<chosen_handover> choose_handover(const routing::partition_map& map, node_id self,
                                               const std::vector<messages::partition_leader>& leaders, std::uint64_t turn);

}  // namespace kahuna::actors
