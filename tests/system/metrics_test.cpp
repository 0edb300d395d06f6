// /metrics: what a node says of itself is well-formed, there from the start, and true.
#define CAF_SUITE system_metrics
#include "caf/test/unit_test.hpp"

#include <future>

#include "client/client.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/metrics_page.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

client::client connect_to(const std::string& endpoint) {
  auto connected = client::client::connect({.endpoints = {endpoint}});
  CAF_REQUIRE(connected.has_value());
  return std::move(*connected);
}

// Over all nodes: which of them a client asks is the leaders' matter.
double sum(const cluster& nodes, const std::string& name, const std::vector<std::string>& labels = {}) {
  double total = 0;
  for (int node = 1; node <= nodes.size(); ++node) total += read_metrics(nodes.http_port(node)).sum(name, labels);
  return total;
}

}  // namespace

CAF_TEST(what was asked is counted by kind and durability and result) {
  cluster nodes;
  nodes.start_all_and_wait();
  auto kahuna = connect_to(nodes.endpoint(1));
  const auto answered = [&](const std::string& operation, const std::string& durability, const std::string& result) {
    return sum(nodes, "kahuna_operations_total",
               {"operation=\"" + operation + "\"", "durability=\"" + durability + "\"", "result=\"" + result + "\""});
  };
  for (int i = 0; i < 30; ++i) CAF_REQUIRE(kahuna.set({.key = "m/" + std::to_string(i), .value = "v"}).has_value());
  for (int i = 0; i < 7; ++i) CAF_REQUIRE(kahuna.set({.key = "m/1", .value = "v", .if_absent = true}).has_value());
  for (int i = 0; i < 5; ++i)
    CAF_REQUIRE(kahuna.set({.key = "e/" + std::to_string(i), .value = "v", .space = kv::durability::ephemeral}).has_value());
  for (int i = 0; i < 4; ++i) CAF_REQUIRE(kahuna.get({.key = "m/1"}).has_value());
  for (int i = 0; i < 3; ++i) CAF_REQUIRE(kahuna.get({.key = "not/there"}).has_value());
  CAF_REQUIRE(kahuna.get_by_bucket("m").has_value());

  CAF_CHECK_EQUAL(answered("set", "persistent", "done"), 30.0);
  CAF_CHECK_EQUAL(answered("set", "persistent", "not_done"), 7.0);
  CAF_CHECK_EQUAL(answered("set", "ephemeral", "done"), 5.0);
  CAF_CHECK_EQUAL(answered("get", "persistent", "done"), 4.0);
  CAF_CHECK_EQUAL(answered("get", "persistent", "not_done"), 3.0);
  CAF_CHECK_EQUAL(answered("get_by_bucket", "persistent", "done"), 1.0);

  // Each answered operation is in its histogram, and no write took no time.
  CAF_CHECK_EQUAL(sum(nodes, "kahuna_operation_seconds_count", {"operation=\"set\"", "durability=\"persistent\""}), 37.0);
  CAF_CHECK_EQUAL(sum(nodes, "kahuna_operation_seconds_bucket", {"operation=\"get\"", "durability=\"persistent\"", "le=\"+Inf\""}), 7.0);
  CAF_CHECK_GREATER(sum(nodes, "kahuna_operation_seconds_sum", {"operation=\"set\"", "durability=\"persistent\""}), 30 * 20e-6);

  // 30 sets one after the other are 30 syncs on a majority at least.
  CAF_CHECK_GREATER_OR_EQUAL(sum(nodes, "kahuna_log_sync_seconds_count"), 60.0);
  CAF_CHECK_GREATER_OR_EQUAL(sum(nodes, "kahuna_raft_append_entries_sum"), 30.0);
  CAF_CHECK_EQUAL(sum(nodes, "kahuna_ephemeral_keys"), 5.0);
  CAF_CHECK_GREATER(sum(nodes, "kahuna_ephemeral_bytes"), 0.0);
  CAF_CHECK_GREATER(sum(nodes, "kahuna_cache_hits_total"), 0.0);
  CAF_CHECK_GREATER(sum(nodes, "kahuna_disk_bytes", {"store=\"log\""}), 0.0);
  CAF_CHECK_GREATER(sum(nodes, "kahuna_mailbox_depth_count", {"actor=\"raft_peer\""}), 0.0);
  CAF_CHECK_GREATER(sum(nodes, "process_resident_memory_bytes"), 3e6);
  CAF_CHECK_GREATER(sum(nodes, "process_open_fds"), 30.0);
}

