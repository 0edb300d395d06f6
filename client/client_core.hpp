// The logic of a client, without its connections: identities, routing to leaders, retries within the deadline, lists.
//
// Owned by a client actor (or a test). Inputs are what applications ask, what nodes say, and the time; outputs are what to
// send where, and answers.
//
// Invariants:
//   1. every request is answered exactly once, by its deadline at the first tick behind it.
//   2. all attempts of a request carry the same sequence, issued_at and operation, so that a write is applied once.
//   3. of a write that was judged and not done, only the last attempt's answer is passed on: an attempt before it may be
//      judged otherwise later, and then the partition has the last one's answer.
//   4. `unavailable` is answered only where no attempt can have been applied.
//   5. an ephemeral write is sent to a leader of a known term, and where it may have been applied to none of another term: it
//      would be applied twice.
//
// A request's ways: waiting (for a node, a leader, or a pause to pass) → at a node → answered, or waiting again when
//   the node does not lead, went away, or said nothing within the time of an attempt.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/key_list.hpp"
#include "core/base/deadline_wheel.hpp"
#include "core/base/prng.hpp"
#include "core/base/time.hpp"
#include "messages/protocol.hpp"

namespace kahuna::client {

// A node as the client reaches it: one connection. Numbers are given in the order in which nodes become known.
using node_slot = std::uint32_t;

struct client_core_options {
  std::vector<std::string> endpoints;  // slots 0 … n-1 from the start
  duration attempt_timeout = std::chrono::milliseconds(1000);
  duration backoff_min = std::chrono::milliseconds(10);
  duration backoff_max = std::chrono::milliseconds(100);
  std::size_t batch_requests_max = 1024;   // of one frame
  std::size_t batch_bytes_max = 1 << 20;   // of one frame, unless one request alone is larger
  std::size_t pending_requests_max = 131'072;
};

// What is owed, in no particular order.
struct client_ready {
  // Slots to connect, by rising number from the last one named: slot and HOST:PORT.
  std::vector<std::pair<node_slot, std::string>> connect;
  std::vector<node_slot> disconnect;  // of nodes that are no members any more; their slots are not used again
  std::vector<std::pair<node_slot, messages::client_requests>> send;
  std::vector<std::pair<std::uint64_t, kv::operation_response>> answers;   // by token
  std::vector<std::pair<std::uint64_t, result<key_list>>> list_answers;    // by token
};

class client_core {
 public:
  client_core(client_core_options options, prng dice, instant now);

  // --- what applications ask. Tokens are the caller's; answers carry them.
  void submit(std::uint64_t token, kv::operation op, duration timeout, instant now);
  void submit_list(std::uint64_t token, list_query query, duration timeout, instant now);

  // --- what nodes say.
  void node_opened(node_slot slot, const messages::welcome& said, instant now);
  // `is_final`: it will not be dialed again.
  void node_lost(node_slot slot, const error& reason, bool is_final, instant now);
  void replies_came(node_slot slot, messages::client_replies replies, instant now);
  void leaders_came(node_slot slot, const messages::leaders& news, instant now);
  void map_came(const messages::map_news& news, instant now);

  void tick(instant now);

  // Answers everything with `unavailable` or, where a write may have been applied, `timeout`.
  void close(const std::string& why);

  client_ready take_ready();

  // Whether anything is to be sent soon that can't be sent now.
  bool has_waiting() const { return !waiting_.empty(); }

  // Whether some node has ever answered, or why none has.
  bool has_met_cluster() const { return map_.has_value(); }
  const std::optional<routing::partition_map>& map() const { return map_; }
  const std::optional<error>& last_failure() const { return last_failure_; }
  // The slot of the node that leads partition 0, or of any that is open where that is not known or not reached.
  std::optional<node_slot> system_slot() const;
  bool is_hopeless() const;  // every endpoint refused for good
  void check_invariants() const;

 private:
  struct slot_state {
    std::string address;
    node_id node;  // no_node until it said who it is
    bool is_open = false;
    bool is_given_up = false;
    bool is_left = false;  // its node is no member any more
    instant silent_since{};  // the last attempt that it did not answer in time; what it says later clears it
    std::vector<std::uint64_t> outbox;  // sequences to send
    std::set<std::uint64_t> at;         // sequences under way there
  };

  struct pending_request {
    std::uint64_t token = 0;  // the application's, or a list's number
    bool is_of_list = false;
    std::uint32_t list_part = 0;
    kv::operation op;
    std::optional<partition_id> partition;
    timestamp issued_at;
    term_id term;  // of an ephemeral write: of the leader that it was first sent to
    instant deadline;
    std::optional<node_slot> at;
    instant attempt_ends{};
    instant retry_at{};       // while waiting
    std::uint32_t attempts = 0;
    bool may_be_applied = false;
    std::optional<error> last_error;
  };

  // A list that is joined from pages: one part for a bucket, one a partition for a scan.
  struct list_part {
    std::vector<kv::listed_key> items;
    bool has_more = false;
    std::string continue_after;  // of its last page
  };
  struct pending_list {
    std::uint64_t token = 0;
    list_query query;
    instant deadline;
    std::vector<list_part> parts;
    std::size_t parts_under_way = 0;
  };

  std::uint64_t submit_internal(pending_request request, instant now);
  void start_list(std::uint64_t number, instant now);
  void ask_page(std::uint64_t number, std::uint32_t part, kv::read_view view, instant now);
  void take_page(const pending_request& request, kv::operation_response response, instant now);
  void restart_list(std::uint64_t number, instant now);
  void finish_list(std::uint64_t number, std::optional<error> failure);

  void dispatch(std::uint64_t sequence, instant now);
  std::optional<node_slot> choose_slot(const pending_request& request) const;
  void wait(std::uint64_t sequence, instant now);
  void assign_partition(std::uint64_t sequence, pending_request& request);
  std::uint64_t floor_of(partition_id partition) const;
  void leave_slot(std::uint64_t sequence, pending_request& request);
  void take_reply(node_slot slot, messages::client_reply reply, instant now);
  void on_due(std::uint64_t sequence, instant now);
  void answer(std::uint64_t sequence, kv::operation_response response, instant now);
  error deadline_error(const pending_request& request) const;
  void retry_waiting(instant now);
  void take_map(const routing::partition_map& map, instant now);
  void learn_members(instant now);
  void observe(timestamp stamp, instant now);
  timestamp estimated_now(instant now) const;
  messages::client_requests make_batch(slot_state& slot, std::size_t& taken, instant now);

  client_core_options options_;
  prng dice_;
  instant now_;
  std::vector<slot_state> slots_;
  std::optional<routing::partition_map> map_;
  std::uint32_t value_bytes_max_ = 0;
  std::vector<messages::partition_leader> leaders_;
  std::map<std::uint64_t, pending_request> requests_;  // by sequence
  std::map<std::uint64_t, pending_list> lists_;        // by number
  std::set<std::uint64_t> waiting_;                    // sequences at no node
  std::vector<std::set<std::uint64_t>> open_writes_;   // by partition
  std::uint64_t next_sequence_ = 1;
  std::uint64_t next_list_ = 1;
  deadline_wheel due_;
  timestamp observed_;
  instant observed_at_{};
  std::optional<error> last_failure_;
  mutable std::uint32_t next_slot_ = 0;
  client_ready ready_;
};

}  // namespace kahuna::client
