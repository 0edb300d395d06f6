// The client as an actor: what a CAF application spawns in its own actor system and sends typed messages to.
//
//   auto kahuna = client::spawn_client(system, {.endpoints = {"127.0.0.1:4870"}});
//   self->request(kahuna, caf::infinite, kv::get_request{.key = "services/auth/i1"}).then(…)
//
// A broker behind a typed handle: it owns the connections to the cluster's nodes, finds the leaders, and retries within
// `timeout` under one request identity. Every request is answered by then, so callers need no timeout of their own.
// Everything that waits in its mailbox travels on in one frame a node (design §5).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <caf/all.hpp>
#include <caf/io/all.hpp>

#include "client/cluster_overview.hpp"
#include "client/key_list.hpp"
#include "core/base/errc.hpp"
#include "core/kv/operation.hpp"
#include "core/routing/membership_core.hpp"

namespace kahuna::client {

struct client_actor_options {
  std::vector<std::string> endpoints = {"127.0.0.1:4870"};  // HOST:PORT; any nodes of one cluster, the rest are learned
  std::chrono::milliseconds timeout{5000};                  // of each request
  // Hears when the first connection to any node is there, and when the last one is gone; on the actor's thread, and must
  // not block. May be empty.
  std::function<void(bool is_connected)> connection_changed{};
};

// Answered once a node has said welcome; with an error where all endpoints refused, or none answered within `patience`.
struct await_cluster {
  std::chrono::milliseconds patience{5000};
};
struct cluster_found {
  std::uint64_t client_id = 0;   // of this client; transactions are named by it
  std::uint32_t partitions = 0;  // of the cluster
};

// Ends the actor; what is under way is answered with an error.
struct stop_client {};

// The blocking client's way in: many threads leave what they want in a queue, and one message says that it is not empty.
struct submission {
  kv::operation op;
  std::chrono::milliseconds timeout{0};
  std::function<void(kv::operation_response)> done;  // on the actor's thread; must not block
};
struct submission_queue {
  std::mutex mutex;
  std::vector<submission> waiting;
};
struct submissions_waiting {
  std::shared_ptr<submission_queue> queue;
};
struct list_submission {
  list_query query;
  std::chrono::milliseconds timeout{0};
  std::function<void(result<key_list>)> done;
};

// Asks every node where it stands; answered once each has answered or is known to be down, and by `patience` at the latest.
// `described`: of this partition's replicas the answer has the descriptions too.
struct cluster_submission {
  std::optional<std::uint32_t> described;
  std::chrono::milliseconds patience{0};
  std::function<void(result<cluster_overview>)> done;
};

// Tells the leader of a partition to hand over to the node of that name. What comes of it is seen by asking for the cluster.
struct leader_transfer_submission {
  std::uint32_t partition = 0;
  std::string to;
};

// Asks the node that leads partition 0 for a change of members, again and again until it answers, or `timeout` has passed.
struct membership_submission {
  routing::membership_command what;
  std::chrono::milliseconds timeout{0};
  std::function<void(std::optional<error>)> done;  // on the actor's thread; must not block
};

// What is to be done on the actor's thread, after a pause for instance; must not block. Destroyed undone if the client stops first.
struct client_errand {
  std::function<void()> run;
};

// Errors of all requests are caf::errors of the category "kahuna"; error_of() turns them back.
using client_handle = caf::typed_actor<
    caf::replies_to<kv::set_request>::with<kv::set_response>,          // the operations of the contract's table
    caf::replies_to<kv::get_request>::with<kv::get_response>,
    caf::replies_to<kv::exists_request>::with<kv::exists_response>,
    caf::replies_to<kv::delete_request>::with<kv::delete_response>,
    caf::replies_to<kv::extend_request>::with<kv::extend_response>,
    caf::replies_to<list_query>::with<key_list>,                       // lists, joined from their pages
    caf::replies_to<await_cluster>::with<cluster_found>,
    caf::reacts_to<submissions_waiting>,
    caf::reacts_to<list_submission>,
    caf::reacts_to<cluster_submission>,
    caf::reacts_to<leader_transfer_submission>,
    caf::reacts_to<membership_submission>,
    caf::reacts_to<client_errand>,
    caf::reacts_to<stop_client>>;

// Requires that the system loaded caf::io::middleman. Ends by stop_client.
client_handle spawn_client(caf::actor_system& system, client_actor_options options);

// The library's error behind a CAF error; `unavailable` for those of CAF itself, e.g. a client that has stopped.
error error_of(const caf::error& e);
caf::error to_caf_error(const error& e);

}  // namespace kahuna::client

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::kv::set_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::kv::set_response)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::kv::get_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::kv::get_response)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::kv::exists_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::kv::exists_response)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::kv::delete_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::kv::delete_response)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::kv::extend_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::kv::extend_response)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::list_query)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::key_list)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::await_cluster)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::cluster_found)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::stop_client)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::submissions_waiting)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::list_submission)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::cluster_submission)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::leader_transfer_submission)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::membership_submission)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::client_errand)
