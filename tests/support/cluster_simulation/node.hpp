// A node of a simulated cluster: a process with its clocks, disks and replicas, which crashes, starts again, and is stopped for a
// while without noticing. And the switchboard: who asked what of whom, and the ways between them.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "core/base/hlc.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/cluster_simulation/exchange.hpp"
#include "tests/support/cluster_simulation/log_disk.hpp"
#include "tests/support/cluster_simulation/observer.hpp"
#include "tests/support/cluster_simulation/replica.hpp"

namespace kahuna::testing {

class switchboard;

class node {
 public:
  node(switchboard& board, int number);

  void start();
  // The machine loses power: whatever was not synced is lost, but for what happened to be written.
  void crash(std::int64_t down_us);
  void pause(std::int64_t length_us);
  void resume();
  bool is_up() const { return !replicas_.empty(); }
  bool is_paused() const { return is_paused_; }
  bool is_due_to_start() const;

  // Happens so much later in this life of the process, not while it is stopped.
  void post(std::int64_t delay_us, event what);
  // Happens now if the process lives; when it goes on, if it is stopped.
  void deliver(event what);

  // --- clocks
  instant steady_now() const;
  std::uint64_t wall_ms() const;
  timestamp stamp() { return clock_.tick(wall_ms()); }
  timestamp last_stamp() const { return clock_.last(); }
  void observe_own(timestamp stamp) { clock_.observe(stamp); }
  void observe_remote(timestamp stamp);
  void set_wall_offset(std::int64_t ms) { wall_offset_ms_ = ms; }

  // --- for its replicas
  node_id id() const { return node_id{static_cast<std::uint32_t>(number_) + 1}; }
  world& shared_world();
  observer& watch();
  log_disk& log() { return log_; }
  std::shared_ptr<persistence::memory_store> data() { return data_; }
  void send_to_peer(node_id peer, partition_id partition, std::vector<raft::message_body> bodies);
  void flush_data(partition_id partition);
  // False: this node's data may hold effects of entries behind the index, from before a crash.
  bool note_applied(partition_id partition, log_index index);
  void note_era(std::uint64_t origin, term_id term) { eras_[origin] = term; }
  void reply(std::uint64_t origin, kv::operation_response response);
  void ask_remote(partition_id from, kv::remote_request asked);
  // Throws a violation where another replica of the partition may answer by a lease.
  void leads_now(partition_id partition, term_id term);
  void has_old_entries_at_a_majority();
  void has_voted();
  void has_installed_a_snapshot();

  replica& replica_of(partition_id partition) { return *replicas_[partition.value]; }

 private:
  void tick();
  void flush_now_and_then();
  void finish_flush();

  switchboard& board_;
  const int number_;
  // --- what survives
  log_disk log_;
  std::shared_ptr<persistence::memory_store> data_ = std::make_shared<persistence::memory_store>();
  std::map<partition_id, log_index> highest_applied_;
  std::int64_t steady_offset_us_ = 0;
  std::int64_t rate_ppm_ = 1'000'000;
  std::int64_t wall_offset_ms_ = 0;
  // --- of this life
  std::uint64_t life_ = 0;
  std::vector<std::unique_ptr<replica>> replicas_;
  hlc clock_;
  bool is_paused_ = false;
  std::vector<event> held_;
  std::int64_t starts_at_ = 0;
  std::map<std::uint64_t, term_id> eras_;
  std::vector<partition_id> waiting_for_flush_;
  bool is_flushing_ = false;
};

class switchboard final : public exchange {
 public:
  explicit switchboard(world& shared) : exchange(shared) {}

  std::size_t node_count() const override { return nodes.size(); }

  observer watch;
  std::vector<std::unique_ptr<node>> nodes;

 private:
  void arrive(int to, partition_id partition, kv::partition_request request, timestamp clock, std::int64_t budget_us) override;
};

}  // namespace kahuna::testing
