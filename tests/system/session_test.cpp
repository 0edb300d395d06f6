// kahuna-cli against a cluster, and scripts/run as a newcomer meets it.
#define CAF_SUITE system_session
#include "caf/test/unit_test.hpp"

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/cluster_fixture.hpp"

using namespace kahuna::testing;
using nlohmann::json;

namespace {

// The answers of a JSON session, with what no test can know (times, stamps) checked for its form and taken out.
std::vector<json> answers(const std::string& output) {
  std::vector<json> found;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    auto answer = json::parse(line, nullptr, false);
    CAF_REQUIRE(answer.is_object());
    CAF_CHECK(answer.contains("elapsed_ms") && answer["elapsed_ms"].is_number());
    answer.erase("elapsed_ms");
    if (answer.contains("modified")) {
      CAF_CHECK(answer["modified"].is_string());
      answer.erase("modified");
    }
    found.push_back(std::move(answer));
  }
  return found;
}

}  // namespace

CAF_TEST(the same session gives the same answers on every node) {
  cluster nodes;
  nodes.start_all_and_wait();
  for (int node = 1; node <= nodes.size(); ++node) {
    // A key of its own for each node: the cluster remembers the others' revisions.
    const std::string key(1, static_cast<char>('a' + node - 1));
    const std::string k = "`" + key + "`";
    const auto session = nodes.run_cli(node, {"--format", "json"},
                                       "set " + k + " \"1\"\nset " + k + " \"2\" cmprev 0\nget " + k + "\nget " + k +
                                           " at 0\nset " + k + " \"9\" nx\n");
    CAF_CHECK_EQUAL(session.status, 0);
    CAF_CHECK_EQUAL(session.error, "");
    const auto found = answers(session.output);
    const std::vector<json> expected{
        {{"op", "set"}, {"key", key}, {"status", "set"}, {"revision", 0}},
        {{"op", "set"}, {"key", key}, {"status", "set"}, {"revision", 1}},
        {{"op", "get"}, {"key", key}, {"status", "found"}, {"value", "2"}, {"revision", 1}},
        {{"op", "get"}, {"key", key}, {"status", "found"}, {"value", "1"}, {"revision", 0}},
        {{"op", "set"}, {"key", key}, {"status", "not set"}, {"revision", 1}},
    };
    CAF_REQUIRE_EQUAL(found.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) CAF_CHECK_EQUAL(found[i].dump(), expected[i].dump());
  }
}

CAF_TEST(what one node was told all nodes know) {
  cluster nodes;
  nodes.start_all_and_wait();
  const auto told = nodes.run_cli(1, {}, "set services/auth/i1 \"node1\"\nset services/auth/i2 \"node2\"\nset other \"x\"\n");
  CAF_CHECK_EQUAL(told.status, 0);
  for (int node = 1; node <= nodes.size(); ++node) {
    const auto list = nodes.run_cli(node, {"--get-by-bucket", "services/auth"});
    CAF_CHECK_EQUAL(list.status, 0);
    CAF_CHECK_EQUAL(list.output, "r0 services/auth/i1 node1\nr0 services/auth/i2 node2\n");
    const auto scan = nodes.run_cli(node, {"--format", "json"}, "scan by prefix \"\"\nscan by prefix services/\nget nothing\n");
    const auto found = answers(scan.output);
    CAF_REQUIRE_EQUAL(found.size(), 3u);
    CAF_CHECK_EQUAL(found[0].value("code", ""), "invalid_argument");
    CAF_CHECK_EQUAL(found[1].value("count", -1), 2);
    CAF_CHECK_EQUAL(found[2].value("status", ""), "not found");
    CAF_CHECK_EQUAL(found[2].value("revision", 0), -1);
    CAF_CHECK_EQUAL(scan.status, 1);
  }
}

CAF_TEST(no node within reach is exit status 3) {
  const auto nobody = run({cli_program(), "--connect", "127.0.0.1:" + std::to_string(free_port()), "--timeout", "500", "--get", "a"});
  CAF_CHECK_EQUAL(nobody.status, 3);
  CAF_CHECK(nobody.elapsed < milliseconds(3000));
}

CAF_TEST(the run script shows a session and goes on with its data) {
  const temporary_directory directory;
  int port = 0;
  // Six ports in a row.
  do {
    port = free_port();
    for (int i = 1; i < 6; ++i)
      if (free_port() != port + i) port = 0;
  } while (port == 0);
  const std::vector<std::string> command{"/bin/bash", KAHUNA_SOURCE_DIR "/scripts/run", "--bin", KAHUNA_BIN_DIR, "--data-dir",
                                         (directory.path() / "data").string(), "--port", std::to_string(port)};
  const auto first = run(command, "", milliseconds(60'000));
  CAF_MESSAGE(first.output);
  CAF_CHECK_EQUAL(first.status, 0);
  CAF_CHECK(first.output.find("\nr0 10.0.0.7:8080 ") != std::string::npos);
  const auto second = run(command, "", milliseconds(60'000));
  CAF_CHECK_EQUAL(second.status, 0);
  CAF_CHECK(second.output.find("\nr1 10.0.0.7:8080 ") != std::string::npos);
}
