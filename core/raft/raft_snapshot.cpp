// Snapshots: how a replica whose entries are gone from everybody's log gets the state that they led to [Ongaro14 §5.2, §5.3],
// and how the log is shortened behind what nobody needs any more [Ongaro14 §5.1].
//
// The state is opaque pieces to Raft. The leader's driver reads them from one consistent view, the follower's driver stores them
// beside the state that is there, and puts them in its place when the last has come: the old state or the new one, whenever it dies.
//   leader:   open → (read → install_snapshot_request)…  a window of pieces is read or on its way, no more
//   follower: piece stored → acknowledged; the last: installed, then the log's start is moved, then acknowledged as an append is
// Pieces are stored in their order; a few that come early wait for those before them. One that is missing is sent again, and those behind it
// too, as soon as the follower says so. Who restarts, or hears from another leader, begins at the first one.
#include <algorithm>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/sometimes.hpp"
#include "core/raft/raft_core.hpp"

namespace kahuna::raft {

namespace {

// A transfer begins anew when it has not gone on after so many election timeouts, though the follower answers.
constexpr std::uint32_t stalls_max = 3;

}  // namespace

// --- the log's start ----------------------------------------------------------------------------------------------

// What is flushed may go, but for what a follower may still ask for: a bounded piece for whoever was away, a larger one for those
// that answer.
log_index raft_core::first_index_kept() const {
  auto needed = log_.last_index_before(options_.log_bytes_kept);
  if (const auto* leading = std::get_if<leader_state>(&role_))
    for (const auto& [node, follower] : leading->followers) {
      if (now_ - follower.heard_at > options_.election_timeout) continue;
      needed = std::min(needed, follower.snapshot ? std::max(follower.snapshot->start.at.index, follower.match_index) : follower.match_index);
    }
  return std::min(std::max(needed, log_.last_index_before(options_.log_bytes_max)), flushed_index_) + 1;
}

void raft_core::shorten_log() {
  const auto last_gone = first_index_kept() - 1;
  if (last_gone <= log_.start().index) return;
  log_.start_at({last_gone, log_.term_at(last_gone)});
  configurations_.start_at(last_gone);
  auto* leading = std::get_if<leader_state>(&role_);
  if (leading == nullptr) return;
  for (auto& [node, follower] : leading->followers) {
    if (follower.next_index > last_gone) continue;
    if (follower.sending == progress::mode::snapshot)
      follower.next_index = last_gone + 1;
    else
      probe(follower);
  }
}

// --- the leader's side --------------------------------------------------------------------------------------------

// Only for a follower that has just said that it lacks what the log no longer has.
void raft_core::begin_snapshot(node_id peer, progress& follower) {
  if (members().is_joint() || !is_change_committed()) KAHUNA_SOMETIMES("raft.snapshot_begun_during_a_change");
  probe(follower);
  follower.sending = progress::mode::snapshot;
  follower.snapshot.emplace();
  follower.snapshot->transfer = ++last_transfer_;
  follower.snapshot->advanced_at = now_;
  out_.snapshot_orders.push_back({peer, follower.snapshot->transfer, snapshot_order::what::open, 0});
}

void raft_core::end_snapshot(node_id peer, progress& follower) {
  if (!follower.snapshot) return;
  out_.snapshot_orders.push_back({peer, follower.snapshot->transfer, snapshot_order::what::close, 0});
  follower.snapshot.reset();
}

progress* raft_core::receiver_of(node_id peer, std::uint64_t transfer) {
  auto* leading = std::get_if<leader_state>(&role_);
  if (leading == nullptr) return nullptr;
  const auto found = leading->followers.find(peer);
  if (found == leading->followers.end() || !found->second.snapshot || found->second.snapshot->transfer != transfer) return nullptr;
  return &found->second;
}

void raft_core::take_snapshot_opened(const snapshot_opened& input) {
  auto* follower = receiver_of(input.peer, input.transfer);
  if (follower == nullptr || follower->snapshot->is_opened) return;
  // The log went on while it was being opened: what follows the snapshot is not there any more.
  if (input.index < log_.start().index) {
    end_snapshot(input.peer, *follower);
    return begin_snapshot(input.peer, *follower);
  }
  KAHUNA_CHECK(input.index <= applied_index_, input.index, describe());
  // As of before this replica was told of the group at all: it has not applied enough yet. The follower refuses again.
  const auto& as_of = KAHUNA_PLANTED("raft.snapshot_of_the_newest_configuration") ? configurations_.latest() : configurations_.at(input.index);
  if (!as_of.members.is_valid()) {
    end_snapshot(input.peer, *follower);
    return probe(*follower);
  }
  if (as_of.members.is_joint()) KAHUNA_SOMETIMES("raft.snapshot_of_a_joint_configuration");
  follower->snapshot->is_opened = true;
  follower->snapshot->start = {{input.index, log_.term_at(input.index)}, as_of.members};
  follower->snapshot->advanced_at = now_;
  order_pieces(input.peer, *follower->snapshot);
}

void raft_core::order_pieces(node_id peer, snapshot_sending& sending) {
  for (; !sending.has_last && sending.next_to_order < sending.acknowledged + options_.inflight_pieces_max; ++sending.next_to_order)
    out_.snapshot_orders.push_back({peer, sending.transfer, snapshot_order::what::read, sending.next_to_order});
}

void raft_core::take_snapshot_read(snapshot_read& input) {
  auto* follower = receiver_of(input.peer, input.transfer);
  if (follower == nullptr || !follower->snapshot->is_opened) return;
  auto& sending = *follower->snapshot;
  // Orders that ran ahead of the last piece bring nothing.
  if (sending.has_last || input.number != sending.acknowledged + sending.pieces.size()) return;
  sending.has_last = input.is_last;
  sending.pieces.push_back(std::move(input.data));
  send_piece(input.peer, sending, input.number);
}

void raft_core::send_piece(node_id peer, const snapshot_sending& sending, std::uint64_t number) {
  const auto place = number - sending.acknowledged;
  const bool is_last = sending.has_last && place + 1 == sending.pieces.size();
  send(peer, install_snapshot_request{state_.term, sending.transfer, sending.start.at, number, is_last, sending.pieces[place],
                                      sending.start.members});
}

void raft_core::send_window_again(node_id peer, snapshot_sending& sending) {
  sending.sent_again = sending.acknowledged;
  if (!sending.pieces.empty()) KAHUNA_SOMETIMES("raft.snapshot_pieces_sent_again");
  for (std::uint64_t i = 0; i < sending.pieces.size(); ++i) send_piece(peer, sending, sending.acknowledged + i);
}

void raft_core::take_snapshot_response(node_id peer, const install_snapshot_response& response) {
  if (response.term > state_.term) return become_follower(response.term, no_node);
  if (response.term < state_.term) return;
  auto* follower = receiver_of(peer, response.transfer);
  if (follower == nullptr) return;
  follower->heard_at = now_;
  auto& sending = *follower->snapshot;
  // It began anew and lacks what it had acknowledged, which is not there any more to be sent again.
  if (response.next_number < sending.acknowledged && response.is_restarted) {
    end_snapshot(peer, *follower);
    return begin_snapshot(peer, *follower);
  }
  if (response.next_number > sending.acknowledged + sending.pieces.size()) return;  // not an answer to anything that was sent
  // Something has come, and not what comes next. Once for each place where that happens: all that come behind it say the same.
  // The last piece is being installed while it is not acknowledged.
  const bool is_last_missing = sending.has_last && sending.pieces.size() == 1;
  if (response.next_number == sending.acknowledged && sending.sent_again != sending.acknowledged && !is_last_missing)
    send_window_again(peer, sending);
  for (; sending.acknowledged < response.next_number; ++sending.acknowledged) {
    sending.pieces.pop_front();
    sending.advanced_at = now_;
    sending.stalls = 0;
  }
  order_pieces(peer, sending);
}

void raft_core::on_snapshot_tick(node_id peer, progress& follower) {
  auto& sending = *follower.snapshot;
  if (now_ - follower.heard_at > 2 * options_.election_timeout) {
    end_snapshot(peer, follower);
    return probe(follower);
  }
  if (now_ - sending.advanced_at <= options_.election_timeout) return;
  sending.advanced_at = now_;
  // The driver may have had no room for another one.
  if (!sending.is_opened) return out_.snapshot_orders.push_back({peer, sending.transfer, snapshot_order::what::open, 0});
  // It answers, and what it lacks is not what is sent: it has begun anew by itself, at a first piece that came twice.
  if (++sending.stalls > stalls_max && !sending.pieces.empty()) {
    end_snapshot(peer, follower);
    return begin_snapshot(peer, follower);
  }
  send_window_again(peer, sending);
}

// --- the follower's side ------------------------------------------------------------------------------------------

void raft_core::take_snapshot_request(node_id peer, const install_snapshot_request& request) {
  if (request.at.index == log_index{} || request.at.term == term_id{} || request.at.term > request.term || !request.members.is_valid()) return;
  if (!take_leader(peer, request.term)) return;
  const auto at = request.at;
  // All of it is here already.
  if (at.index <= commit_index_ || (at.index <= log_.last_index() && log_.term_at(at.index) == at.term)) {
    incoming_.reset();
    commit_index_ = std::max(commit_index_, at.index);
    return acknowledge_state(peer, at.index);
  }
  const auto answer = [&](bool is_restarted) {
    const auto next = incoming_ ? incoming_->stored : 0;
    send_when_durable(peer, install_snapshot_response{state_.term, request.transfer, next, is_restarted}, {});
  };
  // Of a transfer that was given up.
  if (incoming_ && incoming_->term == request.term && request.transfer < incoming_->transfer) return;
  const bool is_known = incoming_ && incoming_->term == request.term && incoming_->transfer == request.transfer;
  if (!is_known) {
    incoming_.reset();
    if (request.number != 0) return answer(true);
    incoming_ = snapshot_receiving{peer, request.term, request.transfer, {at, request.members}, 0, 0, std::nullopt, {}};
  }
  auto& receiving = *incoming_;
  const bool is_next = request.number == receiving.taken && !receiving.last_number;
  const bool is_ahead = request.number > receiving.taken && request.number - receiving.taken < options_.inflight_pieces_max;
  if (is_ahead) receiving.early[request.number] = {request.is_last, request.data};
  // The one that is missing may be lost.
  if (!is_next) return answer(false);
  receiving.early[request.number] = {request.is_last, request.data};
  for (auto piece = receiving.early.find(receiving.taken); piece != receiving.early.end(); piece = receiving.early.find(receiving.taken)) {
    if (piece->second.is_last) receiving.last_number = receiving.taken;
    out_.snapshot_pieces.push_back({request.term, request.transfer, at, receiving.taken++, piece->second.is_last, std::move(piece->second.data),
                                    receiving.start.members});
    receiving.early.erase(piece);
  }
}

void raft_core::take_snapshot_stored(const snapshot_stored& input) {
  if (!incoming_ || incoming_->term != input.term || incoming_->transfer != input.transfer) return;
  incoming_->stored = std::max(incoming_->stored, input.number + 1);
  // The last is acknowledged by what it leads to.
  if (incoming_->last_number && incoming_->stored > *incoming_->last_number) incoming_->stored = *incoming_->last_number;
  if (state_.term == input.term)
    send_when_durable(incoming_->leader, install_snapshot_response{state_.term, input.transfer, incoming_->stored, false}, {});
}

// The data has all that the entries up to there did, and is durable. The log follows; a crash before it has is mended at the start.
void raft_core::take_snapshot_installed(const snapshot_installed& input) {
  incoming_.reset();
  const auto at = input.start.at;
  if (at.index <= applied_index_) return;
  KAHUNA_CHECK(at.index > commit_index_ || log_.term_at(at.index) == at.term, at.index, at.term, describe());
  // Nothing of a log that does not have this entry stays.
  const bool is_log_continued = at.index <= log_.last_index() && log_.term_at(at.index) == at.term;
  KAHUNA_SOMETIMES("raft.snapshot_installed");
  log_.start_at(at);
  if (is_log_continued)
    configurations_.start_at(at.index);
  else
    configurations_.restart_at(at.index, input.start.members);
  for (auto& write : writes_) write.last_index = std::min(write.last_index, log_.last_index());
  commit_index_ = std::max(commit_index_, at.index);
  handed_index_ = std::max(handed_index_, at.index);
  flushed_index_ = at.index;
  take_applied(at.index);
  if (leader() != no_node && leader() != self_)
    acknowledge_state(leader(), at.index);
}

// It answers no append. But its sender follows the leader after the last round that it has heard of, so it counts as an answer to that;
// where it has heard of none since its start, the next heartbeat brings the leader to the same.
void raft_core::acknowledge_state(node_id leader, log_index upto) {
  send_when_durable(leader, append_response{state_.term, std::get<follower_state>(role_).round, true, upto, {}, {}, {}}, upto);
}

}  // namespace kahuna::raft
