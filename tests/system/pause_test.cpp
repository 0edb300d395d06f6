// A leader that stands still for a while, and then goes on as if nothing had been, must not answer from what it knew.
#define CAF_SUITE system_pause
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include "core/base/prng.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/partition_probe.hpp"
#include "tests/support/register_load.hpp"
#include "tests/support/wire_client.hpp"

using namespace kahuna::testing;

namespace {

// Reads registers through one node, all the time, and does not wait for an answer before it asks again. So, while the
// node stands still, reads of every moment of its pause gather in its socket, and are the first thing that it finds.
class persistent_reader {
 public:
  persistent_reader(int port, std::vector<std::string> keys, std::uint64_t seed)
      : node_(port), keys_(std::move(keys)), seed_(seed), thread_([this] { read(); }) {}

  ~persistent_reader() { stop(); }

  void stop() {
    should_stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  // After stop().
  const register_load::reads_by_key& reads() const { return reads_; }
  std::uint64_t asked() const { return asked_; }
  std::uint64_t answered() const { return answered_; }
  std::uint64_t refused() const { return refused_; }

 private:
  static constexpr milliseconds budget{8000};
  static constexpr milliseconds interval{5};

  struct waiting_read {
    std::string key;
    std::int64_t began;
  };

  void read() {
    kahuna::prng dice(seed_);
    if (!node_.shake_hands(seed_)) return;
    auto next = steady_clock::now();
    while (!should_stop_) {
      if (steady_clock::now() >= next) {
        next += interval;
        const auto& key = keys_[dice.below(keys_.size())];
        waiting_.emplace(++asked_, waiting_read{key, history_now()});
        if (!node_.send(asked_, get_of(key), budget)) return;
      }
      take_reply(interval);
    }
    while (!waiting_.empty() && take_reply(budget)) {
    }
  }

  bool take_reply(milliseconds patience) {
    const auto reply = node_.receive(patience);
    if (!reply) return false;
    const auto asked = waiting_.find(reply->sequence);
    if (asked == waiting_.end()) return true;
    if (const auto* got = std::get_if<kahuna::kv::get_response>(&reply->response)) {
      reads_[asked->second.key].push_back({register_value(*got), asked->second.began, history_now()});
      ++answered_;
    } else {
      ++refused_;
    }
    waiting_.erase(asked);
    return true;
  }

  wire_client node_;
  std::vector<std::string> keys_;
  std::uint64_t seed_;
  std::atomic<bool> should_stop_{false};
  std::map<std::uint64_t, waiting_read> waiting_;
  register_load::reads_by_key reads_;
  std::uint64_t asked_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t refused_ = 0;
  std::thread thread_;
};

void pause_rounds(const std::string& read_mode) {
  cluster_options options;
  options.node_arguments = {"--read-mode", read_mode};
  cluster nodes(options);
  nodes.start_all_and_wait();
  partition_probe probe(nodes.endpoints());
  for (int round = 0; round < 2; ++round) {
    register_load_options load_options;
    load_options.key_prefix = "round-" + std::to_string(round) + "-";
    load_options.timeout = milliseconds(2000);
    register_load load(nodes.endpoints(), load_options);
    load.start();
    CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
    std::vector<std::unique_ptr<persistent_reader>> readers;
    for (int node = 1; node <= nodes.size(); ++node)
      readers.push_back(std::make_unique<persistent_reader>(nodes.port(node), load.keys(), 100 + node));

    const int paused = nodes.busiest_leader();
    const auto pause_ends = steady_clock::now() + milliseconds(5000);
    nodes.pause(paused);
    const auto served_at = probe.wait_until_all_serve(milliseconds(10'000));
    CAF_CHECK(served_at.has_value());
    if (served_at)
      CAF_MESSAGE("paused " << nodes.node_name(paused) << ": all partitions serve again after "
                            << elapsed_ms(pause_ends - milliseconds(5000), *served_at) << " ms");
    // The pause itself is what is tested: its length is no waiting for something.
    eventually(milliseconds(10'000), [&] { return steady_clock::now() >= pause_ends; });
    nodes.resume(paused);
    // Served by the one that was paused, and by all: what had gathered is answered or refused by then.
    CAF_CHECK(load.wait_for_answers(1000, milliseconds(20'000)));
    CAF_CHECK(nodes.wait_ready(milliseconds(10'000)));
    load.stop();
    register_load::reads_by_key reads;
    for (auto& reader : readers) {
      reader->stop();
      CAF_MESSAGE("a reader asked " << reader->asked() << " times: " << reader->answered() << " answers, " << reader->refused()
                                    << " errors");
      CAF_CHECK(reader->answered() > 0);
      for (const auto& [key, some] : reader->reads()) reads[key].insert(reads[key].end(), some.begin(), some.end());
    }
    auto reader = connect_or_fail(nodes.endpoints());
    CAF_CHECK_EQUAL(joined(load.violations(reader, reads)), "");
  }
}

}  // namespace

CAF_TEST(no node answers with a stale value after a pause of the leader with leases) { pause_rounds("lease"); }

CAF_TEST(no node answers with a stale value after a pause of the leader without leases) { pause_rounds("read-index"); }
