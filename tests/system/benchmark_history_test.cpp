// What kahuna-bench measures is also right: the history of a run is linearizable, key by key.
#define CAF_SUITE system_benchmark_history
#include "caf/test/unit_test.hpp"

#include <unistd.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/checkers/linearizability.hpp"
#include "tests/support/cluster_fixture.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

using histories = std::map<std::string, std::vector<key_operation_record>>;

histories read_histories(const std::filesystem::path& path) {
  histories found;
  std::ifstream in(path);
  for (std::string text; std::getline(in, text);) {
    const auto line = nlohmann::json::parse(text);
    key_operation_record record;
    record.began = line.at("began");
    record.ended = line.at("ended");
    record.value = line.at("value");
    record.asked = line.at("op") == "set" ? key_operation_record::what::set : key_operation_record::what::read;
    if (line.contains("if_revision")) {
      record.condition = key_operation_record::when::revision_is;
      record.condition_number = line.at("if_revision");
    }
    record.is_known = line.value("answered", true);
    record.is_done = line.value("done", false);
    record.revision = line.value("revision", std::int64_t{-1});
    record.note = text;
    found[line.at("key")].push_back(record);
  }
  return found;
}

// How many operations were checked. The keys are few, so that many workers meet at each.
std::size_t check_run(const std::vector<std::string>& workload) {
  cluster nodes;
  nodes.start_all_and_wait();
  const auto file = nodes.data_directory(1).parent_path() / "history";
  std::string endpoints;
  for (const auto& endpoint : nodes.endpoints()) endpoints += (endpoints.empty() ? "" : ",") + endpoint;
  std::vector<std::string> command{KAHUNA_BIN_DIR "/kahuna-bench", "-c", endpoints, "--concurrency", "64", "--connections", "16", "--duration", "3",
                                   "--warmup", "0", "--history", file.string()};
  command.insert(command.end(), workload.begin(), workload.end());
  const auto ended = run(command, "", milliseconds(60'000));
  CAF_REQUIRE_EQUAL(ended.status, 0);
  std::size_t operations = 0;
  for (const auto& [key, history] : read_histories(file)) {
    operations += history.size();
    const auto verdict = check_linearizability(history, 20'000'000);
    CAF_CHECK(verdict.is_decided);
    if (!verdict.is_linearizable) CAF_ERROR(key << ": " << verdict.why);
  }
  CAF_MESSAGE(operations << " operations");
  return operations;
}

}  // namespace

CAF_TEST(reads and writes of the benchmark are linearizable) { CAF_CHECK(check_run({"--workload", "mixed", "--key-space", "40"}) > 2'000); }

CAF_TEST(swaps of the benchmark are linearizable) { CAF_CHECK(check_run({"--workload", "cas"}) > 1'000); }

CAF_TEST(keys that are there are not written once more) {
  cluster nodes({.nodes = 1, .node_arguments = {}});
  nodes.start_all_and_wait();
  const auto file = nodes.data_directory(1).parent_path() / "history";
  // How many sets a run of reads made, and how many operations in all.
  const auto run_reads = [&](const std::string& fill) {
    const auto ended = run({KAHUNA_BIN_DIR "/kahuna-bench", "-c", nodes.endpoint(1), "--workload", "get", "--key-space", "50", "--fill", fill, "--duration", "1",
                            "--warmup", "0", "--history", file.string()}, "", milliseconds(60'000));
    CAF_REQUIRE_EQUAL(ended.status, 0);
    std::pair<int, int> counts{0, 0};
    std::ifstream lines(file);
    for (std::string line; std::getline(lines, line); ++counts.second) counts.first += line.find("\"op\":\"set\"") != std::string::npos;
    return counts;
  };
  CAF_CHECK_EQUAL(run_reads("yes").first, 50);
  const auto [sets, operations] = run_reads("no");
  CAF_CHECK_EQUAL(sets, 0);
  CAF_CHECK(operations > 50);
}

CAF_TEST(a history that is not linearizable would be seen) {
  const auto path = std::filesystem::temp_directory_path() / ("kahuna-bench-history-" + std::to_string(::getpid()));
  const auto verdict_of = [&](const std::string& lines) {
    std::ofstream(path, std::ios::trunc) << lines;
    return check_linearizability(read_histories(path).at("k")).is_linearizable;
  };
  const std::string set = R"({"op":"set","key":"k","began":1,"ended":2,"value":7,"answered":true,"done":true,"revision":0})" "\n";
  CAF_CHECK(verdict_of(set + R"({"op":"get","key":"k","began":3,"ended":4,"value":7,"done":true,"revision":0})"));
  CAF_CHECK(!verdict_of(set + R"({"op":"get","key":"k","began":3,"ended":4,"value":0,"done":false,"revision":-1})"));
  CAF_CHECK(!verdict_of(set + R"({"op":"set","key":"k","began":3,"ended":4,"value":8,"if_revision":5,"answered":true,"done":true,"revision":1})"));
  std::filesystem::remove(path);
}
