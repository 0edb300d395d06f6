// Bodies of every kind of frame, with every alternative and optional field in use somewhere: what fuzzing starts from.
#pragma once

#include "messages/protocol.hpp"

namespace kahuna::fuzz {

routing::partition_map sample_map();
messages::hello sample_client_hello();
messages::hello sample_node_hello();
messages::welcome sample_welcome();
messages::refusal sample_refusal();
messages::client_requests sample_requests();
messages::client_replies sample_replies();
messages::leaders sample_leaders();
messages::cluster_reply sample_cluster_reply();
messages::peer_messages sample_peer_messages();
messages::forwarded_requests sample_forwarded_requests();
messages::forwarded_replies sample_forwarded_replies();

}  // namespace kahuna::fuzz
