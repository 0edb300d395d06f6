// Expiry: exact at every read, the same through every node and after a failover; and what is collected behind it.
#define CAF_SUITE system_expiry
#include "caf/test/unit_test.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <thread>

#include "client/client.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/metrics_page.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

client::client connect_to(std::vector<std::string> endpoints) {
  auto connected = client::client::connect({.endpoints = std::move(endpoints), .timeout = std::chrono::milliseconds(20'000)});
  CAF_REQUIRE(connected.has_value());
  return std::move(*connected);
}

// What the call must have come to.
template <class T>
T must(result<T> answered) {
  CAF_REQUIRE(answered.has_value());
  return std::move(*answered);
}

kv::set_request expiring(const std::string& key, std::int64_t expires_ms, kv::durability space = kv::durability::persistent) {
  kv::set_request set;
  set.key = key;
  set.value = "v";
  set.expires_ms = expires_ms;
  set.space = space;
  return set;
}

std::uint64_t wall_ms() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

void fill(client::client& connection, int keys, std::int64_t expires_ms) {
  std::mutex mutex;
  std::condition_variable changed;
  int under_way = 0, failed = 0;
  for (int i = 0; i < keys; ++i) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return under_way < 1000; });
    ++under_way;
    lock.unlock();
    connection.submit(expiring("m/" + std::to_string(i % 100) + "/" + std::to_string(i), expires_ms), [&](kv::operation_response response) {
      std::lock_guard guard(mutex);
      if (std::holds_alternative<error>(response)) ++failed;
      --under_way;
      changed.notify_all();
    });
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return under_way == 0; });
  CAF_REQUIRE_EQUAL(failed, 0);
}

double metric(const cluster& nodes, int node, const std::string& name, const std::vector<std::string>& labels = {}) {
  return read_metrics(nodes.http_port(node)).sum(name, labels);
}

}  // namespace

CAF_TEST(a key is there until its moment and not behind it) {
  cluster nodes({.nodes = 1, .node_arguments = {}});
  nodes.start_all_and_wait();
  auto connection = connect_to(nodes.endpoints());
  for (const auto space : {kv::durability::persistent, kv::durability::ephemeral}) {
    int live = 0, gone = 0;
    for (int i = 0; i < 20; ++i) {
      const auto key = "exact/" + std::to_string(i);
      const auto before = wall_ms();
      CAF_REQUIRE(connection.set(expiring(key, 60, space)).has_value());
      const auto after = wall_ms();
      for (bool is_there = true; is_there;) {
        const auto asked = wall_ms();
        const auto answer = connection.exists({key, space});
        const auto answered = wall_ms();
        CAF_REQUIRE(answer.has_value());
        is_there = answer->is_found;
        // The leader's clock is this machine's. What was asked behind the last moment must not find it, what was answered
        // before the first must.
        if (asked > after + 60) CAF_CHECK(!answer->is_found);
        if (answered < before + 60) CAF_CHECK(answer->is_found);
        answer->is_found ? ++live : ++gone;
        if (answer->is_found) {
          CAF_CHECK_GREATER_OR_EQUAL(answer->expires_at_ms, before + 60);
          CAF_CHECK_LESS_OR_EQUAL(answer->expires_at_ms, after + 60);
        }
      }
    }
    CAF_MESSAGE(live << " times there, " << gone << " times gone");
    CAF_CHECK_GREATER(live, 20);

    // Extending moves the moment, 0 removes it, and setting without one removes it too.
    for (const std::string key : {"longer", "for-ever", "set-again", "shorter"}) CAF_REQUIRE(connection.set(expiring(key, key == "shorter" ? 3'600'000 : 150, space)).has_value());
    CAF_CHECK(must(connection.extend({"longer", space, 3'600'000})).is_extended);
    CAF_CHECK(must(connection.extend({"for-ever", space, 0})).is_extended);
    CAF_CHECK(must(connection.extend({"shorter", space, 1})).is_extended);
    CAF_CHECK(must(connection.set(expiring("set-again", 0, space))).is_set);
    CAF_REQUIRE(connection.set(expiring("witness", 151, space)).has_value());
    CAF_REQUIRE(eventually(milliseconds(5000), [&] { return !must(connection.exists({"witness", space})).is_found; }));
    CAF_CHECK(must(connection.exists({"longer", space})).is_found);
    CAF_CHECK(must(connection.exists({"for-ever", space})).is_found);
    CAF_CHECK(must(connection.exists({"set-again", space})).is_found);
    CAF_CHECK_EQUAL(+must(connection.exists({"for-ever", space})).expires_at_ms, 0u);
    CAF_CHECK(!must(connection.exists({"shorter", space})).is_found);
  }
}

