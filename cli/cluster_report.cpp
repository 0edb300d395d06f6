#include "cli/cluster_report.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace kahuna::cli {

namespace {

using json = nlohmann::ordered_json;

struct cell {
  std::string text;
  tone t = tone::plain;
};

// Columns as wide as their widest cell, two blanks between them; the first row is the heading.
std::string table(const std::vector<std::vector<cell>>& rows, bool is_coloured) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i].text));
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += toned(row[i].text, row[i].t, is_coloured);
      if (i + 1 < row.size()) text += std::string(widths[i] - columns_of(row[i].text) + 2, ' ');
    }
    text += '\n';
  }
  return text;
}

std::vector<cell> heading(std::vector<std::string> titles) {
  std::vector<cell> row;
  for (auto& title : titles) row.push_back({std::move(title), tone::heading});
  return row;
}

std::string number(std::uint64_t n) { return std::to_string(n); }

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::vector<std::string> down_members(const client::cluster_overview& overview) {
  std::vector<std::string> names;
  for (const auto& member : overview.members)
    // One that was never started is not missed, nor one that was replaced.
    if (!member.is_alive && member.state == routing::member_state::active) names.push_back(member.name);
  return names;
}

std::size_t partitions_without_leader(const client::cluster_overview& overview) {
  return static_cast<std::size_t>(std::count_if(overview.partitions.begin(), overview.partitions.end(),
                                                [](const auto& partition) { return !partition.leader; }));
}

std::string counted(std::size_t count, const std::string& what) { return number(count) + " " + what + (count == 1 ? "" : "s"); }

// The replicas' lags in the order of their names: "0 3 ?".
std::string lags(const client::partition_overview& partition) {
  std::string text;
  for (const auto& replica : partition.replicas) {
    if (!text.empty()) text += ' ';
    text += replica.state && replica.state->lag ? number(*replica.state->lag) : "?";
  }
  return text;
}

std::vector<std::string> replica_names(const client::partition_overview& partition) {
  std::vector<std::string> names;
  for (const auto& replica : partition.replicas) names.push_back(replica.node);
  return names;
}

// Whether it answers, and where it is on its way in or out.
std::string state_word(const client::member_overview& member) {
  if (member.state == routing::member_state::joining) return member.is_alive ? "joining" : "awaited";
  const std::string word = member.is_alive ? "alive" : "down";
  return member.state == routing::member_state::leaving ? word + ", leaving" : word;
}

cell state_cell(const client::member_overview& member) {
  const bool is_on_its_way = member.state != routing::member_state::active;
  return {state_word(member), is_on_its_way ? tone::warning : member.is_alive ? tone::good : tone::bad};
}

cell leader_cell(const client::partition_overview& partition) {
  return partition.leader ? cell{*partition.leader} : cell{"none", tone::bad};
}

json name_or_null(const std::optional<std::string>& name) { return name ? json(*name) : json(nullptr); }

json lags_json(const client::partition_overview& partition) {
  json lag = json::object();
  for (const auto& replica : partition.replicas)
    lag[replica.node] = replica.state && replica.state->lag ? json(*replica.state->lag) : json(nullptr);
  return lag;
}

}  // namespace

std::string toned(std::string_view text, tone t, bool is_coloured) {
  static constexpr std::string_view codes[] = {"", "1", "32", "33", "31", "2"};
  if (!is_coloured || t == tone::plain || text.empty()) return std::string(text);
  return "\x1b[" + std::string(codes[static_cast<std::size_t>(t)]) + "m" + std::string(text) + "\x1b[0m";
}

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

verdict judge(const client::cluster_overview& overview) {
  const auto down = down_members(overview);
  const auto leaderless = partitions_without_leader(overview);
  const auto down_text = down.empty() ? std::string() : joined(down) + (down.size() == 1 ? " does" : " do") + " not answer";
  if (leaderless > 0)
    return {tone::bad, "impaired",
            "impaired: " + counted(leaderless, "partition") + (leaderless == 1 ? " has" : " have") + " no leader" +
                (down.empty() ? "" : "; " + down_text)};
  if (!down.empty()) return {tone::warning, "degraded", "degraded: " + down_text + "; every partition has a leader"};
  return {tone::good, "healthy", "healthy: every node answers and every partition has a leader"};
}

