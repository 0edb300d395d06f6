// The stream of this node's messages to one other node: a broker that batches what all partitions and the gateway have
// for it into frames.
//
// Runs on the multiplexer's thread. Its connection dials, keeps alive and reconnects by itself. What can't be sent is
// dropped or refused at once, never kept: Raft repeats its messages, and whoever forwarded a request is told
// (link_broken).
// Only what is large waits here while there is much on its way (messages/held_messages.hpp).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "actors/interfaces.hpp"
#include "actors/node_clock.hpp"
#include "core/base/event_log.hpp"
#include "messages/connection/network_turns.hpp"
#include "messages/connection/outbound_connection.hpp"
#include "messages/held_messages.hpp"

namespace kahuna::actors {

struct link_settings {
  node_id peer;
  std::string peer_name;
  messages::outbound_settings connection;
  node_clock* clock = nullptr;  // outlives the actor
  event_log* events = nullptr;  // outlives the actor
};

struct link_state {
  static inline const char* name = "link";

  link_settings settings;
  gateway_handle gateway;
  cluster_handle cluster;
  std::unique_ptr<messages::outbound_connection> connection;
  bool is_connected = false;
  bool is_drain_sent = false;

  // Collected until the next drain.
  messages::peer_messages peer_messages;
  messages::held_messages held;
  messages::forwarded_requests requests;
  messages::forwarded_replies replies;
};

// `refused_for_good` is called where the other node will never take us: it knows this node with other data.
caf::behavior link_actor(caf::stateful_actor<link_state, messages::turn_taking_broker>* self, link_settings settings, gateway_handle gateway,
                         cluster_handle cluster, std::function<void(const std::string&)> refused_for_good);

}  // namespace kahuna::actors
