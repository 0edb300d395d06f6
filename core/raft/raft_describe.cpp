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
  // The configuration that a group was formed with goes without saying.
  if (configurations_.latest().index != log_index{}) {
    const auto& members = configurations_.latest().members;
    const auto list = [&](const char* what, const std::vector<node_id>& nodes) {
      for (std::size_t i = 0; i < nodes.size(); ++i) out << (i == 0 ? what : ",") << nodes[i];
    };
    list(" voters ", members.voters);
    list(" outgoing ", members.outgoing);
    list(" learners ", members.learners);
    out << " as of " << configurations_.latest().index;
  }
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
