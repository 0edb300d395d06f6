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
messages::membership_request sample_membership_request();
messages::membership_reply sample_membership_reply();
messages::map_news sample_map_news();
messages::group_order sample_group_order();
messages::group_report sample_group_report();
messages::peer_messages sample_peer_messages();
messages::forwarded_requests sample_forwarded_requests();
messages::forwarded_replies sample_forwarded_replies();

}  // namespace kahuna::fuzz
