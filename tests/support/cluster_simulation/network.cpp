#include "tests/support/cluster_simulation/network.hpp"

#include <algorithm>

namespace kahuna::testing {

void network::send(int from, int to, copies how_many, event arrive) {
  if (const auto cut = cut_until_.find({from, to}); cut != cut_until_.end() && world_.now() < cut->second) return;
  const auto& options = world_.options;
  if (world_.is_faulty && world_.percent(options.loss_percent)) return;
  const int count = how_many == copies::maybe_two && world_.is_faulty && world_.percent(options.double_percent) ? 2 : 1;
  for (int i = 0; i < count; ++i) {
    auto delay = world_.draw(50, options.delay_ms_max * 1000);
    if (world_.is_faulty && world_.percent(options.late_percent)) delay += world_.draw(0, 1'500'000);
    if (const auto slow = slow_.find({from, to}); slow != slow_.end()) delay += slow->second;
    world_.at(delay, arrive);
  }
}

void network::cut(int from, int to, std::int64_t length_us) {
  auto& until = cut_until_[{from, to}];
  until = std::max(until, world_.now() + length_us);
}

bool network::is_whole() const {
  return std::all_of(cut_until_.begin(), cut_until_.end(), [&](const auto& cut) { return cut.second <= world_.now(); });
}

void network::mute(int node, int nodes, std::int64_t length_us) {
  for (int other = 0; other < nodes; ++other)
    if (other != node) cut(node, other, length_us);
}

void network::cut_off(int node, int nodes, std::int64_t length_us) {
  const auto direction = world_.dice.below(3);
  for (int other = 0; other < nodes; ++other) {
    if (other == node || world_.dice.chance(1, 4)) continue;
    if (direction != 0) cut(node, other, length_us);
    if (direction != 1) cut(other, node, length_us);
  }
}

}  // namespace kahuna::testing
