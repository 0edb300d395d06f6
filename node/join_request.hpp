// How a node without data becomes one of a cluster: it asks a member for its number and the partition map.
#pragma once

#include <string>
#include <vector>

#include "messages/protocol.hpp"

namespace kahuna::node {

// What the cluster answers, of whose members these are some (HOST:PORT). Blocks for ten seconds at most, while none can be reached, or
// partition 0 has no leader. Errors, each in one line that says what to do: what the cluster refuses, or that nobody answered.
result<messages::membership_reply> ask_to_join(const std::vector<std::string>& members, const routing::join_cluster& wanted);

}  // namespace kahuna::node
