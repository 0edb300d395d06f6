// What travels between processes: the frames of one connection and the structs inside them (design §6, docs/wire_format.md).
//
//   connection := preamble? none; both sides speak frames from the first byte
//   frame      := length:u32 little-endian (of what follows, 1 … bound)  kind:u8  body
//   body       := one struct below, by the codec
//
// The dialing side sends `hello`, the accepting side answers `welcome` or `refusal` (and closes). Before the hello is
// accepted, frames are at most handshake_frame_bytes_max and the whole handshake is bounded in time. A connection is
// for a client or for a node; which frames may come next depends on that:
//   client → node: client_requests, cluster_request, transfer_leader, membership_request, ping
//   node → client: client_replies, leaders, cluster_reply, membership_reply, map_news, pong
//   node → node:   peer_messages, leaders, forwarded_requests, forwarded_replies, map_news, group_order, group_report, ping
//                  back: pong only
// (each node dials each other: a node's traffic to a peer goes over the connection that it dialed.)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/kv/operation.hpp"
#include "core/raft/raft_input.hpp"
#include "core/raft/raft_types.hpp"
#include "core/routing/membership_core.hpp"
#include "core/routing/partition_map.hpp"
#include "messages/codec/class_versions.hpp"

namespace kahuna::messages {

inline constexpr std::uint16_t protocol_version_min = 1;
inline constexpr std::uint16_t protocol_version_max = 1;

inline constexpr std::uint32_t handshake_frame_bytes_max = 4096;
inline constexpr std::size_t zone_bytes_max = 64;
inline constexpr std::size_t frame_header_bytes = 4;  // the length; the kind is the first byte that it counts

// The largest frame after the handshake, in a cluster whose values have at most so many bytes: a set carries up to two
// values, a list's page or a batch of Raft entries about a MiB.
constexpr std::uint32_t frame_bytes_max(std::uint32_t value_bytes_max) { return 2 * value_bytes_max + (4u << 20); }

// The numbers are on the wire: never change or reuse one.
enum class frame_kind : std::uint8_t {
  hello = 1,
  welcome = 2,
  refusal = 3,
  ping = 4,
  pong = 5,
  client_requests = 10,
  client_replies = 11,
  leaders = 12,
  cluster_request = 13,
  cluster_reply = 14,
  transfer_leader = 15,
  membership_request = 16,
  membership_reply = 17,
  map_news = 18,
  peer_messages = 20,
  forwarded_requests = 21,
  forwarded_replies = 22,
  group_order = 23,
  group_report = 24,
};

enum class connection_role : std::uint8_t { client = 1, node = 2 };

constexpr std::uint64_t enum_minimum(connection_role) { return static_cast<std::uint64_t>(connection_role::client); }
constexpr std::uint64_t enum_maximum(connection_role) { return static_cast<std::uint64_t>(connection_role::node); }

// First frame of whoever dialed. `magic` tells a stranger's bytes from ours.
struct hello {
  static constexpr std::uint32_t magic_value = 0x4E48414B;  // "KAHN"

  std::uint32_t magic = magic_value;
  std::uint16_t version_min = protocol_version_min;
  std::uint16_t version_max = protocol_version_max;
  connection_role role = connection_role::client;
  std::uint64_t cluster_id = 0;   // a client's may be 0: any cluster
  node_id node;                   // of a node
  std::uint64_t incarnation = 0;  // of a node: drawn when its data directory was made
  std::uint64_t client_id = 0;    // of a client: random, the first half of its request identities; never 0
  std::uint32_t election_timeout_ms = 0;  // of a node: leases rest on its being the same everywhere
  bool is_probe = false;          // of a node: only asks whether it would be accepted; nothing is remembered of it
  std::string zone{};             // of a node: where it says that it is, at most zone_bytes_max

  template <class Archive>
  void serialize(Archive& archive, unsigned class_version) {
    archive& magic& version_min& version_max& role& cluster_id& node& incarnation& client_id& election_timeout_ms& is_probe;
    if (class_version >= 1) archive& zone;
  }
};

// Who leads what, as the answering node believes; a client's hint, never authority.
struct partition_leader {
  partition_id partition;
  term_id term;
  node_id leader;  // no_node: none known

  friend bool operator==(const partition_leader&, const partition_leader&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& partition& term& leader;
  }
};

struct welcome {
  std::uint16_t version = 0;  // the highest that both speak
  node_id node;
  std::uint64_t incarnation = 0;
  timestamp now;
  routing::partition_map map;
  std::uint32_t value_bytes_max = 0;  // of this cluster
  std::uint32_t frame_bytes_max = 0;  // the largest frame that this side takes from now on

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& version& node& incarnation& now& map& value_bytes_max& frame_bytes_max;
  }
};

// Why a hello is not accepted; the connection closes behind it.
struct refusal {
  error reason;
  bool is_final = false;  // trying again will not help (another cluster, no common version, a forgotten incarnation)

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& reason& is_final;
  }
};

// Either side's probe of a silent connection; the body comes back in the pong.
struct ping {
  std::uint64_t token = 0;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& token;
  }
};

struct pong {
  std::uint64_t token = 0;
  timestamp now;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& token& now;
  }
};

