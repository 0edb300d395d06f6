// Handing the leadership over [Ongaro14 §3.10].
//
// As a history: the driver is told (ready::handover): it forgets the lease and proposes nothing more, and says so; when the follower
// has all of the log, it is asked to campaign at once; it asks for votes as one to whom nobody's promise to the leader stands in the
// way. So the lease ends before anybody else can be elected. An election that comes to nothing leaves the leader where it was; but the
// follower may have been asked, and do it later: there is no lease any more in this term, reads are confirmed by rounds.
#include <algorithm>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/sometimes.hpp"
#include "core/raft/raft_core.hpp"

namespace kahuna::raft {

void raft_core::take_transfer(const transfer_leadership& input) {
  if (input.to == no_node) is_leaving_ = true;
  begin_transfer(input.to, input.is_optional);
}

// To one who votes from now on and whom this leader hears; nothing happens where there is none.
void raft_core::begin_transfer(node_id wanted, bool is_optional) {
  auto* leading = std::get_if<leader_state>(&role_);
  if (leading == nullptr || leading->handing_over) return;
  const auto is_able = [&](const auto& entry) {
    const auto& [node, follower] = entry;
    return std::binary_search(members().voters.begin(), members().voters.end(), node) && follower.sending == progress::mode::replicate && now_ - follower.heard_at <= options_.election_timeout;
  };
  auto to = leading->followers.end();
  if (wanted != no_node) {
    to = leading->followers.find(wanted);
  } else {
    for (auto it = leading->followers.begin(); it != leading->followers.end(); ++it)
      if (is_able(*it) && (to == leading->followers.end() || it->second.match_index > to->second.match_index)) to = it;
  }
  if (to == leading->followers.end() || !is_able(*to)) return;
  leading->handing_over = leadership_transfer{++last_handover_, to->first, now_, false, false};
  out_.handover = handover{state_.term, last_handover_, true, is_optional};
}

void raft_core::take_handover_prepared(const handover_prepared& input) {
  auto* leading = std::get_if<leader_state>(&role_);
  if (leading == nullptr || input.term != state_.term || !leading->handing_over) return;
  // Of one that has come to nothing: behind it the driver may have taken a lease again.
  if (input.number != leading->handing_over->number) return;
  if (input.is_declined) return end_transfer();
  leading->handing_over->is_prepared = true;
  leading->lease_until = std::min(leading->lease_until, now_);
  ask_to_campaign();
}

void raft_core::ask_to_campaign() {
  auto* leading = std::get_if<leader_state>(&role_);
  if (leading == nullptr || !leading->handing_over) return;
  auto& transfer = *leading->handing_over;
  if (!transfer.is_prepared || transfer.is_asked || !leading->followers.contains(transfer.to) ||
      leading->followers.at(transfer.to).match_index < log_.last_index())
    return;
  transfer.is_asked = true;
  leading->is_lease_forfeited = true;
  KAHUNA_SOMETIMES("raft.leadership_handed_over");
  send(transfer.to, timeout_now{state_.term});
}

void raft_core::end_transfer() {
  auto& leading = std::get<leader_state>(role_);
  KAHUNA_SOMETIMES("raft.handover_comes_to_nothing");
  out_.handover = handover{state_.term, leading.handing_over->number, false, false};
  leading.handing_over.reset();
}

void raft_core::on_transfer_tick() {
  const auto& leading = std::get<leader_state>(role_);
  if (leading.handing_over && now_ - leading.handing_over->began > options_.election_timeout) end_transfer();
}

void raft_core::take_timeout_now(node_id peer, const timeout_now& request) {
  if (request.term != state_.term || leader() != peer || is_leaving_ || !may_campaign()) return;
  campaign(campaign_kind::transfer);
}

}  // namespace kahuna::raft
