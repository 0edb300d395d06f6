// All nodes are killed at once under load: what was acknowledged is on disk.
#define CAF_SUITE system_crash
#include "caf/test/unit_test.hpp"

#include "tests/support/cluster_fixture.hpp"
#include "tests/support/register_load.hpp"

using namespace kahuna::testing;

namespace {

void crash_rounds(cluster& nodes, int rounds) {
  nodes.start_all_and_wait();
  for (int round = 0; round < rounds; ++round) {
    register_load_options options;
    options.key_prefix = "round-" + std::to_string(round) + "-";
    options.timeout = milliseconds(1000);
    register_load load(nodes.endpoints(), options);
    load.start();
    CAF_REQUIRE(load.wait_for_answers(2000, milliseconds(30'000)));
    nodes.kill_all();
    load.stop();
    const auto began = steady_clock::now();
    nodes.start_all_and_wait();
    const auto counts = load.counts();
    CAF_MESSAGE(counts.writes_acknowledged << " writes acknowledged before the crash; ready again after "
                                           << elapsed_ms(began, steady_clock::now()) << " ms");
    auto reader = connect_or_fail(nodes.endpoints());
    CAF_CHECK_EQUAL(joined(load.violations(reader)), "");
  }
}

}  // namespace

CAF_TEST(three nodes killed at once keep every acknowledged write) {
  cluster nodes;
  crash_rounds(nodes, 3);
}

CAF_TEST(a single node that is killed keeps every acknowledged write) {
  cluster_options options;
  options.nodes = 1;
  cluster nodes(options);
  crash_rounds(nodes, 3);
}
