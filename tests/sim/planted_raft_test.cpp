// The simulation of Raft groups finds the defects that are planted in it, most of them in changes of members, on purpose (core/base/planted_bug.hpp).
//
// KAHUNA_SIM_SEEDS=N tries so many seeds for each; KAHUNA_PLANTED_BUG=NAME takes that one alone.
#define CAF_SUITE planted_raft
#include "caf/test/unit_test.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "core/base/check.hpp"
#include "core/base/planted_bug.hpp"
#include "tests/support/raft_simulation.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

struct planted_bug {
  const char* name;
  bool needs_pair = false;  // soon found only where there are two, one of which leaves again and again
};

constexpr planted_bug bugs[] = {
    {"raft.configuration_at_commit"},
    {"raft.joint_quorum_of_new_only"},
    {"raft.learner_counts"},
    {"raft.change_before_the_last_is_committed"},
    {"raft.configuration_kept_when_overwritten"},
    {"raft.snapshot_of_the_newest_configuration"},
    {"raft.alone_before_it_is_committed", true},
    {"raft.one_step_to_other_voters"},
    {"raft.write_under_way_not_clipped"},
};

void throw_failure(const char* file, int line, const char* expression, const std::string& values) {
  throw std::runtime_error(std::string(file) + ':' + std::to_string(line) + " !(" + expression + ')' + values);
}

std::string violation_of(std::uint64_t seed, bool is_pair) {
  try {
    raft_simulation simulation(is_pair ? raft_simulation_options::pair_drawn_from(seed) : raft_simulation_options::drawn_from(seed));
    simulation.run(std::chrono::seconds(15));
    simulation.heal_and_check_progress(std::chrono::seconds(10));
    return {};
  } catch (const std::exception& failed) {
    return failed.what();
  }
}

}  // namespace

CAF_TEST(every planted bug is caught) {
  const char* text = std::getenv("KAHUNA_SIM_SEEDS");
  const std::uint64_t seeds = text != nullptr ? std::strtoull(text, nullptr, 10) : 200;
  const char* only = std::getenv("KAHUNA_PLANTED_BUG");
  set_check_handler(throw_failure);
  for (const auto& [name, needs_pair] : bugs) {
    const std::string bug = name;
    if (only != nullptr && bug != only) continue;
    plant_bug(bug);
    std::string wrong;
    std::uint64_t seed = 0;
    bool is_reached = false;
    while (wrong.empty() && seed < seeds) {
      wrong = violation_of(++seed, needs_pair);
      is_reached = is_reached || was_planted_bug_reached();
    }
    plant_bug("");
    CAF_CHECK(is_reached);
    if (wrong.empty())
      CAF_ERROR(bug << ": not caught by " << seeds << " seeds" << (is_reached ? "" : ", and never come upon"));
    else
      CAF_MESSAGE(bug << ": caught by seed " << seed << ": " << wrong.substr(0, 200));
  }
}
