// The first two frames of a connection: may whoever dialed come in? Pure.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "messages/protocol.hpp"

namespace kahuna::messages {

// The accepting node, as far as a hello is judged against it.
struct accepting_node {
  const routing::partition_map& map;
  node_id self;
  std::uint32_t election_timeout_ms = 0;
};

// The protocol version to speak, or the refusal to send. Whether a node comes with the data that it is known by is
// checked by whoever remembers.
std::variant<std::uint16_t, refusal> check_hello(const hello& received, const accepting_node& node);

// Why a welcome can't be gone on with; nothing where it can: whoever dialed computes with its map, and makes room for each
// of its partitions.
std::optional<std::string> check_welcome(const welcome& received);

}  // namespace kahuna::messages
