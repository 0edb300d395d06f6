// Changes who belongs to the cluster and who holds what: the driver of all changes of members, as a value.
//
// Owned by the cluster actor of every node; at work only where this node leads partition 0, which holds the partition map. What is
// wanted is in the map, so that whoever leads partition 0 next goes on where this one stopped, and nothing is remembered here that
// could not be lost.
//
//   operator's command ──▶ map: joining / leaving ──▶ seen: active ──▶ a partition's target ──▶ its group agreed: voters ──▶ … ──▶ gone
//
// Invariants:
//   1. the map's version rises by one with each write, and a write replaces exactly the version that it was made from.
//   2. at most one partition has a target; it becomes its voters only when the leader of its group, confirmed to be that after it was
//      asked, has said that these are the voters of a configuration that is committed, and nobody else is in it.
//   3. a member goes only when all partitions are settled and no placement names it, so what it holds is nobody's quorum.
//   4. nobody is given a replica who has not said that his replicas are settled by the version before: what he was to drop is dropped, and what he
//      acknowledged with it was sent before he is asked for anything new.
//   5. a command that takes something away is refused where a partition would be left without a majority that answers.
//
// A node may therefore drop its replica of a partition that is settled without it (invariant 2), however old that map is.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "core/base/errc.hpp"
#include "core/base/time.hpp"
#include "core/routing/partition_map.hpp"

namespace kahuna::routing {

// --- what operators and nodes ask ---------------------------------------------------------------------------------

struct add_member {
  std::string name;
  std::string address;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& name& address;
  }
};

struct remove_member {
  std::string name;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& name;
  }
};

// Adds one and removes the other once that is active.
struct replace_member {
  std::string name;
  std::string by;
  std::string address;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& name& by& address;
  }
};

// A node without data asks for its number and the map.
struct join_cluster {
  std::string name;
  std::uint16_t port = 0;  // that it listens on
  std::uint32_t election_timeout_ms = 0;  // leases rest on its being the same everywhere
  bool is_rejoin = false;  // it was a member and has lost its data: under a new number

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& name& port& election_timeout_ms& is_rejoin;
  }
};

using membership_command = std::variant<add_member, remove_member, replace_member, join_cluster>;

// What holds from now on; repeating the command gives the same.
struct membership_outcome {
  node_id node;  // that the command is about; no_node: it is gone
  partition_map map;
};

// --- inputs -------------------------------------------------------------------------------------------------------

struct membership_tick {};

// Whether this node leads partition 0.
struct system_leadership {
  bool is_leading = false;
};

// The answer to ready.is_read_wanted: what partition 0 holds, and its revision; no map: nothing yet.
struct map_read {
  std::optional<partition_map> map;
  std::int64_t revision = -1;
};

// The answer to ready.write: applied, and what the revision is. Or it was not, or nobody knows, then the map is read again; the same
// for a read that failed.
struct map_written {
  std::int64_t revision = -1;
};
struct map_access_failed {};

// The nodes that this one reaches, itself among them.
struct reachable_nodes {
  std::set<node_id> nodes;
};

// By which version of the map a node says that its replicas are settled: made and dropped as that wants.
struct replicas_settled {
  node_id node;
  std::uint64_t version = 0;
};

// In what zone a node says that it is.
struct zone_told {
  node_id node;
  std::string zone;
};

// Where a partition's group stands, by its leader's word, which was confirmed to lead after it was asked.
struct group_report {
  partition_id partition;
  std::uint64_t version = 0;       // of the map that the order was made from
  std::vector<node_id> voters;     // sorted
  bool is_settled = false;         // committed, not joint, and nobody learns
  std::string refusal;             // why it does not go on now; for people
};

struct command_asked {
  std::uint64_t token = 0;
  membership_command what;
};

using membership_input = std::variant<membership_tick, system_leadership, map_read, map_written, map_access_failed, reachable_nodes,
                                      replicas_settled, zone_told, group_report, command_asked>;

