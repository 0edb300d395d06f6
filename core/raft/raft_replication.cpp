// Replication: a leader's appends, and what a follower makes of them [Ongaro14 §3.5, §10.2.1].
#include <algorithm>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/planted_bug.hpp"
#include "core/base/sometimes.hpp"
#include "core/raft/raft_core.hpp"

namespace kahuna::raft {

namespace {

// Whether the entries continue prev, and no term is out of place: what a correct leader sends.
bool is_well_formed(const append_request& request) {
  auto index = request.prev_log_index;
  auto term = request.prev_log_term;
  if ((index == log_index{}) != (term == term_id{})) return false;
  for (const auto& entry : request.entries) {
    if (entry.index != index + 1 || entry.term < term || entry.term == term_id{}) return false;
    if (entry.kind == entry_kind::configuration && !decode_configuration(entry.payload.view())) return false;
    index = entry.index;
    term = entry.term;
  }
  return term <= request.term;
}

}  // namespace

// --- the follower's side ------------------------------------------------------------------------------------------

// A sign of life of the leader of this term, of which this may be the first. False: it is of none.
bool raft_core::take_leader(node_id peer, term_id term) {
  if (term < state_.term) return false;
  // Two leaders of one term can't be; a message that says so is not a leader's.
  if (term == state_.term && (role() == role_kind::leader || (leader() != no_node && leader() != peer))) return false;
  if (term > state_.term || leader() != peer) become_follower(term, peer);
  leader_heard_at_ = now_;
  restart_election_timer();
  return true;
}

void raft_core::take_append_request(node_id peer, const append_request& request) {
  if (!is_well_formed(request)) return;
  // It tells an old leader of the newer term. Its sender may lead in that term again, whose rounds are counted anew: so this answers none of them
  // (docs/incidents/0015).
  if (request.term < state_.term)
    return send_when_durable(peer, append_response{state_.term, 0, false, {}, request.prev_log_index, {}, {}}, {});
  if (!take_leader(peer, request.term)) return;
  auto& following = std::get<follower_state>(role_);
  following.round = std::max(following.round, request.round);

  const auto prev = request.prev_log_index;
  // Behind the start everything is committed, so the leader has it too: it may go on from there.
  if (const auto start = log_.start().index; prev < start)
    return send_when_durable(peer, append_response{state_.term, request.round, true, start, {}, {}, {}}, start);
  if (prev > log_.last_index() || (log_.term_at(prev) != request.prev_log_term && !KAHUNA_PLANTED("raft.log_match_not_tested"))) {
    // Where the logs may still agree: nothing of this log behind it can, since its terms are above the leader's there
    // [Ongaro14 §3.5, end]. One round for a term instead of one for an entry.
    const auto hint = log_.last_index_with_term_at_most(request.prev_log_term, std::min(prev - 1, log_.last_index()));
    return send_when_durable(
        peer, append_response{state_.term, request.round, false, {}, prev, hint, log_.term_at(hint)}, {});
  }
  if (!append_all(request)) return;
  const auto match = prev + request.entries.size();
  commit_index_ = std::max(commit_index_, std::min(request.commit_index, match));
  send_when_durable(peer, append_response{state_.term, request.round, true, match, {}, {}, {}}, match);
}

// Entries that are there already stay: the message may be old, and what follows them newer [Ongaro14 §3.5, figure 3.1].
// False where a committed entry would go: no leader sends that, and a forged message must not take the replica down.
bool raft_core::append_all(const append_request& request) {
  for (const auto& entry : request.entries) {
    if (entry.index <= log_.last_index()) {
      if (log_.term_at(entry.index) == entry.term) continue;
      if (entry.index <= commit_index_) return false;
      KAHUNA_SOMETIMES("raft.conflicting_suffix_truncated");
      if (configurations_.latest().index >= entry.index) KAHUNA_SOMETIMES("raft.configuration_overwritten");
      log_.truncate(entry.index);
      if (!KAHUNA_PLANTED("raft.configuration_kept_when_overwritten")) configurations_.truncate(entry.index);
      // Writes under way no longer make durable what they carry from here on.
      if (!writes_.empty() && writes_.back().last_index > log_.last_index()) KAHUNA_SOMETIMES("raft.write_under_way_clipped");
      if (!KAHUNA_PLANTED("raft.write_under_way_not_clipped"))
        for (auto& write : writes_) write.last_index = std::min(write.last_index, log_.last_index());
    }
    log_.append(entry);
    note_configuration(entry);
  }
  return true;
}

// --- the leader's side --------------------------------------------------------------------------------------------

void raft_core::take_append_response(node_id peer, const append_response& response) {
  if (response.term > state_.term) return become_follower(response.term, no_node);
  auto* leading = std::get_if<leader_state>(&role_);
  if (leading == nullptr || response.term < state_.term || response.round > leading->round) return;
  const auto found = leading->followers.find(peer);
  if (found == leading->followers.end()) return;
  auto& follower = found->second;
  // Of an older term: for nothing here, and no sign of an earlier life either.
  if (response.round == 0) return;
  if (response.round <= follower.round_before && !KAHUNA_PLANTED("raft.earlier_life_counts")) {
    KAHUNA_SOMETIMES("raft.answer_of_an_earlier_life");
    return;
  }
  follower.heard_at = now_;
  follower.acked_round = std::max(follower.acked_round, response.round);

  if (response.is_accepted) {
    if (response.match_index > log_.last_index()) return;  // not an answer to anything that was sent
    if (response.match_index > follower.match_index) {
      follower.match_index = response.match_index;
      follower.advanced_at = now_;
    }
    follower.acknowledged(response.match_index);
    const bool has_agreed = follower.sending == progress::mode::probe ? response.match_index + 1 >= follower.next_index
                                                                      : follower.match_index >= log_.start().index;
    if (follower.sending != progress::mode::replicate && has_agreed) {
      end_snapshot(peer, follower);
      follower.become_replicate();
    } else if (follower.snapshot && follower.snapshot->is_opened && follower.match_index >= follower.snapshot->start.at.index) {
      // It has the state, and the log has gone on too far meanwhile.
      end_snapshot(peer, follower);
      begin_snapshot(peer, follower);
    }
    follower.next_index = std::max(follower.next_index, follower.match_index + 1);
    advance_commit();
    ask_to_campaign();
  } else if (follower.sending != progress::mode::snapshot && response.rejected_index > follower.match_index && response.rejected_index < follower.next_index &&
             response.hint_index < response.rejected_index) {
    // An older rejection would move it back for nothing. Otherwise: to the last place where this log may agree.
    const auto agreed = log_.last_index_with_term_at_most(response.hint_term, response.hint_index);
    const auto next = std::max(agreed, follower.match_index) + 1;
    if (next <= log_.start().index)
      begin_snapshot(peer, follower);
    else
      follower.become_probe(next);
  }
  advance_round();
}

// The highest index that a majority has on disk, if it is of this term [Ongaro14 §3.6.2]: an entry of an older term that
// a majority has may still be overwritten.
void raft_core::advance_commit() {
  const auto* leading = std::get_if<leader_state>(&role_);
  if (leading == nullptr) return;
  const auto agreed = agreed_by_majority(log_.stable_index(), [](const progress& follower) { return follower.match_index; });
  if (agreed <= commit_index_) return;
  if (log_.term_at(agreed) != state_.term) {
    KAHUNA_SOMETIMES("raft.older_term_at_a_majority");
    if (!KAHUNA_PLANTED("raft.older_term_committed_by_counting")) return;
  }
  commit_index_ = agreed;
  answer_reads();
  extend_lease();
}

void raft_core::on_leader_tick() {
  auto& leading = std::get<leader_state>(role_);
  // Check-quorum: a leader that no majority answers can't commit; it must not keep others from electing one
  // [Ongaro14 §6.2].
  const auto heard = agreed_by_majority(now_, [](const progress& follower) { return follower.heard_at; });
  if (now_ - heard > options_.election_timeout) {
    KAHUNA_SOMETIMES("raft.leader_without_a_majority_steps_down");
    return become_follower(state_.term, no_node);
  }
  for (auto& [node, follower] : leading.followers) {
    if (follower.sending == progress::mode::snapshot) on_snapshot_tick(node, follower);
    if (follower.window.empty()) follower.advanced_at = now_;
    // Nothing of the pipeline is acknowledged: it was lost with a connection. Start over where the logs agree.
    if (follower.sending == progress::mode::replicate && now_ - follower.advanced_at > options_.election_timeout) {
      probe(follower);
      follower.advanced_at = now_;
    }
  }
  on_transfer_tick();
  if (now_ >= leading.next_heartbeat) open_round();
}

void raft_core::build_appends(ready& out) {
  auto* leading = std::get_if<leader_state>(&role_);
  if (leading == nullptr) return;
  for (auto& [node, follower] : leading->followers) build_append(out, node, follower);
  leading->is_broadcast_due = false;
}

// From where it is known to agree; where the log no longer reaches back so far, from its start: should the follower not have that,
// it says so.
void raft_core::probe(progress& follower) const {
  follower.become_probe(std::max(follower.match_index, log_.start().index) + 1);
}

// What this follower can be sent now: a probe, the next of the pipeline, or, when a round is due and nothing else goes, a
// heartbeat.
void raft_core::build_append(ready& out, node_id peer, progress& follower) {
  const auto& leading = std::get<leader_state>(role_);
  const auto request_after = [&](log_index prev, std::vector<log_entry> entries) {
    return append_request{state_.term, prev, log_.term_at(prev), commit_index_, leading.round, std::move(entries)};
  };
  // Where the log no longer reaches back so far, what stands before all logs.
  const auto known_to_match = follower.match_index >= log_.start().index ? follower.match_index : log_index{};
  if (follower.sending == progress::mode::snapshot) {
    if (leading.is_broadcast_due) out.messages.push_back({peer, request_after(known_to_match, {})});
    return;
  }
  if (follower.sending == progress::mode::probe) {
    const bool is_repeated = follower.is_probe_under_way;
    if (is_repeated && !leading.is_broadcast_due) return;
    follower.is_probe_under_way = true;
    // Whoever has not answered the last one is asked where it stands, and spared the entries: it may be down, or wait for its
    // disk, and an answer to a repetition with entries would wait for that too.
    std::vector<log_entry> entries;
    if (!is_repeated && now_ - follower.heard_at <= options_.election_timeout)
      entries = log_.entries_from(follower.next_index, log_.last_index(), options_.append_bytes_max);
    out.messages.push_back({peer, request_after(follower.next_index - 1, std::move(entries))});
    return;
  }
  bool is_sent = false;
  while (follower.next_index <= log_.last_index() && follower.window.size() < options_.inflight_appends_max &&
         follower.window_bytes < options_.inflight_bytes_max) {
    auto entries = log_.entries_from(follower.next_index, log_.last_index(), options_.append_bytes_max);
    std::size_t bytes = 0;
    for (const auto& entry : entries) bytes += entry.size_bytes();
    const auto prev = follower.next_index - 1;
    follower.next_index = entries.back().index + 1;
    follower.sent(entries.back().index, bytes);
    out.messages.push_back({peer, request_after(prev, std::move(entries))});
    is_sent = true;
  }
  // A heartbeat stands on what is known to match, so that it is accepted, and answered without waiting for a disk,
  // whatever is still in flight.
  if (leading.is_broadcast_due && !is_sent) out.messages.push_back({peer, request_after(known_to_match, {})});
}

}  // namespace kahuna::raft
