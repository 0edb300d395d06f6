// Partitions with their transaction managers and clients, in one thread, in virtual time, from one seed, under faults; and whether
// what the clients saw can have happened one after another.
//
// The cores are real. Their groups' logs are an ideal: what the leader proposes is committed after a while, in order; with a leader
// goes what was not committed, but for a part that its successor has. So what Raft may do to a partition happens here often and
// cheaply, and the transactions are what is tested (whole nodes with Raft in them are simulated elsewhere).
//
// Faults: messages between partitions and from clients are delayed, reordered, lost, doubled, sent to replicas that lead no longer;
// leaders change, old ones lead on in their belief; leaders die at every step of the protocol, with or without what they were about to
// say; replicas lose their memory and what was not on their disk; clocks are skewed;
// clients give up in the middle.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "core/base/prng.hpp"
#include "core/kv/operation_routing.hpp"
#include "core/kv/partition_core.hpp"
#include "core/kv/transaction_manager_core.hpp"
#include "persistence/data_store.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/transaction_workload.hpp"
#include "tests/support/virtual_time.hpp"

namespace kahuna::testing {

struct transaction_simulation_options {
  std::uint64_t seed = 1;
  transaction_workload_options work;
  int loss_percent = 0;
  int double_percent = 0;
  int late_permille = 0;        // a message is seconds late
  int stall_permille = 0;       // what a manager tells its partition waits
  int belief_ms_max = 100;      // a deposed leader leads on in its belief
  int stale_percent = 5;        // sent to a replica that does not lead
  int delay_ms_max = 3;
  int commit_ms_max = 4;
  int failover_interval_ms = 0;  // 0: none
  int fault_point_permille = 0;  // a leader dies at a step of the protocol (core/base/fault_point.hpp)
  int skew_ms_max = 0;
  bool has_leases = true;

  static transaction_simulation_options drawn_from(std::uint64_t seed);
  std::string describe() const;
};

class transaction_simulation {
 public:
  explicit transaction_simulation(transaction_simulation_options options);
  ~transaction_simulation();

  void run(std::chrono::milliseconds length);
  // No more faults: everything that is open ends within `patience`, nothing is held any more, and every key can be read.
  // What is wrong, in words; empty where nothing is.
  std::string settle(std::chrono::milliseconds patience);
  // What can't be of what the clients saw; empty where all can.
  std::string check() const { return workload_.check(); }

  // A run as the seeds are meant: under faults, without them, and judged. What is wrong, in words; empty where nothing is.
  std::string run_to_the_end();

  const transaction_workload& workload() const { return workload_; }
  std::size_t failovers() const { return failovers_; }
  // How many leaders died at each of the protocol's steps that came up.
  const std::map<std::string, std::size_t>& deaths() const { return deaths_; }

 private:
  struct replica;
  struct group;
  struct under_way;  // a request at the gateway

  using response_handler = transaction_workload::response_handler;

  timestamp clock_of(const replica& r);
  std::int64_t network_delay();
  void open(group& g, replica& r);
  void feed(group& g, replica& r, kv::partition_input input);
  void drain(group& g, replica& r);
  void tell_partition(group& g, replica& r, std::vector<kv::partition_request> own);
  void tell_manager(group& g, replica& r, kv::manager_input input);
  void commit_some(group& g);
  void catch_up(group& g, replica& r);
  void elect(group& g);
  void lead(group& g, std::size_t leader);
  void grant_lease(group& g);
  void tick_all();
  void inject_faults();
  std::string find_open() const;
  void reach(std::string_view fault_point);
  // Whether the step just taken was its last; with `has_spoken`, what it led to is out.
  bool dies(group& g, replica& r, bool has_spoken);

  void ask(partition_id partition, const kv::partition_request& like, std::chrono::milliseconds budget, hlc& clock,
           response_handler done, std::int64_t echo_us = 0);
  void replied(std::uint64_t token, kv::operation_response response, timestamp now);

  transaction_simulation_options options_;
  prng dice_;
  virtual_time time_;
  transaction_workload workload_;
  std::vector<std::unique_ptr<group>> groups_;
  std::map<std::uint64_t, under_way> requests_;
  std::uint64_t next_token_ = 1;
  bool is_faulty_ = true;

  std::size_t failovers_ = 0;
  std::map<std::string, std::size_t> deaths_;
  std::string fatal_point_;  // reached in the step under way; empty: none
  bool is_silenced_ = false;  // what the step has led to is lost with it
};

}  // namespace kahuna::testing
