// 100,000 random operations through the client library against a model written from the contract: on one node, and on
// three, of which nodes are stopped and killed in the middle.
//
// Operations on one key go one after the other, so the model knows their order; those on different keys run at the same
// time. KAHUNA_SEED repeats a run.
#define CAF_SUITE system_differential
#include "caf/test/unit_test.hpp"

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <functional>
#include <mutex>
#include <set>

#include "client/client.hpp"
#include "core/base/prng.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/reference_model.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

constexpr int operations = 100'000;
constexpr int keys = 300;
constexpr std::size_t under_way_max = 128;

std::uint64_t chosen_seed() {
  const char* given = std::getenv("KAHUNA_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 20'261'124;
}

class comparison {
 public:
  comparison(client::client& connection, std::uint64_t seed) : client_(connection), dice_(seed) {}

  // Ephemeral keys get new names: what became of the old ones at a restart is not asked.
  void begin_generation() { ++generation_; }
  void keep_to_persistent(bool only) { is_persistent_only_ = only; }

  void run(int count, const std::function<void(int)>& between = {}) {
    for (int i = 0; i < count && differences_ < 5; ++i) {
      if (between) between(i);
      const auto kind = dice_.below(1000);
      if (kind < 4)
        compare_lists();
      else if (kind < 5)
        let_one_expire();
      else
        start(random_operation());
    }
    settle();
  }

  // Until nothing is under way.
  void settle() {
    std::unique_lock lock(mutex_);
    settled_.wait(lock, [&] { return busy_.empty(); });
  }

  int differences() const { return differences_; }
  std::uint64_t answered() const { return answered_; }

 private:
  std::string random_key(kv::durability space) {
    const auto number = dice_.below(keys);
    const auto prefix = space == kv::durability::ephemeral ? "e" + std::to_string(generation_) + "/" : std::string("p/");
    return prefix + std::to_string(number % 10) + "/" + std::to_string(number);
  }

  kv::operation random_operation() {
    const auto space = !is_persistent_only_ && dice_.chance(1, 2) ? kv::durability::ephemeral : kv::durability::persistent;
    const auto key = random_key(space);
    const auto pick = dice_.below(100);
    if (pick < 45) {
      kv::set_request set;
      set.key = key;
      set.value = "v" + std::to_string(dice_.below(5));
      set.space = space;
      const auto condition = dice_.below(10);
      if (condition == 0) set.if_absent = true;
      if (condition == 1) set.if_present = true;
      if (condition == 2 || condition == 3) set.if_value = shared_bytes("v" + std::to_string(dice_.below(5)));
      if (condition == 3 || condition == 4) set.if_revision = static_cast<std::int64_t>(dice_.below(6)) - 1;
      if (dice_.chance(1, 4)) set.expires_ms = 3'600'000;
      return set;
    }
    if (pick < 60) return kv::get_request{key, space, std::nullopt};
    if (pick < 70) return kv::get_request{key, space, static_cast<std::int64_t>(dice_.below(60))};
    if (pick < 78) return kv::exists_request{key, space};
    if (pick < 90) return kv::delete_request{key, space};
    return kv::extend_request{key, space, dice_.chance(1, 2) ? 0 : 3'600'000};
  }

  void start(kv::operation op) {
    const auto name = std::visit(
        [&op](const auto& request) {
          std::string name = kv::space_of(op) == kv::durability::ephemeral ? "e" : "p";
          if constexpr (requires { request.key; }) name += request.key;
          return name;
        },
        op);
    {
      std::unique_lock lock(mutex_);
      settled_.wait(lock, [&] { return busy_.size() < under_way_max && !busy_.contains(name); });
      busy_.insert(name);
    }
    client_.submit(op, [this, op, name](kv::operation_response response) {
      std::lock_guard lock(mutex_);
      compare(op, in_words(response));
      busy_.erase(name);
      settled_.notify_all();
    });
  }

  void compare(const kv::operation& op, const std::string& answered) {
    ++answered_;
    const auto expected = model_.run(op);
    if (answered == expected) return;
    ++differences_;
    std::visit(
        [&](const auto& request) {
          if constexpr (requires { request.key; }) CAF_MESSAGE("key " << request.key << " alternative " << op.index());
        },
        op);
    CAF_CHECK_EQUAL(answered, expected);
  }

  void compare_lists() {
    settle();
    const auto space = !is_persistent_only_ && dice_.chance(1, 2) ? kv::durability::ephemeral : kv::durability::persistent;
    const auto prefix = (space == kv::durability::ephemeral ? "e" + std::to_string(generation_) : std::string("p")) + "/" +
                        std::to_string(dice_.below(10));
    const bool is_bucket = dice_.chance(1, 2);
    client::list_options options;
    options.space = space;
    // Half of the lists are pages: cut, or gone on with behind some key, which may be there or not.
    if (dice_.chance(1, 2)) options.limit = static_cast<std::uint32_t>(dice_.between(1, 40));
    if (dice_.chance(1, 2)) options.after = random_key(space);
    const auto found = is_bucket ? client_.get_by_bucket(prefix, options) : client_.scan_by_prefix(prefix, options);
    CAF_REQUIRE(found.has_value());
    kv::list_response page;
    page.items = found->items;
    page.has_more = found->has_more;
    kv::operation op;
    if (is_bucket)
      op = kv::get_by_bucket_request{prefix, space, options.after, options.limit, {}};
    else
      op = kv::scan_by_prefix_request{prefix, space, {}, options.after, options.limit, {}};
    std::lock_guard lock(mutex_);
    compare(op, in_words(page));
  }

  // One key gets a short life, and is awaited: the moment of an expiry is the only thing that the model cannot know.
  void let_one_expire() {
    settle();
    const auto space = !is_persistent_only_ && dice_.chance(1, 2) ? kv::durability::ephemeral : kv::durability::persistent;
    kv::set_request set;
    set.key = random_key(space);
    set.value = "short";
    set.space = space;
    set.expires_ms = 5;
    start(set);
    settle();
    const auto is_gone = [&] {
      const auto answer = client_.exists({set.key, space});
      return answer && !answer->is_found;
    };
    CAF_REQUIRE(eventually(milliseconds(5000), is_gone));
    model_.expire(space, set.key);
  }

  client::client& client_;
  prng dice_;
  reference_model model_;
  int generation_ = 0;
  bool is_persistent_only_ = false;
  std::mutex mutex_;
  std::condition_variable settled_;
  std::set<std::string> busy_;
  int differences_ = 0;
  std::uint64_t answered_ = 0;
};

client::client connect_to(const cluster& nodes) {
  auto connected = client::client::connect({.endpoints = nodes.endpoints(), .timeout = std::chrono::milliseconds(30'000)});
  CAF_REQUIRE(connected.has_value());
  return std::move(*connected);
}

}  // namespace

CAF_TEST(one node with restarts in the middle does what the contract says) {
  CAF_MESSAGE("KAHUNA_SEED=" << chosen_seed());
  cluster nodes({.nodes = 1, .node_arguments = {}});
  nodes.start_all_and_wait();
  auto connection = connect_to(nodes);
  comparison twin(connection, chosen_seed());
  for (const bool is_killed : {false, true}) {
    twin.run(operations / 3);
    if (is_killed)
      nodes.kill(1);
    else
      CAF_REQUIRE(nodes.stop(1).has_value());
    nodes.start_all_and_wait();
    twin.begin_generation();
  }
  twin.run(operations - 2 * (operations / 3));
  CAF_CHECK_EQUAL(twin.differences(), 0);
  CAF_MESSAGE(twin.answered() << " operations");
}

CAF_TEST(three nodes that are stopped and killed under way do what the contract says) {
  CAF_MESSAGE("KAHUNA_SEED=" << chosen_seed());
  // Patient elections: a leader that a busy machine holds up for 300 ms would rightly take its ephemeral keys along.
  cluster nodes({.nodes = 3, .node_arguments = {"--election-timeout", "1000"}});
  nodes.start_all_and_wait();
  auto connection = connect_to(nodes);
  comparison twin(connection, chosen_seed() + 1);
  twin.run(operations / 3);
  // Persistent keys alone while leaders come and go: each write is repeated until it is answered, and must count once.
  twin.keep_to_persistent(true);
  int node = 0;
  twin.run(operations / 3, [&](int i) {
    if (i % 6000 == 1000) {
      node = nodes.busiest_leader();
      if (i % 12'000 == 1000)
        nodes.kill(node);
      else
        CAF_REQUIRE(nodes.stop(node).has_value());
    } else if (i % 6000 == 4000) {
      nodes.start(node);
      CAF_CHECK(nodes.wait_ready(milliseconds(15'000)));
    }
  });
  nodes.start_all_and_wait();
  twin.keep_to_persistent(false);
  twin.begin_generation();
  twin.run(operations - 2 * (operations / 3));
  CAF_CHECK_EQUAL(twin.differences(), 0);
  CAF_MESSAGE(twin.answered() << " operations");
}
