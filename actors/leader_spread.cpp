#include "actors/leader_spread.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "core/routing/placement.hpp"

namespace kahuna::actors {

namespace {

// Who leads how many, and for each which partitions could be led by whom instead.
struct spread {
  std::map<node_id, int> led;
  std::map<node_id, std::map<node_id, std::vector<partition_id>>> ways;  // from, to
};

std::optional<spread> look_at(const routing::partition_map& map, const std::vector<messages::partition_leader>& leaders) {
  spread now;
  const auto active = routing::active_members(map);
  for (const auto node : active) now.led[node] = 0;
  for (const auto& entry : leaders) {
    if (entry.leader == no_node) return std::nullopt;
    ++now.led[entry.leader];
    const auto& held = map.placements.at(entry.partition.value);
    // Whoever is to hold it no more is not made its leader; while that is changing, nobody is.
    if (!held.is_settled()) continue;
    for (const auto replica : held.voters)
      if (replica != entry.leader && active.contains(replica)) now.ways[entry.leader][replica].push_back(entry.partition);
  }
  return now;
}

// The last two of the shortest way from one who leads much to one who leads at least two fewer, by handing over from each to the next.
std::optional<std::pair<node_id, node_id>> last_of_way(const spread& now, node_id from) {
  std::map<node_id, node_id> reached_from{{from, no_node}};
  std::vector<node_id> frontier{from};
  for (std::size_t i = 0; i < frontier.size(); ++i) {
    const auto here = frontier[i];
    const auto ways = now.ways.find(here);
    if (ways == now.ways.end()) continue;
    for (const auto& [to, partitions] : ways->second) {
      if (!reached_from.emplace(to, here).second) continue;
      if (now.led.at(to) <= now.led.at(from) - 2) return std::pair(here, to);
      frontier.push_back(to);
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<chosen_handover> choose_handover(const routing::partition_map& map, node_id self,
                                               const std::vector<messages::partition_leader>& leaders, std::uint64_t turn) {
  const auto now = look_at(map, leaders);
  if (!now) return std::nullopt;
  std::vector<std::pair<int, node_id>> by_count;
  for (const auto& [node, count] : now->led) by_count.emplace_back(-count, node);
  std::sort(by_count.begin(), by_count.end());
  for (const auto& [count, node] : by_count) {
    const auto last = last_of_way(*now, node);
    if (!last) continue;
    if (last->first != self) return std::nullopt;
    const auto& partitions = now->ways.at(self).at(last->second);
    return chosen_handover{partitions[turn % partitions.size()], last->second};
  }
  return std::nullopt;
}

}  // namespace kahuna::actors
