#include "node/peer_probe.hpp"

#include "node/blocking_connection.hpp"

namespace kahuna::node {

namespace {

constexpr std::chrono::milliseconds patience{1000};

// What the member answers with, if it is a final refusal.
std::optional<std::string> ask(const std::string& address, const messages::hello& hello) {
  blocking_connection connection(address, blocking_connection::clock::now() + patience);
  if (!connection.is_open() || !connection.send(messages::frame_kind::hello, hello)) return std::nullopt;
  const auto frame = connection.receive();
  if (!frame || frame->kind != messages::frame_kind::refusal) return std::nullopt;
  const auto said = messages::decode<messages::refusal>(frame->body);
  if (said && said->is_final) return said->reason.message;
  return std::nullopt;
}

}  // namespace

std::optional<std::string> ask_members_for_refusal(const routing::partition_map& map, node_id self, std::uint64_t incarnation,
                                                   std::uint32_t election_timeout_ms) {
  messages::hello hello;
  hello.role = messages::connection_role::node;
  hello.cluster_id = map.cluster_id;
  hello.node = self;
  hello.incarnation = incarnation;
  hello.election_timeout_ms = election_timeout_ms;
  hello.is_probe = true;
  for (const auto& member : map.members) {
    if (member.id == self) continue;
    if (auto refusal = ask(member.address, hello)) return member.name + " at " + member.address + " says: " + *refusal;
  }
  return std::nullopt;
}

}  // namespace kahuna::node
