// A cluster of the real actors in one thread, in virtual time, from one seed: partitions, Raft peers, transaction managers, log writers,
// data keepers and cluster actors of three nodes on CAF's test coordinator. Whoever has something to do goes next by lot; what links
// and gateways carry goes over the simulated network (lost, late, doubled, cut); nodes crash, in the middle of what their actors are at.
//
// The clients, and what they saw is judged by, are those of the simulation of whole clusters (tests/support/cluster_simulation), whose
// replicas have shells of their own: here it is the actors' order of doing things that is tried.
#pragma once

#include "caf/test/dsl.hpp"

#include "tests/actor/actor_nodes.hpp"
#include "tests/support/cluster_simulation/client.hpp"
#include "tests/support/cluster_simulation/exchange.hpp"

namespace kahuna::testing {

// What of a seed's options the actors can be given: no ephemeral keys, whose leadership an answer does not name; and all nodes run by
// one steady clock.
cluster_options actor_options_drawn_from(std::uint64_t seed);

class actor_cluster final : public exchange {
 public:
  explicit actor_cluster(world& shared);
  ~actor_cluster() override;

  std::size_t node_count() const override { return nodes_.size(); }
  // What happens in virtual time, and what follows from it; now and then not all at once, as on a machine that is busy.
  void run_until(std::int64_t until_us);

  // All of these at once, after so many more turns of any actors: in the middle of what theirs are at. Where disks are slow that is some
  // moments after the next write, which is not synced until then.
  void crash_and_start(std::vector<int> nodes, int turns, bool are_disks_slow, std::int64_t down_us);
  void cut_off(int node, std::int64_t length_us);
  void transfer_leaderships(int from, int to, bool is_optional);
  void set_wall_offset(int node, std::int64_t ms) { at(node).wall_offset_ms = ms; }
  // The network is whole again, and every node up.
  void heal();

  bool is_up(int node) { return at(node).is_up; }
  // By the word of its own node; -1: nobody.
  int leader_of(partition_id partition);
  // Whether all replicas have applied the same, and that all has been.
  bool are_replicas_equal_in_index();
  // Throws a violation where replicas of equal index are not of equal content.
  void compare_replicas();

  std::size_t crashes() const { return crashes_; }
  std::size_t snapshots_installed() const { return events_.installed; }
  std::size_t terms_led() const { return terms_led_.size(); }

 private:
  struct simulated_node : actor_node {
    int number = 0;
    std::uint64_t life = 0;
    std::int64_t wall_offset_ms = 0;
    std::map<partition_id, messages::partition_leader> leaders;  // as its gateway has heard
    std::int64_t syncs_until = 0;  // its log writer has no turn until then
  };
  struct counting_log final : event_log {
    void write(severity, std::string_view event, std::initializer_list<event_field>) override { installed += event == "snapshot installed"; }
    std::size_t installed = 0;
  };

  simulated_node& at(int number) { return *nodes_[static_cast<std::size_t>(number)]; }
  simulated_node& at(node_id id) { return at(static_cast<int>(id.value) - 1); }
  std::uint64_t wall_ms(const simulated_node& n) const;
  instant steady_now() { return instant(std::chrono::duration_cast<duration>(actors_.sched.clock().now().time_since_epoch())); }
  void start(int node);
  void crash(const std::vector<int>& victims);
  void tell_connected(int node, bool is_connected);
  void run_jobs(std::size_t turns_max = SIZE_MAX);
  // One whose turn may be next comes to the front, by lot; false: there is none.
  bool choose_next();
  // Whether it is a log writer whose disk is busy.
  bool is_syncing(const caf::resumable* job);

  void arrive(int to, partition_id partition, kv::partition_request request, timestamp clock, std::int64_t budget_us) override;
  void carry(node_id from, node_id to, const actors::peer_output& output);
  void carry(node_id from, node_id to, const actors::leaders_changed& news);
  void take_replies(int node, const actors::partition_replies& replies);
  void ask_for_manager(int node, const actors::manager_requests& asked);
  void note_leaders(int node, const actors::leaders_changed& news);

  actors::gateway_handle make_gateway(int node);
  actors::link_handle make_link(node_id from, node_id to);

  test_coordinator_fixture<> actors_;
  prng dice_;  // whose turn it is
  routing::partition_map map_;
  counting_log events_;
  actor_nodes_settings settings_;
  std::vector<std::unique_ptr<simulated_node>> nodes_;
  std::size_t crashes_ = 0;
  std::set<std::pair<partition_id, term_id>> terms_led_;
  struct doomed {
    std::vector<int> nodes;
    int turns;
    std::int64_t due;  // not before; 0: when next something is written
    std::int64_t down_us;
  };
  std::optional<doomed> doomed_;
  bool is_ending_ = false;
};

}  // namespace kahuna::testing
