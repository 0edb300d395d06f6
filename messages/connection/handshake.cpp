#include "messages/connection/handshake.hpp"

#include <algorithm>
#include <string>

namespace kahuna::messages {

namespace {

refusal final_refusal(errc code, std::string message) { return {{code, std::move(message)}, true}; }

std::string former_name(const routing::partition_map& map, node_id node) {
  for (const auto& gone : map.former)
    if (gone.id == node) return " (" + gone.name + ")";
  return "";
}

}  // namespace

std::variant<std::uint16_t, refusal> check_hello(const hello& received, const accepting_node& node) {
  if (received.magic != hello::magic_value) return final_refusal(errc::invalid_argument, "the hello is not Kahuna's");
  const auto version = std::min(received.version_max, protocol_version_max);
  if (received.version_min > received.version_max || version < std::max(received.version_min, protocol_version_min))
    return final_refusal(errc::invalid_argument,
                         "no common protocol version: this node speaks " + std::to_string(protocol_version_min) + " to " +
                             std::to_string(protocol_version_max) + ", the other side " +
                             std::to_string(received.version_min) + " to " + std::to_string(received.version_max));
  const bool is_client = received.role == connection_role::client;
  const bool any_cluster = is_client && received.cluster_id == 0;
  if (!any_cluster && received.cluster_id != node.map.cluster_id)
    return final_refusal(errc::permission_denied,
                         "this node is of another cluster; check --initial-cluster, --partitions and --replication-factor, "
                         "which must be the same on every node");
  if (is_client) {
    if (received.client_id == 0) return final_refusal(errc::invalid_argument, "a client's id is missing from its hello");
    return version;
  }
  if (routing::is_former(node.map, received.node))
    return final_refusal(errc::permission_denied,
                         "node " + std::to_string(received.node.value) + former_name(node.map, received.node) +
                             " was removed from this cluster; its data directory is of no use any more: delete it, and add the node again "
                             "with kahuna-cli, or leave it out");
  // One that is not known yet is newer than what is known here: it will tell.
  if (received.node == node.self || received.node == no_node)
    return final_refusal(errc::permission_denied, "node " + std::to_string(received.node.value) + " is no other member of this cluster");
  if (received.zone.size() > zone_bytes_max) return final_refusal(errc::invalid_argument, "a zone's name is longer than 64 bytes");
  if (received.election_timeout_ms != node.election_timeout_ms)
    return final_refusal(errc::permission_denied, "--election-timeout is " + std::to_string(node.election_timeout_ms) + " here and " +
                                                      std::to_string(received.election_timeout_ms) +
                                                      " there; leases need it to be the same on every node");
  if (received.incarnation == 0) return final_refusal(errc::invalid_argument, "a node's incarnation is missing from its hello");
  return version;
}

std::optional<std::string> check_welcome(const welcome& received) {
  if (received.version < protocol_version_min || received.version > protocol_version_max)
    return "speaks version " + std::to_string(received.version) + " of the protocol, which was not offered";
  if (!routing::is_well_formed(received.map)) return "sent a partition map that is none";
  if (routing::find_member(received.map, received.node) == nullptr) return "is not in the partition map that it sent";
  return std::nullopt;
}

}  // namespace kahuna::messages