std::string cluster_tables(const client::cluster_overview& overview, bool is_coloured) {
  std::vector<std::vector<cell>> members{heading({"node", "address", "state", "leads", "holds"})};
  for (const auto& member : overview.members)
    members.push_back({{member.name}, {member.address}, state_cell(member), {number(member.partitions_led)}, {number(member.replicas)}});
  std::vector<std::vector<cell>> partitions{heading({"partition", "leader", "term", "committed", "replicas", "lag"})};
  for (const auto& partition : overview.partitions) {
    const auto* leading = partition.leading();
    std::string replicas;
    for (const auto& name : replica_names(partition)) replicas += (replicas.empty() ? "" : " ") + name;
    partitions.push_back({{number(partition.id)},
                          leader_cell(partition),
                          {number(partition.term)},
                          {leading ? number(leading->commit_index) : "?"},
                          {std::move(replicas)},
                          {lags(partition)}});
  }
  return table(members, is_coloured) + "\n" + table(partitions, is_coloured);
}

std::string status_lines(const client::cluster_overview& overview, bool is_coloured) {
  const auto down = down_members(overview);
  const auto leaderless = partitions_without_leader(overview);
  const auto alive = number(overview.members.size() - down.size()) + " of " + number(overview.members.size()) + " alive" +
                     (down.empty() ? "" : ", down: " + joined(down));
  return table({{{"answered by", tone::faint}, {overview.answered_by}},
                {{"cluster", tone::faint}, {overview.cluster_id}},
                {{"nodes", tone::faint}, {alive, down.empty() ? tone::plain : tone::bad}},
                {{"partitions", tone::faint},
                 {number(overview.partitions.size()) + ", " + number(leaderless) + " without a leader",
                  leaderless == 0 ? tone::plain : tone::bad}}},
               is_coloured);
}

std::string partition_table(const client::partition_overview& partition, bool is_coloured) {
  std::vector<std::vector<cell>> rows{heading({"replica", "role", "term", "committed", "applied", "lag"})};
  std::string descriptions;
  for (const auto& replica : partition.replicas) {
    if (!replica.state) {
      rows.push_back({{replica.node}, {"does not answer", tone::bad}});
      continue;
    }
    const auto& state = *replica.state;
    rows.push_back({{replica.node},
                    {std::string(client::role_name(state.role))},
                    {number(state.term)},
                    {number(state.commit_index)},
                    {number(state.applied_index)},
                    {state.lag ? number(*state.lag) : "?"}});
    descriptions += toned(replica.node, tone::heading, is_coloured) + ": " + state.description + "\n";
  }
  return table(rows, is_coloured) + descriptions;
}

void put_cluster(json& object, const client::cluster_overview& overview) {
  object["cluster_id"] = overview.cluster_id;
  object["node_id"] = overview.answered_by;
  json members = json::array();
  for (const auto& member : overview.members)
    members.push_back(
        {{"id", member.name}, {"address", member.address}, {"alive", member.is_alive}, {"leads", member.partitions_led},
         {"holds", member.replicas}, {"state", member.state == routing::member_state::joining   ? "joining"
                                               : member.state == routing::member_state::leaving ? "leaving"
                                                                                                : "active"}});
  object["members"] = std::move(members);
  json partitions = json::array();
  for (const auto& partition : overview.partitions) {
    const auto* leading = partition.leading();
    partitions.push_back({{"id", partition.id},
                          {"leader", name_or_null(partition.leader)},
                          {"term", partition.term},
                          {"replicas", replica_names(partition)},
                          {"commit_index", leading ? json(leading->commit_index) : json(nullptr)},
                          {"applied_index", leading ? json(leading->applied_index) : json(nullptr)},
                          {"lag", lags_json(partition)}});
  }
  object["partitions"] = std::move(partitions);
}

void put_status(json& object, const client::cluster_overview& overview) {
  const auto opinion = judge(overview);
  object["node_id"] = overview.answered_by;
  object["cluster_id"] = overview.cluster_id;
  object["nodes"] = overview.members.size();
  object["nodes_alive"] = overview.members.size() - down_members(overview).size();
  object["partitions"] = overview.partitions.size();
  object["partitions_without_leader"] = partitions_without_leader(overview);
  object["health"] = opinion.word;
  object["verdict"] = opinion.text;
}

void put_partition(json& object, const client::partition_overview& partition) {
  object["partition"] = partition.id;
  object["leader"] = name_or_null(partition.leader);
  object["term"] = partition.term;
  json replicas = json::array();
  for (const auto& replica : partition.replicas) {
    json row{{"node", replica.node}, {"answered", replica.state.has_value()}};
    if (replica.state) {
      row["role"] = client::role_name(replica.state->role);
      row["term"] = replica.state->term;
      row["commit_index"] = replica.state->commit_index;
      row["applied_index"] = replica.state->applied_index;
      row["lag"] = replica.state->lag ? json(*replica.state->lag) : json(nullptr);
      row["description"] = replica.state->description;
    }
    replicas.push_back(std::move(row));
  }
  object["replicas"] = std::move(replicas);
}

}  // namespace kahuna::cli
