// Whole clusters under everything that may happen to them, from many seeds; see tests/support/cluster_simulation.hpp.
//
// KAHUNA_SIM_SEEDS=N runs so many; KAHUNA_SIM_SEED=S runs that one.
#define CAF_SUITE cluster_simulation
#include "caf/test/unit_test.hpp"

#include <cstdlib>
#include <map>
#include <string>

#include "tests/support/cluster_simulation.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

// What the fixed seeds must have met.
constexpr const char* rare_cases[] = {"crash", "pause", "cut", "handover", "snapshot installed", "conflicting entries were taken back"};

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

CAF_TEST(clusters keep their promises whatever fails) {
  std::map<std::string, std::size_t> happened;
  std::size_t committed = 0, aborted = 0, unknown = 0;
  const auto one = number_from("KAHUNA_SIM_SEED", 0);
  const auto first = one != 0 ? one : 1;
  const auto last = one != 0 ? one : number_from("KAHUNA_SIM_SEEDS", 200);
  for (auto seed = first; seed <= last; ++seed) {
    cluster_simulation simulation(cluster_simulation_options::drawn_from(seed));
    simulation.run(std::chrono::milliseconds(6'000));
    auto wrong = simulation.settle(std::chrono::milliseconds(15'000));
    if (wrong.empty()) wrong = simulation.check();
    if (!wrong.empty()) CAF_FAIL(cluster_simulation_options::drawn_from(seed).describe() << ": " << wrong);
    committed += simulation.workload().committed();
    aborted += simulation.workload().aborted();
    unknown += simulation.workload().unknown();
    for (const auto& [what, count] : simulation.happened()) happened[what] += count;
  }
  CAF_MESSAGE(last - first + 1 << " seeds: " << committed << " committed, " << aborted << " aborted, " << unknown << " of unknown outcome");
  for (const auto& [what, count] : happened) CAF_MESSAGE(what << ": " << count);
  if (one != 0) return;
  for (const auto* what : rare_cases) CAF_CHECK(happened.contains(what));
}

CAF_TEST(a seed gives the same run again) {
  const auto digest_of = [](std::uint64_t seed) {
    cluster_simulation simulation(cluster_simulation_options::drawn_from(seed));
    simulation.run(std::chrono::milliseconds(3'000));
    return simulation.digest();
  };
  for (std::uint64_t seed = 1; seed <= 3; ++seed) CAF_CHECK_EQUAL(digest_of(seed), digest_of(seed));
}
