// The nouns of Raft as this system uses them: entries, hard state, messages between peers.
//
// Entries are opaque bytes: Raft never looks inside a payload. The same bytes go to the wire and to the log.
// Source: [Ongaro14], keyed in docs/references.md.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/shared_bytes.hpp"
#include "core/raft/configuration.hpp"

namespace kahuna::raft {

// The numbers are on disk and on the wire: never change or reuse one.
enum class entry_kind : std::uint8_t {
  no_op = 0,          // what a new leader commits first [Ongaro14 §6.4]
  command = 1,        // a payload of the partition
  configuration = 2,  // who belongs to the group from here on; see configuration.hpp
};

struct log_entry {
  term_id term;
  log_index index;
  entry_kind kind = entry_kind::command;
  shared_bytes payload;

  friend bool operator==(const log_entry&, const log_entry&) = default;

  // What the entry counts against byte bounds.
  std::size_t size_bytes() const { return payload.size() + 32; }

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& term& index& kind& payload;
  }
};

// A place in a log: an entry's index and term. As a log's start, the last entry that is gone from its front; index 0: none is.
struct log_position {
  log_index index;
  term_id term;

  friend bool operator==(const log_position&, const log_position&) = default;
  // Whether a log that ends here is at least as up to date as one that ends there [Ongaro14 §3.6.1].
  bool is_up_to_date_with(const log_position& other) const { return term > other.term || (term == other.term && index >= other.index); }

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& index& term;
  }
};

// Where a log begins: behind `at`, with this configuration in force there.
struct log_start {
  log_position at;
  configuration members;

  friend bool operator==(const log_start&, const log_start&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& at& members;
  }
};

// What must survive a crash besides the entries [Ongaro14 §3.2, figure 3.1].
struct hard_state {
  term_id term;
  node_id voted_for;  // no_node: not voted in this term

  friend bool operator==(const hard_state&, const hard_state&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& term& voted_for;
  }
};

// Asks for a vote, or, with `is_pre_vote`, whether one would be given [Ongaro14 §3.4, §9.6]. A pre-vote carries the
// term that the sender would campaign in; nobody's term changes because of it. `is_transfer`: the leader of the term before has
// asked the sender to take over, and holds no lease any more: nobody is bound to it.
struct vote_request {
  term_id term;
  log_index last_log_index;
  term_id last_log_term;
  bool is_pre_vote = false;
  bool is_transfer = false;

  friend bool operator==(const vote_request&, const vote_request&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& term& last_log_index& last_log_term& is_pre_vote& is_transfer;
  }
};

// `term`: when granted, the term of the request; when refused, the voter's own term.
struct vote_response {
  term_id term;
  bool is_granted = false;
  bool is_pre_vote = false;

  friend bool operator==(const vote_response&, const vote_response&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& term& is_granted& is_pre_vote;
  }
};

// AppendEntries; without entries it is the heartbeat [Ongaro14 §3.5].
struct append_request {
  term_id term;
  log_index prev_log_index;
  term_id prev_log_term;
  log_index commit_index;
  std::uint64_t round = 0;  // opaque to the follower, which echoes it: the leader's count of broadcasts (lease, ReadIndex)
  std::vector<log_entry> entries;

  friend bool operator==(const append_request&, const append_request&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& term& prev_log_index& prev_log_term& commit_index& round& entries;
  }
};

struct append_response {
  term_id term;
  std::uint64_t round = 0;   // of the request that is answered; 0: that was of an older term
  bool is_accepted = false;
  log_index match_index;     // accepted: the follower's log equals the leader's up to here
  log_index rejected_index;  // rejected: the prev_log_index that did not match
  log_index hint_index;      // rejected: the last index at which the follower's log may still match
  term_id hint_term;         // rejected: the follower's term at hint_index

  friend bool operator==(const append_response&, const append_response&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& term& round& is_accepted& match_index& rejected_index& hint_index& hint_term;
  }
};

// A piece of the state that the entries up to `at` led to [Ongaro14 §5.3], with the configuration as of there. Pieces are numbered
// from 0.
struct install_snapshot_request {
  term_id term;
  std::uint64_t transfer = 0;  // tells the leader's transfers of this term apart
  log_position at;
  std::uint64_t number = 0;
  bool is_last = false;
  shared_bytes data;
  configuration members;

  friend bool operator==(const install_snapshot_request&, const install_snapshot_request&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& term& transfer& at& number& is_last& data& members;
  }
};

// The pieces before `next_number` are stored. The end of a transfer is acknowledged by an append_response.
struct install_snapshot_response {
  term_id term;
  std::uint64_t transfer = 0;
  std::uint64_t next_number = 0;
  bool is_restarted = false;  // nothing is known of this transfer here

  friend bool operator==(const install_snapshot_response&, const install_snapshot_response&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& term& transfer& next_number& is_restarted;
  }
};

// The leader of this term asks a follower that has its whole log to campaign at once [Ongaro14 §3.10].
struct timeout_now {
  term_id term;

  friend bool operator==(const timeout_now&, const timeout_now&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& term;
  }
};

using message_body = std::variant<vote_request, vote_response, append_request, append_response, install_snapshot_request,
                                  install_snapshot_response, timeout_now>;

// A message to or from another replica of the same group. In a step `peer` is the sender, in a ready the receiver.
struct peer_message {
  node_id peer;
  message_body body;

  friend bool operator==(const peer_message&, const peer_message&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& peer& body;
  }
};

}  // namespace kahuna::raft
