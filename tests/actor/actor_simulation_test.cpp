// Clusters of the real actors under faults, each from a seed: what clients see is linearizable and strictly serializable, nothing
// acknowledged is lost, and when the faults end everything serves and all replicas come to the same.
//
// KAHUNA_SIM_SEEDS=N: so many seeds. KAHUNA_SIM_SEED=N: this one.
#define CAF_SUITE actor_simulation
#define FAIL CAF_FAIL
#include "tests/actor/actor_cluster.hpp"

#include <cstdlib>
#include <iostream>

#include "core/base/check.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

constexpr std::int64_t ms = 1'000;
constexpr std::int64_t faults_us = 4'000 * ms;
constexpr std::int64_t patience_us = 20'000 * ms;

// A check that fails inside an actor ends the program: then this is what to say first.
std::string options_at_hand;

void tell_and_abort(const char* file, int line, const char* expression, const std::string& values) {
  std::cerr << options_at_hand << "\ncheck failed: " << file << ':' << line << ": " << expression << values << std::endl;
  std::abort();
}

class simulation {
 public:
  explicit simulation(const cluster_options& options) : world_(options) {
    std::uint64_t id = 100;
    for (int i = 0; i < options.register_clients; ++i) clients_.push_back(std::make_unique<register_client>(cluster_, ++id, history_));
    for (int i = 0; i < options.append_clients; ++i) clients_.push_back(std::make_unique<append_client>(cluster_, ++id, history_));
    for (auto& c : clients_) world_.at(world_.draw(0, 500 * ms), [working = c.get()] { working->begin_work(); });
    inject_faults();
  }

  // Throws a violation.
  void run() {
    cluster_.run_until(world_.now() + faults_us);
    world_.is_faulty = false;
    cluster_.heal();
    const auto deadline = world_.now() + patience_us;
    until(deadline, "a partition has no leader", [&] {
      for (int p = 0; p < world_.options.partitions; ++p)
        if (cluster_.leader_of(partition_id{static_cast<std::uint32_t>(p)}) < 0) return false;
      return true;
    });
    cluster_.run_until(world_.now() + 500 * ms);
    for (auto& c : clients_) c->stop();
    until(deadline, "a client has no end", [&] {
      return std::all_of(clients_.begin(), clients_.end(), [](const auto& c) { return c->is_idle(); });
    });
    read_everything();
    // What was decided is still being told; an entry more or less at a time.
    until(deadline, "a replica does not catch up", [&] {
      cluster_.run_until(world_.now() + 200 * ms);
      return cluster_.are_replicas_equal_in_index();
    });
    cluster_.compare_replicas();
    if (const auto wrong = history_.check(); !wrong.empty()) throw violation(wrong);
  }

  const history& seen() const { return history_; }
  const actor_cluster& cluster() const { return cluster_; }
  std::uint64_t digest() const { return world_.digest(); }

 private:
  void every(int interval_ms, event what) {
    if (interval_ms == 0) return;
    world_.at(world_.draw(1, 2 * interval_ms) * ms, [this, interval_ms, what] {
      if (!world_.is_faulty) return;
      what();
      every(interval_ms, what);
    });
  }

  // Every other time one that leads something, whom it hurts most.
  int victim() {
    const auto leader = cluster_.leader_of(partition_id{static_cast<std::uint32_t>(world_.dice.below(static_cast<std::uint64_t>(world_.options.partitions)))});
    return leader >= 0 && world_.dice.chance(1, 2) ? leader : any();
  }
  int any() { return static_cast<int>(world_.dice.below(cluster_.node_count())); }

