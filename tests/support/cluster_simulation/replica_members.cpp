// What a simulated replica does about who belongs to its group, as actors/raft_peer_actor.cpp does it.
#include <utility>
#include <variant>

#include "core/base/planted_bug.hpp"
#include "core/base/sometimes.hpp"
#include "tests/support/cluster_simulation/node.hpp"
#include "tests/support/cluster_simulation/replica.hpp"

namespace kahuna::testing {

namespace {

// Reads of a Raft peer's own have this bit in their number; the partition counts from 1.
constexpr std::uint64_t own_read = std::uint64_t{1} << 63;

}  // namespace

void replica::take_order(node_id by, const routing::group_order& order) {
  if (raft_->role() != raft::role_kind::leader) return;
  const bool is_asked = ordered_ && ordered_->order.version == order.version;
  ordered_ = order_asked{by, order};
  step_raft(raft::change_configuration{order.version, order.voters, {}});
  if (!is_asked) {
    ordered_read_ = (ordered_read_ + 1) | own_read;
    step_raft(raft::read{ordered_read_});
  }
  settle_raft();
}

void replica::take_group_news(raft::ready& ready) {
  if (ready.configuration) {
    configuration_ = *ready.configuration;
    host_.watch().is_in_force(id_, configuration_);
  }
  for (const auto& change : ready.changes) refusal_ = change.refusal;
  std::erase_if(ready.reads, [&](const raft::read_answer& answer) {
    if ((answer.read_id & own_read) == 0) return false;
    if (!ordered_ || answer.read_id != ordered_read_) return true;
    answer.is_safe ? report_on_group() : ordered_.reset();
    return true;
  });
}

void replica::report_on_group() {
  const auto& [members, index, is_committed] = configuration_;
  const auto asked = std::exchange(ordered_, std::nullopt);
  if (!asked) return;
  const bool is_settled = (is_committed || KAHUNA_PLANTED("members.report_before_it_is_committed")) && !members.is_joint() && members.learners.empty() &&
                          members.change_id >= asked->order.version;
  host_.members().send_report(asked->by, {id_, asked->order.version, members.voters, is_settled,
                                          refusal_ == raft::change_refusal::none ? "" : "refused"});
}

void replica::note_second_life(const raft::message_body& body) {
  const auto* append = std::get_if<raft::append_request>(&body);
  if (append == nullptr || promised_before_ == term_id{}) return;
  if (append->term == promised_before_) KAHUNA_SOMETIMES("replica.taken_in_again_within_a_term");
  promised_before_ = {};
}

void replica::note_crash() const {
  if (raft_->role() == raft::role_kind::leader && raft_->members().is_joint()) KAHUNA_SOMETIMES("replica.leader_of_a_joint_configuration_dies");
  if (raft_->members().is_learner(host_.id())) KAHUNA_SOMETIMES("replica.learner_dies");
}

}  // namespace kahuna::testing
