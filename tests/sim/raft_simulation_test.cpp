// Raft groups under faults, many seeds. A failure prints its options; a single seed is run again with
//   KAHUNA_SIM_SEED=… sim_raft
#define CAF_SUITE raft_simulation
#include "caf/test/unit_test.hpp"

#include <cstdlib>

#include "tests/support/raft_simulation.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

std::uint64_t seeds() {
  const char* given = std::getenv("KAHUNA_SIM_SEEDS");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 300;
}

// Faults drawn from the seed: some runs have one kind, some all.
raft_simulation_options draw(std::uint64_t seed) {
  prng dice(seed * 7919);
  raft_simulation_options options;
  options.seed = seed;
  options.replicas = static_cast<int>(dice.chance(1, 3) ? 5 : dice.chance(1, 12) ? 1 : 3);
  options.reads = dice.chance(1, 3) ? raft::read_mode::read_index : raft::read_mode::lease;
  if (dice.chance(1, 2)) options.loss_percent = static_cast<int>(dice.below(12));
  if (dice.chance(1, 2)) options.duplicate_percent = static_cast<int>(dice.below(20));
  options.delay_ms_max = static_cast<int>(dice.chance(1, 5) ? dice.between(20, 120) : dice.between(1, 10));
  options.disk_ms_max = static_cast<int>(dice.chance(1, 4) ? dice.between(20, 100) : dice.between(1, 10));
  if (dice.chance(2, 3)) options.crash_interval_ms = static_cast<int>(dice.between(200, 1500));
  if (dice.chance(2, 3)) options.cut_interval_ms = static_cast<int>(dice.between(200, 1500));
  if (dice.chance(1, 2)) options.pause_interval_ms = static_cast<int>(dice.between(200, 1500));
  if (dice.chance(1, 2)) options.drift_percent = static_cast<int>(dice.below(5));
  if (dice.chance(3, 4)) options.flush_interval_ms = static_cast<int>(dice.between(20, 500));
  if (dice.chance(1, 2)) options.transfer_interval_ms = static_cast<int>(dice.between(100, 1500));
  if (dice.chance(2, 3)) {
    options.change_interval_ms = static_cast<int>(dice.between(100, 2000));
    options.spares = static_cast<int>(dice.between(1, 4));
  }
  return options;
}

}  // namespace

CAF_TEST(nothing acknowledged is lost and no read is stale under faults) {
  std::size_t acknowledged = 0, reads = 0, lease_checks = 0, terms = 0, snapshots = 0, handovers = 0;
  std::size_t changes = 0, overwritten = 0, joint_snapshots = 0;
  const char* only = std::getenv("KAHUNA_SIM_SEED");
  const std::uint64_t first = only != nullptr ? std::strtoull(only, nullptr, 10) : 1;
  const std::uint64_t last = only != nullptr ? first : seeds();
  for (auto seed = first; seed <= last; ++seed) {
    raft_simulation simulation(draw(seed));
    simulation.run(std::chrono::seconds(15));
    simulation.heal_and_check_progress(std::chrono::seconds(10));
    acknowledged += simulation.acknowledged();
    reads += simulation.reads_answered();
    lease_checks += simulation.lease_checks();
    terms += simulation.terms_led();
    snapshots += simulation.snapshots_installed();
    handovers += simulation.handovers();
    changes += simulation.changes();
    overwritten += simulation.changes_overwritten();
    joint_snapshots += simulation.joint_snapshots();
  }
  CAF_MESSAGE("acknowledged " << acknowledged << ", reads " << reads << ", checks under a lease " << lease_checks << ", terms led " << terms
                              << ", snapshots installed " << snapshots << ", handovers begun " << handovers << ", configurations committed " << changes << ", taken back "
                              << overwritten << ", snapshots of joint ones " << joint_snapshots);
  // The faults must leave room for what they are to disturb.
  CAF_CHECK(acknowledged > 50 * (last - first + 1));
  CAF_CHECK(reads > 0);
  CAF_CHECK(lease_checks > 0 || only != nullptr);
  CAF_CHECK(handovers > last - first || only != nullptr);
  CAF_CHECK(snapshots > last - first || only != nullptr);
  CAF_CHECK(changes > 2 * (last - first + 1) || only != nullptr);
  CAF_CHECK(overwritten > 0 || only != nullptr);
  CAF_CHECK(joint_snapshots > 0 || only != nullptr);
  CAF_CHECK(terms > 2 * (last - first + 1) || only != nullptr);
}

CAF_TEST(the same seed gives the same run) {
  for (const std::uint64_t seed : {3, 17}) {
    raft_simulation one(draw(seed));
    raft_simulation other(draw(seed));
    one.run(std::chrono::seconds(5));
    other.run(std::chrono::seconds(5));
    CAF_CHECK_EQUAL(one.digest(), other.digest());
    CAF_CHECK_EQUAL(one.acknowledged(), other.acknowledged());
  }
}
