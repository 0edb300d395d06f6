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

// Asks for a linearizable read [Ongaro14 §6.4]. Answered by `ready::reads`, as safe or as refused.
struct read {
  std::uint64_t read_id = 0;
};

using raft_input = std::variant<tick, receive, propose, persisted, applied, read>;

// --- outputs ------------------------------------------------------------------------------------------------------

// What must be written in one atomic, synced batch. Writes are numbered from 1 and must be done in their order;
// several may be under way at once. Promises that rest on a write are kept back in the core until `persisted` names it.
struct log_write {
  std::uint64_t number = 0;
  std::optional<hard_state> state;
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

// A read answered. Safe: whoever applied up to `read_index` may evaluate it. Refused: this replica is not the leader
// any more, or was never; nothing was read.
struct read_answer {
  std::uint64_t read_id = 0;
  bool is_safe = false;
  log_index read_index;
};

// Obligations, in the order in which to honour them. Fields are independent of each other unless a comment says so.
struct ready {
  // Published before anything else of this ready acts.
  std::optional<role_change> role;
  std::optional<lease_grant> lease;
  // To be written and synced; then `persisted` with its number. Nothing else waits for it here: the core itself keeps
  // back what rests on it.
  std::optional<log_write> write;
  // May be sent at once. A leader's entries go to the followers while its own write is in flight [Ongaro14 §10.2.1];
  // votes and acknowledgements are here only after their write was reported persisted.
  std::vector<peer_message> messages;
  // To be applied, in order, once; then `applied`. Committed, and durable on this replica.
  std::vector<log_entry> committed;
  std::vector<read_answer> reads;

  bool is_empty() const {
    return !role && !lease && !write && messages.empty() && committed.empty() && reads.empty();
  }
};

}  // namespace kahuna::raft
