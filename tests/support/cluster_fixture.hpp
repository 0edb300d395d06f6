// A cluster of real kahuna-node processes, on loopback or in a network of their own.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/network_lab.hpp"
#include "tests/support/process.hpp"

namespace kahuna::testing {

// The paths of the programs under test.
std::string node_program();
std::string cli_program();

struct cluster_options {
  int nodes = 3;
  std::vector<std::string> node_arguments = {};  // further ones, the same for every node
  std::shared_ptr<network_lab> network = nullptr;  // the nodes are there; nothing: on loopback
};

// What /v1/cluster says of a partition.
struct partition_view {
  std::uint32_t id = 0;
  std::string leader;  // "" where none is known
  std::uint64_t term = 0;
  std::uint64_t commit_index = 0;
  std::uint64_t applied_index = 0;
  bool is_hosted = true;  // by the node that says so; otherwise it knows no indexes
};

// What a node says of the cluster.
struct cluster_view {
  std::string node_id;
  std::map<std::string, bool> alive;  // by member
  std::vector<partition_view> partitions;

  // How many partitions it thinks that each member leads.
  std::map<std::string, int> led() const;
  bool has_leader_everywhere() const;
};

// Nodes are numbered from 1, as their names are: node 1 is n1.
class cluster {
 public:
  explicit cluster(cluster_options options = {});

  // Founders, and those that were added since.
  int size() const { return static_cast<int>(members_.size()); }
  // A node that is none yet: it will be started with --join, asking one that runs. Its number.
  int add_node();
  // What this node is given besides, from its next start on.
  void set_arguments(int node, std::vector<std::string> further) { at(node).arguments = std::move(further); }
  std::string node_name(int node) const { return "n" + std::to_string(node); }
  int node_number(const std::string& name) const { return std::stoi(name.substr(1)); }
  std::string host(int node) const { return options_.network ? options_.network->address(node) : "127.0.0.1"; }
  std::string endpoint(int node) const;
  std::vector<std::string> endpoints() const;
  std::string initial_cluster() const;
  int port(int node) const { return at(node).port; }
  int http_port(int node) const { return at(node).http_port; }
  std::filesystem::path data_directory(int node) const;
  // What the node wrote to standard error, over all its lives.
  std::string log(int node) const;

  // What starts this node, program and arguments.
  std::vector<std::string> command(int node);

  // Starts a node that is not running, on the data that it has.
  void start(int node);
  void start_all();
  // Starts all that is down, waits until every node is ready, and fails the test where that takes longer than 30 s.
  void start_all_and_wait();

  bool is_running(int node);
  pid_t process_id(int node) const;

  // kill -9, and its end awaited.
  void kill(int node);
  // kill -9 of all that run, as close together as it goes.
  void kill_all();
  // SIGTERM; how it ended, if it did so within `patience`.
  std::optional<exit_state> stop(int node, milliseconds patience = milliseconds(5000));
  // How a node that ends by itself did, if it does within `patience`.
  std::optional<exit_state> wait_for_end(int node, milliseconds patience);
  void pause(int node);   // SIGSTOP
  void resume(int node);  // SIGCONT

  bool is_ready(int node) const;
  // Whether every running node is ready within `patience`.
  bool wait_ready(milliseconds patience);

  // The node's own view; nothing where it does not answer.
  std::optional<cluster_view> view(int node) const;
  // The running node that leads most partitions, by the views of those that answer.
  int busiest_leader();
  // The running node that leads fewest partitions: what it is asked it mostly passes on.
  int least_leader();

  // Waits until a node has applied all that the others have committed now. What they commit from here on does not count: a
  // follower hears of a commit with the next append, so under load it is always an entry or two behind. Nothing where it has; else
  // what it lacks, in words.
  std::optional<std::string> wait_until_caught_up(int node, milliseconds patience);

  // kahuna-cli on these arguments, connected to `node`.
  run_result run_cli(int node, std::vector<std::string> arguments, const std::string& input = "") const;

 private:
  using index_by_partition = std::map<std::uint32_t, std::uint64_t>;

  struct member {
    int port = 0;
    int http_port = 0;
    bool is_founder = true;
    std::vector<std::string> arguments = {};
    std::optional<process> running;
  };

  const member& at(int node) const;
  member& at(int node);
  // What the running nodes but this one have committed; nothing where one does not answer.
  std::optional<index_by_partition> committed_beside(int node);
  // How many partitions each running node that answers leads, as it sees itself.
  std::map<int, int> led_by_node();

  cluster_options options_;
  temporary_directory directory_;
  std::vector<member> members_;
};

}  // namespace kahuna::testing
