// How the operators' answers look: tables for people, JSON for programs. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>
#include <vector>

#include "client/cluster_overview.hpp"

namespace kahuna::cli {

// What a cell or line is about, for colours.
enum class tone { plain, heading, good, warning, bad, faint };

// The text in its tone: the colours of ANSI terminals, where `is_coloured`.
std::string toned(std::string_view text, tone t, bool is_coloured);

// Columns of what a terminal shows, not of bytes: UTF-8 sequences count one each.
std::size_t columns_of(std::string_view text);

// Whether the cluster serves, in one line, and how bad it is.
struct verdict {
  tone severity = tone::good;
  std::string word;  // "healthy", "degraded" (a node is down), "impaired" (a partition has no leader)
  std::string text;  // the line, which begins with the word
};
verdict judge(const client::cluster_overview& overview);

// Lines without the closing one, which carries the time.
std::string cluster_tables(const client::cluster_overview& overview, bool is_coloured);
std::string status_lines(const client::cluster_overview& overview, bool is_coloured);
// Requires that there is such a partition.
std::string partition_table(const client::partition_overview& partition, bool is_coloured);

// Put the answer's fields behind those that are there: /v1/cluster's, and a `lag` by replica for each partition.
void put_cluster(nlohmann::ordered_json& object, const client::cluster_overview& overview);
void put_status(nlohmann::ordered_json& object, const client::cluster_overview& overview);
void put_partition(nlohmann::ordered_json& object, const client::partition_overview& partition);

}  // namespace kahuna::cli
