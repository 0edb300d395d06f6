// Linearizable reads without a log entry: the lease and ReadIndex [Ongaro14 §6.4].
//
// Both rest on rounds. A round is a broadcast to all followers; an answer to it, or to a later one, says that its sender
// still followed this leader after the round was opened. So a majority's answers to round r prove that nobody else led
// when r was opened (ReadIndex), and, since each of them refuses its vote for an election timeout from when it heard,
// that nobody else leads until r was opened + election timeout, less what clocks may drift (lease).
#include <algorithm>

#include "core/base/check.hpp"
#include "core/base/planted_bug.hpp"
#include "core/raft/raft_core.hpp"

namespace kahuna::raft {

namespace {

constexpr std::size_t waiting_reads_max = 65'536;

}  // namespace

void raft_core::take_read(const read& input) {
  auto* leading = std::get_if<leader_state>(&role_);
  if (leading == nullptr || leading->reads.size() >= waiting_reads_max) {
    out_.reads.push_back({input.read_id, false, {}});
    return;
  }
  const auto read_index = std::max(commit_index_, leading->no_op_index);
  if (has_lease()) {
    out_.reads.push_back({input.read_id, true, read_index});
    return;
  }
  leading->reads.push_back({input.read_id, read_index, 0});
  // Send at once when nothing is outstanding; while something is, collect.
  if (leading->confirmed_round == leading->round) open_round();
}

// Also the heartbeat.
void raft_core::open_round() {
  auto& leading = std::get<leader_state>(role_);
  leading.rounds.push_back({++leading.round, now_});
  leading.is_broadcast_due = true;
  // A quarter early: heartbeats leave on ticks, and one that comes a little too soon would double the interval.
  leading.next_heartbeat = now_ + options_.heartbeat_interval * 3 / 4;
  for (auto& waiting : leading.reads)
    if (waiting.round == 0) waiting.round = leading.round;
  if (is_alone()) advance_round();
}

void raft_core::advance_round() {
  auto* leading = std::get_if<leader_state>(&role_);
  if (leading == nullptr) return;
  const auto confirmed = agreed_by_majority(leading->round, [](const progress& follower) { return follower.acked_round; });
  if (confirmed <= leading->confirmed_round) return;
  leading->confirmed_round = confirmed;
  while (!leading->rounds.empty() && leading->rounds.front().round < confirmed) leading->rounds.pop_front();
  extend_lease();
  answer_reads();
  const bool is_one_waiting =
      std::any_of(leading->reads.begin(), leading->reads.end(), [](const waiting_read& waiting) { return waiting.round == 0; });
  if (is_one_waiting && leading->confirmed_round == leading->round) open_round();
}

// Safe once the round that began after the read came is confirmed, and the no-op is committed: before that this leader
// does not know all that is.
void raft_core::answer_reads() {
  auto& leading = std::get<leader_state>(role_);
  if (commit_index_ < leading.no_op_index) return;
  const bool is_leased = has_lease();
  while (!leading.reads.empty()) {
    const auto& first = leading.reads.front();
    const bool is_confirmed = first.round != 0 && first.round <= leading.confirmed_round;
    if (!is_confirmed && !is_leased) return;
    out_.reads.push_back({first.read_id, true, first.read_index});
    leading.reads.pop_front();
  }
}

void raft_core::extend_lease() {
  if (options_.reads != read_mode::lease) return;
  auto& leading = std::get<leader_state>(role_);
  if (commit_index_ < leading.no_op_index || leading.handing_over) return;
  if (leading.is_lease_forfeited) return;
  const auto confirmed = std::find_if(leading.rounds.begin(), leading.rounds.end(),
                                      [&](const sent_round& sent) { return sent.round == leading.confirmed_round; });
  if (confirmed == leading.rounds.end()) return;
  auto until = confirmed->sent_at + options_.election_timeout - options_.lease_drift_bound;
  if (KAHUNA_PLANTED("raft.lease_longer_than_its_promises")) until += options_.election_timeout;
  // Every grant is a message to the partition: small gains wait for the next one.
  if (until < leading.lease_until + options_.heartbeat_interval / 4) return;
  leading.lease_until = until;
  out_.lease = lease_grant{state_.term, until};
}

bool raft_core::has_lease() const {
  const auto* leading = std::get_if<leader_state>(&role_);
  return leading != nullptr && now_ < leading->lease_until && commit_index_ >= leading->no_op_index;
}

void raft_core::refuse_reads() {
  auto& leading = std::get<leader_state>(role_);
  for (const auto& waiting : leading.reads) out_.reads.push_back({waiting.read_id, false, {}});
  leading.reads.clear();
  out_.lease.reset();
}

}  // namespace kahuna::raft
