// One replica of one Raft group, as a value that turns inputs into obligations.
//
// Owned by a raft_peer actor (or by a test, or a simulation), which drives it: step() any number of times, then
// take_ready() and honour it. Never blocks, throws, reads a clock or rolls a die that it was not handed.
//
// Invariants (checked in raft_invariants.cpp):
//   1. term and commit_index never go back; voted_for changes at most once a term.
//   2. start of the log <= flushed_index <= applied_index <= handed_index <= min(commit_index, stable_index) <= last_index.
//   3. at most one leader a term; a leader never overwrites or deletes entries of its own log.
//   4. only entries of the leader's own term commit by counting replicas [Ongaro14 §3.6.2].
//   5. a vote or an acknowledgement leaves only after what it promises is durable.
//   6. while a lease that this replica granted or held may be valid, it gives no vote to another.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "core/base/planted_bug.hpp"
#include "core/base/prng.hpp"
#include "core/raft/configuration_history.hpp"
#include "core/raft/progress.hpp"
#include "core/raft/raft_input.hpp"
#include "core/raft/raft_log.hpp"

namespace kahuna::raft {

enum class read_mode : std::uint8_t { lease, read_index };

struct raft_options {
  duration heartbeat_interval = std::chrono::milliseconds(50);
  // Elections start at random between 1 and 2 times this.
  duration election_timeout = std::chrono::milliseconds(300);
  // A lease is this much shorter than the election timeout: what two steady clocks may drift apart within it.
  duration lease_drift_bound = std::chrono::milliseconds(30);
  read_mode reads = read_mode::lease;
  std::size_t append_bytes_max = 1 << 20;            // entries of one append_request, unless one alone is larger
  std::size_t inflight_appends_max = 64;             // unacknowledged append_requests with entries, per follower
  std::size_t inflight_bytes_max = 8 << 20;          // bytes of entries in them, per follower
  std::size_t inflight_pieces_max = 4;               // pieces of a snapshot read and not acknowledged, per follower
  std::size_t handed_bytes_max = 4 << 20;            // committed entries handed out and not yet reported applied
  std::size_t cached_log_bytes_max = 4 << 20;        // durable entries kept in memory
  // Entries that are applied and flushed stay in the log for followers: so many bytes for whoever may come back, so many for those
  // that answer.
  std::size_t log_bytes_kept = 4 << 20;
  std::size_t log_bytes_max = 16 << 20;
};

class raft_core {
 public:
  // `founders`: the configuration before the first entry; empty where the group is to be heard of first. `log` must outlive the core.
  // Starts as a follower. Its dice are its own.
  raft_core(node_id self, configuration founders, raft_options options, const initial_state& found, const log_reader& log,
            prng dice, instant now);

  // Time may not go back from step to step.
  void step(raft_input input, instant now);

  // Moves out everything owed so far. Appends and heartbeats are built here, so that everything that was stepped in
  // since the last call travels together.
  ready take_ready();
  bool has_ready() const;

  // Aborts where an invariant is broken. Cheap; for after every step.
  void check_invariants() const;
  // One line for people: transcripts, crash dumps, operators.
  std::string describe() const;

  role_kind role() const;
  term_id term() const { return state_.term; }
  node_id leader() const;
  log_index first_index() const { return log_.start().index + 1; }
  log_index last_index() const { return log_.last_index(); }
  log_index commit_index() const { return commit_index_; }
  log_index applied_index() const { return applied_index_; }
  // In force here; without voters where nothing is known of the group yet.
  const configuration& members() const;
  // When this replica campaigns, should it hear of no leader.
  instant election_deadline() const { return election_deadline_; }
  // What each follower is known to hold; empty where this replica does not lead.
  std::map<node_id, log_index> match_indexes() const;