// --- outputs ------------------------------------------------------------------------------------------------------

struct map_write {
  partition_map map;
  std::int64_t expected_revision = -1;  // that it replaces; -1: only if there is none
};

// To the leader of the partition: see that these become its voters.
struct group_order {
  partition_id partition;
  std::uint64_t version = 0;
  std::vector<node_id> voters;
};

struct command_answer {
  std::uint64_t token = 0;
  std::optional<error> refusal;
  membership_outcome outcome;  // where there is no refusal
};

struct membership_ready {
  bool is_read_wanted = false;
  std::optional<map_write> write;
  std::optional<group_order> order;
  std::vector<command_answer> answers;
  std::optional<partition_map> news;  // what partition 0 holds now, where it is another than before
  std::vector<std::string> held_up;   // why nothing has gone on for a while; for people, each reason once for a version of the map

  bool is_empty() const { return !is_read_wanted && !write && !order && answers.empty() && !news && held_up.empty(); }
};

struct membership_options {
  duration order_interval = std::chrono::milliseconds(100);   // between two orders for the same partition
  duration step_interval = std::chrono::milliseconds(50);     // between two partitions
  duration read_pause = std::chrono::milliseconds(100);       // before the map is read again
  duration patience = std::chrono::seconds(10);               // with a node that is to get a replica, or could, and does not answer
  std::uint32_t election_timeout_ms = 0;                      // of the cluster
  std::size_t commands_max = 64;                              // that wait
};

class membership_core {
 public:
  // `formed`: what partition 0 is given where it holds nothing.
  membership_core(node_id self, partition_map formed, membership_options options);

  void step(membership_input input, instant now);
  membership_ready take_ready();

  void check_invariants() const;
  // One line for people.
  std::string describe() const;

 private:
  void take_map(const map_read& read);
  void take_command(command_asked asked);
  void take_report(const group_report& report);
  void forget(const error& why);
  void want_read(duration pause);
  void advance();
  // The next version of the map, if there is something to change by itself.
  std::optional<partition_map> next_version();
  std::optional<partition_map> retargeted(const partition_map& map) const;
  void write(partition_map map);
  std::set<node_id> answering() const;
  std::set<node_id> usable() const;
  bool is_waiting_for_replicas() const;
  void take_version();
  void note_hold_up(std::string reason);
  void note_who_is_behind();
  result<std::pair<partition_map, node_id>> evaluate(const membership_command& command) const;
  result<std::pair<partition_map, node_id>> evaluate(const add_member& command) const;
  result<std::pair<partition_map, node_id>> evaluate(const remove_member& command) const;
  result<std::pair<partition_map, node_id>> evaluate(const replace_member& command) const;
  result<std::pair<partition_map, node_id>> evaluate(const join_cluster& command) const;
  std::optional<error> find_lost_quorum(const partition_map& later, const member& gone, bool is_replaced) const;

  const node_id self_;
  const partition_map formed_;
  const membership_options options_;
  instant now_{};
  bool is_leading_ = false;
  instant led_since_{};
  std::optional<partition_map> map_;  // that partition 0 holds, as far as is known here
  std::int64_t revision_ = -1;
  bool is_reading_ = false;
  instant read_at_{};
  std::optional<partition_map> writing_;
  std::vector<std::pair<std::uint64_t, node_id>> answered_by_write_;  // tokens, and what their commands are about
  std::deque<command_asked> waiting_;
  std::set<node_id> reachable_;
  std::map<node_id, instant> silent_since_;
  std::map<node_id, std::uint64_t> settled_by_;  // which version
  instant version_known_at_{};                   // that `map_` has
  std::map<node_id, std::string> zones_;
  instant ordered_at_{};
  std::uint64_t ordered_version_ = 0;
  instant stepped_at_{};
  std::string refusal_;  // of the partition under way
  std::set<std::string> noted_;  // of what holds up this version
  membership_ready ready_;
};

}  // namespace kahuna::routing
