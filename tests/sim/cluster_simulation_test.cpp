// Whole clusters under faults: a fixed set of seeds, and some that nobody has seen. A failure prints what the seed drew and how
// to run it again.
#define CAF_SUITE cluster_simulation
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <random>

#include "core/base/planted_bug.hpp"
#include "core/base/sometimes.hpp"
#include "tests/support/cluster_simulation/cluster_simulation.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

constexpr std::uint64_t fixed_seeds = 400;

// Seconds of seeds that nobody has seen, some hundreds.
std::chrono::seconds fresh_for() {
  const char* given = std::getenv("KAHUNA_SIM_FRESH");
  return std::chrono::seconds(given != nullptr ? std::strtoll(given, nullptr, 10) : 15);
}

const char* const rare_cases[] = {
    "died.before_a_replica_was_recorded",
    "died.before_a_write_was_durable",
    "died.when_a_dropped_replica_was_recorded",
    "died.when_a_replica_was_recorded",
    "died.when_a_snapshot_was_flushed",
    "died.when_a_write_was_durable",
    "disk.sync_failed",
    "members.change_refused",
    "members.one_loses_its_data",
    "partition.ephemeral_keys_dropped",
    "partition.ephemeral_write_for_another_leadership",
    "partition.late_request_is_forgotten",
    "partition.lease_expired_while_leading",
    "partition.new_leader_meets_promises",
    "partition.overlay_dropped",
    "partition.retry_answered_from_the_window",
    "partition.retry_meets_its_first_attempt_under_way",
    "raft.answer_of_an_earlier_life",
    "raft.campaign_put_forward",
    "raft.change_would_lose_the_quorum",
    "raft.configuration_overwritten",
    "raft.conflicting_suffix_truncated",
    "raft.handover_comes_to_nothing",
    "raft.joint_configuration_ended_by_a_later_leader",
    "raft.leader_that_is_left_out_hands_over",
    "raft.leader_that_is_left_out_steps_down",
    "raft.leader_without_a_majority_steps_down",
    "raft.leadership_handed_over",
    "raft.older_term_at_a_majority",
    "raft.promise_of_an_older_term_dropped",
    "raft.snapshot_begun_during_a_change",
    "raft.snapshot_installed",
    "raft.snapshot_pieces_sent_again",
    "raft.start_finds_a_joint_configuration",
    "raft.start_finds_an_obsolete_log",
    "raft.taken_in_again_before_it_is_forgotten",
    "raft.vote_refused_within_a_lease",
    "raft.write_under_way_clipped",
    "replica.dropped",
    "replica.leader_of_a_joint_configuration_dies",
    "replica.learner_dies",
    "replica.made",
    "replica.taken_in_again_within_a_term",
    "routing.driver_finds_a_change_under_way",
    "routing.target_changed_under_way",
};

struct totals {
  std::size_t seeds = 0, operations = 0, transactions = 0, undecided = 0, states_compared = 0, terms_led = 0, map_versions = 0;
};

void run(std::uint64_t seed, totals& sums) {
  const auto options = cluster_options::drawn_from(seed);
  const auto result = run_cluster_simulation(options);
  ++sums.seeds;
  sums.operations += result.operations;
  sums.transactions += result.transactions;
  sums.undecided += result.undecided;
  sums.states_compared += result.states_compared;
  sums.terms_led += result.terms_led;
  sums.map_versions += result.map_versions;
  if (!result.violation.empty())
    CAF_ERROR(options.describe() << "\n  " << result.violation << "\n  again: kahuna-sim --seed " << seed);
}

void tell(const totals& sums) {
  CAF_MESSAGE(sums.seeds << " seeds: " << sums.operations << " operations, " << sums.transactions << " transactions, " << sums.terms_led
                         << " terms led, " << sums.states_compared << " states compared, " << sums.map_versions << " versions of the map, " << sums.undecided << " keys undecided");
}

}  // namespace

CAF_TEST(no violation whatever fails and every rare case is reached) {
  plant_bug("");
  totals sums;
  for (std::uint64_t seed = 1; seed <= fixed_seeds; ++seed) run(seed, sums);
  tell(sums);
  // The faults must leave room for what they are to disturb.
  CAF_CHECK(sums.operations > 100 * sums.seeds);
  CAF_CHECK(sums.transactions > 20 * sums.seeds);
  CAF_CHECK(sums.states_compared > 10 * sums.seeds);
  CAF_CHECK(sums.terms_led > 4 * sums.seeds);
  CAF_CHECK(sums.map_versions > 4 * sums.seeds);
  CAF_CHECK_EQUAL(sums.undecided, 0u);
  for (const std::string name : rare_cases) {
    const auto found = cases_reached().find(name);
    if (found == cases_reached().end()) CAF_ERROR("never reached: " << name);
  }
}

// Which of the fresh ones had found something, once.
CAF_TEST(no violation with seeds that had one) {
  plant_bug("");
  totals sums;
  for (const std::uint64_t seed : {42356927695928, 101808243081589}) run(seed, sums);
  tell(sums);
}

CAF_TEST(no violation with seeds that nobody has seen) {
  plant_bug("");
  totals sums;
  const auto end = std::chrono::steady_clock::now() + fresh_for();
  for (auto seed = std::uint64_t{std::random_device{}()} << 16; std::chrono::steady_clock::now() < end; ++seed) run(seed, sums);
  if (sums.seeds != 0) tell(sums);
}

CAF_TEST(the same seed gives the same run) {
  plant_bug("");
  std::size_t map_versions = 0;
  for (const std::uint64_t seed : {5, 29, 77, 131}) {
    const auto one = run_cluster_simulation(cluster_options::drawn_from(seed));
    const auto other = run_cluster_simulation(cluster_options::drawn_from(seed));
    map_versions = std::max(map_versions, one.map_versions);
    CAF_CHECK_EQUAL(one.digest, other.digest);
    CAF_CHECK_EQUAL(one.operations, other.operations);
  }
  // Members change in one of them at least.
  CAF_CHECK(map_versions > 1);
}
