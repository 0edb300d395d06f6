// Who belongs to a Raft group, and whose agreement counts [Ongaro14 §4.2.1, §4.3].
//
//   simple  voters, and nobody outgoing: a majority of the voters decides.
//   joint   voters and outgoing: a majority of each decides. What leads from one set of voters to another.
// Learners are sent everything, and decide nothing.
//
// As the payload of an entry:  version:u8 = 2, of voters, outgoing and learners each  count:u8 node:be32 …,  change:be64
// Of version 1, of builds before, the last is missing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/shared_bytes.hpp"

namespace kahuna::raft {

struct configuration {
  // Each sorted, without duplicates. Learners are in neither of the other two. Without voters: nothing is known yet of the group.
  std::vector<node_id> voters;
  std::vector<node_id> outgoing;
  std::vector<node_id> learners;
  // The change that led here: the highest that was asked for. One with a lower number comes too late. 0: as the group was formed.
  std::uint64_t change_id = 0;

  friend bool operator==(const configuration&, const configuration&) = default;

  bool is_joint() const { return !outgoing.empty(); }
  bool is_voter(node_id node) const;
  bool is_learner(node_id node) const;
  // All of them, sorted.
  std::vector<node_id> members() const;
  // The voters of both sets, sorted.
  std::vector<node_id> all_voters() const;
  // Whether `node` decides by itself.
  bool is_alone(node_id node) const { return !is_joint() && voters.size() == 1 && voters.front() == node; }

 private:
  template <class Of>
  static auto agreed_of(const std::vector<node_id>& nodes, Of of) {
    std::vector<decltype(of(node_id{}))> values;
    values.reserve(nodes.size());
    for (const auto node : nodes) values.push_back(of(node));
    const auto place = values.begin() + static_cast<std::ptrdiff_t>(nodes.size() / 2);
    std::nth_element(values.begin(), place, values.end(), std::greater<>());
    return *place;
  }

 public:
  // The highest value that enough have reached; `of` gives each voter's. Requires voters.
  template <class Of>
  auto agreed(Of of) const {
    auto value = agreed_of(voters, of);
    if (is_joint()) value = std::min(value, agreed_of(outgoing, of));
    return value;
  }
  // Whether enough are among `nodes`.
  bool has_quorum(const std::set<node_id>& nodes) const {
    return !voters.empty() && agreed([&](node_id node) { return nodes.contains(node) ? 1 : 0; }) == 1;
  }

  // Whether the lists are as stated above, and there are voters.
  bool is_valid() const;

  template <class Archive>
  void serialize(Archive& archive, unsigned class_version) {
    archive& voters& outgoing& learners;
    if (class_version >= 1) archive& change_id;
  }
};

// Of each list.
inline constexpr std::size_t configuration_nodes_max = 255;

// Requires a valid one with lists within the bound.
shared_bytes encode_configuration(const configuration& members);
// nullopt: these bytes are no valid configuration.
std::optional<configuration> decode_configuration(std::string_view bytes);

}  // namespace kahuna::raft