CAF_TEST(the page is well formed and shows the replicas of the node) {
  cluster nodes;
  nodes.start_all_and_wait();
  auto kahuna = connect_to(nodes.endpoint(1));
  CAF_REQUIRE(kahuna.set({.key = "k", .value = "v"}).has_value());
  for (int node = 1; node <= 3; ++node) {
    const auto page = read_metrics(nodes.http_port(node));
    CAF_CHECK(page.defects.empty());
    for (const auto& defect : page.defects) CAF_MESSAGE(defect);
    for (const auto& [family, type] : page.types) CAF_CHECK(page.helped.contains(family) && (type == "counter" || type == "gauge" || type == "histogram"));
    CAF_CHECK_EQUAL(page.sum("kahuna_raft_has_leader"), 16.0);
    CAF_CHECK_EQUAL(page.sum("kahuna_peer_alive"), 3.0);
    CAF_CHECK_EQUAL(page.sum("kahuna_connections", {"role=\"node\""}), 2.0);
  }
  CAF_CHECK_EQUAL(sum(nodes, "kahuna_raft_is_leader"), 16.0);
  CAF_CHECK_EQUAL(sum(nodes, "kahuna_connections", {"role=\"client\""}), 3.0);
}

CAF_TEST(transactions that ended are counted and who waits for them is seen) {
  cluster nodes;
  nodes.start_all_and_wait();
  auto kahuna = connect_to(nodes.endpoint(1));
  auto other = connect_to(nodes.endpoint(2));
  {
    auto t = kahuna.begin();
    CAF_REQUIRE(t.has_value());
    CAF_REQUIRE(t->set({.key = "k", .value = "v"}).has_value());
    auto waits = std::async(std::launch::async, [&] { return other.set({.key = "k", .value = "w"}).has_value(); });
    CAF_CHECK(eventually(milliseconds(5'000), [&] { return sum(nodes, "kahuna_lock_waiters") == 1; }));
    CAF_CHECK_EQUAL(sum(nodes, "kahuna_lock_holders"), 1.0);
    CAF_CHECK(t->commit().has_value());
    CAF_CHECK(waits.get());
  }
  auto rolled_back = kahuna.begin();
  CAF_REQUIRE(rolled_back.has_value());
  CAF_REQUIRE(rolled_back->set({.key = "k", .value = "x"}).has_value());
  CAF_CHECK(!rolled_back->rollback());
  CAF_CHECK(eventually(milliseconds(5'000), [&] {
    return sum(nodes, "kahuna_transactions_total", {"result=\"committed\""}) == 1 &&
           sum(nodes, "kahuna_transactions_total", {"result=\"aborted\""}) == 1 && sum(nodes, "kahuna_lock_holders") == 0;
  }));
}

CAF_TEST(a lost node shows in the figures that the operator is told to watch) {
  cluster nodes;
  nodes.start_all_and_wait();
  auto kahuna = connect_to(nodes.endpoint(1));
  // Only a node that leads something is missed as a leader: one that was late to the elections gets its share soon.
  CAF_REQUIRE(eventually(milliseconds(20'000), [&] { return read_metrics(nodes.http_port(3)).sum("kahuna_raft_is_leader") > 0; }));
  const double changes = read_metrics(nodes.http_port(1)).sum("kahuna_leader_changes_total");
  nodes.kill(3);
  // A write to every partition, so that the lost follower falls behind each leader.
  for (int i = 0; i < 200; ++i) CAF_REQUIRE(kahuna.set({.key = "k" + std::to_string(i), .value = "v"}).has_value());
  CAF_CHECK(eventually(milliseconds(10'000), [&] {
    const auto page = read_metrics(nodes.http_port(1));
    return page.sum("kahuna_peer_alive", {"node=\"n3\""}) == 0 && page.sum("kahuna_peer_alive") == 2 &&
           page.sum("kahuna_raft_has_leader") == 16 && page.sum("kahuna_leader_changes_total") > changes &&
           page.sum("kahuna_raft_follower_lag_entries", {"follower=\"n3\""}) > 0;
  }));
  nodes.start_all_and_wait();
  CAF_CHECK(eventually(milliseconds(10'000), [&] {
    double lag = 0;
    for (int node = 1; node <= 3; ++node) lag += read_metrics(nodes.http_port(node)).sum("kahuna_raft_follower_lag_entries");
    return lag == 0 && read_metrics(nodes.http_port(1)).sum("kahuna_peer_alive") == 3;
  }));
}
