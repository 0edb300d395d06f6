// What a simulated node knows of the members of its cluster and of who leads what, and its driver of members, wired as
// actors/cluster_actor.cpp and cluster_members.cpp wire them: it hears of newer maps and tells of them, and where this node leads
// partition 0 it has them changed.
//
// There are no connections here: reached is who was heard of within a while.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/kv/partition_input.hpp"
#include "core/routing/membership_core.hpp"
#include "tests/support/cluster_simulation/world.hpp"

namespace kahuna::testing {

class node;

using map_pointer = std::shared_ptr<const routing::partition_map>;

struct known_leader {
  node_id leader;
  term_id term;
};

// What nodes tell each other now and then.
struct node_news {
  std::uint64_t version = 0;
  map_pointer map;  // where it is told
  std::uint64_t settled_version = 0;  // by which the sender's replicas are settled
  std::string zone;
  std::map<partition_id, term_id> led;  // by the one who tells
};

class node_members {
 public:
  // For one life of the node.
  node_members(node& host, map_pointer known);

  void tick();
  // Whatever came from there: it is reached.
  void note_heard(node_id peer);
  void take_connection_lost(node_id peer);
  void take_news(node_id from, const node_news& news);
  void take_own_leader(partition_id partition, known_leader word);
  void take_dropped(partition_id partition);
  void take_settled(std::uint64_t version);
  void take_order(node_id by, const routing::group_order& order);
  void send_report(node_id to, const routing::group_report& report);
  void take_system_answer(std::uint64_t token, const kv::operation_response& response);
  static bool is_from_system(std::uint64_t origin);

  using answer_handler = std::function<void(const routing::command_answer&)>;
  void ask(routing::membership_command what, answer_handler done);

  const map_pointer& map() const { return map_; }
  known_leader leader_of(partition_id partition) const;
  // Whether there is a way to it.
  bool is_peer(node_id node) const;
  // Tells it the newest map, whatever it is to the cluster.
  void send_map(node_id to);
  const routing::membership_core& driver() const { return core_; }

 private:
  void step(routing::membership_input input);
  void adopt(routing::partition_map map);
  void send_order(const routing::group_order& order);
  std::uint64_t ask_system(kv::operation op);
  void tell_reachable();
  void tell_everybody(bool is_map_told);

  node& host_;
  world& world_;
  map_pointer map_;
  std::uint64_t settled_version_ = 0;
  routing::membership_core core_;
  std::map<partition_id, known_leader> leaders_;
  std::map<node_id, std::int64_t> heard_at_;
  std::uint64_t last_token_ = 0;
  std::uint64_t read_token_ = 0;
  std::uint64_t write_token_ = 0;
  std::map<std::uint64_t, answer_handler> commands_;
  std::int64_t told_at_ = 0;
};

}  // namespace kahuna::testing
