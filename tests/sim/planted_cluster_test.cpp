// The simulation of whole clusters finds the defects that are planted in Raft, partitions, snapshots and disks on purpose.
#define CAF_SUITE planted_cluster
#include "caf/test/unit_test.hpp"

#include <string>

#include "tests/sim/cluster_bugs.hpp"
#include "tests/support/cluster_simulation/cluster_simulation.hpp"
#include "tests/support/planted_bugs.hpp"

using namespace kahuna;
using namespace kahuna::testing;

CAF_TEST(every planted bug is caught) {
  for (const auto& bug : cluster_bugs)
    expect_caught(bug.name, 6'000, [&](std::uint64_t seed) {
      const auto options = cluster_options::drawn_from(seed);
      return bug.needs_members && !options.has_members() ? std::string() : run_cluster_simulation(options).violation;
    });
}
