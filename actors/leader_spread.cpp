#include "actors/leader_spread.hpp"

#include <algorithm>
#include <map>

namespace kahuna::actors {

std::optional<chosen_handover> choose_handover(const routing::partition_map& map, node_id self,
                                               const std::vector<messages::partition_leader>& leaders, std::uint64_t turn) {
  std::map<node_id, int> led;
  for (const auto& entry : leaders) {
    if (entry.leader == no_node) return std::nullopt;
    ++led[entry.leader];
  }
  std::vector<chosen_handover> best;
  int fewest = led[self] - 1;
  for (const auto& entry : leaders) {
    if (entry.leader != self) continue;
    for (const auto replica : routing::replicas_of(map, entry.partition)) {
      if (replica == self || led[replica] > std::min(fewest, led[self] - 2)) continue;
      if (led[replica] < fewest) best.clear();
      fewest = led[replica];
      best.push_back({entry.partition, replica});
    }
  }
  if (best.empty()) return std::nullopt;
  return best[turn % best.size()];
}

}  // namespace kahuna::actors
