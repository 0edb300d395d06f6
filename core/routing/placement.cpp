#include "core/routing/placement.hpp"

#include <algorithm>
#include <utility>

#include "core/base/check.hpp"

namespace kahuna::routing {

namespace {

bool holds(const std::vector<node_id>& nodes, node_id node) { return std::binary_search(nodes.begin(), nodes.end(), node); }

std::vector<node_id> with_instead(std::vector<node_id> nodes, node_id gone, node_id come) {
  std::erase(nodes, gone);
  if (come != no_node) nodes.push_back(come);
  std::sort(nodes.begin(), nodes.end());
  return nodes;
}

// Where a member said nothing it is in a zone of its own.
class zones {
 public:
  explicit zones(const partition_map& map) {
    for (const auto& m : map.members)
      if (!m.zone.empty()) of_[m.id] = &m.zone;
  }

  // How many of `nodes` are in the zone of `node`.
  std::size_t crowd(const std::vector<node_id>& nodes, node_id node) const {
    const auto zone = of_.find(node);
    if (zone == of_.end()) return 0;
    return static_cast<std::size_t>(std::count_if(nodes.begin(), nodes.end(), [&](node_id other) {
      const auto its = of_.find(other);
      return other != node && its != of_.end() && *its->second == *zone->second;
    }));
  }
  bool are_any() const { return !of_.empty(); }

 private:
  std::map<node_id, const std::string*> of_;
};

struct view {
  const partition_map& map;
  std::set<node_id> active;
  std::map<node_id, std::size_t> counts;
  zones where;
  std::size_t wanted = 0;  // replicas of a partition

  explicit view(const partition_map& of)
      : map(of), active(active_members(of)), counts(replica_counts(of)), where(of),
        wanted(std::min<std::size_t>(of.replication_factor, active.size())) {}

  std::size_t count(node_id node) const {
    const auto found = counts.find(node);
    return found == counts.end() ? 0 : found->second;
  }

  // Who is best for a replica beside these: of a zone that has none, and with little else.
  node_id best_beside(const std::vector<node_id>& nodes, const std::set<node_id>& usable) const {
    node_id best = no_node;
    std::pair<std::size_t, std::size_t> lowest;
    for (const auto node : active) {
      if (!usable.contains(node) || holds(nodes, node)) continue;
      const std::pair cost(where.crowd(nodes, node), count(node));
      if (best == no_node || cost < lowest) {
        best = node;
        lowest = cost;
      }
    }
    return best;
  }

