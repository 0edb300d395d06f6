// The simulation of whole clusters finds the defects that are planted on purpose (core/base/planted_bug.hpp).
//
// KAHUNA_SIM_SEEDS=N tries so many seeds for each; KAHUNA_PLANTED_BUG=NAME takes that one alone.
#define CAF_SUITE planted_cluster
#include "caf/test/unit_test.hpp"

#include <cstdlib>
#include <string>

#include "tests/support/planted_bugs.hpp"
#include "tests/support/cluster_simulation.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

constexpr const char* bugs[] = {
    "raft.acknowledged_before_persist",
    "raft.log_match_not_tested",
    "partition.window_not_consulted",
    "partition.refusal_before_commit",
    "partition.expired_lease_read",
    "partition.overlay_kept",
    "partition.serves_before_its_no_op",
    "snapshot.without_windows",
};

std::string violation_of(std::uint64_t seed) {
  cluster_simulation simulation(cluster_simulation_options::drawn_from(seed));
  simulation.run(std::chrono::milliseconds(6'000));
  const auto stuck = simulation.settle(std::chrono::milliseconds(15'000));
  return stuck.empty() ? simulation.check() : stuck;
}

}  // namespace

CAF_TEST(every planted bug is caught) {
  const char* text = std::getenv("KAHUNA_SIM_SEEDS");
  const std::uint64_t seeds = text != nullptr ? std::strtoull(text, nullptr, 10) : 2'000;
  const char* only = std::getenv("KAHUNA_PLANTED_BUG");
  for (const std::string bug : bugs) {
    if (only != nullptr && bug != only) continue;
    const auto verdict = hunt(bug, 1, seeds, violation_of);
    CAF_CHECK(verdict.is_reached);
    if (verdict.violation.empty())
      CAF_ERROR(bug << ": not caught by " << seeds << " seeds");
    else
      CAF_MESSAGE(bug << ": caught by seed " << verdict.seeds << ": " << verdict.violation.substr(0, 200));
  }
}
