// Elections: who leads, and since when [Ongaro14 §3.4, §9.6, §6.2].
#include <algorithm>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/planted_bug.hpp"
#include "core/base/sometimes.hpp"
#include "core/raft/raft_core.hpp"

namespace kahuna::raft {

void raft_core::restart_election_timer() {
  const auto timeout = static_cast<std::uint64_t>(options_.election_timeout.count());
  election_deadline_ = now_ + duration(dice_.between(timeout, 2 * timeout));
}

// The one place where a replica's term rises, but for its own campaigns.
void raft_core::become_follower(term_id term, node_id leader) {
  KAHUNA_CHECK(term >= state_.term, term, describe());
  if (const auto* leading = std::get_if<leader_state>(&role_)) {
    // Reads may be answered here until the lease ends, whatever this replica has learned meanwhile: until then it must
    // help nobody else to lead.
    vote_blackout_until_ = std::max(vote_blackout_until_, leading->lease_until);
    refuse_reads();
    restart_election_timer();
    out_.snapshot_orders.clear();  // who leads no more closes its views by itself
    out_.handover.reset();
  }
  if (term > state_.term) {
    state_ = {term, no_node};
    is_state_unwritten_ = true;
  }
  role_ = follower_state{leader};
  const role_change change{role_kind::follower, state_.term, leader, {}};
  if (change.role == published_role_.role && change.term == published_role_.term && change.leader == published_role_.leader) return;
  published_role_ = change;
  is_role_dirty_ = true;
}

void raft_core::become_leader() {
  leader_state leading;
  leading.no_op_index = log_.last_index() + 1;
  leading.lease_until = now_;
  role_ = std::move(leading);
  keep_followers();
  // An entry of its own term is what lets a leader commit those of older terms [Ongaro14 §3.6.2], and know what is
  // committed [Ongaro14 §6.4].
  log_.append({state_.term, log_.last_index() + 1, entry_kind::no_op, {}});
  open_round();
  published_role_ = {role_kind::leader, state_.term, self_, std::get<leader_state>(role_).no_op_index};
  is_role_dirty_ = true;
}

void raft_core::on_election_tick() {
  // Alone there is nobody to ask, and nobody to disturb once it is committed: who left it alone led until then, and this replica may
  // be bound to its lease.
  if (!has_regained()) return;
  const bool is_certain = is_change_committed() || KAHUNA_PLANTED("raft.alone_before_it_is_committed");
  if (is_alone() && role() == role_kind::follower && is_certain) return campaign(campaign_kind::vote);
  if (now_ < election_deadline_ || is_leaving_ || !may_campaign()) return;
  campaign(campaign_kind::pre_vote);
}

// A leader whose connection broke is gone, most likely: its followers ask around as soon as nobody is bound to it any more, one behind
// the other, so that they don't split the votes. Who is first changes with the term, so that not all groups choose the same.
void raft_core::take_connection_lost(node_id peer) {
  if (peer == no_node || leader() != peer || !may_campaign()) return;
  std::vector<node_id> followers;
  for (const auto voter : members().all_voters())
    if (voter != peer) followers.push_back(voter);
  if (followers.empty()) return;
  const auto place = static_cast<std::uint64_t>(std::find(followers.begin(), followers.end(), self_) - followers.begin());
  const auto turn = static_cast<duration::rep>((place + state_.term.value) % followers.size());
  // They did not all hear of it at the same moment.
  const auto slack = options_.election_timeout / 15;
  const auto early = leader_heard_at_ + options_.election_timeout + slack + turn * (2 * slack);
  if (early < election_deadline_) KAHUNA_SOMETIMES("raft.campaign_put_forward");
  election_deadline_ = std::min(election_deadline_, early);
}

// A pre-vote asks whether a campaign would succeed, and changes nobody's term: a replica that was cut off does not
// depose a leader when it comes back [Ongaro14 §9.6].
void raft_core::campaign(campaign_kind kind) {
  const bool is_pre_vote = kind == campaign_kind::pre_vote;
  restart_election_timer();
  if (!is_pre_vote) {
    ++state_.term;
    state_.voted_for = self_;
    is_state_unwritten_ = true;
  }
  role_ = candidate_state{is_pre_vote, {}};
  const role_change change{role_kind::candidate, state_.term, no_node, {}};
  if (change.role != published_role_.role || change.term != published_role_.term) {
    published_role_ = change;
    is_role_dirty_ = true;
  }
  const vote_request request{is_pre_vote ? state_.term + 1 : state_.term, log_.last_index(), log_.last_term(), is_pre_vote,
                             kind == campaign_kind::transfer};
  const auto voters = members().all_voters();
  if (is_pre_vote) {
    for (const auto voter : voters)
      if (voter != self_) send(voter, request);
    return count_vote(self_);
  }
  // Its own vote counts, and others are asked for theirs, once it is on disk: otherwise a restart could forget it and
  // vote for another in the same term.
  for (const auto voter : voters)
    if (voter != self_) send_when_durable(voter, request, {});
  send_when_durable(self_, vote_response{state_.term, true, false}, {});
}

void raft_core::count_vote(node_id voter) {
  auto* campaigning = std::get_if<candidate_state>(&role_);
  if (campaigning == nullptr) return;
  campaigning->granted.insert(voter);
  const bool is_half_counted = KAHUNA_PLANTED("raft.joint_quorum_of_new_only");
  const bool is_elected = is_half_counted ? configuration{members().voters, {}, {}}.has_quorum(campaigning->granted)
                                          : members().has_quorum(campaigning->granted);
  if (!is_elected) return;
  campaigning->is_pre_vote ? campaign(campaign_kind::vote) : become_leader();
}

// Whether a promise to a leader, given by hearing from it or by having been it, still holds. What a replica promised
// before it was restarted it does not know: so the start counts as a sign of life.
bool raft_core::is_bound_to_leader() const {
  if (role() == role_kind::leader) return true;
  if (now_ < vote_blackout_until_) return true;
  return now_ - leader_heard_at_ < options_.election_timeout;
}

void raft_core::take_vote_request(node_id peer, const vote_request& request) {
  // Deaf to candidates while a leader may hold a lease: not even the term is taken [Ongaro14 §4.2.3].
  if (is_bound_to_leader() && !request.is_transfer && !KAHUNA_PLANTED("raft.votes_while_a_lease_may_hold")) {
    KAHUNA_SOMETIMES("raft.vote_refused_within_a_lease");
    if (request.is_pre_vote) send_when_durable(peer, vote_response{state_.term, false, true}, {});
    return;
  }
  const bool is_log_up_to_date = KAHUNA_PLANTED("raft.vote_for_a_stale_log") ||
                                 log_position{request.last_log_index, request.last_log_term}.is_up_to_date_with({log_.last_index(), log_.last_term()});
  if (!has_regained()) KAHUNA_SOMETIMES("raft.no_vote_before_the_log_is_regained");
  const bool may_be_given = is_log_up_to_date && has_regained();
  if (request.is_pre_vote) {
    const bool is_granted = request.term > state_.term && may_be_given;
    return send_when_durable(peer, vote_response{is_granted ? request.term : state_.term, is_granted, true}, {});
  }
  if (request.term > state_.term) become_follower(request.term, no_node);
  const bool may_vote = state_.voted_for == no_node || state_.voted_for == peer || KAHUNA_PLANTED("raft.two_votes_in_a_term");
  const bool is_granted = request.term == state_.term && may_vote && may_be_given;
  if (is_granted) {
    // Whoever only asks around may still give its vote.
    if (role() == role_kind::candidate) become_follower(state_.term, no_node);
    if (state_.voted_for == no_node) {
      state_.voted_for = peer;
      is_state_unwritten_ = true;
    }
    restart_election_timer();
  }
  send_when_durable(peer, vote_response{state_.term, is_granted, false}, {});
}

void raft_core::take_vote_response(node_id peer, const vote_response& response) {
  if (!response.is_granted) {
    if (response.term > state_.term) become_follower(response.term, no_node);
    return;
  }
  const auto* campaigning = std::get_if<candidate_state>(&role_);
  if (campaigning == nullptr || campaigning->is_pre_vote != response.is_pre_vote) return;
  const auto asked_for = campaigning->is_pre_vote ? state_.term + 1 : state_.term;
  if (response.term == asked_for) count_vote(peer);
}

}  // namespace kahuna::raft
