// What goes into a Raft core and what comes out: the contract between the core and whoever drives it.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "core/base/time.hpp"
#include "core/raft/raft_types.hpp"

namespace kahuna::raft {

// --- inputs -------------------------------------------------------------------------------------------------------

// Time has passed. Comes about every heartbeat interval, or more often.
struct tick {};

// A peer's message. It may be late, doubled, reordered, or from a node that is no peer: none of that may hurt.
struct receive {
  peer_message message;
};

// Appends payloads as one entry each, if this replica still leads in `term`; otherwise they are dropped whole, which
// the proposer learns from the role change that must have happened (`ready::role`).
struct propose {
  term_id term;
  std::vector<shared_bytes> payloads;
};

// The write with this number, and every one before it, is durable.
struct persisted {
  std::uint64_t write_number = 0;
};

// The entries up to here have been applied.
struct applied {
  log_index upto;
};

// What was applied up to here is durable by itself: a restart needs none of these entries any more.
struct flushed {
  log_index upto;
};

// A view of the state was opened for this transfer, as ordered: the state that the entries up to `index` led to.
struct snapshot_opened {
  node_id peer;
  std::uint64_t transfer = 0;
  log_index index;
};

// The next piece of it, as ordered. Orders behind the last piece are not answered.
struct snapshot_read {
  node_id peer;
  std::uint64_t transfer = 0;
  std::uint64_t number = 0;
  bool is_last = false;
  shared_bytes data;
};

// A piece of a snapshot from the leader of `term` was stored beside the state; of no effect before it is installed.
struct snapshot_stored {
  term_id term;
  std::uint64_t transfer = 0;
  std::uint64_t number = 0;
};

// The state of a snapshot has taken the place of the one that was here, durably.
struct snapshot_installed {
  log_start start;
};

// The connection to that peer broke, which is evidence that it is gone: if it led, the others need not wait for the whole timeout.
struct connection_lost {
  node_id peer;
};

// Hands the leadership over, if this replica leads [Ongaro14 §3.10].
struct transfer_leadership {
  node_id to;                // no_node: to whoever is best, and this replica will not campaign any more: it is about to stop
  bool is_optional = false;  // only for evenness: not where something is lost by it
};

// What ready::handover asked for is done: no reads are answered by the lease, and no proposals come. Or it will not be done.
struct handover_prepared {
  term_id term;
  std::uint64_t number = 0;  // of the handover
  bool is_declined = false;
};

// Asks for another configuration, by way of the steps of raft_membership.cpp. Answered at once by ready::changes; how far it has come
// is told by ready::configuration. A newer wish takes the place of one that has not come to its joint configuration. Forgotten when
// this replica does not lead any more: then it is to be asked for again, of whoever leads.
struct change_configuration {
  std::uint64_t change_id = 0;
  std::vector<node_id> voters;    // sorted; they become learners first
  std::vector<node_id> learners;  // sorted, besides those
};

// Asks for a linearizable read [Ongaro14 §6.4]. Answered by `ready::reads`, as safe or as refused.
struct read {
  std::uint64_t read_id = 0;
};

using raft_input = std::variant<tick, receive, propose, persisted, applied, flushed, read, snapshot_opened, snapshot_read,
                                snapshot_stored, snapshot_installed, connection_lost, transfer_leadership, handover_prepared, change_configuration>;

// --- outputs ------------------------------------------------------------------------------------------------------

// What must be written in one atomic, synced batch. Writes are numbered from 1 and must be done in their order;
// several may be under way at once. Promises that rest on a write are kept back in the core until `persisted` names it.
struct log_write {
  std::uint64_t number = 0;
  std::optional<hard_state> state;
  // Set where the log's start moves: entries up to here are not needed any more. It may lie behind the log's end, or at an entry
  // that is another on disk, where a snapshot was installed; then `truncate_from` is set too, and nothing of the log stays. What is
  // kept behind the start, and the entries below, continue it.
  std::optional<log_start> start;
  // Set where entries from here on were overwritten: whatever the log holds at or behind this index goes first.
  std::optional<log_index> truncate_from;
  std::vector<log_entry> entries;  // contiguous, to be appended
};

enum class role_kind : std::uint8_t { follower, candidate, leader };

// Published at each change of any of its fields.
struct role_change {
  role_kind role = role_kind::follower;
  term_id term;
  node_id leader;            // no_node where unknown
  log_index no_op_index;     // of a leader: its first entry of this term. Applied up to here it knows all that was committed before
};

// A leader's right to answer reads from applied state without asking anybody, until an instant of the steady clock.
// It holds only with the role that the last role_change stated, and once `no_op_index` is applied.
struct lease_grant {
  term_id term;
  instant until;
};

// The leader is about to hand over: the lease that it granted is to be forgotten and no further one to be taken, and nothing more to
// be proposed, until a role_change, or until a handover of the same term says that it has come to nothing. To be answered by
// handover_prepared, behind all that was proposed before.
struct handover {
  term_id term;
  std::uint64_t number = 0;  // rises from one to the next: what is said of one says nothing of another of the same term
  bool is_under_way = false;
  bool is_optional = false;  // may be declined
};

// A read answered. Safe: whoever applied up to `read_index` may evaluate it. Refused: this replica is not the leader
// any more, or was never; nothing was read.
struct read_answer {
  std::uint64_t read_id = 0;
  bool is_safe = false;
  log_index read_index;
};

// To the one who can read the state of a leader's replica. Whoever has no room for another view may leave `open` undone: it is
// repeated. Views that were opened are closed by `close`, or when a role_change says that this replica leads no more in its term.
struct snapshot_order {
  enum class what : std::uint8_t { open, read, close };

