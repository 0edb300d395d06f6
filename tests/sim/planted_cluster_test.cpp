// The simulation of whole clusters finds the defects that are planted in Raft, partitions, snapshots and disks on purpose.
//
// KAHUNA_SIM_SEEDS=N tries so many seeds for each; KAHUNA_PLANTED_BUG=NAME takes that one alone.
#define CAF_SUITE planted_cluster
#include "caf/test/unit_test.hpp"

#include <cstdlib>
#include <string>

#include "core/base/planted_bug.hpp"
#include "tests/sim/cluster_bugs.hpp"
#include "tests/support/cluster_simulation/cluster_simulation.hpp"

using namespace kahuna;
using namespace kahuna::testing;

CAF_TEST(every planted bug is caught) {
  const char* text = std::getenv("KAHUNA_SIM_SEEDS");
  const std::uint64_t seeds = text != nullptr ? std::strtoull(text, nullptr, 10) : 1'500;
  const char* only = std::getenv("KAHUNA_PLANTED_BUG");
  for (const auto& bug : cluster_bugs) {
    if (only != nullptr && std::string(only) != bug.name) continue;
    plant_bug(bug.name);
    std::string wrong;
    std::uint64_t seed = 0;
    bool is_reached = false;
    while (wrong.empty() && seed < seeds) {
      wrong = run_cluster_simulation(cluster_options::drawn_from(++seed)).violation;
      is_reached = is_reached || was_planted_bug_reached();
    }
    plant_bug("");
    CAF_CHECK(is_reached);
    if (wrong.empty())
      CAF_ERROR(bug.name << ": not caught by " << seeds << " seeds" << (is_reached ? "" : ", and never come upon"));
    else
      CAF_MESSAGE(bug.name << ": caught by seed " << seed << ": " << wrong.substr(0, 160));
  }
}
