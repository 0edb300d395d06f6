// A bucket of 100,000 keys: listed completely, consistent while it is written to, and no burden on the node's memory.
#define CAF_SUITE system_bucket
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

#include "client/client.hpp"
#include "tests/support/cluster_fixture.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

constexpr int keys = 100'000;
// Every so many keys the writer has one of its own, the first and the last of all among them. Few, because about one write
// comes between two pages of a list: so the writer goes around more than once while a list is read, and pages of different
// moments cannot look like one. With one key a page it would keep step with the reader, and hide them.
constexpr int between_active = 33'333;

std::string key_of(int number) {
  char text[32];
  std::snprintf(text, sizeof text, "big/bucket/k%06d", number);
  return text;
}

kv::set_request set_of(int number, const std::string& value, kv::durability space) {
  kv::set_request set;
  set.key = key_of(number);
  set.value = value;
  set.space = space;
  return set;
}

std::size_t resident_kib(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
  return 0;
}

void fill(client::client& connection, kv::durability space) {
  std::mutex mutex;
  std::condition_variable changed;
  int under_way = 0, failed = 0;
  for (int i = 0; i < keys; ++i) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return under_way < 1000; });
    ++under_way;
    lock.unlock();
    connection.submit(set_of(i, i % between_active == 0 ? "0" : std::string(60, 'x'), space), [&](kv::operation_response response) {
      std::lock_guard guard(mutex);
      const auto* set = std::get_if<kv::set_response>(&response);
      if (set == nullptr || !set->is_set) ++failed;
      --under_way;
      changed.notify_all();
    });
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return under_way == 0; });
  CAF_REQUIRE_EQUAL(failed, 0);
}

// One writer sets its keys to 1, in their order, then to 2, and so on, each when the one before is acknowledged. At any
// one moment they hold a number up to some key and the number before it behind.
class staircase_writer {
 public:
  staircase_writer(client::client& connection, kv::durability space) : thread_([this, &connection, space] {
    for (long round = 1; !is_over_; ++round)
      for (int i = 0; i < keys && !is_over_; i += between_active) {
        const auto answer = connection.set(set_of(i, std::to_string(round), space));
        if (!answer || !answer->is_set) ++failed_;
        ++writes_;
      }
  }) {}
  ~staircase_writer() {
    is_over_ = true;
    thread_.join();
  }
  long writes() const { return writes_; }
  long failed() const { return failed_; }

 private:
  std::atomic<bool> is_over_{false};
  std::atomic<long> writes_{0};
  std::atomic<long> failed_{0};
  std::thread thread_;
};

// Empty, or what is wrong with it.
std::string check_staircase(const client::key_list& list) {
  if (list.items.size() != keys) return std::to_string(list.items.size()) + " keys";
  long first = -1, last = -1;
  for (int i = 0; i < keys; ++i) {
    const auto& item = list.items[static_cast<std::size_t>(i)];
    if (item.key != key_of(i)) return item.key + " in place of " + key_of(i);
    if (i % between_active != 0) continue;
    const auto value = std::stol(item.value.str());
    if (first < 0) first = last = value;
    if (value > last || value < first - 1) return "after " + std::to_string(last) + " comes " + std::to_string(value);
    last = value;
  }
  return {};
}

}  // namespace

CAF_TEST(a hundred thousand keys of one bucket are one consistent read while they are written) {
  cluster nodes;
  nodes.start_all_and_wait();
  auto connected = client::client::connect({.endpoints = nodes.endpoints(), .timeout = std::chrono::milliseconds(30'000)});
  CAF_REQUIRE(connected.has_value());
  for (const auto space : {kv::durability::persistent, kv::durability::ephemeral}) {
    fill(*connected, space);
    std::vector<std::size_t> before, most(4, 0);
    for (int node = 1; node <= 3; ++node) before.push_back(resident_kib(nodes.process_id(node)));
    client::list_options options;
    options.space = space;
    int lists = 0;
    {
      // A connection of its own: on one, its writes would wait for the pages.
      auto own = client::client::connect({.endpoints = nodes.endpoints(), .timeout = std::chrono::milliseconds(30'000)});
      CAF_REQUIRE(own.has_value());
      staircase_writer writer(*own, space);
      for (; lists < 8 || (writer.writes() < 400 && lists < 100); ++lists) {
        const auto list = connected->get_by_bucket("big/bucket", options);
        CAF_REQUIRE(list.has_value());
        CAF_CHECK_EQUAL(check_staircase(*list), "");
        for (int node = 1; node <= 3; ++node)
          most[static_cast<std::size_t>(node)] = std::max(most[static_cast<std::size_t>(node)], resident_kib(nodes.process_id(node)));
      }
      CAF_MESSAGE(lists << " lists beside " << writer.writes() << " writes");
      CAF_CHECK_EQUAL(writer.failed(), 0);
      CAF_CHECK_GREATER(writer.writes(), 400);
    }
    for (std::size_t node = 1; node <= 3; ++node) {
      CAF_MESSAGE("n" << node << ": " << before[node - 1] / 1024 << " MiB before, at most " << most[node] / 1024);
#ifndef __SANITIZE_ADDRESS__  // which keeps what was freed
      CAF_CHECK_LESS(most[node], before[node - 1] + 100 * 1024);
#endif
    }

    // The other ways to the same keys.
    const auto scanned = connected->scan_by_prefix("big/", options);
    CAF_REQUIRE(scanned.has_value());
    CAF_CHECK_EQUAL(check_staircase(*scanned), "");
    client::key_list joined;
    options.limit = 30'000;
    for (bool has_more = true; has_more;) {
      const auto page = connected->get_by_bucket("big/bucket/", options);
      CAF_REQUIRE(page.has_value());
      CAF_REQUIRE(!page->items.empty());
      joined.items.insert(joined.items.end(), page->items.begin(), page->items.end());
      options.after = page->items.back().key;
      has_more = page->has_more;
    }
    CAF_CHECK_EQUAL(check_staircase(joined), "");
  }
}
