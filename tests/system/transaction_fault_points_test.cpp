// A transaction over two partitions, of which the anchor's or the other one's leader dies at each step of the commit in turn, as by
// kill -9 (core/base/fault_point.hpp): it is done wholly or not at all, its client is told nothing wrong, and what it held is
// free again at once.
#define CAF_SUITE system_transaction_fault_points
#include "caf/test/unit_test.hpp"

#include <cmath>
#include <cstdlib>
#include <future>

#include "tests/support/cluster_fixture.hpp"
#include "tests/support/partition_probe.hpp"
#include "tests/support/register_load.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

// From the kill until both keys can be written again: a new leader, and a question to it.
constexpr int free_ms_max = is_sanitized ? 8'000 : 2'000;

#ifdef KAHUNA_FAULT_POINTS

struct two_partitions {
  std::uint32_t anchor = 0;
  std::uint32_t other = 0;
};

// One led by the first of these nodes, and one led by the second.
two_partitions led_by(cluster& nodes, int first, int second) {
  two_partitions found;
  CAF_REQUIRE(eventually(
      milliseconds(20'000), [&] {
        const auto view = nodes.view(1);
        bool has_anchor = false, has_other = false;
        if (!view) return false;
        for (const auto& partition : view->partitions) {
          if (partition.leader == nodes.node_name(first) && !has_anchor) has_anchor = true, found.anchor = partition.id;
          if (partition.leader == nodes.node_name(second) && !has_other) has_other = true, found.other = partition.id;
        }
        return has_anchor && has_other;
      }));
  return found;
}

// Node 2 dies at the point: as the anchor's leader, or as the other partition's.
void die_at(const std::string& point, bool is_coordinator) {
  cluster nodes;
  ::setenv("KAHUNA_FAULT_POINT", point.c_str(), 1);
  nodes.start(2);
  ::unsetenv("KAHUNA_FAULT_POINT");
  nodes.start_all_and_wait();
  const auto partitions = is_coordinator ? led_by(nodes, 2, 3) : led_by(nodes, 3, 2);
  partition_probe probe(nodes.endpoints());
  const auto& anchored = probe.keys()[partitions.anchor];
  const auto& other = probe.keys()[partitions.other];

  auto client = connect_or_fail({nodes.endpoint(1)}, milliseconds(10'000));
  auto t = client.begin({.timeout = milliseconds(5'000)});
  CAF_REQUIRE(t.has_value());
  for (const auto& key : {anchored, other}) CAF_REQUIRE(t->set(set_of(key, "new")).has_value());
  auto committed = std::async(std::launch::async, [&] { return t->commit(); });
  CAF_REQUIRE(eventually(milliseconds(5'000), [&] { return !nodes.is_running(2); }));
  const auto died = steady_clock::now();
  // A coordinator that lives goes on meanwhile, until it has an answer.
  if (!is_coordinator) committed.wait();

  auto reader = connect_or_fail({nodes.endpoint(1), nodes.endpoint(3)}, milliseconds(10'000));
  const auto one = reader.get(get_of(anchored));
  const auto two = reader.get(get_of(other));
  CAF_REQUIRE(one.has_value() && two.has_value());
  const bool is_done = one->is_found && one->value == "new";
  CAF_CHECK_EQUAL(two->is_found && two->value == "new", is_done);
  for (const auto& key : {anchored, other}) CAF_CHECK(reader.set(set_of(key, "next")).has_value());
  const auto took = std::lround(elapsed_ms(died, steady_clock::now()));
  CAF_CHECK(took < free_ms_max);

  const auto told = committed.get();
  CAF_MESSAGE(point << ": " << (is_done ? "committed" : "aborted") << ", the client was told "
                    << (told ? "committed" : std::string(to_string(told.error().code))) << ", both keys were free after " << took << " ms");
  if (told)
    CAF_CHECK(is_done);
  else if (!is_outcome_unknown(told.error().code))
    CAF_CHECK(!is_done);
}

#endif

}  // namespace

CAF_TEST(the coordinators node dies at each step of a commit) {
#ifdef KAHUNA_FAULT_POINTS
  for (const auto* point : {"votes_asked", "promised", "commit_received", "commit_proposed", "commit_applied", "decided", "all_told"})
    die_at("transaction." + std::string(point), true);
#else
  CAF_MESSAGE("skipped: this build has no fault points (they are in the presets dev and asan)");
#endif
}

CAF_TEST(a participants node dies at each step of a commit) {
#ifdef KAHUNA_FAULT_POINTS
  for (const auto* point : {"promise_proposed", "promise_applied", "resolution_proposed", "resolution_applied"})
    die_at("transaction." + std::string(point), false);
#else
  CAF_MESSAGE("skipped: this build has no fault points (they are in the presets dev and asan)");
#endif
}
