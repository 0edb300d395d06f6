// The simulation of transactions finds the defects that are planted in them on purpose (core/base/planted_bug.hpp).
#define CAF_SUITE planted_transactions
#include "caf/test/unit_test.hpp"

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
    "transaction.refused_write_passed_over",
    "transaction.refusal_told_unasked",
    "transaction.moment_not_settled",
    "transaction.moment_passes_promise",
};

}  // namespace

CAF_TEST(every planted bug is caught) {
  for (const auto* bug : bugs)
    expect_caught(bug, 800, [](std::uint64_t seed) {
      transaction_simulation simulation(transaction_simulation_options::drawn_from(seed));
      return simulation.run_to_the_end();
    });
}