  // Who is worst among these.
  node_id worst_of(const std::vector<node_id>& nodes) const {
    return *std::max_element(nodes.begin(), nodes.end(), [&](node_id a, node_id b) {
      return std::pair(where.crowd(nodes, a), count(a)) < std::pair(where.crowd(nodes, b), count(b));
    });
  }
};

// Whoever gives up goes, for another or, where more are left than it takes, for none; then what lacks comes and what is too much goes.
std::optional<placement_step> mend(const view& now, partition_id partition, const std::set<node_id>& usable) {
  const auto& before = now.map.placements[partition.value].assigned();
  const auto is_active = [&](node_id node) { return now.active.contains(node); };
  if (before.size() == now.wanted && std::all_of(before.begin(), before.end(), is_active)) return std::nullopt;
  auto replicas = before;
  for (const auto node : before) {
    if (is_active(node)) continue;
    auto rest = with_instead(replicas, node, no_node);
    if (rest.size() < now.wanted) {
      const auto best = now.best_beside(rest, usable);
      // It stays for as long as nobody can take its place.
      if (best == no_node) continue;
      rest = with_instead(std::move(rest), no_node, best);
    }
    replicas = std::move(rest);
  }
  while (replicas.size() < now.wanted) {
    const auto best = now.best_beside(replicas, usable);
    if (best == no_node) break;
    replicas = with_instead(std::move(replicas), no_node, best);
  }
  const bool are_all_active = std::all_of(replicas.begin(), replicas.end(), is_active);
  while (are_all_active && replicas.size() > now.wanted) replicas = with_instead(replicas, now.worst_of(replicas), no_node);
  if (replicas == before || replicas.empty()) return std::nullopt;
  return placement_step{partition, std::move(replicas)};
}

// One replica out of a zone that has two of its partition into one that has none.
std::optional<placement_step> spread_over_zones(const view& now) {
  if (!now.where.are_any()) return std::nullopt;
  for (std::uint32_t p = 0; p < now.map.partitions; ++p) {
    const auto& replicas = now.map.placements[p].assigned();
    const auto worst = now.worst_of(replicas);
    const auto crowd = now.where.crowd(replicas, worst);
    if (crowd == 0) continue;
    const auto rest = with_instead(replicas, worst, no_node);
    node_id best = no_node;
    for (const auto node : now.active)
      if (node != worst && !holds(replicas, node) && now.where.crowd(rest, node) < crowd &&
          (best == no_node || std::pair(now.where.crowd(rest, node), now.count(node)) < std::pair(now.where.crowd(rest, best), now.count(best))))
        best = node;
    if (best != no_node) return placement_step{partition_id{p}, with_instead(rest, no_node, best)};
  }
  return std::nullopt;
}

// One replica from a member to another that holds two fewer or less, the most uneven pair first.
std::optional<placement_step> even_out(const view& now) {
  std::vector<std::pair<std::size_t, node_id>> by_count;
  for (const auto node : now.active) by_count.emplace_back(now.count(node), node);
  std::sort(by_count.begin(), by_count.end());
  std::vector<std::pair<std::size_t, std::pair<node_id, node_id>>> pairs;
  for (const auto& [most, from] : by_count)
    for (const auto& [least, to] : by_count)
      if (most >= least + 2) pairs.push_back({most - least, {from, to}});
  std::stable_sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [difference, pair] : pairs) {
    const auto [from, to] = pair;
    for (std::uint32_t p = 0; p < now.map.partitions; ++p) {
      const auto& replicas = now.map.placements[p].assigned();
      if (!holds(replicas, from) || holds(replicas, to)) continue;
      const auto rest = with_instead(replicas, from, no_node);
      if (now.where.crowd(rest, to) > now.where.crowd(rest, from)) continue;
      return placement_step{partition_id{p}, with_instead(rest, no_node, to)};
    }
  }
  return std::nullopt;
}

}  // namespace

std::set<node_id> active_members(const partition_map& map) {
  std::set<node_id> active;
  for (const auto& m : map.members)
    if (m.state != member_state::joining && !is_giving_up(map, m)) active.insert(m.id);
  return active;
}

std::map<node_id, std::size_t> replica_counts(const partition_map& map) {
  std::map<node_id, std::size_t> counts;
  for (const auto node : active_members(map)) counts[node] = 0;
  for (const auto& held : map.placements)
    for (const auto node : held.assigned())
      if (const auto found = counts.find(node); found != counts.end()) ++found->second;
  return counts;
}

std::optional<placement_step> next_step_of(const partition_map& map, partition_id partition, const std::set<node_id>& usable) {
  return mend(view(map), partition, usable);
}

std::optional<placement_step> next_step(const partition_map& map, const std::set<node_id>& usable) {
  const view now(map);
  for (std::uint32_t p = 0; p < map.partitions; ++p)
    if (auto step = mend(now, partition_id{p}, usable)) return step;
  if (!std::includes(usable.begin(), usable.end(), now.active.begin(), now.active.end())) return std::nullopt;
  if (auto step = spread_over_zones(now)) return step;
  return even_out(now);
}

std::size_t steps_left(const partition_map& map) {
  auto later = map;
  std::size_t steps = 0;
  for (auto& held : later.placements) {
    if (held.is_settled()) continue;
    ++steps;
    held.voters = std::exchange(held.target, {});
  }
  const auto usable = active_members(later);
  const std::size_t steps_max = std::size_t{map.partitions} * (replication_factor_max + 1) + steps;
  while (steps < steps_max) {
    auto step = next_step(later, usable);
    if (!step) break;
    later.placements[step->partition.value].voters = std::move(step->replicas);
    ++steps;
  }
  return steps;
}

}  // namespace kahuna::routing
