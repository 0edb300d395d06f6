// A whole cluster in one thread, in virtual time, from one seed: on every node, of every partition, the real Raft core, partition core
// and transaction manager over the real data store; simulated are the network, the disks, the clocks and the mailboxes between
// them. Clients read and append as in tests/support/transaction_workload.hpp.
//
// Faults, as the seed draws them: messages lost, doubled, late, reordered; links cut both ways and one way; nodes that die and start again
// with what was synced of the log and flushed of the data, that stand still and go on; slow disks and mailboxes; clocks that are skewed and
// drift; leaderships handed over; logs shortened so that followers need snapshots; leaders that die at each step of a commit.
//
// Checked at every step: the invariants of all cores; one leader a term; leader completeness; state machine safety. At the end, when the
// faults have stopped: every partition serves within a bounded time, nothing of a transaction is left, replicas hold the same bytes; and
// what the clients saw is strictly serializable.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/base/prng.hpp"
#include "core/kv/partition_core.hpp"
#include "core/kv/transaction_manager_core.hpp"
#include "persistence/data_store.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/raft_replica.hpp"
#include "tests/support/transaction_workload.hpp"
#include "tests/support/virtual_time.hpp"

namespace kahuna::testing {

struct cluster_simulation_options {
  std::uint64_t seed = 1;
  int nodes = 3;
  transaction_workload_options work;
  raft::read_mode reads = raft::read_mode::lease;
  int loss_percent = 0;
  int double_percent = 0;
  int late_permille = 0;         // a message is seconds late
  int delay_ms_max = 3;
  int disk_ms_max = 4;
  int stall_permille = 0;        // a mailbox stands still for a moment
  int stray_percent = 5;         // of clients' requests go to any node
  int crash_interval_ms = 0;     // 0: none; so the others
  int cut_interval_ms = 0;
  int pause_interval_ms = 0;
  int transfer_interval_ms = 0;
  int flush_interval_ms = 0;
  int fault_point_permille = 0;  // a node dies at a step of a transaction
  int skew_ms_max = 0;
  int drift_percent = 0;

  static cluster_simulation_options drawn_from(std::uint64_t seed);
  std::string describe() const;
};

class cluster_simulation {
 public:
  explicit cluster_simulation(cluster_simulation_options options);
  ~cluster_simulation();
  cluster_simulation(const cluster_simulation&) = delete;
  cluster_simulation& operator=(const cluster_simulation&) = delete;

  // So long under the faults of the options.
  void run(std::chrono::milliseconds length);
  // No more faults: everything goes on, and what is open ends, within `patience`. What is wrong, in words; empty where nothing is.
  std::string settle(std::chrono::milliseconds patience);
  // What can't be of what the clients saw; empty where all can.
  std::string check() const { return workload_.check(); }

  const transaction_workload& workload() const { return workload_; }
  // Of everything that was applied in its order, and of who ended how and when.
  std::uint64_t digest() const { return digest_ ^ workload_.digest(); }
  // How often what is rare has happened; by name.
  const std::map<std::string, std::size_t>& happened() const { return happened_; }

 private:
  // Messages between two actors keep their order.
  struct mailbox {
    std::int64_t reads_at = 0;
  };
  struct view {
    std::uint64_t transfer = 0;
    std::unique_ptr<kv::snapshot_view> pieces;
    std::uint64_t next_piece = 0;
  };
  struct replica {
    partition_id partition;
    std::unique_ptr<raft_replica> raft;
    std::shared_ptr<persistence::memory_store> disk = std::make_shared<persistence::memory_store>();
    std::unique_ptr<persistence::data_store> store;
    std::unique_ptr<kv::partition_core> core;
    std::unique_ptr<kv::transaction_manager_core> manager;
    mailbox to_raft, to_core, to_manager;
    raft::role_change role;  // as the partition knows it
    std::map<node_id, view> views;
    std::uint64_t staged_pieces = 0;
    log_index installed;
    std::deque<raft::raft_input> flushing;
  };
  struct node {
    node_id id;
    bool is_up = false;
    std::uint64_t life = 0;
    bool is_paused = false;
    std::vector<std::function<void()>> held;  // while it stands still
    hlc clock;
    std::int64_t skew_ms = 0;
    std::int64_t rate_ppm = 1'000'000;
    std::int64_t clock_offset = 0;
    std::vector<std::unique_ptr<replica>> replicas;  // by partition
  };
  // raft_peer → partition.
  struct raft_events {
    std::optional<raft::role_change> role;
    std::optional<raft::lease_grant> lease;
    std::optional<raft::handover> handover;
    std::vector<raft::log_entry> committed;
    std::vector<raft::read_answer> reads;
  };
  struct under_way {
    hlc* clock = nullptr;
    transaction_workload::response_handler done;
  };

