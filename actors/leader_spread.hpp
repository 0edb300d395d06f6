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

// One of the partitions that `self` leads, to a replica whose node leads less; nothing where leaders are even to within one, as far as
// the replicas' places allow, where the next handover is another node's, or where a partition has no leader: then something else is
// going on. `leaders` are by partition.
//
// Where nobody whom the busiest leader can hand over to leads at least two fewer, it takes several handovers in a row: the last of the
// shortest such row is done first, so that every one leaves a shorter row or a more even spread, and they come to an end. All nodes
// that know the same leaders choose the same handover. `turn` chooses among partitions that would do as well: one that declines does
// not stand in the way of the others.
std::optional<chosen_handover> choose_handover(const routing::partition_map& map, node_id self,
                                               const std::vector<messages::partition_leader>& leaders, std::uint64_t turn);

}  // namespace kahuna::actors
