// Links between nodes that are cut, both ways and one way, and slow, between network namespaces: no answer is wrong, and those that still
// have a majority go on. KAHUNA_FULL: longer. Needs the privilege to make network namespaces; is skipped with a message without it.
#define CAF_SUITE system_links
#include "caf/test/unit_test.hpp"

#include <cmath>
#include <thread>

#include "tests/support/append_load.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/register_load.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

std::shared_ptr<network_lab> lab() {
  static const auto built = network_lab::open(3);
  return built;
}

// Cuts in turn: a pair of nodes, a node from all others, what a leader sends, what it hears; then what a leader sends is slow.
// `has_gone_on` waits for progress.
template <class Progress>
void cut_links(cluster& nodes, network_lab& network, int rounds, Progress&& has_gone_on) {
  for (int round = 0; round < rounds; ++round) {
    const int leader = nodes.busiest_leader();
    const int other = leader % nodes.size() + 1;
    switch (round % 5) {
      case 0: network.cut(leader, other); break;
      case 1: network.isolate(leader); break;
      case 2: network.cut_one_way(leader, other); break;
      case 3:
        for (int node = 1; node <= nodes.size(); ++node)
          if (node != leader) network.cut_one_way(node, leader);
        break;
      case 4:
        if (!network.slow_down(leader, 800)) CAF_MESSAGE("no link was slow: this kernel has no token bucket filter");
        break;
    }
    const auto cut_at = steady_clock::now();
    CAF_CHECK(has_gone_on());
    network.heal();
    const auto healed_at = steady_clock::now();
    CAF_CHECK(has_gone_on());
    CAF_MESSAGE("round " << round << ": " << std::lround(elapsed_ms(cut_at, healed_at)) << " ms cut or slow, then "
                         << std::lround(elapsed_ms(healed_at, steady_clock::now())) << " ms");
  }
}

void append_while_links_are_cut(locking_choice locking) {
  const auto network = lab();
  if (!network) return;
  cluster nodes({.network = network});
  nodes.start_all_and_wait();
  append_load load(nodes.endpoints(), {.locking = locking});
  load.start();
  cut_links(nodes, *network, is_full() ? 25 : 5, [&] { return load.wait_for_commits(is_full() ? 2'200 : 150, milliseconds(60'000)); });
  load.stop();
  CAF_MESSAGE(load.summary());
  auto reader = connect_or_fail(nodes.endpoints());
  CAF_CHECK_EQUAL(load.violation(reader), "");
}

}  // namespace

CAF_TEST(single operations are linearizable while links are cut) {
  const auto network = lab();
  if (!network) {
    CAF_MESSAGE("skipped: network namespaces need a privilege that is missing here");
    return;
  }
  cluster nodes({.network = network});
  nodes.start_all_and_wait();
  register_load load(nodes.endpoints());
  load.start();
  cut_links(nodes, *network, is_full() ? 25 : 5, [&] { return load.wait_for_answers(is_full() ? 5'000 : 1'000, milliseconds(30'000)); });
  load.stop();
  const auto counts = load.counts();
  CAF_MESSAGE(counts.writes_acknowledged << " writes acknowledged, " << counts.writes_refused << " refused, " << counts.writes_unknown
                                         << " of unknown outcome, " << counts.reads_answered << " reads");
  auto reader = connect_or_fail(nodes.endpoints());
  CAF_CHECK_EQUAL(joined(load.violations(reader)), "");
}

CAF_TEST(transactions are strictly serializable while links are cut with locks) {
  if (is_full()) append_while_links_are_cut(locking_choice::pessimistic);
}
CAF_TEST(transactions are strictly serializable while links are cut without locks) {
  if (is_full()) append_while_links_are_cut(locking_choice::optimistic);
}
CAF_TEST(transactions are strictly serializable while links are cut of both kinds) { append_while_links_are_cut(locking_choice::mixed); }

// What a node said when it led may come late: TCP repeats what gets lost, at last every dozen seconds, also when its sender has closed the connection
// and made another. If by then somebody else leads, whom the hearer does not hear, that one must not be misled (docs/incidents/0013).
CAF_TEST(a late word of who led before misleads nobody) {
  const auto network = lab();
  if (!network) return;
  cluster nodes({.network = network});
  nodes.start_all_and_wait();
  append_load load(nodes.endpoints());
  load.start();
  const auto commits_within = [&](milliseconds time) {
    const auto before = load.committed();
    std::this_thread::sleep_for(time);
    return load.committed() - before;
  };
  const int earlier = nodes.busiest_leader();
  const int leader = earlier % nodes.size() + 1;
  const int other = leader % nodes.size() + 1;
  network->cut_one_way(earlier, other);
  // What is lost now is repeated 6.2 and 12.6 s later (0.2 s, and twice as long each time).
  const auto cut_at = steady_clock::now();
  commits_within(milliseconds(7'000));
  network->heal();
  const auto a_second = commits_within(milliseconds(1'000));
  CAF_CHECK(eventually(milliseconds(4'000), [&] {
    const auto view = nodes.view(earlier);
    for (const auto& partition : view->partitions)
      if (partition.leader == nodes.node_name(earlier))
        nodes.run_cli(earlier, {"cluster", "transfer-leader", std::to_string(partition.id), nodes.node_name(leader)});
    return !view->led().contains(nodes.node_name(earlier)) && view->has_leader_everywhere();
  }));
  network->cut_one_way(leader, other);
  CAF_CHECK_LESS(elapsed_ms(cut_at, steady_clock::now()), 12'300);
  std::this_thread::sleep_until(cut_at + milliseconds(13'500));
  const auto in_four_seconds = commits_within(milliseconds(4'000));
  network->heal();
  CAF_MESSAGE(a_second << " commits a second, " << in_four_seconds << " in four while n" << leader << " does not reach n" << other);
  CAF_CHECK_GREATER(in_four_seconds * 2, a_second);
  load.stop();
  auto reader = connect_or_fail(nodes.endpoints());
  CAF_CHECK_EQUAL(load.violation(reader), "");
}
