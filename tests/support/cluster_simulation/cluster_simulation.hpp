// A whole cluster in one thread, in virtual time, from one seed: the real Raft, partition and transaction cores of all nodes over
// simulated disks, network and clocks; clients that record what they see; faults; and what must hold whatever happens.
//
// First a phase of faults. Then they stop: every partition must serve again within a bounded time, all replicas come to the same
// state, members and their replicas are as was last asked for, and what the clients saw must have been possible. Whatever is found wrong is thrown as a violation, by the cores' own
// checks too where the check handler throws (run_cluster_simulation).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/support/cluster_simulation/client.hpp"
#include "tests/support/cluster_simulation/history.hpp"
#include "tests/support/cluster_simulation/member_changes.hpp"
#include "tests/support/cluster_simulation/node.hpp"
#include "tests/support/cluster_simulation/options.hpp"

namespace kahuna::testing {

class cluster_simulation {
 public:
  explicit cluster_simulation(const cluster_options& options);

  void run_under_faults(std::int64_t length_us);
  // Throws a violation where a partition does not serve, or a replica does not come to the others' state, within `patience_us`.
  void settle(std::int64_t patience_us);
  // Throws a violation where what the clients saw can't be.
  void check();

  std::uint64_t digest() const { return world_.digest(); }
  const history& seen() const { return history_; }
  const observer& watch() const { return board_.watch; }
  std::uint64_t map_versions() const { return board_.newest_map()->version; }
  std::int64_t now() const { return world_.now(); }

 private:
  void every(int interval_ms, event what);
  void inject_faults();
  void restart_the_crashed();
  node& victim();
  void heal();
  bool are_members_as_wanted();
  void stop_the_forgotten(const routing::partition_map& map);
  bool is_settled(const routing::partition_map& map, partition_id partition);
  void compare_replicas(partition_id partition, std::int64_t patience_us);
  std::string describe_all();
  void run_until(std::int64_t deadline, const char* what, const std::function<bool()>& is_reached);
  // Asks until there is an answer.
  kv::operation_response ask_for_sure(kv::operation op, std::int64_t patience_us);

  world world_;
  switchboard board_{world_};
  history history_;
  std::vector<std::unique_ptr<client>> clients_;
  std::unique_ptr<register_client> auditor_;
  member_changes changes_{board_};
};

struct simulation_result {
  std::string violation;  // empty: none
  std::uint64_t digest = 0;
  std::size_t operations = 0;
  std::size_t transactions = 0;
  std::size_t terms_led = 0;
  std::size_t states_compared = 0;
  std::size_t map_versions = 0;  // that the last one is; 1: nothing was changed
  std::size_t undecided = 0;  // keys whose history was too tangled to be judged
  std::int64_t virtual_us = 0;
};

// One seed from beginning to end; failed checks of the cores are violations.
simulation_result run_cluster_simulation(const cluster_options& options);

}  // namespace kahuna::testing