  // --- cluster_simulation.cpp: nodes, network and faults
  instant clock_of(const node& n) const;
  timestamp stamp_of(node& n);
  // In this life of the node, or never; later where it stands still.
  void at_node(node& n, std::int64_t delay_us, std::function<void()> what);
  void post(node& n, mailbox& box, std::function<void()> what);
  std::int64_t network_delay();
  bool chance(int percent) { return is_faulty_ && dice_.chance(static_cast<std::uint64_t>(percent), 100); }
  // To a node, whichever life it is in when it gets there; `copies` of it.
  void send(const node& from, node& to, std::function<void()> deliver);
  void start(node& n);
  void crash(node& n);
  void restart_later(node& n);
  void tick(node& n);
  node* leader_of(partition_id partition);
  node& victim();
  void inject_faults();
  void reach(std::string_view fault_point);
  void ask(partition_id partition, const kv::partition_request& like, std::chrono::milliseconds budget, hlc& clock,
           transaction_workload::response_handler done, std::int64_t echo_us, const node* asker);
  void replied(std::uint64_t token, kv::operation_response response, timestamp now);
  void note(const std::string& what);
  std::string find_open();
  std::optional<std::string> find_difference();

  // --- cluster_simulation_node.cpp: what a node's actors do
  void open(node& n, replica& r);
  void step_raft(node& n, replica& r, raft::raft_input input);
  void drain_raft(node& n, replica& r);
  void take_raft_events(node& n, replica& r, raft_events& events);
  void hand_over(node& n, replica& r, const raft::handover& change);
  void step_core(node& n, replica& r, kv::partition_input input);
  void drain_core(node& n, replica& r);
  void step_manager(node& n, replica& r, kv::manager_input input);
  void honour(node& n, replica& r, const raft::snapshot_order& order);
  void store_piece(node& n, replica& r, const raft::snapshot_piece& piece);
  void flush(node& n, replica& r);
  void flush_later(node& n, replica& r);
  void check_applied(const replica& r, const raft::log_entry& entry);
  void check_leader(const node& n, const replica& r, const raft::role_change& role);
  void die_if_due(node& n);

  cluster_simulation_options options_;
  prng dice_;
  virtual_time time_;
  transaction_workload workload_;
  std::vector<std::unique_ptr<node>> nodes_;
  std::set<std::pair<node_id, node_id>> cuts_;
  std::int64_t cuts_heal_at_ = 0;
  std::map<std::uint64_t, under_way> requests_;
  std::uint64_t next_token_ = 1;
  bool is_faulty_ = true;
  bool is_fatal_ = false;  // a fault point was reached at which the node dies, once its step is done

  std::map<std::pair<partition_id, term_id>, node_id> leaders_;
  std::map<partition_id, std::map<std::uint64_t, std::uint64_t>> applied_;  // by index: a digest of the entry
  std::map<partition_id, std::map<term_id, log_index>> acknowledged_;       // the highest that the leader of a term has answered for
  std::map<std::string, std::size_t> happened_;
  std::uint64_t digest_ = 14695981039346656037ull;
};

}  // namespace kahuna::testing
