// Changes of who belongs to the group, by joint consensus [Ongaro14 §4.3], one at a time.
//
//   asked for            learners appended       caught up [§4.2.1]       committed by both        committed
//   goal ──────────────▶ (who is new) ─────────▶ joint appended ────────▶ final appended ────────▶ the goal is reached
//                                                in force, both decide    the new voters decide    who left is let go
//
// As a history of what may be lost on the way:
//   - the leader dies before the joint configuration is in a majority's logs: it may be overwritten, and is then in force nowhere; the
//     goal is forgotten with the leader, and whoever wanted it asks again. Who was made a learner stays one.
//   - it dies later: every leader that may be elected has the joint configuration, and appends the final one by itself.
//   - it dies when it has appended the final one: that is overwritten by a leader that has the joint one, which appends it anew; or kept.
// A leader that is not among the new voters hands over before it appends the final one, so that nobody has to wait for an election;
// where that fails it appends it, counts itself no more, and steps down when it is committed [§4.2.2].
#include <algorithm>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/planted_bug.hpp"
#include "core/base/sometimes.hpp"
#include "core/raft/raft_core.hpp"

namespace kahuna::raft {

// In force from when it is in the log, not from when it is committed: otherwise two leaders could count by different rules that have
// no voter in common [Ongaro14 §4.1].
const configuration& raft_core::members() const {
  if (KAHUNA_PLANTED("raft.configuration_at_commit")) return configurations_.at(commit_index_).members;
  return configurations_.latest().members;
}

bool raft_core::is_change_committed() const { return configurations_.latest().index <= commit_index_; }

// Also who is left out by configurations that may still be overwritten: it may be the only one who has them, and can lead on until they
// are committed [Ongaro14 §4.2.2]. After a restart it knows less of what is.
bool raft_core::may_campaign() const {
  if (!has_regained()) return false;
  for (auto index = configurations_.latest().index;;) {
    const auto& known = configurations_.at(index);
    if (known.members.is_voter(self_)) return true;
    if (known.index <= commit_index_) return false;
    index = known.index - 1;
  }
}

// Whether it holds again all that a replica which this node had before and dropped had promised to hold. Until then it learns what the group
// was long ago, and would decide by configurations that are over: it may have been the only voter once, or others who learn it as well.
// Once its log is as up to date as the one that went, it has every committed entry that that one had, and the configurations among them.
bool raft_core::has_regained() const {
  return log_position{log_.last_index(), log_.last_term()}.is_up_to_date_with(dropped_) || KAHUNA_PLANTED("raft.speaks_before_it_has_regained");
}

// --- what was found and what comes with the log ---------------------------------------------------------------------

void raft_core::find_configurations(const log_reader& log, log_index last_index) {
  constexpr std::size_t bytes_at_a_time = 1 << 20;
  for (auto from = log_.start().index + 1; from <= last_index;) {
    const auto entries = log.read(from, last_index + 1, bytes_at_a_time);
    KAHUNA_CHECK(!entries.empty(), from, last_index);
    for (const auto& entry : entries) note_configuration(entry);
    from = entries.back().index + 1;
  }
}

void raft_core::note_configuration(const log_entry& entry) {
  if (entry.kind != entry_kind::configuration) return;
  auto members = decode_configuration(entry.payload.view());
  // Checked when it came from the network, and by the record's checksum since.
  KAHUNA_CHECK(members.has_value(), entry.index, self_);
  configurations_.append(entry.index, std::move(*members));
}

void raft_core::publish_configuration(ready& out) {
  const std::pair state{configurations_.version(), is_change_committed()};
  if (state == published_configuration_) return;
  published_configuration_ = state;
  out.configuration = configuration_change{configurations_.latest().members, configurations_.latest().index, state.second};
}

// --- the leader's side ----------------------------------------------------------------------------------------------

void raft_core::take_change(change_configuration& input) {
  const auto answer = [&](change_refusal refusal) { out_.changes.push_back({input.change_id, refusal}); };
  auto* leading = std::get_if<leader_state>(&role_);
  if (leading == nullptr) return answer(change_refusal::not_leader);
  const auto& current = members();
  const configuration goal{std::move(input.voters), {}, std::move(input.learners), input.change_id};
  // As a history: whoever decides on members is replaced while an order of his is on its way; his successor's order is followed, and reported
  // as done; what the group has let go is dropped. Then the first order arrives, at whoever leads the group by now.
  const auto newest = leading->goal ? std::max(leading->goal->change_id, current.change_id) : current.change_id;
  if (goal.change_id < newest) return answer(change_refusal::outdated);
  // A voter is removed before it can be a learner: it must not go on to vote by the old configuration.
  const bool is_demoting = std::any_of(goal.learners.begin(), goal.learners.end(), [&](node_id node) { return current.is_voter(node); });
  if (!goal.is_valid() || is_demoting) return answer(change_refusal::invalid);
  if (current.is_joint() && goal.voters != current.voters) return answer(change_refusal::under_way);
  std::size_t dead = 0;
  for (const auto node : goal.voters)
    if (const auto known = leading->followers.find(node); known != leading->followers.end() && !is_heard(known->second)) ++dead;
  if (2 * dead >= goal.voters.size()) {
    KAHUNA_SOMETIMES("raft.change_would_lose_the_quorum");
    return answer(change_refusal::would_lose_quorum);
  }
  leading->goal = goal;
  answer(change_refusal::none);
}

bool raft_core::is_heard(const progress& follower) const { return now_ - follower.heard_at <= options_.election_timeout; }

// Everybody whom a configuration names that counts or may count again is sent entries. Who was let go still hears for a while: of the
// commitment that lets it go.
void raft_core::keep_followers() {
  auto& leading = std::get<leader_state>(role_);
  const std::pair state{configurations_.version(), configurations_.at(commit_index_).index};
  if (state != leading.followers_as_of) {
    leading.followers_as_of = state;
    bool is_any_new = false;
    const auto wanted = configurations_.members_since(commit_index_);
    for (const auto node : wanted) {
      if (node == self_) continue;
      const auto before = leading.followers.find(node);
      // Whoever was let go may have dropped what it had: it is known no more than one that was never here.
      if (before != leading.followers.end() && before->second.leaves_at) {
        KAHUNA_SOMETIMES("raft.taken_in_again_before_it_is_forgotten");
        end_snapshot(node, before->second);
        leading.followers.erase(before);
      }
      const auto [found, is_new] = leading.followers.try_emplace(node);
      if (!is_new) continue;
      found->second.next_index = log_.last_index() + 1;
      found->second.heard_at = now_;  // its grace: a whole election timeout to be heard of
      found->second.advanced_at = now_;
      found->second.round_before = leading.round;
      is_any_new = true;
    }
    // A round that only who is here now can answer. The first one of a leader comes with its no-op.
    if (is_any_new && leading.round != 0) open_round();
    for (auto& [node, follower] : leading.followers)
      if (!std::binary_search(wanted.begin(), wanted.end(), node) && !follower.leaves_at) follower.leaves_at = now_ + 2 * options_.election_timeout;
  }
  for (auto it = leading.followers.begin(); it != leading.followers.end();) {
    if (it->second.leaves_at && now_ >= *it->second.leaves_at) {
      end_snapshot(it->first, it->second);
      it = leading.followers.erase(it);
    } else {
      ++it;
    }
  }
}

// In rounds: it has caught up when it needed less than an election timeout for what was there when the round began, so that the
// group will not have to wait for it much longer [Ongaro14 §4.2.1].
bool raft_core::has_caught_up(progress& follower) {
  if (follower.has_caught_up) return is_heard(follower);
  if (!is_heard(follower)) {
    follower.catch_up_round.reset();
    return false;
  }
  if (!follower.catch_up_round) follower.catch_up_round = {log_.last_index(), now_};
  if (follower.match_index < follower.catch_up_round->upto) return false;
  if (now_ - follower.catch_up_round->began <= options_.election_timeout) return follower.has_caught_up = true;
  follower.catch_up_round = {log_.last_index(), now_};
  return false;
}

void raft_core::append_configuration(configuration members) {
  KAHUNA_CHECK(members.is_valid(), describe());
  log_entry entry{state_.term, log_.last_index() + 1, entry_kind::configuration, encode_configuration(members)};
  configurations_.append(entry.index, std::move(members));
  log_.append(std::move(entry));
  keep_followers();
}

// The next step of a change that is under way, if it may be done now. For after every step of a leader.
void raft_core::advance_change() {
  auto* leading = std::get_if<leader_state>(&role_);
  if (leading == nullptr) return;
  keep_followers();
  // One at a time, and none before this leader knows what is committed: else it could count by a configuration that is not the last
  // one [Ongaro15].
  const bool is_early = commit_index_ < leading->no_op_index || !is_change_committed();
  if (is_early && !KAHUNA_PLANTED("raft.change_before_the_last_is_committed")) return;
  const auto& current = members();
  if (current.is_joint()) {
    if (leading->handing_over) return;
    if (!std::binary_search(current.voters.begin(), current.voters.end(), self_) && !std::exchange(leading->has_tried_to_leave, true)) {
      begin_transfer(no_node, false);
      if (leading->handing_over) {
        KAHUNA_SOMETIMES("raft.leader_that_is_left_out_hands_over");
        return;
      }
    }
    if (log_.term_at(configurations_.latest().index) != state_.term) KAHUNA_SOMETIMES("raft.joint_configuration_ended_by_a_later_leader");
    return append_configuration({current.voters, {}, current.learners, current.change_id});
  }
  if (!current.is_voter(self_)) {
    KAHUNA_SOMETIMES("raft.leader_that_is_left_out_steps_down");
    // Its followers hear that it is committed by the next leader.
    return become_follower(state_.term, no_node);
  }
  if (!leading->goal || leading->handing_over) return;
  const auto& goal = *leading->goal;
  if (goal.voters == current.voters) {
    // Also where nothing else changes: what was asked for before comes too late from now on.
    if (goal.learners != current.learners || goal.change_id > current.change_id) append_configuration(goal);
    leading->goal.reset();
    return;
  }
  auto learners = goal.learners;
  for (const auto node : goal.voters)
    if (!current.is_voter(node)) learners.push_back(node);
  std::sort(learners.begin(), learners.end());
  if (learners != current.learners) return append_configuration({current.voters, {}, std::move(learners), goal.change_id});
  std::size_t alive = 0;
  for (const auto node : goal.voters) {
    if (node == self_) {
      ++alive;
      continue;
    }
    auto& follower = leading->followers.at(node);
    if (!current.is_voter(node) && !has_caught_up(follower)) return;
    alive += is_heard(follower) ? 1 : 0;
  }
  // Those who are left would not be enough to lead on.
  if (alive <= goal.voters.size() / 2) return;
  if (KAHUNA_PLANTED("raft.one_step_to_other_voters")) return append_configuration(goal);
  append_configuration({goal.voters, current.voters, goal.learners, goal.change_id});
}

}  // namespace kahuna::raft