  node_id peer;
  std::uint64_t transfer = 0;
  what wanted = what::open;
  std::uint64_t number = 0;  // of the piece to read
};

// A piece of the state that is to be stored beside the one that is there, then reported (snapshot_stored). Number 0: what was
// stored of an earlier transfer is dropped. The last: all of them take the place of the state, unless that is as far already, at
// once and durably, and then that is reported (snapshot_installed). Entries up to `at` that were handed out and are not applied by
// then must not be.
struct snapshot_piece {
  term_id term;
  std::uint64_t transfer = 0;
  log_position at;
  std::uint64_t number = 0;
  bool is_last = false;
  shared_bytes data;
  configuration members;  // as of `at`; to be kept with the state
};

// The configuration that is in force here, each time that it or its commitment changes. One that is not committed may still be taken
// back.
struct configuration_change {
  configuration members;
  log_index index;  // of its entry
  bool is_committed = false;
};

enum class change_refusal : std::uint8_t {
  none,               // it is on its way, or reached already
  not_leader,
  invalid,            // no voters, or a voter that would become a learner
  under_way,          // another one, which can't be taken back any more
  would_lose_quorum,  // not enough of the voters answer
  outdated,           // a later one was asked for before
};

struct change_answer {
  std::uint64_t change_id = 0;
  change_refusal refusal = change_refusal::none;
};

// Obligations, in the order in which to honour them. Fields are independent of each other unless a comment says so.
struct ready {
  // Published before anything else of this ready acts.
  std::optional<role_change> role;
  std::optional<lease_grant> lease;
  std::optional<raft::handover> handover;
  // To be written and synced; then `persisted` with its number. Nothing else waits for it here: the core itself keeps
  // back what rests on it.
  std::optional<log_write> write;
  // May be sent at once. A leader's entries go to the followers while its own write is in flight [Ongaro14 §10.2.1];
  // votes and acknowledgements are here only after their write was reported persisted.
  std::vector<peer_message> messages;
  // To be applied, in order, once; then `applied`. Committed, and durable on this replica.
  std::vector<log_entry> committed;
  std::vector<read_answer> reads;
  std::optional<configuration_change> configuration;
  std::vector<change_answer> changes;
  std::vector<snapshot_order> snapshot_orders;
  std::vector<snapshot_piece> snapshot_pieces;

  bool is_empty() const {
    return !role && !lease && !handover && !write && messages.empty() && committed.empty() && reads.empty() && !configuration &&
           changes.empty() && snapshot_orders.empty() && snapshot_pieces.empty();
  }
};

}  // namespace kahuna::raft
