// Prints how long a cluster of three is without service when the leader's process is killed (kill -9), and beside it the same of etcd where
// that is installed, in turns on the same machine. `scripts/failover` builds and runs it.
//
//   measure_failover [ROUNDS]      20 unless given
//
// Kahuna: from the kill of the node that leads most partitions until every partition has acknowledged a write that was asked for after the
// kill. etcd: from the kill of its leader until a write that was asked for after the kill is acknowledged, by whichever survivor answers first.
// Each at its own default timing: heartbeats 50 ms and elections after 300 to 600 ms, against 100 ms and 1000 to 2000 ms.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/base/check.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/partition_probe.hpp"
#include "tests/support/socket.hpp"

using namespace kahuna::testing;

namespace {

constexpr milliseconds patience(30'000);

class etcd_cluster {
 public:
  static constexpr const char* program = "/usr/bin/etcd";
  static constexpr int nodes = 3;

  etcd_cluster() {
    for (auto& m : members_) m = {free_port(), free_port(), {}};
    for (int i = 0; i < nodes; ++i) start(i);
    KAHUNA_CHECK(eventually(patience, [&] { return leader() >= 0; }), "etcd has no leader");
  }

  void start(int i) {
    const auto url = [](int port) { return "http://127.0.0.1:" + std::to_string(port); };
    std::string all;
    for (int other = 0; other < nodes; ++other)
      all += (all.empty() ? "" : ",") + ("m" + std::to_string(other)) + "=" + url(members_[other].peer_port);
    auto& m = members_[i];
    const auto name = "m" + std::to_string(i);
    m.running.emplace(std::vector<std::string>{program, "--name", name, "--data-dir", (directory_.path() / name).string(), "--listen-client-urls",
                                               url(m.port), "--advertise-client-urls", url(m.port), "--listen-peer-urls", url(m.peer_port),
                                               "--initial-advertise-peer-urls", url(m.peer_port), "--initial-cluster", all, "--log-level", "error"},
                      process_files{});
  }

  void kill(int i) {
    members_[i].running->send(SIGKILL);
    members_[i].running->wait(patience);
    members_[i].running.reset();
  }

  // -1: nobody says that it leads.
  int leader() {
    for (int i = 0; i < nodes; ++i) {
      const auto status = ask(i, "/v3/maintenance/status", "{}", milliseconds(1'000));
      if (status.is_object() && status.contains("leader") && status["leader"] == status["header"]["member_id"]) return i;
    }
    return -1;
  }

  bool put(int i, milliseconds time) { return ask(i, "/v3/kv/put", R"({"key":"aw==","value":"dg=="})", time).contains("header"); }

  // When the first survivor has acknowledged a write.
  steady_clock::time_point wait_until_written(int without) {
    std::mutex mutex;
    std::optional<steady_clock::time_point> first;
    std::vector<std::thread> askers;
    for (int i = 0; i < nodes; ++i)
      if (i != without)
        askers.emplace_back([&, i] {
          const auto is_done = [&] {
            const std::lock_guard lock(mutex);
            return first.has_value();
          };
          while (!is_done()) {
            // What was on its way to the old leader is lost to etcd, and its client finds out by a timeout: a short one here.
            if (put(i, milliseconds(100))) {
              const std::lock_guard lock(mutex);
              if (!first) first = steady_clock::now();
            } else {
              pause_briefly();
            }
          }
        });
    for (auto& asker : askers) asker.join();
    return *first;
  }

  bool is_whole() {
    for (int i = 0; i < nodes; ++i)
      if (!put(i, milliseconds(3'000))) return false;
    return leader() >= 0;
  }

 private:
  struct member {
    int port = 0;
    int peer_port = 0;
    std::optional<process> running;
  };

  nlohmann::json ask(int i, const std::string& path, const std::string& body, milliseconds time) {
    tcp_socket connection(members_[i].port);
    if (!connection.is_open()) return {};
    const bool is_sent = connection.send("POST " + path + " HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
                                         std::to_string(body.size()) + "\r\n\r\n" + body);
    if (!is_sent) return {};
    const auto answer = connection.receive_all(time);
    const auto at = answer.find("\r\n\r\n");
    if (!answer.starts_with("HTTP/1.0 200") || at == std::string::npos) return {};
    const auto json = nlohmann::json::parse(answer.substr(at + 4), nullptr, false);
    return json.is_object() ? json : nlohmann::json();
  }

  temporary_directory directory_;
  std::array<member, nodes> members_;
};

double measure_kahuna(cluster& nodes, partition_probe& probe) {
  const int victim = nodes.busiest_leader();
  const auto killed_at = steady_clock::now();
  nodes.kill(victim);
  const auto served_at = probe.wait_until_all_serve(patience);
  KAHUNA_CHECK(served_at.has_value(), "a partition does not serve again");
  nodes.start_all_and_wait();
  const auto lacking = nodes.wait_until_caught_up(victim, patience);
  KAHUNA_CHECK(!lacking, *lacking);
  // Leaders spread again: a node that leads nothing would be no victim worth its name.
  eventually(milliseconds(10'000), [&] {
    const auto seen = nodes.view(victim);
    return seen && seen->led().size() == 3;
  });
  return elapsed_ms(killed_at, *served_at);
}

double measure_etcd(etcd_cluster& etcd) {
  const int victim = etcd.leader();
  KAHUNA_CHECK(victim >= 0);
  const auto killed_at = steady_clock::now();
  etcd.kill(victim);
  const auto served_at = etcd.wait_until_written(victim);
  etcd.start(victim);
  KAHUNA_CHECK(eventually(patience, [&] { return etcd.is_whole(); }), "etcd does not come together again");
  return elapsed_ms(killed_at, served_at);
}

void tell(const char* name, std::vector<double> times_ms) {
  std::sort(times_ms.begin(), times_ms.end());
  std::printf("%-7s %zu times: median %.0f ms, 90th percentile %.0f ms, least %.0f ms, most %.0f ms\n", name, times_ms.size(),
              times_ms[times_ms.size() / 2], times_ms[times_ms.size() * 9 / 10], times_ms.front(), times_ms.back());
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  if (rounds < 1) {
    std::fprintf(stderr, "usage: measure_failover [ROUNDS]\n");
    return 2;
  }
  cluster nodes;
  nodes.start_all_and_wait();
  partition_probe probe(nodes.endpoints());
  std::optional<etcd_cluster> etcd;
  if (std::filesystem::exists(etcd_cluster::program)) etcd.emplace();
  std::vector<double> kahuna_ms, etcd_ms;
  for (int round = 0; round < rounds; ++round) {
    kahuna_ms.push_back(measure_kahuna(nodes, probe));
    if (etcd) etcd_ms.push_back(measure_etcd(*etcd));
    std::printf("round %d: kahuna %.0f ms", round + 1, kahuna_ms.back());
    if (etcd) std::printf(", etcd %.0f ms", etcd_ms.back());
    std::printf("\n");
    std::fflush(stdout);
  }
  tell("kahuna", kahuna_ms);
  if (etcd)
    tell("etcd", etcd_ms);
  else
    std::printf("etcd is not installed: nothing beside\n");
  return 0;
}
