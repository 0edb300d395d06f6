// The replicas of a simulated node: opened at its start, made and dropped as the newest map wants it, as actors/replica_host_actor.cpp
// does it.
#include <algorithm>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/planted_bug.hpp"
#include "core/base/sometimes.hpp"
#include "tests/support/cluster_simulation/node.hpp"

namespace kahuna::testing {

namespace {

bool holds(const std::vector<node_id>& nodes, node_id node) { return std::binary_search(nodes.begin(), nodes.end(), node); }

}  // namespace

replica* node::find_replica(partition_id partition) {
  const auto found = replicas_.find(partition);
  return found == replicas_.end() ? nullptr : found->second.get();
}

std::vector<replica*> node::replicas() {
  std::vector<replica*> all;
  for (const auto& [partition, r] : replicas_) all.push_back(r.get());
  return all;
}

void node::open_replica(partition_id partition, raft::configuration founders) {
  replicas_[partition] = std::make_unique<replica>(*this, partition, std::move(founders));
}

// What was recorded counts, and where nothing was, what the cluster was formed with.
void node::open_replicas() {
  for (std::uint32_t p = 0; p < formed_->partitions; ++p) {
    const partition_id partition{p};
    const auto recorded = log_.is_hosted(partition);
    const auto& founders = formed_->placements[p].voters;
    const bool is_founder = is_founder_ && !recorded && holds(founders, id());
    if (is_founder || recorded.value_or(false))
      open_replica(partition, is_founder ? raft::configuration{founders, {}, {}} : raft::configuration{});
    else if (recorded)
      clear_data(partition);
  }
}

void node::take_map(map_pointer map) {
  post(board_.w.draw(1, 200), [this, map] {
    if (map->version > remembered_->version) remembered_ = map;
    compare_with_map();
  });
}

void node::compare_with_map() {
  for (std::uint32_t p = 0; p < remembered_->partitions; ++p) {
    const partition_id partition{p};
    if (recording_.contains(partition)) continue;
    const auto& held = remembered_->placements[p];
    const bool is_early = KAHUNA_PLANTED("members.dropped_before_the_group_agrees");
    const bool is_wanted = holds(held.assigned(), id()) || (holds(held.voters, id()) && !is_early);
    if (is_wanted && !replicas_.contains(partition))
      make_replica(partition);
    else if (!is_wanted && replicas_.contains(partition) && (held.is_settled() || is_early))
      drop_replica(partition);
    if (!is_up()) return;
  }
  if (!recording_.empty() || remembered_->version <= settled_version_) return;
  settled_version_ = remembered_->version;
  post(0, [this, version = settled_version_] { members_->take_settled(version); });
}

void node::make_replica(partition_id partition) {
  clear_data(partition);
  static_cast<void>(data_->flush());
  if (dies_at_a_point(6)) {
    KAHUNA_SOMETIMES("died.before_a_replica_was_recorded");
    return;
  }
  recording_.insert(partition);
  log_.record(partition, true);
}

// What it still had to do goes with it. What it has sent to the disk is there before the record.
void node::drop_replica(partition_id partition) {
  replicas_.erase(partition);
  std::erase(waiting_for_flush_, partition);
  recording_.insert(partition);
  members_->take_dropped(partition);
  log_.record(partition, false);
}

void node::take_recorded(partition_id partition, bool is_hosted) {
  if (dies_at_a_point(6)) {
    if (is_hosted) KAHUNA_SOMETIMES("died.when_a_replica_was_recorded");
    if (!is_hosted) KAHUNA_SOMETIMES("died.when_a_dropped_replica_was_recorded");
    return;
  }
  recording_.erase(partition);
  if (is_hosted) {
    KAHUNA_SOMETIMES("replica.made");
    open_replica(partition, {});
  } else {
    KAHUNA_SOMETIMES("replica.dropped");
    clear_data(partition);
  }
  compare_with_map();
}

void node::clear_data(partition_id partition) {
  if (KAHUNA_PLANTED("members.data_of_an_earlier_life_kept")) return;
  highest_applied_.erase(partition);
  KAHUNA_CHECK(!persistence::data_store::clear(*data_, partition));
}

}  // namespace kahuna::testing
