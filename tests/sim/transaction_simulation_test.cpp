// Transactions under everything that may happen to them, from many seeds.
//
// KAHUNA_SIM_SEEDS=N runs so many; KAHUNA_SIM_SEED=S runs that one.
#define CAF_SUITE transaction_simulation
#include "caf/test/unit_test.hpp"

#include <cstdlib>
#include <map>
#include <string>

#include "tests/support/transaction_simulation.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

constexpr std::size_t fault_points = 14;  // that the protocol's steps have

struct totals {
  std::size_t committed = 0;
  std::size_t aborted = 0;
  std::size_t unknown = 0;
  std::size_t refused = 0;
  std::size_t several = 0;
  std::size_t written_and_committed = 0;
  std::size_t failovers = 0;
  std::map<std::string, std::size_t> deaths;
};

std::string run_seed(std::uint64_t seed, totals& sums) {
  transaction_simulation simulation(transaction_simulation_options::drawn_from(seed));
  auto wrong = simulation.run_to_the_end();
  sums.committed += simulation.workload().committed();
  sums.aborted += simulation.workload().aborted();
  sums.unknown += simulation.workload().unknown();
  sums.refused += simulation.workload().refused();
  sums.several += simulation.workload().several();
  sums.written_and_committed += simulation.workload().written_and_committed();
  sums.failovers += simulation.failovers();
  for (const auto& [point, count] : simulation.deaths()) sums.deaths[point] += count;
  return wrong;
}

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

CAF_TEST(transactions are strictly serializable whatever fails) {
  totals sums;
  const auto one = number_from("KAHUNA_SIM_SEED", 0);
  const auto first = one != 0 ? one : 1;
  const auto last = one != 0 ? one : number_from("KAHUNA_SIM_SEEDS", 150);
  for (auto seed = first; seed <= last; ++seed) {
    const auto wrong = run_seed(seed, sums);
    if (!wrong.empty()) CAF_FAIL(transaction_simulation_options::drawn_from(seed).describe() << ": " << wrong);
  }
  CAF_MESSAGE(last - first + 1 << " seeds: " << sums.committed << " committed, " << sums.aborted << " aborted, " << sums.unknown
                               << " of unknown outcome, " << sums.failovers << " changes of leader");
  CAF_MESSAGE(sums.several << " steps of several operations, " << sums.written_and_committed << " commits with writes, " << sums.refused
                           << " refused");
  for (const auto& [point, count] : sums.deaths) CAF_MESSAGE(count << " leaders died at " << point);
  CAF_CHECK(sums.committed > 0);
#ifdef KAHUNA_FAULT_POINTS
  if (one == 0) CAF_CHECK_EQUAL(sums.deaths.size(), fault_points);
#endif
  if (one == 0) CAF_CHECK(sums.several > 1000 && sums.written_and_committed > 1000 && sums.refused > 100);
}

CAF_TEST(a seed gives the same run again) {
  const auto digest_of = [](std::uint64_t seed) {
    transaction_simulation simulation(transaction_simulation_options::drawn_from(seed));
    simulation.run(std::chrono::milliseconds(2'000));
    return simulation.workload().digest();
  };
  for (std::uint64_t seed = 1; seed <= 5; ++seed) CAF_CHECK_EQUAL(digest_of(seed), digest_of(seed));
}
