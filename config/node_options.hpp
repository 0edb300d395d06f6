// What a node is told when it starts: command line, environment and file, read and checked (contract §4).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/errc.hpp"

namespace kahuna::config {

struct endpoint {
  std::string host;  // a name or an address, without brackets
  std::uint16_t port = 0;

  // HOST:PORT, an IPv6 address in brackets.
  std::string text() const;

  friend bool operator==(const endpoint&, const endpoint&) = default;
};

// Error: invalid_argument. A port is 1 to 65535.
result<endpoint> parse_endpoint(std::string_view text);

enum class read_mode : unsigned char { lease, read_index };
enum class log_format : unsigned char { text, json };

struct node_options {
  std::string node_id = "n1";
  endpoint listen{"127.0.0.1", 4870};
  std::optional<endpoint> http = endpoint{"127.0.0.1", 4871};
  std::string data_dir = "./kahuna-data";
  std::vector<std::pair<std::string, std::string>> initial_members;  // name, address
  bool is_initial_cluster_given = false;                             // otherwise initial_members is this node alone
  std::uint32_t partitions = 16;
  std::uint32_t replication_factor = 0;  // 0: 3, or the number of members where fewer
  std::uint32_t heartbeat_interval_ms = 50;
  std::uint32_t election_timeout_ms = 300;
  config::read_mode read_mode = config::read_mode::lease;
  std::size_t max_value_size = 1 << 20;  // bytes
  std::uint64_t history_max_revisions = 0;
  std::uint64_t history_max_age_ms = 0;
  std::size_t ephemeral_max_bytes = 256 << 20;
  std::optional<std::uint32_t> partition_threads;  // 0: none of their own; nothing: by the number of cores
  std::optional<endpoint> join;  // of a member of a cluster that runs
  bool rejoin = false;
  std::string zone;              // "": none
  std::string log_level = "info";
  config::log_format log_format = config::log_format::text;
};

// What --help and --version print.
struct information {
  std::string text;
};

// The command line wins, then the environment (`KAHUNA_DATA_DIR=…`), then the file of --config (`data-dir = …`). Variables
// of the environment that start with KAHUNA_ and name no option are left alone: they may be another program's.
// Error: invalid_argument, one line that names what is wrong, where it stands, and what is right.
result<std::variant<information, node_options>> load_node_options(int argc, const char* const* argv, const char* const* environment);

}  // namespace kahuna::config
