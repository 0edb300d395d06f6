#include "tests/support/cluster_fixture.hpp"

#include <signal.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/check.hpp"
#include "tests/support/socket.hpp"

namespace kahuna::testing {

std::string node_program() { return std::string(KAHUNA_BIN_DIR) + "/kahuna-node"; }
std::string cli_program() { return std::string(KAHUNA_BIN_DIR) + "/kahuna-cli"; }

std::map<std::string, int> cluster_view::led() const {
  std::map<std::string, int> counts;
  for (const auto& partition : partitions)
    if (!partition.leader.empty()) ++counts[partition.leader];
  return counts;
}

bool cluster_view::has_leader_everywhere() const {
  return !partitions.empty() && std::none_of(partitions.begin(), partitions.end(), [](const auto& p) { return p.leader.empty(); });
}

cluster::cluster(cluster_options options) : options_(std::move(options)) {
  for (int node = 1; node <= options_.nodes; ++node) {
    members_.emplace_back();
    members_.back().port = free_port();
    members_.back().http_port = free_port();
  }
}

const cluster::member& cluster::at(int node) const { return members_.at(static_cast<std::size_t>(node - 1)); }
cluster::member& cluster::at(int node) { return members_.at(static_cast<std::size_t>(node - 1)); }

std::string cluster::endpoint(int node) const { return host(node) + ':' + std::to_string(at(node).port); }

std::vector<std::string> cluster::endpoints() const {
  std::vector<std::string> all;
  for (int node = 1; node <= size(); ++node) all.push_back(endpoint(node));
  return all;
}

int cluster::add_node() {
  members_.emplace_back();
  members_.back().port = free_port();
  members_.back().http_port = free_port();
  members_.back().is_founder = false;
  return size();
}

std::string cluster::initial_cluster() const {
  std::string text;
  for (int node = 1; node <= options_.nodes; ++node)
    text += (text.empty() ? "" : ",") + node_name(node) + "=" + endpoint(node);
  return text;
}

std::filesystem::path cluster::data_directory(int node) const { return directory_.path() / node_name(node); }

std::string cluster::log(int node) const { return read_file(directory_.path() / (node_name(node) + ".log")); }

std::vector<std::string> cluster::command(int node) {
  std::vector<std::string> words{node_program(),
                                 "--node-id", node_name(node),
                                 "--listen", endpoint(node),
                                 "--http", host(node) + ':' + std::to_string(http_port(node)),
                                 "--data-dir", data_directory(node).string(),
                                 // Both ways of running partitions, whatever machine this is.
                                 "--partition-threads", node % 2 == 0 ? "2" : "0"};
  if (at(node).is_founder) {
    words.insert(words.end(), {"--initial-cluster", initial_cluster()});
  } else {
    int running = 1;
    while (running < size() && (running == node || !is_running(running))) ++running;
    words.insert(words.end(), {"--join", endpoint(running)});
  }
  words.insert(words.end(), at(node).arguments.begin(), at(node).arguments.end());
  words.insert(words.end(), options_.node_arguments.begin(), options_.node_arguments.end());
  if (options_.network) {
    const auto prefix = options_.network->prefix(node);
    words.insert(words.begin(), prefix.begin(), prefix.end());
  }
  return words;
}

void cluster::start(int node) {
  KAHUNA_CHECK(!is_running(node), node);
  const auto log = directory_.path() / (node_name(node) + ".log");
  at(node).running.emplace(command(node), process_files{{}, log, log});
}

void cluster::start_all() {
  for (int node = 1; node <= size(); ++node)
    if (!is_running(node)) start(node);
}

void cluster::start_all_and_wait() {
  start_all();
  if (wait_ready(std::chrono::seconds(30))) return;
  std::string logs;
  for (int node = 1; node <= size(); ++node) {
    const auto log = this->log(node);
    logs += "\n--- " + node_name(node) + (is_ready(node) ? " (ready)" : is_running(node) ? " (not ready)" : " (ended)") + ", its last words:\n" +
            log.substr(log.size() - std::min<std::size_t>(log.size(), 2000));
  }
  KAHUNA_CHECK(false, "the cluster is not ready after 30 s", logs);
}

bool cluster::is_running(int node) { return at(node).running && at(node).running->is_running(); }

pid_t cluster::process_id(int node) const {
  KAHUNA_CHECK(at(node).running.has_value(), node);
  return at(node).running->id();
}

void cluster::kill(int node) {
  KAHUNA_CHECK(is_running(node), node, log(node));
  at(node).running->send(SIGKILL);
  KAHUNA_CHECK(at(node).running->wait(milliseconds(10'000)).has_value(), node);
}

void cluster::kill_all() {
  std::vector<int> victims;
  for (int node = 1; node <= size(); ++node)
    if (is_running(node)) victims.push_back(node);
  for (const int node : victims) at(node).running->send(SIGKILL);
  for (const int node : victims) KAHUNA_CHECK(at(node).running->wait(milliseconds(10'000)).has_value(), node);
}

std::optional<exit_state> cluster::stop(int node, milliseconds patience) {
  KAHUNA_CHECK(is_running(node), node, log(node));
  at(node).running->send(SIGTERM);
  return at(node).running->wait(patience);
}

std::optional<exit_state> cluster::wait_for_end(int node, milliseconds patience) {
  KAHUNA_CHECK(at(node).running.has_value(), node);
  return at(node).running->wait(patience);
}

void cluster::pause(int node) {
  KAHUNA_CHECK(is_running(node), node, log(node));
  at(node).running->send(SIGSTOP);
}

void cluster::resume(int node) {
  KAHUNA_CHECK(is_running(node), node, log(node));
  at(node).running->send(SIGCONT);
}

bool cluster::is_ready(int node) const {
  const auto answer = http_get(http_port(node), "/ready", milliseconds(2000), host(node));
  return answer && answer->status == 200;
}

bool cluster::wait_ready(milliseconds patience) {
  return eventually(
      patience,
      [&] {
        for (int node = 1; node <= size(); ++node)
          if (is_running(node) && !is_ready(node)) return false;
        return true;
      },
      milliseconds(20));
}

std::optional<cluster_view> cluster::view(int node) const {
  const auto answer = http_get(http_port(node), "/v1/cluster", milliseconds(2000), host(node));
  if (!answer || answer->status != 200) return std::nullopt;
  const auto json = nlohmann::json::parse(answer->body, nullptr, false);
  KAHUNA_CHECK(json.is_object(), "not an object:", answer->body);
  cluster_view view;
  view.node_id = json.at("node_id").get<std::string>();
  for (const auto& member : json.at("members")) view.alive[member.at("id").get<std::string>()] = member.at("alive").get<bool>();
  for (const auto& partition : json.at("partitions")) {
    const auto& leader = partition.at("leader");
    const auto index = [&](const char* name) { return partition.at(name).is_null() ? std::uint64_t{0} : partition.at(name).get<std::uint64_t>(); };
    view.partitions.push_back({partition.at("id").get<std::uint32_t>(), leader.is_null() ? "" : leader.get<std::string>(),
                               partition.at("term").get<std::uint64_t>(), index("commit_index"), index("applied_index"),
                               !partition.at("commit_index").is_null()});
  }
  return view;
}

std::map<int, int> cluster::led_by_node() {
  std::map<int, int> counts;
  for (int node = 1; node <= size(); ++node) {
    // A node knows best what it leads itself.
    const auto seen = is_running(node) ? view(node) : std::nullopt;
    if (!seen) continue;
    const auto led = seen->led();
    const auto own = led.find(node_name(node));
    counts[node] = own == led.end() ? 0 : own->second;
  }
  KAHUNA_CHECK(!counts.empty(), "no node answers");
  return counts;
}

int cluster::busiest_leader() {
  const auto counts = led_by_node();
  return std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; })->first;
}

int cluster::least_leader() {
  const auto counts = led_by_node();
  return std::min_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; })->first;
}

std::optional<cluster::index_by_partition> cluster::committed_beside(int node) {
  index_by_partition committed;
  for (int other = 1; other <= size(); ++other) {
    if (other == node || !is_running(other)) continue;
    const auto seen = view(other);
    if (!seen) return std::nullopt;
    for (const auto& partition : seen->partitions)
      committed[partition.id] = std::max(committed[partition.id], partition.commit_index);
  }
  return committed;
}

std::optional<std::string> cluster::wait_until_caught_up(int node, milliseconds patience) {
  std::optional<index_by_partition> goal;
  std::string lacking;
  std::set<std::uint32_t> behind;
  const auto has_all = [&] {
    behind.clear();
    if (!goal) goal = committed_beside(node);
    const auto own = goal ? view(node) : std::nullopt;
    if (!own) {
      lacking = goal ? node_name(node) + " does not answer" : "another node does not answer";
      return false;
    }
    lacking.clear();
    for (const auto& partition : own->partitions) {
      if (!partition.is_hosted || partition.applied_index >= (*goal)[partition.id]) continue;
      behind.insert(partition.id);
      lacking += "\npartition " + std::to_string(partition.id) + ": others had committed " + std::to_string((*goal)[partition.id]) +
                 "; here committed " + std::to_string(partition.commit_index) + ", applied " + std::to_string(partition.applied_index) +
                 ", leader '" + partition.leader + "' of term " + std::to_string(partition.term);
    }
    return lacking.empty();
  };
  if (eventually(patience, has_all, milliseconds(50))) return std::nullopt;
  for (const auto partition : behind)
    lacking += '\n' + run_cli(node, {"--describe-partition", std::to_string(partition)}).output;
  return lacking + "\n--- what " + node_name(node) + " said:\n" + log(node);
}

run_result cluster::run_cli(int node, std::vector<std::string> arguments, const std::string& input) const {
  std::vector<std::string> command{cli_program(), "--connect", endpoint(node)};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run(command, input);
}

}  // namespace kahuna::testing
