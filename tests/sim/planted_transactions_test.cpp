// The simulation of transactions finds the defects that are planted in them on purpose (core/base/planted_bug.hpp).
//
// KAHUNA_SIM_SEEDS=N tries so many seeds for each; KAHUNA_PLANTED_BUG=NAME takes that one alone.
#define CAF_SUITE planted_transactions
#include "caf/test/unit_test.hpp"

#include <cstdlib>
#include <string>

#include "tests/support/planted_bugs.hpp"
#include "tests/support/transaction_simulation.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

constexpr const char* bugs[] = {
    "transaction.reads_not_validated",
    "transaction.absence_not_validated",
    "transaction.buckets_not_validated",
    "transaction.locks_trusted",
    "transaction.vote_before_replicated",
    "transaction.decision_before_replicated",
    "transaction.one_vote_is_enough",
    "transaction.promises_not_restored",
    "transaction.read_passes_promise",
    "transaction.resolved_without_asking",
    "transaction.abort_told_without_a_leaders_certainty",
    "transaction.record_forgotten_early",
    "transaction.answers_of_another_leader",
    "transaction.moment_not_settled",
    "transaction.moment_passes_promise",
};

std::string violation_of(std::uint64_t seed) {
  transaction_simulation simulation(transaction_simulation_options::drawn_from(seed));
  simulation.run(std::chrono::milliseconds(6'000));
  const auto stuck = simulation.settle(std::chrono::milliseconds(15'000));
  return stuck.empty() ? simulation.check() : stuck;
}

}  // namespace

CAF_TEST(every planted bug is caught) {
  const char* text = std::getenv("KAHUNA_SIM_SEEDS");
  const std::uint64_t seeds = text != nullptr ? std::strtoull(text, nullptr, 10) : 800;
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
