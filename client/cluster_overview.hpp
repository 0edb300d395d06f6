// The cluster as its operators want to see it: what each node that answered said of itself and of the others, merged.
//
// Pure. A node knows best where its own replicas stand; who leads what is taken from the highest term that anybody told of.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/routing/partition_map.hpp"
#include "messages/protocol.hpp"

namespace kahuna::client {

struct member_overview {
  std::string name;
  std::string address;
  bool is_alive = false;  // it answered
  std::size_t partitions_led = 0;
  std::size_t replicas = 0;  // that it holds or is to hold
  routing::member_state state = routing::member_state::active;
  std::string zone{};
};

// Where a replica stands, of which its node told.
struct replica_state {
  raft::role_kind role = raft::role_kind::follower;
  std::uint64_t term = 0;
  std::uint64_t commit_index = 0;
  std::uint64_t applied_index = 0;
  std::optional<std::uint64_t> lag;  // entries that the leader has committed and this replica has not applied
  std::string description;           // only of the partition that was asked for
};

struct replica_overview {
  std::string node;                    // its name
  std::optional<replica_state> state;  // none: the node did not say
};

struct partition_overview {
  std::uint32_t id = 0;
  std::optional<std::string> leader;  // its name; none where nobody leads, or whoever led is reached by nobody
  std::uint64_t term = 0;             // the highest that anybody told of
  std::vector<replica_overview> replicas;

  // The leader's own replica, where its node answered.
  const replica_state* leading() const;
};

struct cluster_overview {
  std::string cluster_id;   // hexadecimal, as everywhere
  std::string answered_by;  // the name of a node that answered; "" where none did
  std::vector<member_overview> members;
  std::vector<partition_overview> partitions;  // all, by number
  std::size_t steps_left = 0;  // changes of who holds a partition, until all is as it is to be
};

// The first of `replies` is said to have answered; of a node that is there twice the first counts; numbers that the map does
// not know are left out. Requires nothing of what the nodes say.
cluster_overview merge_views(const routing::partition_map& map, const std::vector<messages::cluster_reply>& replies);

// "follower", "candidate", "leader".
std::string_view role_name(raft::role_kind role);

}  // namespace kahuna::client
