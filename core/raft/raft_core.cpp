#include "core/raft/raft_core.hpp"

#include <algorithm>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/planted_bug.hpp"
#include "core/base/sometimes.hpp"

namespace kahuna::raft {

raft_core::raft_core(node_id self, configuration founders, raft_options options, const initial_state& found,
                     const log_reader& log, prng dice, instant now)
    : self_(self), options_(options), dice_(dice), now_(now), state_(found.state),
      log_(log, found),
      configurations_(found.start.index, found.start.index == log_index{} ? std::move(founders) : found.members), dropped_(found.dropped), commit_index_(found.applied_index), handed_index_(found.applied_index),
      applied_index_(found.applied_index), flushed_index_(found.applied_index), role_(follower_state{}), leader_heard_at_(now), vote_blackout_until_(now) {
  KAHUNA_CHECK(found.start.index <= found.applied_index && found.applied_index <= found.last_index, found.start.index,
               found.applied_index, found.last_index);
  KAHUNA_CHECK(options.lease_drift_bound < options.election_timeout);
  find_configurations(log, found.last_index);
  if (members().is_joint()) KAHUNA_SOMETIMES("raft.start_finds_a_joint_configuration");
  if (found.is_log_obsolete) KAHUNA_SOMETIMES("raft.start_finds_an_obsolete_log");
  published_role_ = {role_kind::follower, state_.term, no_node, {}};
  is_role_dirty_ = true;  // whoever drives this has not heard of any role yet
  restart_election_timer();
}

role_kind raft_core::role() const {
  if (std::holds_alternative<leader_state>(role_)) return role_kind::leader;
  return std::holds_alternative<candidate_state>(role_) ? role_kind::candidate : role_kind::follower;
}

node_id raft_core::leader() const {
  if (std::holds_alternative<leader_state>(role_)) return self_;
  const auto* following = std::get_if<follower_state>(&role_);
  return following != nullptr ? following->leader : no_node;
}

void raft_core::step(raft_input input, instant now) {
  // A clock that seems to stand still costs patience; one that goes back would stretch leases.
  now_ = std::max(now_, now);
  if (std::holds_alternative<tick>(input)) {
    std::holds_alternative<leader_state>(role_) ? on_leader_tick() : on_election_tick();
  } else if (const auto* received = std::get_if<receive>(&input)) {
    // Also from whom this replica's configuration does not name: it may be older than the sender's [Ongaro14 §4.1]. Answers count
    // by the configuration that is in force when they are counted.
    if (received->message.peer != self_ && received->message.peer != no_node) take_message(received->message);
  } else if (auto* proposals = std::get_if<propose>(&input)) {
    take_proposals(*proposals);
  } else if (const auto* done = std::get_if<persisted>(&input)) {
    take_persisted(done->write_number);
  } else if (const auto* progress_made = std::get_if<applied>(&input)) {
    take_applied(progress_made->upto);
  } else if (const auto* safe = std::get_if<flushed>(&input)) {
    take_flushed(safe->upto);
  } else if (const auto* opened = std::get_if<snapshot_opened>(&input)) {
    take_snapshot_opened(*opened);
  } else if (auto* piece = std::get_if<snapshot_read>(&input)) {
    take_snapshot_read(*piece);
  } else if (const auto* stored = std::get_if<snapshot_stored>(&input)) {
    take_snapshot_stored(*stored);
  } else if (const auto* installed = std::get_if<snapshot_installed>(&input)) {
    take_snapshot_installed(*installed);
  } else if (const auto* lost = std::get_if<connection_lost>(&input)) {
    take_connection_lost(lost->peer);
  } else if (const auto* transfer = std::get_if<transfer_leadership>(&input)) {
    take_transfer(*transfer);
  } else if (const auto* prepared = std::get_if<handover_prepared>(&input)) {
    take_handover_prepared(*prepared);
  } else if (auto* change = std::get_if<change_configuration>(&input)) {
    take_change(*change);
  } else {
    take_read(std::get<read>(input));
  }
  advance_change();
}

void raft_core::take_message(const peer_message& message) {
  std::visit(
      [&](const auto& body) {
        using body_type = std::decay_t<decltype(body)>;
        if constexpr (std::is_same_v<body_type, vote_request>)
          take_vote_request(message.peer, body);
        else if constexpr (std::is_same_v<body_type, vote_response>)
          take_vote_response(message.peer, body);
        else if constexpr (std::is_same_v<body_type, append_request>)
          take_append_request(message.peer, body);
        else if constexpr (std::is_same_v<body_type, append_response>)
          take_append_response(message.peer, body);
        else if constexpr (std::is_same_v<body_type, install_snapshot_request>)
          take_snapshot_request(message.peer, body);
        else if constexpr (std::is_same_v<body_type, timeout_now>)
          take_timeout_now(message.peer, body);
        else
          take_snapshot_response(message.peer, body);
      },
      message.body);
}

void raft_core::take_proposals(propose& input) {
  // Of a term that is over: the proposer hears of it by the role change, and must take the outcome as unknown.
  if (role() != role_kind::leader || input.term != state_.term) return;
  for (auto& payload : input.payloads)
    log_.append({state_.term, log_.last_index() + 1, entry_kind::command, std::move(payload)});
}

// Writes come back in their order. What they made durable releases the promises that rested on it, and, of a leader,
// counts as its own acknowledgement [Ongaro14 §10.2.1].
void raft_core::take_persisted(std::uint64_t write_number) {
  KAHUNA_CHECK(write_number <= last_write_number_, write_number, last_write_number_);
  while (!writes_.empty() && writes_.front().number <= write_number) {
    log_.mark_stable(writes_.front().last_index);
    writes_.pop_front();
  }
  log_.evict(options_.cached_log_bytes_max);
  while (!promises_.empty() && promises_.front().write_number <= write_number) {
    auto due = std::move(promises_.front());
    promises_.pop_front();
    // A promise of an older term would be true, and of use to nobody.
    if (due.term != state_.term) {
      KAHUNA_SOMETIMES("raft.promise_of_an_older_term_dropped");
      continue;
    }
    if (due.message.peer == self_)
      count_vote(self_);
    else
      send(due.message.peer, std::move(due.message.body));
  }
  advance_commit();
}

void raft_core::take_applied(log_index upto) {
  KAHUNA_CHECK(upto <= handed_index_, upto, handed_index_);
  applied_index_ = std::max(applied_index_, upto);
  while (!handed_.empty() && handed_.front().first <= upto) {
    handed_bytes_ -= handed_.front().second;
    handed_.pop_front();
  }
}

void raft_core::take_flushed(log_index upto) {
  KAHUNA_CHECK(upto <= applied_index_, upto, applied_index_);
  flushed_index_ = std::max(flushed_index_, upto);
  shorten_log();
}

void raft_core::send(node_id peer, message_body body) { out_.messages.push_back({peer, std::move(body)}); }

// `upto`: the message also promises that the log is durable up to here. Kept back until the newest write that matters is
// done; a crash before that is as if the message that it answers had been lost.
void raft_core::send_when_durable(node_id peer, message_body body, log_index upto) {
  std::uint64_t rests_on = 0;
  const bool is_log_durable = upto <= log_.stable_index();
  for (const auto& write : writes_)
    if (write.has_state || !is_log_durable) rests_on = write.number;
  // What is pending becomes the next write.
  if (is_state_unwritten_ || (!is_log_durable && log_.has_unwritten())) rests_on = last_write_number_ + 1;
  const bool is_early = peer != self_ && ((std::holds_alternative<vote_response>(body) && KAHUNA_PLANTED("raft.vote_before_it_is_durable")) ||
                                          (std::holds_alternative<append_response>(body) && KAHUNA_PLANTED("raft.acknowledged_before_durable")));
  if (rests_on == 0 || is_early) {
    KAHUNA_CHECK(peer != self_ || !is_state_unwritten_);
    if (peer == self_) return count_vote(self_);
    return send(peer, std::move(body));
  }
  KAHUNA_CHECK(promises_.empty() || promises_.back().write_number <= last_write_number_ + 1);
  // In the order of what they rest on: one that needs less than the one before it waits for that one too.
  if (!promises_.empty()) rests_on = std::max(rests_on, promises_.back().write_number);
  promises_.push_back({rests_on, state_.term, {peer, std::move(body)}});
}

bool raft_core::has_ready() const {
  if (is_role_dirty_ || has_pending_write() || !out_.is_empty()) return true;
  if (published_configuration_ != std::pair(configurations_.version(), is_change_committed())) return true;
  if (handed_index_ < std::min(commit_index_, log_.stable_index()) && handed_bytes_ < options_.handed_bytes_max) return true;
  const auto* leading = std::get_if<leader_state>(&role_);
  if (leading == nullptr) return false;
  if (leading->is_broadcast_due) return true;
  return std::any_of(leading->followers.begin(), leading->followers.end(), [&](const auto& entry) {
    const auto& follower = entry.second;
    if (follower.sending == progress::mode::snapshot) return false;
    if (follower.sending == progress::mode::probe) return !follower.is_probe_under_way;
    return follower.next_index <= log_.last_index() && follower.window.size() < options_.inflight_appends_max &&
           follower.window_bytes < options_.inflight_bytes_max;
  });
}

ready raft_core::take_ready() {
  build_appends(out_);
  if (is_role_dirty_) {
    is_role_dirty_ = false;
    out_.role = published_role_;
  }
  if (has_pending_write()) {
    log_write write;
    write.number = ++last_write_number_;
    if (is_state_unwritten_) write.state = state_;
    auto unwritten = log_.take_unwritten();
    if (unwritten.start) write.start = log_start{*unwritten.start, configurations_.at(unwritten.start->index).members};
    write.truncate_from = unwritten.truncate_from;
    write.entries = std::move(unwritten.entries);
    writes_.push_back({write.number, log_.last_index(), is_state_unwritten_});
    is_state_unwritten_ = false;
    out_.write = std::move(write);
  }
  publish_configuration(out_);
  hand_out_committed(out_);
  return std::exchange(out_, {});
}

// Entries that are committed are handed out once they are durable here too: after a restart whatever was applied must be
// found in the log.
void raft_core::hand_out_committed(ready& out) {
  const auto upto = KAHUNA_PLANTED("raft.handed_out_before_committed") ? log_.stable_index() : std::min(commit_index_, log_.stable_index());
  if (handed_index_ >= upto || handed_bytes_ >= options_.handed_bytes_max) return;
  auto entries = log_.entries_from(handed_index_ + 1, upto, options_.handed_bytes_max - handed_bytes_);
  for (const auto& entry : entries) {
    handed_.emplace_back(entry.index, entry.size_bytes());
    handed_bytes_ += entry.size_bytes();
  }
  handed_index_ = entries.back().index;
  out.committed.insert(out.committed.end(), std::make_move_iterator(entries.begin()), std::make_move_iterator(entries.end()));
}

}  // namespace kahuna::raft
