// A Raft group in one thread, in virtual time, from one seed: real cores on simulated disks, network and clocks, under
// faults; and what must hold at every step.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "core/base/prng.hpp"
#include "tests/support/raft_replica.hpp"

namespace kahuna::testing {

struct raft_simulation_options {
  std::uint64_t seed = 1;
  int replicas = 3;            // that the group is formed with
  int spares = 0;              // more, that may be taken in
  raft::read_mode reads = raft::read_mode::lease;
  int loss_percent = 0;
  int duplicate_percent = 0;
  int delay_ms_max = 5;
  int disk_ms_max = 5;
  int crash_interval_ms = 0;   // a crash about so often; 0: none
  int cut_interval_ms = 0;     // a network cut about so often, some of one direction only
  int pause_interval_ms = 0;   // a replica is stopped and goes on later, its clock having run on
  int drift_percent = 0;       // clocks run up to this much faster or slower
  int transfer_interval_ms = 0;  // a leader is asked to hand over about so often
  int change_interval_ms = 0;  // a leader is asked for other members about so often
  int flush_interval_ms = 0;   // the data is flushed about so often, and the log shortened behind it; 0: never

  std::string describe() const;
  // Some runs have one kind of fault, some all.
  static raft_simulation_options drawn_from(std::uint64_t seed);
  // Two, of which one leaves and comes back all the time.
  static raft_simulation_options pair_drawn_from(std::uint64_t seed);
};

class raft_simulation {
 public:
  explicit raft_simulation(raft_simulation_options options);

  // Runs so long under the faults of the options.
  void run(std::chrono::milliseconds length);
  // Heals everything, and checks that within `patience` a leader commits new entries, that a change of members comes to its end, and
  // that every member applies everything.
  void heal_and_check_progress(std::chrono::milliseconds patience);

  // --- what happened
  std::size_t acknowledged() const { return acknowledged_; }
  std::size_t reads_answered() const { return reads_answered_; }
  std::size_t lease_checks() const { return lease_checks_; }
  std::size_t snapshots_installed() const { return snapshots_installed_; }
  std::size_t longest_log() const { return longest_log_; }  // entries
  std::size_t handovers() const { return handovers_; }  // that were begun
  std::size_t changes() const { return changes_.size(); }  // configurations that were committed
  std::size_t changes_overwritten() const { return changes_overwritten_; }  // that were in force somewhere, and taken back
  std::size_t joint_snapshots() const { return joint_snapshots_; }  // installed as of the middle of a change
  std::size_t lives_begun_anew() const { return lives_begun_anew_; }  // of replicas that were let go and dropped
  std::size_t terms_led() const { return leader_of_term_.size(); }
  // Of everything that was applied, in its order.
  std::uint64_t digest() const { return digest_; }

 private:
  struct delivery {
    std::int64_t at = 0;  // µs
    std::uint64_t order = 0;
    enum class what : std::uint8_t { message, disk, tick, piece, flushed, prepared } kind = what::message;
    std::size_t replica = 0;
    std::uint64_t life = 0;  // of a disk or a tick: the start that it belongs to
    std::shared_ptr<const raft::peer_message> message;
    std::shared_ptr<const raft::snapshot_piece> piece;
    term_id term;  // of a handover
    std::uint64_t number = 0;

    bool operator>(const delivery& other) const { return std::pair(at, order) > std::pair(other.at, other.order); }
  };

  // The state that entries lead to: a hash over them.
  struct view {
    std::uint64_t transfer = 0;
    log_index index;
    std::uint64_t state = 0;
  };
  // A snapshot that took the place of the state and is not flushed yet.
  struct replacement {
    log_index before;
    raft::log_start start;
  };

  struct member {
    std::unique_ptr<raft_replica> replica;
    std::uint64_t life = 0;
    bool is_paused = false;
    std::int64_t resumes_at = 0;
    std::int64_t restarts_at = 0;
    std::int64_t rate_ppm = 1'000'000;  // how fast its clock runs
    std::int64_t clock_offset = 0;
    bool is_tick_scheduled = false;
    std::vector<delivery> held;          // while paused
    raft::role_change role;
    std::optional<raft::lease_grant> lease;
    raft::configuration_change configuration;  // the last that was told
    bool is_handing_over = false;  // it takes no lease and proposes nothing
    log_index applied;
    std::uint64_t state = 0;  // as of there
    std::map<node_id, view> views;     // that this leader sends
    std::vector<std::string> staged;   // pieces of the snapshot that is coming
    std::optional<replacement> replaced;
    log_index installed;               // by the last snapshot of this life
    std::map<std::uint64_t, log_index> reads;  // by id: the highest index acknowledged when the read was asked
  };

  instant clock_of(const member& m) const { return instant(duration(m.clock_offset + now_ * m.rate_ppm / 1'000'000)); }
  void start(std::size_t i);
  void crash(std::size_t i);
  void schedule(delivery d, std::int64_t delay_us);
  void handle(const delivery& d);
  void drain(std::size_t i);
  void apply(member& m, const raft::log_entry& entry);
  void honour(std::size_t i, const raft::snapshot_order& order);
  void store_piece(std::size_t i, const raft::snapshot_piece& piece);
  void finish_replacement(member& m);
  std::size_t victim();
  void inject_faults();
  void offer_work();
  std::vector<node_id> draw_voters();
  std::vector<node_id> draw_learners(const std::vector<node_id>& voters);
  void ask_for_change(std::size_t i, std::vector<node_id> voters, std::vector<node_id> learners);
  void check_configuration(member& m, const raft::configuration_change& change);
  void note_change(const raft::log_entry& entry);
  bool is_let_go(std::size_t i) const;
  void drop_who_is_let_go();
  void finish_changes();
  void check_leases();
  void advance_to(std::int64_t until);
  bool is_cut(std::size_t from, std::size_t to) const { return cuts_.contains({from, to}); }

  raft_simulation_options options_;
  prng dice_;
  std::int64_t now_ = 0;  // µs
  std::uint64_t order_ = 0;
  std::priority_queue<delivery, std::vector<delivery>, std::greater<>> events_;
  std::vector<member> members_;
  std::set<std::pair<std::size_t, std::size_t>> cuts_;
  std::int64_t cuts_heal_at_ = 0;
  bool is_faulty_ = true;
  bool is_quiet_ = false;  // little is proposed

  std::map<term_id, node_id> leader_of_term_;
  std::map<std::uint64_t, std::string> committed_;  // by index: term and payload
  std::map<std::uint64_t, std::uint64_t> state_at_; // by index: what the entries up to there led to
  std::size_t snapshots_installed_ = 0;
  std::size_t longest_log_ = 0;
  std::size_t handovers_ = 0;
  std::map<log_index, raft::configuration> changes_;  // that were committed
  std::size_t changes_overwritten_ = 0;
  std::size_t joint_snapshots_ = 0;
  std::size_t lives_begun_anew_ = 0;
  std::uint64_t next_change_ = 1;
  log_index highest_acknowledged_;
  std::map<term_id, log_index> acknowledged_in_;  // by term: the highest
  std::size_t acknowledged_ = 0;
  std::size_t reads_answered_ = 0;
  std::size_t lease_checks_ = 0;
  std::uint64_t next_payload_ = 1;
  std::uint64_t next_read_ = 1;
  std::uint64_t digest_ = 14695981039346656037ull;
};

}  // namespace kahuna::testing