  void inject_faults() {
    const auto& options = world_.options;
    every(options.crash_interval_ms, [this] {
      std::vector<int> victims{victim()};
      // The power goes where all of them are: what was acknowledged is on disks, or nowhere.
      if (world_.dice.chance(1, 4)) victims = {0, 1, 2};
      const auto turns = static_cast<int>(world_.draw(1, 40));
      cluster_.crash_and_start(std::move(victims), turns, world_.dice.chance(1, 2), world_.draw(1, 800) * ms);
    });
    every(options.cut_interval_ms, [this] { cluster_.cut_off(victim(), world_.draw(100, 2'000) * ms); });
    every(options.slow_interval_ms, [this] { cluster_.net.slow_down(any(), any(), world_.draw(0, 200) * ms); });
    every(options.jump_interval_ms, [this] { cluster_.set_wall_offset(any(), world_.draw(-3'000, 3'000)); });
    every(options.transfer_interval_ms, [this] { cluster_.transfer_leaderships(victim(), any(), world_.dice.chance(1, 2)); });
  }

  void until(std::int64_t deadline, const char* what, const std::function<bool()>& is_reached) {
    while (!is_reached()) {
      if (world_.now() >= deadline) throw violation(std::string("liveness: ") + what);
      cluster_.run_until(world_.now() + 20 * ms);
    }
  }

  kv::get_response read_for_sure(const std::string& key) {
    std::optional<outcome> ended;
    auditor_.ask(kv::get_request{.key = key}, 5'000 * ms, [&](const outcome& o) { ended = o; });
    until(world_.now() + 6'000 * ms, "an operation has no end", [&] { return ended.has_value(); });
    const auto* got = ended->response ? std::get_if<kv::get_response>(&*ended->response) : nullptr;
    if (got == nullptr) throw violation("liveness: key " + key + " can't be read though nothing fails any more");
    return *got;
  }

  void read_everything() {
    for (int i = 0; i < world_.options.keys; ++i) {
      const auto key = register_client::key_name(i);
      key_operation_record read;
      read.began = world_.now();
      const auto got = read_for_sure(key);
      read.ended = world_.now();
      read.is_known = true;
      read.is_done = got.is_found;
      read.revision = got.revision;
      if (got.is_found) read.value = std::stoll(std::string(got.value.view()));
      read.note = "at the end";
      history_.add(key, read);
    }
    for (int b = 0; b < append_client::buckets && world_.options.append_clients > 0; ++b)
      for (int k = 0; k < append_client::keys_per_bucket; ++k) {
        const auto key = append_client::key_name(b, k);
        history_.add_final(key, append_client::parse(read_for_sure(key).value.view()));
      }
  }

  world world_;
  actor_cluster cluster_{world_};
  history history_;
  std::vector<std::unique_ptr<client>> clients_;
  register_client auditor_{cluster_, 99, history_};
};

struct totals {
  std::size_t seeds = 0, operations = 0, transactions = 0, undecided = 0, crashes = 0, snapshots = 0, terms_led = 0;
};

std::uint64_t run(std::uint64_t seed, totals& sums) {
  const auto options = actor_options_drawn_from(seed);
  options_at_hand = options.describe();
  set_check_handler(tell_and_abort);
  simulation s(options);
  try {
    s.run();
  } catch (const violation& wrong) {
    CAF_ERROR(options.describe() << "\n  " << wrong.what() << "\n  again: KAHUNA_SIM_SEED=" << seed << " build/dev/tests/actor_simulation -n -v 3");
  }
  ++sums.seeds;
  sums.operations += s.seen().operations();
  sums.transactions += s.seen().transactions();
  sums.undecided += s.seen().undecided();
  sums.crashes += s.cluster().crashes();
  sums.snapshots += s.cluster().snapshots_installed();
  sums.terms_led += s.cluster().terms_led();
  return s.digest();
}

std::uint64_t number_in(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

CAF_TEST(clusters of actors do what they promise whatever befalls them) {
  totals sums;
  if (const auto only = number_in("KAHUNA_SIM_SEED", 0); only != 0) {
    run(only, sums);
  } else {
    const auto seeds = number_in("KAHUNA_SIM_SEEDS", 60);
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) run(seed, sums);
    // The faults happen, and leave room for what they are to disturb.
    CAF_CHECK(sums.operations > 50 * sums.seeds);
    CAF_CHECK(sums.transactions > 10 * sums.seeds);
    CAF_CHECK(sums.crashes > sums.seeds);
    CAF_CHECK(sums.terms_led > 3 * sums.seeds);
    CAF_CHECK(sums.snapshots > 0);
  }
  CAF_CHECK_EQUAL(sums.undecided, 0u);
  CAF_MESSAGE(sums.seeds << " seeds: " << sums.operations << " operations, " << sums.transactions << " transactions, " << sums.crashes
                         << " crashes, " << sums.terms_led << " terms led, " << sums.snapshots << " snapshots installed, " << sums.undecided
                         << " keys undecided");
}

CAF_TEST(the same seed gives the same run of actors) {
  totals ignored;
  for (const std::uint64_t seed : {3, 17}) CAF_CHECK_EQUAL(run(seed, ignored), run(seed, ignored));
}