// One request under its identity (client, sequence). A retry repeats sequence, issued_at and op; the budget shrinks, and
// the attempt is counted.
struct client_request {
  std::uint64_t sequence = 0;   // unique and rising within a client, from 1
  timestamp issued_at;          // the client's estimate of the cluster's clock when it first sent it
  // The client's caller has the answers of all its writes to this partition with lower sequences: forget them.
  std::uint64_t floor = 0;
  std::uint32_t attempt = 1;
  std::uint32_t budget_ms = 0;  // what is left of its deadline; the node answers `timeout` by then
  // Of an ephemeral write: the term of the leader that it is meant for. Another one has other keys and does not know which
  // writes were applied to those of before, so it takes none that were meant for them, and none that name no leader.
  term_id term;
  kv::operation op;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& sequence& issued_at& floor& attempt& budget_ms& term& op;
  }
};

struct client_requests {
  timestamp observed;       // the highest stamp that the client has seen
  std::vector<client_request> requests;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& observed& requests;
  }
};

struct client_reply {
  std::uint64_t sequence = 0;
  std::uint32_t attempt = 1;  // that is answered
  kv::operation_response response;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& sequence& attempt& response;
  }
};

struct client_replies {
  timestamp now;  // of the answering node's clock
  std::vector<client_reply> replies;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& now& replies;
  }
};

// Sent after the welcome, and whenever one changes.
struct leaders {
  std::vector<partition_leader> partitions;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& partitions;
  }
};

// An operator's question where the asked node stands.
struct cluster_request {
  std::uint64_t token = 0;  // the client's; comes back with the reply
  std::optional<partition_id> described;  // of this one's replica the reply has the description too

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& token& described;
  }
};

// An operator's order to the leader of a partition: hand it over. Whoever does not lead it ignores this; what comes of it is seen by
// asking who leads.
struct transfer_leader {
  partition_id partition;
  node_id to;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& partition& to;
  }
};

// A change of members, of the node that leads partition 0; another one says not_leader. Repeating it does no harm.
struct membership_request {
  std::uint64_t token = 0;  // the client's; comes back with the reply
  routing::membership_command what;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& token& what;
  }
};

struct membership_reply {
  std::uint64_t token = 0;
  std::optional<error> refusal;
  node_id node;                // that the command is about; no_node: it is gone
  routing::partition_map map;  // where there is no refusal: with what was asked for in it, which is then done bit by bit

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& token& refusal& node& map;
  }
};

// The newest partition map that the sender has heard of, or only its version, between nodes: whoever has a newer one sends that.
struct map_news {
  std::uint64_t version = 0;
  std::optional<routing::partition_map> map;
  // The newest by which the sender's replicas are settled: made and dropped as it wants. 0: of none yet, or it does not say.
  std::uint64_t settled_version = 0;

  template <class Archive>
  void serialize(Archive& archive, unsigned class_version) {
    archive& version& map;
    if (class_version >= 1) archive& settled_version;
  }
};

// From the node that leads partition 0 to the one that leads another partition: see that these become its voters, and say where it is.
struct group_order {
  partition_id partition;
  std::uint64_t version = 0;  // of the partition map
  std::vector<node_id> voters;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& partition& version& voters;
  }
};

// The answer, of one that was confirmed to lead after it was asked.
struct group_report {
  partition_id partition;
  std::uint64_t version = 0;
  std::vector<node_id> voters;
  bool is_settled = false;  // a committed configuration of these voters alone
  std::string refusal;      // why it does not go on now; for people

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& partition& version& voters& is_settled& refusal;
  }
};

// Where a replica of the answering node stands.
struct replica_report {
  partition_id partition;
  raft::role_kind role = raft::role_kind::follower;
  term_id term;
  log_index commit_index;
  log_index applied_index;
  std::string description;  // what describe() says; empty where it was not asked for

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& partition& role& term& commit_index& applied_index& description;
  }
};

// The cluster from the answering node's point of view. A replica that did not say in time where it stands is left out.
struct cluster_reply {
  std::uint64_t token = 0;
  node_id node;
  std::vector<node_id> alive;  // the node itself, and those that its links reach
  std::vector<partition_leader> leaders;
  std::vector<replica_report> replicas;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& token& node& alive& leaders& replicas;
  }
};

// A Raft message of one partition to its replica at the other end.
struct peer_envelope {
  partition_id partition;
  raft::message_body body;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& partition& body;
  }
};

struct peer_messages {
  timestamp now;
  std::vector<peer_envelope> envelopes;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& now& envelopes;
  }
};

// A client's request that reached a node which does not lead its partition, sent on as core/routing/next_hop.hpp says; whoever gets it, does
// not lead and may not pass it on answers `not_leader`.
struct forwarded_request {
  std::uint64_t token = 0;  // the forwarding gateway's; comes back with the reply
  std::uint64_t client = 0;
  bool may_pass_on = false;  // to whom leads, if that is not the node that gets it; who gets it then may not
  client_request request;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& token& client& may_pass_on& request;
  }
};

struct forwarded_requests {
  timestamp observed;
  std::vector<forwarded_request> requests;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& observed& requests;
  }
};

struct forwarded_reply {
  std::uint64_t token = 0;
  kv::operation_response response;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& token& response;
  }
};

struct forwarded_replies {
  timestamp now;
  std::vector<forwarded_reply> replies;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& now& replies;
  }
};

}  // namespace kahuna::messages

BOOST_CLASS_VERSION(kahuna::messages::hello, 1)
BOOST_CLASS_VERSION(kahuna::messages::map_news, 1)