 private:
  struct follower_state {
    node_id leader;
    std::uint64_t round = 0;  // the last of the leader's rounds that was heard of
  };
  struct candidate_state {
    bool is_pre_vote = true;
    std::set<node_id> granted;
  };
  struct waiting_read {
    std::uint64_t read_id = 0;
    log_index read_index;
    std::uint64_t round = 0;  // answered once a majority has acknowledged this round; 0: it is not opened yet
  };
  struct sent_round {
    std::uint64_t round = 0;
    instant sent_at;
  };
  struct leadership_transfer {
    std::uint64_t number = 0;
    node_id to;
    instant began;
    bool is_prepared = false;
    bool is_asked = false;
  };
  struct leader_state {
    log_index no_op_index;
    std::map<node_id, progress> followers;
    std::uint64_t round = 0;
    std::deque<sent_round> rounds;  // not yet acknowledged by a majority, but for the first
    std::uint64_t confirmed_round = 0;
    instant next_heartbeat;
    bool is_broadcast_due = false;
    std::deque<waiting_read> reads;
    instant lease_until;  // as published
    std::optional<leadership_transfer> handing_over;
    // Somebody was asked to campaign, whom nobody's promise to this leader holds back: no lease any more in this term.
    bool is_lease_forfeited = false;
    std::optional<configuration> goal;
    bool has_tried_to_leave = false;
    std::pair<std::uint64_t, log_index> followers_as_of;  // version of the configurations, index of the last that is committed
  };
  // A snapshot on its way to this replica.
  struct snapshot_receiving {
    node_id leader;
    term_id term;
    std::uint64_t transfer = 0;
    log_start start;
    std::uint64_t taken = 0;   // pieces before this one were handed out
    std::uint64_t stored = 0;  // pieces before this one were reported stored
    std::optional<std::uint64_t> last_number;
    // Came before one that they follow; at most inflight_pieces_max.
    struct early_piece {
      bool is_last = false;
      shared_bytes data;
    };
    std::map<std::uint64_t, early_piece> early;
  };

  // A write on its way to the disk.
  struct write_under_way {
    std::uint64_t number = 0;
    log_index last_index;  // what of the log it makes durable; falls where a later truncation takes some of it back
    bool has_state = false;
  };
  // A message that promises what a write makes durable. One to `self` is this replica's vote for itself.
  struct promise {
    std::uint64_t write_number = 0;
    term_id term;
    peer_message message;
  };

  // --- raft_core.cpp
  void take_message(const peer_message& message);
  void take_proposals(propose& input);
  void take_persisted(std::uint64_t write_number);
  void take_applied(log_index upto);
  void take_flushed(log_index upto);
  void send(node_id peer, message_body body);
  void send_when_durable(node_id peer, message_body body, log_index upto);
  void hand_out_committed(ready& out);
  bool has_pending_write() const { return is_state_unwritten_ || log_.has_unwritten(); }
  bool is_alone() const { return members().is_alone(self_); }
  // The highest value that a majority has reached; `of` takes it from a follower's progress. Requires that this replica leads.
  template <class T, class Of>
  T agreed_by_majority(T own, Of of) const {
    const auto& followers = std::get<leader_state>(role_).followers;
    const auto value_of = [&](node_id node) { return node == self_ ? own : of(followers.at(node)); };
    if (KAHUNA_PLANTED("raft.joint_quorum_of_new_only")) return configuration{members().voters, {}, {}}.agreed(value_of);
    if (KAHUNA_PLANTED("raft.learner_counts")) return configuration{members().members(), members().outgoing, {}}.agreed(value_of);
    return members().agreed(value_of);
  }

  // --- raft_membership.cpp
  bool is_change_committed() const;
  bool may_campaign() const;
  bool has_regained() const;
  void find_configurations(const log_reader& log, log_index last_index);
  void note_configuration(const log_entry& entry);
  void publish_configuration(ready& out);
  void take_change(change_configuration& input);
  bool is_heard(const progress& follower) const;
  void keep_followers();
  bool has_caught_up(progress& follower);
  void append_configuration(configuration members);
  void advance_change();