CAF_TEST(what one reader saw expired nobody sees live again whoever leads) {
  cluster nodes;
  nodes.start_all_and_wait();
  constexpr int keys = 400;
  auto writer = connect_to(nodes.endpoints());
  // Expiries spread over four seconds, in which leaders are killed.
  for (int i = 0; i < keys; ++i) CAF_REQUIRE(writer.set(expiring("s" + std::to_string(i), 1000 + 10 * i)).has_value());
  // The moment before which nobody had seen the key expired, and after which somebody had.
  std::vector<std::atomic<bool>> is_seen_expired(keys);
  std::atomic<bool> is_over{false};
  std::atomic<int> reads{0}, resurrections{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r)
    readers.emplace_back([&, r] {
      auto reader = client::client::connect({.endpoints = nodes.endpoints(), .timeout = std::chrono::milliseconds(20'000)});
      if (!reader) return;
      while (!is_over)
        for (int i = r; i < keys && !is_over; ++i) {
          const bool was_expired = is_seen_expired[static_cast<std::size_t>(i)];
          const auto answer = reader->get({"s" + std::to_string(i), kv::durability::persistent, std::nullopt});
          if (!answer) continue;
          ++reads;
          if (!answer->is_found) is_seen_expired[static_cast<std::size_t>(i)] = true;
          if (answer->is_found && was_expired) ++resurrections;
        }
    });
  for (int round = 0; round < 2; ++round) {
    const auto victim = nodes.busiest_leader();
    nodes.kill(victim);
    CAF_CHECK(eventually(milliseconds(5000), [&] {
      const auto view = nodes.view(victim % 3 + 1);
      return view && view->has_leader_everywhere();
    }));
    nodes.start(victim);
    CAF_CHECK(nodes.wait_ready(milliseconds(15'000)));
  }
  const auto all_seen = [&] { return std::all_of(is_seen_expired.begin(), is_seen_expired.end(), [](const auto& seen) { return seen.load(); }); };
  CAF_CHECK(eventually(milliseconds(20'000), all_seen));
  const auto reads_then = reads.load();
  CAF_CHECK(eventually(milliseconds(20'000), [&] { return reads > reads_then + 3 * keys; }));
  is_over = true;
  for (auto& reader : readers) reader.join();
  CAF_MESSAGE(reads << " reads");
  CAF_CHECK_EQUAL(resurrections.load(), 0);
}

CAF_TEST(expired keys give back memory and disk where history has an age) {
  const int keys = is_full() ? 1'000'000 : 50'000;
  cluster nodes({.nodes = 1, .node_arguments = {"--history-max-age", "1000"}});
  nodes.start_all_and_wait();
  auto connection = connect_to(nodes.endpoints());
  CAF_REQUIRE(connection.set(expiring("m/7/stays", 0)).has_value());
  const auto memory = [&] { return metric(nodes, 1, "process_resident_memory_bytes") / 1048576; };
  const auto before = memory();
  std::vector<double> collected;
  // What stays after the first round are caches and buffers of bounded size: the second round must find room in them.
  const int rounds = is_full() ? 2 : 1;
  for (int round = 1; round <= rounds; ++round) {
    fill(connection, keys, 1000);
    const auto filled = memory();
    CAF_CHECK(eventually(milliseconds(60'000), [&] { return metric(nodes, 1, "kahuna_versions_collected_total") >= round * keys; }, milliseconds(250)));
    CAF_CHECK(eventually(milliseconds(30'000), [&] { return memory() < filled || !is_full(); }, milliseconds(500)));
    collected.push_back(memory());
    CAF_MESSAGE("MiB resident: " << before << " before, " << filled << " filled, " << collected.back() << " collected; on disk "
                                 << metric(nodes, 1, "kahuna_disk_bytes", {"store=\"data\""}) / 1048576);
    if (round == 1) CAF_CHECK_LESS(metric(nodes, 1, "kahuna_disk_bytes"), 200e6);
  }
  CAF_CHECK(!must(connection.get({"m/7/7", kv::durability::persistent, 0})).is_found);
  CAF_CHECK_EQUAL(+must(connection.set(expiring("m/7/7", 0))).revision, 0);
  CAF_CHECK(must(connection.get({"m/7/stays", kv::durability::persistent, std::nullopt})).is_found);
  CAF_CHECK_EQUAL(+must(connection.get_by_bucket("m/7")).items.size(), 2u);
  if (is_full()) {
    CAF_CHECK_LESS(collected.back(), collected.front() + 30);
    CAF_CHECK_LESS(collected.front(), before + 200e6 / 1048576);
    CAF_CHECK_LESS(metric(nodes, 1, "kahuna_disk_bytes", {"store=\"data\""}), 20e6);
  }
}

CAF_TEST(only so many revisions stay where their number is limited) {
  cluster nodes({.nodes = 1, .node_arguments = {"--history-max-revisions", "3"}});
  nodes.start_all_and_wait();
  auto connection = connect_to(nodes.endpoints());
  for (int i = 0; i < 10; ++i) CAF_REQUIRE(connection.set(expiring("k", 0)).has_value());
  const auto has = [&](std::int64_t revision) { return must(connection.get({"k", kv::durability::persistent, revision})).is_found; };
  CAF_CHECK(has(0));
  CAF_CHECK(eventually(milliseconds(40'000), [&] { return !has(6); }, milliseconds(100)));
  for (int r = 0; r < 10; ++r) CAF_CHECK_EQUAL(has(r), r >= 7);
  CAF_CHECK_EQUAL(+must(connection.set(expiring("k", 0))).revision, 10);
}
