// Asks the other members, before anything is written, whether they would have this node with the data that it is about
// to make: a member that comes back with an empty directory has forgotten its votes.
#pragma once

#include <optional>
#include <string>

#include "core/routing/partition_map.hpp"

namespace kahuna::node {

// Why this node may not join with a new data directory: what the first member that answers "never" says. Nothing where
// all agree, or can't be asked. Blocks, a second or so for each member that does not answer.
std::optional<std::string> ask_members_for_refusal(const routing::partition_map& map, node_id self, std::uint64_t incarnation,
                                                   std::uint32_t election_timeout_ms);

}  // namespace kahuna::node
