// A cluster with nothing to do costs next to nothing.
#define CAF_SUITE system_idle
#include "caf/test/unit_test.hpp"

#include "tests/support/cluster_fixture.hpp"

using namespace kahuna::testing;

namespace {

constexpr milliseconds measured_time(10'000);
constexpr double share_max = is_sanitized ? 0.30 : 0.05;  // of one core, per node

}  // namespace

CAF_TEST(three idle nodes with 16 partitions use less than a twentieth of a core each) {
  cluster nodes;
  nodes.start_all_and_wait();
  // Elections are over, and leaders have settled, when a second has passed without a new term.
  std::uint64_t terms = 0;
  auto changed_at = steady_clock::now();
  CAF_REQUIRE(eventually(
      milliseconds(20'000),
      [&] {
        std::uint64_t now = 0;
        if (const auto view = nodes.view(1))
          for (const auto& partition : view->partitions) now += partition.term;
        if (now != terms) changed_at = steady_clock::now();
        terms = now;
        return elapsed_ms(changed_at, steady_clock::now()) > 1000;
      },
      milliseconds(100)));

  std::vector<milliseconds> before;
  for (int node = 1; node <= nodes.size(); ++node) before.push_back(cpu_time(nodes.process_id(node)));
  const auto began = steady_clock::now();
  eventually(2 * measured_time, [&] { return steady_clock::now() - began >= measured_time; }, milliseconds(100));
  const double passed_ms = elapsed_ms(began, steady_clock::now());
  for (int node = 1; node <= nodes.size(); ++node) {
    const auto used = cpu_time(nodes.process_id(node)) - before[static_cast<std::size_t>(node - 1)];
    const double share = static_cast<double>(used.count()) / passed_ms;
    CAF_MESSAGE(nodes.node_name(node) << " used " << share * 100 << " % of a core, "
                                      << resident_bytes(nodes.process_id(node)) / 1'000'000 << " MB resident");
    CAF_CHECK(share < share_max);
  }
}
