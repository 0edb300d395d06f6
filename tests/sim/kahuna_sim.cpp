// kahuna-sim: whole clusters under faults, one seed after another.
#include <boost/program_options.hpp>
#include <chrono>
#include <iostream>
#include <random>
#include <string>

#include "core/base/planted_bug.hpp"
#include "core/base/sometimes.hpp"
#include "tests/sim/cluster_bugs.hpp"
#include "tests/support/cluster_simulation/cluster_simulation.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

namespace po = boost::program_options;
using steady = std::chrono::steady_clock;

struct range {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

// "A..B"; throws po::error.
range parse_range(const std::string& text) {
  const auto dots = text.find("..");
  if (dots == std::string::npos) throw po::error("--seeds wants A..B");
  try {
    return {std::stoull(text.substr(0, dots)), std::stoull(text.substr(dots + 2))};
  } catch (const std::exception&) {
    throw po::error("--seeds wants two numbers: A..B");
  }
}

struct totals {
  std::uint64_t seeds = 0;
  std::uint64_t violations = 0;
  std::uint64_t operations = 0;
  std::uint64_t transactions = 0;
  std::uint64_t undecided = 0;
  std::uint64_t maps = 0;
  double virtual_seconds = 0;
};

void run(std::uint64_t seed, const std::string& bug, bool is_told, totals& sums) {
  const auto options = cluster_options::drawn_from(seed);
  if (is_told) std::cout << options.describe() << std::endl;
  const auto result = run_cluster_simulation(options);
  ++sums.seeds;
  sums.operations += result.operations;
  sums.transactions += result.transactions;
  sums.undecided += result.undecided;
  sums.maps += result.map_versions - 1;
  sums.virtual_seconds += static_cast<double>(result.virtual_us) / 1e6;
  if (is_told)
    std::cout << "digest " << std::hex << result.digest << std::dec << ", " << result.operations << " operations, " << result.transactions
              << " transactions, " << result.terms_led << " terms led, " << result.states_compared << " states compared, map version " << result.map_versions << std::endl;
  if (result.violation.empty()) return;
  ++sums.violations;
  std::cout << "VIOLATION " << options.describe() << "\n  " << result.violation << "\n  again: kahuna-sim --seed " << seed
            << (bug.empty() ? "" : " --bug " + bug) << std::endl;
}

int run_all(const po::variables_map& given, const std::string& bug) {
  totals sums;
  const auto began = steady::now();
  const auto seconds = [&] { return std::chrono::duration<double>(steady::now() - began).count(); };
  if (given.contains("seed")) {
    run(given["seed"].as<std::uint64_t>(), bug, true, sums);
  } else if (given.contains("seeds")) {
    const auto seeds = parse_range(given["seeds"].as<std::string>());
    for (auto seed = seeds.first; seed <= seeds.last; ++seed) run(seed, bug, false, sums);
  } else {
    const auto first = std::uint64_t{std::random_device{}()} << 16;
    std::cout << "seeds from " << first << " on" << std::endl;
    for (auto seed = first; seconds() < 60.0 * given["minutes"].as<double>(); ++seed) run(seed, bug, false, sums);
  }
  std::cout << sums.seeds << " seeds in " << seconds() << " s (" << static_cast<double>(sums.seeds) / seconds() << " a second, "
            << sums.virtual_seconds << " virtual seconds): " << sums.operations << " operations, " << sums.transactions << " transactions, "
            << sums.maps << " changes of the map, " << sums.undecided << " keys undecided, " << sums.violations << " violations" << std::endl;
  if (given.contains("cases"))
    for (const auto& [name, count] : cases_reached()) std::cout << "  " << name << ' ' << count << std::endl;
  if (!bug.empty() && !was_planted_bug_reached()) std::cout << "the planted bug was never come upon" << std::endl;
  return sums.violations == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  po::options_description known("kahuna-sim runs whole clusters under faults, each from a seed");
  known.add_options()("help", "shows this")("seed", po::value<std::uint64_t>(), "runs this seed, and tells what it drew")(
      "seeds", po::value<std::string>(), "A..B: runs these")("minutes", po::value<double>()->default_value(1), "runs fresh seeds for so long")(
      "bug", po::value<std::string>()->default_value(""), "with this defect planted")("list-bugs", "names the defects that can be planted")(
      "cases", "tells how often each rare case was reached");
  try {
    po::variables_map given;
    po::store(po::parse_command_line(argc, argv, known), given);
    po::notify(given);
    if (given.contains("help")) {
      std::cout << known;
      return 0;
    }
    if (given.contains("list-bugs")) {
      for (const auto& bug : cluster_bugs) std::cout << bug.name << ": " << bug.what << '\n';
      return 0;
    }
    const auto bug = given["bug"].as<std::string>();
    plant_bug(bug);
    return run_all(given, bug);
  } catch (const po::error& wrong) {
    std::cerr << wrong.what() << '\n' << known;
    return 2;
  }
}
