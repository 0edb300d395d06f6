// Which node a request is sent on to by a node that can't answer it itself.
#pragma once

#include <set>

#include "core/base/ids.hpp"

namespace kahuna::routing {

// A request is sent on twice at most: first by the node that a client or a transaction manager asked, to any other; then, by that one, to
// nobody but whom it takes for the leader.
enum class may_go : std::uint8_t { anywhere, to_leader, nowhere };

// What whoever gets a request may do with it.
constexpr may_go after(may_go sent) { return sent == may_go::anywhere ? may_go::to_leader : may_go::nowhere; }

// no_node: it can't be sent anywhere. `leader` is whom this node takes for the leader of the request's partition, no_node where it knows of none
// (or is it itself, but hosts no replica); `connected` are the nodes that it reaches, and `is_linked(node)` says whether it could be asked to reach one.
//
// Where the leader is not reached, or none is known, which may be for the same reason, a node is asked that may know or reach it
// (docs/decisions/0071). Where there is no such node, the link that is broken: it says so.
template <class IsLinked>
node_id next_hop(node_id leader, may_go way, const std::set<node_id>& connected, IsLinked is_linked) {
  if (way == may_go::nowhere) return no_node;
  const auto linked_leader = leader != no_node && is_linked(leader) ? leader : no_node;
  if (way == may_go::to_leader || connected.contains(linked_leader)) return linked_leader;
  for (const auto peer : connected)
    if (peer != leader && is_linked(peer)) return peer;
  return linked_leader;
}

}  // namespace kahuna::routing
