#include "core/base/check.hpp"
#include "core/raft/raft_core.hpp"

namespace kahuna::raft {

void raft_core::check_invariants() const {
  KAHUNA_CHECK(log_.start().index <= flushed_index_, describe());
  KAHUNA_CHECK(flushed_index_ <= applied_index_, describe());
  KAHUNA_CHECK(applied_index_ <= handed_index_, describe());
  KAHUNA_CHECK(handed_index_ <= commit_index_, describe());
  KAHUNA_CHECK(handed_index_ <= log_.stable_index(), describe());
  KAHUNA_CHECK(log_.stable_index() <= log_.last_index(), describe());
  KAHUNA_CHECK(commit_index_ <= log_.last_index(), describe());
  KAHUNA_CHECK(log_.last_term() <= state_.term, describe());
  for (std::size_t i = 1; i < promises_.size(); ++i)
    KAHUNA_CHECK(promises_[i - 1].write_number <= promises_[i].write_number, describe());

  KAHUNA_CHECK(configurations_.latest().index <= log_.last_index(), configurations_.latest().index, describe());
  KAHUNA_CHECK(configurations_.at(log_.start().index).index <= log_.start().index, describe());

  const auto* leading = std::get_if<leader_state>(&role_);
  if (leading == nullptr) return;
  KAHUNA_CHECK(state_.voted_for == self_, describe());
  KAHUNA_CHECK(leading->no_op_index <= log_.last_index(), describe());
  KAHUNA_CHECK(leading->no_op_index < log_.start().index || log_.term_at(leading->no_op_index) == state_.term, describe());
  KAHUNA_CHECK(leading->confirmed_round <= leading->round, describe());
  for (const auto& [node, follower] : leading->followers) {
    KAHUNA_CHECK(follower.match_index < follower.next_index, node, describe());
    KAHUNA_CHECK(follower.next_index > log_.start().index, node, describe());
    KAHUNA_CHECK(follower.next_index <= log_.last_index() + 1, node, describe());
    KAHUNA_CHECK(follower.snapshot.has_value() == (follower.sending == progress::mode::snapshot), node, describe());
  }
}

}  // namespace kahuna::raft
