// The simulation of Raft groups finds the defects that are planted in it, most of them in changes of members, on purpose (core/base/planted_bug.hpp).
#define CAF_SUITE planted_raft
#include "caf/test/unit_test.hpp"

#include <string>

#include "tests/support/planted_bugs.hpp"
#include "tests/support/raft_simulation.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

struct planted_bug {
  const char* name;
  bool needs_pair = false;  // soon found only where there are two, one of which leaves again and again
  std::uint64_t seeds_max = 200;
};

constexpr planted_bug bugs[] = {
    {"raft.configuration_at_commit"},
    {"raft.joint_quorum_of_new_only"},
    {"raft.learner_counts"},
    {"raft.change_before_the_last_is_committed"},
    {"raft.configuration_kept_when_overwritten"},
    {"raft.snapshot_of_the_newest_configuration"},
    {"raft.alone_before_it_is_committed", true},
    {"raft.earlier_life_counts", true, 2000},
    {"raft.speaks_before_it_has_regained"},
    {"raft.one_step_to_other_voters"},
    {"raft.write_under_way_not_clipped"},
};

}  // namespace

CAF_TEST(every planted bug is caught) {
  for (const auto& [bug, needs_pair, seeds_max] : bugs)
    expect_caught(bug, seeds_max, [is_pair = needs_pair](std::uint64_t seed) {
      raft_simulation simulation(is_pair ? raft_simulation_options::pair_drawn_from(seed) : raft_simulation_options::drawn_from(seed));
      simulation.run(std::chrono::seconds(15));
      simulation.heal_and_check_progress(std::chrono::seconds(10));
      return std::string();  // whatever is wrong is a failed check
    });
}
