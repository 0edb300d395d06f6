// kahuna-sim: runs simulations from seeds, says what went wrong, and how to run that again. See docs/testing.md.
//
// Exit status: 0 nothing was found; 1 something was; 2 bad arguments.
#include <boost/program_options.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <string>

#include "tests/support/cluster_simulation.hpp"
#include "tests/support/planted_bugs.hpp"
#include "tests/support/raft_simulation.hpp"
#include "tests/support/transaction_simulation.hpp"

using namespace kahuna::testing;

namespace {

struct outcome {
  std::string options;
  std::string violation;  // empty: none
  std::uint64_t digest = 0;
  std::string summary;
};

outcome run_cluster(std::uint64_t seed) {
  const auto options = cluster_simulation_options::drawn_from(seed);
  cluster_simulation simulation(options);
  simulation.run(std::chrono::milliseconds(6'000));
  auto wrong = simulation.settle(std::chrono::milliseconds(15'000));
  if (wrong.empty()) wrong = simulation.check();
  auto summary = std::to_string(simulation.workload().committed()) + " committed";
  for (const auto& [what, count] : simulation.happened()) summary += ", " + what + ' ' + std::to_string(count);
  return {options.describe(), std::move(wrong), simulation.digest(), std::move(summary)};
}

outcome run_transactions(std::uint64_t seed) {
  const auto options = transaction_simulation_options::drawn_from(seed);
  transaction_simulation simulation(options);
  simulation.run(std::chrono::milliseconds(6'000));
  auto wrong = simulation.settle(std::chrono::milliseconds(15'000));
  if (wrong.empty()) wrong = simulation.check();
  return {options.describe(), std::move(wrong), simulation.workload().digest(), std::to_string(simulation.workload().committed()) + " committed"};
}

// Whatever is wrong is a failed check.
outcome run_raft(std::uint64_t seed) {
  const auto options = raft_simulation_options::drawn_from(seed);
  raft_simulation simulation(options);
  simulation.run(std::chrono::seconds(15));
  simulation.heal_and_check_progress(std::chrono::seconds(10));
  return {options.describe(), "", simulation.digest(), std::to_string(simulation.acknowledged()) + " acknowledged"};
}

const std::map<std::string, std::function<outcome(std::uint64_t)>> simulations{
    {"cluster", run_cluster}, {"transactions", run_transactions}, {"raft", run_raft}};

}  // namespace

int main(int argc, char** argv) {
  namespace po = boost::program_options;
  std::string what, range, bug;
  std::uint64_t minutes = 0;
  po::options_description known("kahuna-sim runs simulations of the real cores from seeds");
  known.add_options()("help", "this text")("of", po::value(&what)->default_value("cluster"), "cluster, transactions, or raft")(
      "seed", po::value<std::uint64_t>(), "this one, and say what happened in it")("seeds", po::value(&range), "A..B: these")(
      "minutes", po::value(&minutes), "fresh ones for so long")("bug", po::value(&bug), "with this planted bug; see the lists in tests/sim/planted_*");
  po::variables_map given;
  try {
    po::store(po::parse_command_line(argc, argv, known), given);
    po::notify(given);
  } catch (const po::error& wrong) {
    std::cerr << "kahuna-sim: " << wrong.what() << "; see --help\n";
    return 2;
  }
  if (given.contains("help")) {
    std::cout << known;
    return 0;
  }
  const auto simulation = simulations.find(what);
  const auto dots = range.find("..");
  const int ways = static_cast<int>(given.contains("seed")) + static_cast<int>(!range.empty()) + static_cast<int>(minutes != 0);
  if (simulation == simulations.end() || ways != 1 || (!range.empty() && dots == std::string::npos)) {
    std::cerr << "kahuna-sim: give one of --seed N, --seeds A..B, --minutes M, and --of cluster, transactions or raft; see --help\n";
    return 2;
  }

  std::uint64_t first = 1, last = UINT64_MAX;
  if (given.contains("seed")) {
    first = last = given["seed"].as<std::uint64_t>();
  } else if (!range.empty()) {
    first = std::strtoull(range.c_str(), nullptr, 10);
    last = std::strtoull(range.c_str() + dots + 2, nullptr, 10);
  } else {
    first = std::random_device{}();
    std::cout << "from seed " << first << std::endl;
  }
  const auto began = std::chrono::steady_clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
  std::uint64_t seed = first;
  for (; seed <= last && (minutes == 0 || elapsed() < 60.0 * static_cast<double>(minutes)); ++seed) {
    outcome found;
    const auto verdict = hunt(bug, seed, 1, [&](std::uint64_t s) {
      found = simulation->second(s);
      return found.violation;
    });
    if (!verdict.violation.empty()) {
      std::cout << "seed " << seed << ": " << verdict.violation << "\n  " << found.options << "\n  again: kahuna-sim --of " << what << " --seed "
                << seed << (bug.empty() ? "" : " --bug " + bug) << std::endl;
      return 1;
    }
    if (first == last) std::cout << found.options << "\n" << found.summary << "\ndigest " << std::hex << found.digest << std::dec << std::endl;
  }
  std::cout << seed - first << " seeds in " << elapsed() << " s, nothing found" << std::endl;
  return 0;
}
