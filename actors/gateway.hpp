// The node's one port: a CAF broker that accepts clients and other nodes, routes what they ask, and answers by the deadline.
//
// Runs on the multiplexer's thread. Holds no data and never waits for the disk itself.
//
// A request's life here: a token is drawn and its deadline noted; the request goes to the local partition, or over a
// link to the node that leads; the answer, from either, finds its way back by the token. Whatever becomes of it, the
// client is answered by the deadline, and nothing is kept after it.
//   - the partition's answer is lost: it can't be, it is a message in this process.
//   - the link to a leader's node is down, or no leader is known here, which may be for the same reason: another node is asked to pass
//     the request on, once. So two nodes that don't reach each other serve as long as a third reaches both.
//   - the other node dies: the link says so (link_broken), and what was forwarded there is answered at once.
//   - the client goes: its tokens are dropped; what was applied stays applied.
//
// Bounds: connections, frames before and after the handshake, requests under way per connection and in all, bytes that
// a client has not read. A connection that breaks one is closed, counted and logged (rate limited).
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include <caf/all.hpp>
#include <caf/io/all.hpp>

#include "actors/interfaces.hpp"
#include "actors/node_clock.hpp"
#include "actors/node_metrics.hpp"
#include "actors/rate_limited_log.hpp"
#include "core/base/deadline_wheel.hpp"
#include "core/base/event_log.hpp"
#include "core/routing/partition_map.hpp"
#include "messages/connection/frame.hpp"
#include "messages/connection/frame_writer.hpp"
#include "messages/connection/network_turns.hpp"

namespace kahuna::actors {

struct gateway_settings {
  std::string host;
  std::uint16_t port = 0;
  node_id self;
  std::uint64_t incarnation = 0;
  routing::partition_map map;
  std::uint32_t value_bytes_max = 1 << 20;
  std::uint32_t election_timeout_ms = 0;
  std::uint64_t first_token = 1;  // at random
  node_clock* clock = nullptr;   // outlives the actor
  event_log* events = nullptr;   // outlives the actor
  node_metrics* metrics = &silent_metrics();  // outlives the actor

  std::size_t sessions_max = 4096;
  std::size_t handshakes_max = 1024;               // connections that have not said an accepted hello
  std::size_t session_requests_max = 16'384;       // under way, per connection
  std::size_t requests_max = 262'144;              // under way in all
  std::size_t session_cluster_requests_max = 16;   // waiting for an answer, per connection; more are dropped
  std::size_t session_unread_bytes_max = 64 << 20; // answers that the other side has not taken; beyond it: overloaded
  duration handshake_timeout = std::chrono::seconds(5);
  duration frame_timeout = std::chrono::seconds(30);    // from a frame's first byte to its last
  duration silence_timeout = std::chrono::seconds(30);  // between any two bytes; both sides ping well within it
  std::uint32_t budget_ms_max = 60'000;
};

struct gateway_session {
  enum class phase : std::uint8_t { handshake, checking_peer, client, node, closing };

  gateway_session(std::uint64_t session_number, caf::io::connection_handle connection, instant now)
      : number(session_number), handle(connection), reader(messages::handshake_frame_bytes_max), opened_at(now), heard_at(now) {}

  std::uint64_t number;
  caf::io::connection_handle handle;
  messages::frame_reader reader;
  messages::frame_writer writer;
  phase in = phase::handshake;
  instant opened_at;
  instant heard_at;
  instant frame_began_at{};  // while a frame is half received
  messages::hello hello;
  std::uint64_t map_version = 0;  // of the partition map that it was sent last
  std::size_t requests = 0;
  std::size_t cluster_requests = 0;
  messages::client_replies replies;  // collected until the next drain
};

// Whom the answer of a request under way goes to.
struct gateway_request {
  std::uint64_t session = 0;  // a client's session; 0: another node's gateway asked, or a transaction manager of this node
  std::uint64_t sequence = 0;  // the client's; or the other gateway's token
  std::uint32_t attempt = 0;   // the client's
  node_id from;                // the node that forwarded it here; this one: a transaction manager asked
  partition_id manager;        // whose
  node_id forwarded_to;        // the node that it was forwarded to; no_node: it is with a partition of this node
  bool is_write = false;
  kv::durability space = kv::durability::persistent;
  std::uint8_t operation = 0;  // its alternative of kv::operation
  std::uint64_t client = 0;
  partition_id partition;
  instant arrived_at;
};

struct gateway_state {
  static inline const char* name = "gateway";

  gateway_settings settings;
  gateway_wiring wiring;
  cluster_handle cluster;
  bool is_wired = false;  // before it nobody is let in

  std::map<caf::io::connection_handle, std::unique_ptr<gateway_session>> sessions;
  std::unordered_map<std::uint64_t, gateway_session*> by_number;
  std::uint64_t next_session = 1;
  std::size_t handshakes = 0;
  std::size_t client_sessions = 0;
  std::size_t node_sessions = 0;

  std::unordered_map<std::uint64_t, gateway_request> requests;  // by token
  // Drawn at random for each process: an answer to a token of this node's last life must not find a request of this one.
  std::uint64_t next_token = 0;
  std::unique_ptr<deadline_wheel> deadlines;

  std::vector<messages::partition_leader> leaders;  // by partition
  std::set<node_id> connected;                       // whose links are up
  std::unique_ptr<rate_limited_log> log;
  bool is_stopping = false;

  // Collected until the next drain.
  bool is_drain_sent = false;
  std::map<partition_id, std::vector<kv::partition_request>> to_partitions;
  std::map<partition_id, std::vector<raft::peer_message>> to_raft_peers;
  std::map<node_id, std::vector<messages::forwarded_request>> to_forward;
  std::map<node_id, std::vector<messages::forwarded_reply>> to_return;
  std::map<partition_id, std::vector<kv::partition_reply>> to_managers;
  std::vector<std::uint64_t> sessions_with_replies;
};

// Listens at once; ends with an error where the port can't be had. Takes partition_replies, leaders_changed,
// peer_checked, link_broken, link_changed, gateway_wiring (before which every hello is refused), node_tick and stop.
caf::behavior gateway_actor(caf::stateful_actor<gateway_state, messages::turn_taking_broker>* self, gateway_settings settings,
                            cluster_handle cluster, std::function<void(bool)> listening);

}  // namespace kahuna::actors