  // --- raft_election.cpp
  void become_follower(term_id term, node_id leader);
  void become_leader();
  enum class campaign_kind : std::uint8_t { pre_vote, vote, transfer };
  void campaign(campaign_kind kind);
  void count_vote(node_id voter);
  void take_vote_request(node_id peer, const vote_request& request);
  void take_vote_response(node_id peer, const vote_response& response);
  bool is_bound_to_leader() const;
  void restart_election_timer();
  void on_election_tick();
  void take_connection_lost(node_id peer);

  // --- raft_transfer.cpp
  void take_transfer(const transfer_leadership& input);
  void begin_transfer(node_id wanted, bool is_optional);
  void take_handover_prepared(const handover_prepared& input);
  void ask_to_campaign();
  void end_transfer();
  void on_transfer_tick();
  void take_timeout_now(node_id peer, const timeout_now& request);

  // --- raft_replication.cpp
  void take_append_request(node_id peer, const append_request& request);
  void take_append_response(node_id peer, const append_response& response);
  bool take_leader(node_id peer, term_id term);
  bool append_all(const append_request& request);
  void advance_commit();
  void on_leader_tick();
  void build_appends(ready& out);
  void build_append(ready& out, node_id peer, progress& follower);
  void probe(progress& follower) const;

  // --- raft_snapshot.cpp
  log_index first_index_kept() const;
  void shorten_log();
  void begin_snapshot(node_id peer, progress& follower);
  void end_snapshot(node_id peer, progress& follower);
  progress* receiver_of(node_id peer, std::uint64_t transfer);
  void take_snapshot_opened(const snapshot_opened& input);
  void order_pieces(node_id peer, snapshot_sending& sending);
  void take_snapshot_read(snapshot_read& input);
  void send_piece(node_id peer, const snapshot_sending& sending, std::uint64_t number);
  void send_window_again(node_id peer, snapshot_sending& sending);
  void take_snapshot_response(node_id peer, const install_snapshot_response& response);
  void on_snapshot_tick(node_id peer, progress& follower);
  void take_snapshot_request(node_id peer, const install_snapshot_request& request);
  void take_snapshot_stored(const snapshot_stored& input);
  void take_snapshot_installed(const snapshot_installed& input);
  void acknowledge_state(node_id leader, log_index upto);

  // --- raft_read.cpp
  void take_read(const read& input);
  void open_round();
  void advance_round();
  void answer_reads();
  void extend_lease();
  bool has_lease() const;
  void refuse_reads();

  const node_id self_;
  const raft_options options_;
  prng dice_;
  instant now_;

  hard_state state_;
  raft_log log_;
  configuration_history configurations_;
  const log_position dropped_;  // by a replica that this node had before
  std::pair<std::uint64_t, bool> published_configuration_;  // its version, and whether it was committed
  log_index commit_index_;
  log_index handed_index_;
  log_index applied_index_;
  log_index flushed_index_;
  std::deque<std::pair<log_index, std::size_t>> handed_;  // handed out and not applied: index, bytes
  std::size_t handed_bytes_ = 0;

  std::optional<snapshot_receiving> incoming_;
  // Of snapshots that are sent, and of handovers. They rise through all leaderships: what the driver says of one names no term.
  std::uint64_t last_transfer_ = 0;
  std::uint64_t last_handover_ = 0;

  std::variant<follower_state, candidate_state, leader_state> role_;
  instant leader_heard_at_;        // the last sign of life of a leader; a restart counts as one
  instant vote_blackout_until_;    // the end of the last lease that this replica held
  instant election_deadline_;
  bool is_leaving_ = false;        // it does not campaign any more

  bool is_state_unwritten_ = false;
  std::uint64_t last_write_number_ = 0;
  std::deque<write_under_way> writes_;
  std::deque<promise> promises_;

  role_change published_role_;
  bool is_role_dirty_ = false;
  ready out_;
};

}  // namespace kahuna::raft
