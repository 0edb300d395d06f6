// kahuna-bench: puts load on a cluster and reports throughput and latency.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "bench/bench_options.hpp"
#include "bench/load.hpp"

namespace {

using namespace kahuna;
using namespace kahuna::bench;

int fail(int status, const std::string& message) {
  std::fprintf(stderr, "kahuna-bench: %s\n", message.c_str());
  return status;
}

constexpr std::pair<const char*, double> percentiles[] = {{"p50", 50}, {"p90", 90}, {"p95", 95}, {"p99", 99}, {"p99.9", 99.9}};

double milliseconds(std::chrono::microseconds d) { return static_cast<double>(d.count()) / 1000.0; }

double per_second(std::uint64_t count, const load_report& report) {
  return static_cast<double>(count) * 1e6 / static_cast<double>(report.measured.count());
}

void print_console(const load_report& report) {
  for (const auto& [name, operation] : report.operations) {
    const auto& latency = operation.latency;
    std::printf("%-14s %9llu ops %10.0f /s ", name.c_str(), static_cast<unsigned long long>(latency.count()),
                per_second(latency.count(), report));
    for (const auto& [label, percent] : percentiles) std::printf(" %s %.2f", label, milliseconds(latency.percentile(percent)));
    std::printf(" max %.2f ms\n", milliseconds(latency.max()));
    if (operation.retries != 0)
      std::printf("%-14s %9llu attempts aborted, and begun again\n", "", static_cast<unsigned long long>(operation.retries));
    for (const auto& [code, count] : operation.errors)
      std::printf("%-14s %9llu errors: %s\n", "", static_cast<unsigned long long>(count), std::string(to_string(code)).c_str());
  }
  std::printf("%-14s %.2f cores\n", "this client", report.cpu_cores);
}

void print_json(const load_report& report) {
  nlohmann::ordered_json out;
  out["duration_s"] = static_cast<double>(report.measured.count()) / 1e6;
  out["client_cpu_cores"] = report.cpu_cores;
  out["operations"] = nlohmann::ordered_json::array();
  for (const auto& [name, operation] : report.operations) {
    nlohmann::ordered_json entry{{"op", name}, {"count", operation.latency.count()}, {"per_second", per_second(operation.latency.count(), report)}};
    for (const auto& [label, percent] : percentiles) entry[std::string(label) + "_ms"] = milliseconds(operation.latency.percentile(percent));
    entry["max_ms"] = milliseconds(operation.latency.max());
    if (operation.retries != 0) entry["retries"] = operation.retries;
    entry["errors"] = nlohmann::ordered_json::object();
    for (const auto& [code, count] : operation.errors) entry["errors"][std::string(to_string(code))] = count;
    out["operations"].push_back(std::move(entry));
  }
  std::cout << out.dump() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = parse_bench_options(argc, argv);
  if (!parsed) return fail(2, parsed.error().message);
  if (const auto* text = std::get_if<information>(&*parsed)) {
    std::cout << text->text;
    return 0;
  }
  const auto& options = std::get<bench_options>(*parsed);
  client::client_options client_options;
  client_options.endpoints = options.endpoints;
  client_options.connections = options.connections;
  auto connected = client::client::connect(client_options);
  if (!connected) return fail(connected.error().code == errc::invalid_argument ? 2 : 3, connected.error().message);

  std::optional<history_file> history;
  if (!options.history.empty() && !history.emplace(options.history).is_open()) return fail(2, "--history: " + options.history + " can't be written");
  auto* const noted = history ? &*history : nullptr;
  if (options.is_filled_first && options.workload != workload::set && options.workload != workload::cas) {
    std::fprintf(stderr, "writing %llu keys first\n", static_cast<unsigned long long>(options.key_space));
    if (const auto filled = fill(*connected, options, noted); !filled) return fail(1, filled.error().message);
  }
  const auto report = run_load(*connected, options, noted, [](std::chrono::seconds second, std::uint64_t operations) {
    std::fprintf(stderr, "%4lld s %8llu operations/s\n", static_cast<long long>(second.count()), static_cast<unsigned long long>(operations));
  });
  if (history && !history->is_good()) return fail(1, "--history: " + options.history + ": not everything could be written");
  options.format == output_format::json ? print_json(report) : print_console(report);
  bool has_errors = false;
  for (const auto& [name, operation] : report.operations) has_errors |= !operation.errors.empty();
  return has_errors ? 1 : 0;
}
