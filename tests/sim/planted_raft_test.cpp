// The simulation of Raft groups finds the defects that are planted on purpose (core/base/planted_bug.hpp).
//
// KAHUNA_SIM_SEEDS=N tries so many seeds for each; KAHUNA_PLANTED_BUG=NAME takes that one alone.
#define CAF_SUITE planted_raft
#include "caf/test/unit_test.hpp"

#include <cstdlib>
#include <string>

#include "tests/support/planted_bugs.hpp"
#include "tests/support/raft_simulation.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

constexpr const char* bugs[] = {
    "raft.vote_before_it_is_durable",
    "raft.acknowledged_before_durable",
    "raft.handed_out_before_committed",
    "raft.votes_while_a_lease_may_hold",
    "raft.vote_for_a_stale_log",
    "raft.two_votes_in_a_term",
    "raft.log_match_not_tested",
    "raft.write_under_way_not_clipped",
    "raft.read_without_a_round_of_its_own",
    "raft.lease_longer_than_its_promises",
};

// Whatever is wrong is a failed check.
std::string violation_of(std::uint64_t seed) {
  raft_simulation simulation(raft_simulation_options::drawn_from(seed));
  simulation.run(std::chrono::seconds(15));
  simulation.heal_and_check_progress(std::chrono::seconds(10));
  return "";
}

}  // namespace

CAF_TEST(every planted bug is caught) {
  const char* text = std::getenv("KAHUNA_SIM_SEEDS");
  const std::uint64_t seeds = text != nullptr ? std::strtoull(text, nullptr, 10) : 400;
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
