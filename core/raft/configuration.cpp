#include "core/raft/configuration.hpp"

#include <iterator>
#include <string>
#include <utility>

#include "core/base/check.hpp"

namespace kahuna::raft {

namespace {

constexpr char format_version = 2;
constexpr char format_version_without_change = 1;
constexpr std::size_t change_bytes = 8;

bool holds(const std::vector<node_id>& nodes, node_id node) { return std::binary_search(nodes.begin(), nodes.end(), node); }

bool is_sorted_set(const std::vector<node_id>& nodes) {
  return nodes.size() <= configuration_nodes_max && !holds(nodes, no_node) &&
         std::adjacent_find(nodes.begin(), nodes.end(), std::greater_equal<>()) == nodes.end();
}

std::vector<node_id> united(const std::vector<node_id>& a, const std::vector<node_id>& b) {
  std::vector<node_id> all;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
  return all;
}

void append_nodes(std::string& out, const std::vector<node_id>& nodes) {
  KAHUNA_CHECK(nodes.size() <= configuration_nodes_max, nodes.size());
  out.push_back(static_cast<char>(nodes.size()));
  for (const auto node : nodes)
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(node.value >> shift));
}

bool take_nodes(std::string_view& bytes, std::vector<node_id>& nodes) {
  if (bytes.empty()) return false;
  const std::size_t count = static_cast<unsigned char>(bytes.front());
  bytes.remove_prefix(1);
  if (bytes.size() < 4 * count) return false;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t value = 0;
    for (std::size_t byte = 0; byte < 4; ++byte) value = value << 8 | static_cast<unsigned char>(bytes[4 * i + byte]);
    nodes.push_back(node_id{value});
  }
  bytes.remove_prefix(4 * count);
  return true;
}

}  // namespace

bool configuration::is_voter(node_id node) const { return holds(voters, node) || holds(outgoing, node); }

bool configuration::is_learner(node_id node) const { return holds(learners, node); }

std::vector<node_id> configuration::all_voters() const { return united(voters, outgoing); }

std::vector<node_id> configuration::members() const { return united(all_voters(), learners); }

bool configuration::is_valid() const {
  if (voters.empty() || !is_sorted_set(voters) || !is_sorted_set(outgoing) || !is_sorted_set(learners)) return false;
  return std::none_of(learners.begin(), learners.end(), [&](node_id node) { return is_voter(node); });
}

shared_bytes encode_configuration(const configuration& members) {
  KAHUNA_CHECK(members.is_valid());
  std::string out(1, format_version);
  append_nodes(out, members.voters);
  append_nodes(out, members.outgoing);
  append_nodes(out, members.learners);
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(members.change_id >> shift));
  return shared_bytes(std::move(out));
}

std::optional<configuration> decode_configuration(std::string_view bytes) {
  if (bytes.empty() || (bytes.front() != format_version && bytes.front() != format_version_without_change)) return std::nullopt;
  const bool has_change = bytes.front() == format_version;
  bytes.remove_prefix(1);
  configuration members;
  if (!take_nodes(bytes, members.voters) || !take_nodes(bytes, members.outgoing) || !take_nodes(bytes, members.learners)) return std::nullopt;
  if (bytes.size() != (has_change ? change_bytes : 0) || !members.is_valid()) return std::nullopt;
  for (const char byte : bytes) members.change_id = members.change_id << 8 | static_cast<unsigned char>(byte);
  return members;
}

}  // namespace kahuna::raft
