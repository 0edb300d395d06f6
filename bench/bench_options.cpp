#include "bench/bench_options.hpp"

#include <boost/program_options.hpp>

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>

#include "core/kv/operations/validation.hpp"

namespace kahuna::bench {

namespace {

namespace po = boost::program_options;

error wrong(std::string message) { return {errc::invalid_argument, std::move(message)}; }

std::optional<std::uint64_t> parse_number(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) parts.push_back(part);
  return parts;
}

}  // namespace

result<std::variant<information, bench_options>> parse_bench_options(int argc, const char* const* argv) {
  using outcome = std::variant<information, bench_options>;
  po::options_description described("kahuna-bench [options]");
  const auto text = [] { return po::value<std::string>(); };
  described.add_options()
      ("connect,c", text(), "HOST:PORT[,HOST:PORT...] (127.0.0.1:4870)")
      ("workload", text(), "set, get, mixed, bucket, cas, eset, eget, rmw or transfer (mixed)")
      ("concurrency", text(), "workers, each with one operation outstanding (16)")
      ("duration", text(), "seconds that are measured (10)")
      ("warmup", text(), "seconds before that (1)")
      ("key-space", text(), "number of different keys (100000)")
      ("value-size", text(), "bytes of a value (100)")
      ("read-pct", text(), "reads in a hundred operations of the mixed workload (50)")
      ("durability", text(), "persistent or ephemeral (persistent)")
      ("expires", text(), "milliseconds after which what is set expires; 0: never (0)")
      ("locking", text(), "of the transactions of rmw and transfer: pessimistic or optimistic (pessimistic)")
      ("accounts", text(), "of a transfer: spread over all partitions, or both of one bucket: spread or bucket (spread)")
      ("fill", text(), "whether all keys are written first, but by set and cas: yes, or no where they are there (yes)")
      ("rate", text(), "operations a second at fixed times, latency from when each was due; 0: as fast as answers come (0)")
      ("connections", text(), "to each node (1)")
      ("history", text(), "a file for every set and get of set, get, mixed and cas, with its times and answer, a line of JSON each")
      ("format", text(), "console or json (console)")
      ("seed", text(), "of the keys that are drawn (1)")
      ("help", "print this");
  // Not left to Boost, whose error puts the argument into itself for ever where it holds `%original_token%`. No value
  // begins with a dash.
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.size() < 2 || argument.front() != '-' || argument == "--" || argument.starts_with("-c")) continue;
    const auto name = argument.substr(0, argument.find('='));
    const bool is_known = std::any_of(described.options().begin(), described.options().end(),
                                      [&](const auto& option) { return name == "--" + option->long_name(); });
    if (!is_known) return wrong("unrecognised option '" + name + "'; see --help");
  }
  po::variables_map given;
  try {
    po::store(po::command_line_parser(argc, argv)
                  .options(described)
                  .positional(po::positional_options_description())
                  .style(po::command_line_style::unix_style & ~po::command_line_style::allow_guessing)
                  .run(),
              given);
  } catch (const po::error& e) {
    return wrong(std::string(e.what()) + "; see --help");
  }
  if (given.contains("help")) {
    std::ostringstream out;
    out << "Puts load on a Kahuna cluster and reports throughput and latency.\n\n" << described;
    return outcome(information{out.str()});
  }

  bench_options options;
  std::optional<error> failure;
  const auto number = [&](const char* name, auto& into, std::uint64_t least, std::uint64_t most) {
    if (!given.contains(name) || failure) return;
    const auto& value = given[name].as<std::string>();
    const auto parsed = parse_number(value);
    if (!parsed || *parsed < least || *parsed > most) {
      failure = wrong("--" + std::string(name) + ": '" + value + "' is no whole number from " + std::to_string(least) + " to " +
                      std::to_string(most));
      return;
    }
    into = static_cast<std::decay_t<decltype(into)>>(*parsed);
  };
  const auto choice = [&](const char* name, auto& into, auto choices) {
    if (!given.contains(name) || failure) return;
    const auto& value = given[name].as<std::string>();
    for (const auto& [word, meaning] : choices)
      if (word == value) {
        into = meaning;
        return;
      }
    failure = wrong("--" + std::string(name) + ": '" + value + "' is none of its values; see --help");
  };
  using namespace std::string_literals;
  if (given.contains("connect")) options.endpoints = split(given["connect"].as<std::string>());
  using both = std::pair<workload, std::optional<kv::durability>>;
  both chosen{options.workload, std::nullopt};
  choice("workload", chosen,
         std::vector{std::pair{"set"s, both{workload::set, {}}}, {"get"s, {workload::get, {}}}, {"mixed"s, {workload::mixed, {}}},
                     {"bucket"s, {workload::bucket, {}}}, {"cas"s, {workload::cas, {}}},
                     {"rmw"s, {workload::rmw, {}}}, {"transfer"s, {workload::transfer, {}}},
                     {"eset"s, {workload::set, kv::durability::ephemeral}}, {"eget"s, {workload::get, kv::durability::ephemeral}}});
  options.workload = chosen.first;
  choice("locking", options.locking,
         std::vector{std::pair{"pessimistic"s, kv::locking_mode::pessimistic}, {"optimistic"s, kv::locking_mode::optimistic}});
  choice("fill", options.is_filled_first, std::vector{std::pair{"yes"s, true}, {"no"s, false}});
  choice("accounts", options.is_same_bucket, std::vector{std::pair{"spread"s, false}, {"bucket"s, true}});
  choice("format", options.format, std::vector{std::pair{"console"s, output_format::console}, {"json"s, output_format::json}});
  choice("durability", options.durability,
         std::vector{std::pair{"persistent"s, kv::durability::persistent}, {"ephemeral"s, kv::durability::ephemeral}});
  if (chosen.second) options.durability = *chosen.second;
  if (given.contains("history")) options.history = given["history"].as<std::string>();
  std::uint64_t seconds = 10, warmup = 1;
  number("concurrency", options.concurrency, 1, 100'000);
  number("duration", seconds, 1, 86'400);
  number("warmup", warmup, 0, 86'400);
  number("key-space", options.key_space, 1, 100'000'000);
  number("value-size", options.value_bytes, 0, 16u << 20);
  number("read-pct", options.read_percent, 0, 100);
  number("expires", options.expires_ms, 0, kv::expires_ms_max);
  number("rate", options.rate, 0, 10'000'000);
  number("connections", options.connections, 1, 1000);
  number("seed", options.seed, 0, ~std::uint64_t{0});
  if (failure) return *failure;
  if (options.workload == workload::transfer && options.key_space < 2) return wrong("--key-space: a transfer needs two accounts");
  const bool has_single_keys = options.workload == workload::set || options.workload == workload::get || options.workload == workload::mixed ||
                               options.workload == workload::cas;
  if (!options.history.empty() && !has_single_keys) return wrong("--history: only set, get, mixed and cas have one");
  options.duration = std::chrono::seconds(seconds);
  options.warmup = std::chrono::seconds(warmup);
  return outcome(std::move(options));
}

}  // namespace kahuna::bench
