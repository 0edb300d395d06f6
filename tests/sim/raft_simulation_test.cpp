// Raft groups under faults, many seeds. A failure prints its options; a single seed is run again with
//   KAHUNA_SIM_SEED=… sim_raft
// and others than the first 300 with
//   KAHUNA_SIM_FIRST_SEED=… KAHUNA_SIM_SEEDS=… sim_raft -r SECONDS
#define CAF_SUITE raft_simulation
#include "caf/test/unit_test.hpp"

#include <cstdlib>

#include "tests/support/raft_simulation.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
  const char* given = std::getenv(variable);
  return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
}

}  // namespace

CAF_TEST(nothing acknowledged is lost and no read is stale under faults) {
  std::size_t acknowledged = 0, reads = 0, lease_checks = 0, terms = 0, snapshots = 0, handovers = 0;
  std::size_t changes = 0, overwritten = 0, joint_snapshots = 0, new_lives = 0;
  const char* only = std::getenv("KAHUNA_SIM_SEED");
  const auto first = number_of("KAHUNA_SIM_SEED", number_of("KAHUNA_SIM_FIRST_SEED", 1));
  const auto last = only != nullptr ? first : first + number_of("KAHUNA_SIM_SEEDS", 300) - 1;
  for (auto seed = first; seed <= last; ++seed) {
    raft_simulation simulation(raft_simulation_options::drawn_from(seed));
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
    new_lives += simulation.lives_begun_anew();
  }
  CAF_MESSAGE("acknowledged " << acknowledged << ", reads " << reads << ", checks under a lease " << lease_checks << ", terms led " << terms
                              << ", snapshots installed " << snapshots << ", handovers begun " << handovers << ", configurations committed " << changes << ", taken back "
                              << overwritten << ", snapshots of joint ones " << joint_snapshots << ", replicas dropped " << new_lives);
  // The faults must leave room for what they are to disturb.
  CAF_CHECK(acknowledged > 50 * (last - first + 1));
  CAF_CHECK(reads > 0);
  CAF_CHECK(lease_checks > 0 || only != nullptr);
  CAF_CHECK(handovers > last - first || only != nullptr);
  CAF_CHECK(snapshots > last - first || only != nullptr);
  CAF_CHECK(changes > 2 * (last - first + 1) || only != nullptr);
  CAF_CHECK(overwritten > 0 || only != nullptr);
  CAF_CHECK(joint_snapshots > 0 || only != nullptr);
  CAF_CHECK(new_lives > 0 || only != nullptr);
  CAF_CHECK(terms > 2 * (last - first + 1) || only != nullptr);
}

CAF_TEST(a group of two that one leaves again and again goes on) {
  std::size_t changes = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    raft_simulation simulation(raft_simulation_options::pair_drawn_from(seed));
    simulation.run(std::chrono::seconds(6));
    simulation.heal_and_check_progress(std::chrono::seconds(10));
    changes += simulation.changes();
  }
  CAF_MESSAGE("configurations committed " << changes);
  CAF_CHECK(changes > 2000);
}

CAF_TEST(the same seed gives the same run) {
  for (const std::uint64_t seed : {3, 17}) {
    raft_simulation one(raft_simulation_options::drawn_from(seed));
    raft_simulation other(raft_simulation_options::drawn_from(seed));
    one.run(std::chrono::seconds(5));
    other.run(std::chrono::seconds(5));
    CAF_CHECK_EQUAL(one.digest(), other.digest());
    CAF_CHECK_EQUAL(one.acknowledged(), other.acknowledged());
  }
}
