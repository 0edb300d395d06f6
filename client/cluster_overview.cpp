#include "client/cluster_overview.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "core/routing/placement.hpp"

namespace kahuna::client {

namespace {

struct heard {
  std::map<node_id, const messages::cluster_reply*> answered;
  std::set<node_id> reached;  // by the nodes that answered
};

const messages::replica_report* report_of(const heard& all, node_id node, partition_id partition) {
  const auto found = all.answered.find(node);
  if (found == all.answered.end()) return nullptr;
  const auto& reports = found->second->replicas;
  const auto report = std::find_if(reports.begin(), reports.end(), [&](const auto& r) { return r.partition == partition; });
  return report == reports.end() ? nullptr : &*report;
}

// The highest term, and who leads in it. What a replica says of itself counts like what nodes have heard of others.
messages::partition_leader leader_of(const heard& all, const std::vector<node_id>& replicas, partition_id partition) {
  messages::partition_leader best{partition, {}, no_node};
  const auto consider = [&](term_id term, node_id leader) {
    if (term > best.term) best = {partition, term, leader};
    if (term == best.term && best.leader == no_node) best.leader = leader;
  };
  for (const auto& [node, reply] : all.answered)
    for (const auto& entry : reply->leaders)
      if (entry.partition == partition) consider(entry.term, entry.leader);
  for (const auto replica : replicas)
    if (const auto* report = report_of(all, replica, partition))
      consider(report->term, report->role == raft::role_kind::leader ? replica : no_node);
  // The last leader of a term may be gone, and those whom it left behind not know yet.
  if (!all.answered.contains(best.leader) && !all.reached.contains(best.leader)) best.leader = no_node;
  return best;
}

std::string name_of(const routing::partition_map& map, node_id node) {
  const auto* member = routing::find_member(map, node);
  return member != nullptr ? member->name : std::to_string(node.value);
}

}  // namespace

const replica_state* partition_overview::leading() const {
  for (const auto& replica : replicas)
    if (leader && replica.node == *leader && replica.state) return &*replica.state;
  return nullptr;
}

cluster_overview merge_views(const routing::partition_map& map, const std::vector<messages::cluster_reply>& replies) {
  heard all;
  for (const auto& reply : replies) {
    all.answered.emplace(reply.node, &reply);
    all.reached.insert(reply.alive.begin(), reply.alive.end());
  }

  cluster_overview overview;
  char cluster_id[17];
  std::snprintf(cluster_id, sizeof cluster_id, "%016llx", static_cast<unsigned long long>(map.cluster_id));
  overview.cluster_id = cluster_id;
  if (!replies.empty()) overview.answered_by = name_of(map, replies.front().node);

  std::map<node_id, std::size_t> led;
  for (std::uint32_t number = 0; number < map.partitions; ++number) {
    const partition_id id{number};
    const auto replicas = routing::replicas_of(map, id);
    const auto leader = leader_of(all, replicas, id);
    partition_overview partition{number, std::nullopt, leader.term.value, {}};
    if (leader.leader != no_node) {
      partition.leader = name_of(map, leader.leader);
      ++led[leader.leader];
    }
    const auto* leading = report_of(all, leader.leader, id);
    for (const auto node : replicas) {
      replica_overview replica{name_of(map, node), std::nullopt};
      if (const auto* report = report_of(all, node, id)) {
        replica.state = replica_state{report->role, report->term.value, report->commit_index.value, report->applied_index.value,
                                      std::nullopt, report->description};
        // The two were asked at different moments: a replica that was asked later may be ahead.
        if (leading != nullptr)
          replica.state->lag =
              leading->commit_index > report->applied_index ? leading->commit_index - report->applied_index : 0;
      }
      partition.replicas.push_back(std::move(replica));
    }
    overview.partitions.push_back(std::move(partition));
  }
  std::map<node_id, std::size_t> held;
  for (std::uint32_t number = 0; number < map.partitions; ++number)
    for (const auto node : routing::replicas_of(map, partition_id{number})) ++held[node];
  for (const auto& member : map.members)
    overview.members.push_back({member.name, member.address, all.answered.contains(member.id), led[member.id], held[member.id], member.state, member.zone});
  overview.steps_left = routing::steps_left(map);
  return overview;
}

std::string_view role_name(raft::role_kind role) {
  switch (role) {
    case raft::role_kind::follower:
      return "follower";
    case raft::role_kind::candidate:
      return "candidate";
    case raft::role_kind::leader:
      return "leader";
  }
  return "unknown";
}

}  // namespace kahuna::client
