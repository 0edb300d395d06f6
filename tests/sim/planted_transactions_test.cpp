// The simulation of transactions finds the defects that are planted in them on purpose (core/base/planted_bug.hpp).
//
// KAHUNA_SIM_SEEDS=N tries so many seeds for each; KAHUNA_PLANTED_BUG=NAME takes that one alone.
#define CAF_SUITE planted_transactions
#include "caf/test/unit_test.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "core/base/check.hpp"
#include "core/base/planted_bug.hpp"
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

void throw_failure(const char* file, int line, const char* expression, const std::string&) {
  throw std::runtime_error(std::string(file) + ':' + std::to_string(line) + " !(" + expression + ')');
}

std::string violation_of(std::uint64_t seed) {
  try {
    transaction_simulation simulation(transaction_simulation_options::drawn_from(seed));
    simulation.run(std::chrono::milliseconds(6'000));
    const auto stuck = simulation.settle(std::chrono::milliseconds(15'000));
    return stuck.empty() ? simulation.check() : stuck;
  } catch (const std::runtime_error& failed_check) {
    return failed_check.what();
  }
}

}  // namespace

CAF_TEST(every planted bug is caught) {
  const char* text = std::getenv("KAHUNA_SIM_SEEDS");
  const std::uint64_t seeds = text != nullptr ? std::strtoull(text, nullptr, 10) : 800;
  const char* only = std::getenv("KAHUNA_PLANTED_BUG");
  set_check_handler(throw_failure);
  for (const std::string bug : bugs) {
    if (only != nullptr && bug != only) continue;
    plant_bug(bug);
    std::string wrong;
    std::uint64_t seed = 0;
    bool is_reached = false;
    while (wrong.empty() && seed < seeds) {
      wrong = violation_of(++seed);
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
