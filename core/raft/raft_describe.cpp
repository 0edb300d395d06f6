#include <sstream>

#include "core/raft/raft_core.hpp"

namespace kahuna::raft {

std::string raft_core::describe() const {
  std::ostringstream out;
  out << "node " << self_ << ' ';
  if (const auto* leading = std::get_if<leader_state>(&role_))
    out << "leader no_op " << leading->no_op_index;
  else if (const auto* campaigning = std::get_if<candidate_state>(&role_))
    out << (campaigning->is_pre_vote ? "pre-candidate" : "candidate") << " votes " << campaigning->granted.size();
  else
    out << "follower of " << std::get<follower_state>(role_).leader;
  out << " term " << state_.term << " voted_for " << state_.voted_for << " log " << log_.start().index + 1 << ".." << log_.last_index() << '@' << log_.last_term()
      << " stable " << log_.stable_index() << " commit " << commit_index_ << " applied " << applied_index_;
  if (const auto* leading = std::get_if<leader_state>(&role_))
    for (const auto& [node, follower] : leading->followers)
      out << " [" << node << (follower.sending == progress::mode::probe ? " probe" : follower.sending == progress::mode::replicate ? " replicate" : " snapshot") << " match "
          << follower.match_index << " next " << follower.next_index << " window " << follower.window.size() << ']';
  return out.str();
}

std::map<node_id, log_index> raft_core::match_indexes() const {
  std::map<node_id, log_index> known;
  if (const auto* leading = std::get_if<leader_state>(&role_))
    for (const auto& [node, follower] : leading->followers) known[node] = follower.match_index;
  return known;
}

}  // namespace kahuna::raft
