// Every node is stopped and started again under load, one behind the other: nobody notices.
#define CAF_SUITE system_rolling_restart
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <cstdlib>

#include "tests/support/cluster_fixture.hpp"
#include "tests/support/register_load.hpp"

using namespace kahuna::testing;

namespace {

int rounds() { return is_full() ? 5 : 2; }

}  // namespace

CAF_TEST(rolling restarts under load fail no request and lose no write) {
  cluster nodes;
  nodes.start_all_and_wait();
  register_load load(nodes.endpoints());
  load.start();
  CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
  for (int round = 0; round < rounds(); ++round) {
    for (int node = 1; node <= nodes.size(); ++node) {
      const auto began = steady_clock::now();
      const auto ended = nodes.stop(node);
      CAF_REQUIRE(ended.has_value());
      CAF_CHECK_EQUAL(ended->status, 0);
      const auto stopped_after = elapsed_ms(began, steady_clock::now());
      nodes.start_all_and_wait();
      CAF_REQUIRE_EQUAL(nodes.wait_until_caught_up(node, milliseconds(20'000)).value_or(""), "");
      CAF_MESSAGE(nodes.node_name(node) << " stopped after " << stopped_after << " ms, is back after "
                                        << elapsed_ms(began, steady_clock::now()) << " ms");
      CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
    }
  }
  load.stop();
  const auto counts = load.counts();
  CAF_MESSAGE(counts.writes_acknowledged << " writes acknowledged, " << counts.reads_answered << " reads answered");
  CAF_CHECK_EQUAL(counts.writes_refused, 0u);
  CAF_CHECK_EQUAL(counts.writes_unknown, 0u);
  CAF_CHECK_EQUAL(counts.reads_failed, 0u);
  auto reader = connect_or_fail(nodes.endpoints());
  CAF_CHECK_EQUAL(joined(load.violations(reader)), "");
}

CAF_TEST(an operator moves a leadership) {
  cluster nodes;
  nodes.start_all_and_wait();
  const auto transfer = [&](const std::string& partition, const std::string& node) {
    return nodes.run_cli(1, {"-e", "cluster transfer-leader " + partition + " " + node});
  };
  for (const std::string node : {"n2", "n3", "n1"}) {
    const auto said = transfer("5", node);
    CAF_CHECK_EQUAL(said.status, 0);
    CAF_CHECK_EQUAL(said.output.rfind("partition 5 led by " + node, 0), 0u);
    CAF_CHECK_EQUAL(nodes.view(1)->partitions[5].leader, node);
  }
  CAF_CHECK_EQUAL(transfer("99", "n1").status, 1);
  CAF_CHECK(transfer("5", "n9").output.find("error: invalid_argument: there is no node n9") != std::string::npos);
  nodes.kill(3);
  CAF_CHECK(transfer("5", "n3").output.find("error: unavailable: n3 does not answer") != std::string::npos);
}

CAF_TEST(leaders are even again soon after a restart) {
  cluster nodes;
  nodes.start_all_and_wait();
  CAF_REQUIRE(nodes.stop(1).has_value());
  nodes.start_all_and_wait();
  const auto is_even = [&] {
    std::vector<int> led;
    for (int node = 1; node <= nodes.size(); ++node) {
      const auto seen = nodes.view(node);
      if (!seen) return false;
      auto counts = seen->led();
      led.push_back(counts[nodes.node_name(node)]);
    }
    return *std::max_element(led.begin(), led.end()) - *std::min_element(led.begin(), led.end()) <= 1;
  };
  CAF_CHECK(eventually(milliseconds(30'000), is_even, milliseconds(100)));
}
