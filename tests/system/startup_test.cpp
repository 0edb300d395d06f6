// How a node starts, refuses to start, and stops.
#define CAF_SUITE system_startup
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "tests/support/cluster_fixture.hpp"
#include "tests/support/register_load.hpp"
#include "tests/support/socket.hpp"

using namespace kahuna::testing;
namespace fs = std::filesystem;

namespace {

constexpr milliseconds start_patience(15'000);

// A node's command line on free ports, with a data directory below `directory`.
std::vector<std::string> node_command(const fs::path& directory, std::vector<std::string> more = {}) {
  std::vector<std::string> command{node_program(),
                                   "--listen", "127.0.0.1:" + std::to_string(free_port()),
                                   "--http", "127.0.0.1:" + std::to_string(free_port()),
                                   "--data-dir", (directory / "data").string()};
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

// Refused: the status, and one line on standard error that holds `named`.
void check_refused(const std::vector<std::string>& command, int status, const std::string& named) {
  const auto refused = run(command, "", start_patience);
  CAF_MESSAGE(refused.error);
  CAF_CHECK_EQUAL(refused.status, status);
  CAF_CHECK_EQUAL(std::count(refused.error.begin(), refused.error.end(), '\n'), 1);
  CAF_CHECK(refused.error.find(named) != std::string::npos);
}

// Turns over bits in the middle of every file of a directory whose name ends so.
int damage_files(const fs::path& directory, const std::string& ending) {
  int damaged = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file() || !entry.path().string().ends_with(ending) || entry.file_size() < 64) continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    const auto middle = static_cast<std::streamoff>(entry.file_size() / 2);
    file.seekg(middle);
    std::string bytes(16, '\0');
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    for (auto& byte : bytes) byte = static_cast<char>(~byte);
    file.seekp(middle);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    ++damaged;
  }
  return damaged;
}

}  // namespace

CAF_TEST(wrong options are refused before anything is written) {
  const temporary_directory directory;
  check_refused(node_command(directory.path(), {"--no-such-option", "1"}), 2, "no-such-option");
  check_refused(node_command(directory.path(), {"--partitions", "many"}), 2, "partitions");
  check_refused(node_command(directory.path(), {"--partitions", "0"}), 2, "partitions");
  check_refused(node_command(directory.path(), {"--heartbeat-interval", "500", "--election-timeout", "300"}), 2, "heartbeat");
  check_refused(node_command(directory.path(), {"--max-value-size", "16777217"}), 2, "max-value-size");
  check_refused(node_command(directory.path(), {"--read-mode", "stale"}), 2, "read-mode");
  check_refused(node_command(directory.path(), {"--initial-cluster", "n2=127.0.0.1:4872"}), 2, "n1");
  check_refused(node_command(directory.path(), {"--config", (directory.path() / "nowhere.conf").string()}), 2, "nowhere.conf");
  check_refused(node_command(directory.path(), {"--replication-factor", "2"}), 2, "replication-factor");
  CAF_CHECK(!fs::exists(directory.path() / "data"));
}

CAF_TEST(a port in use is refused before anything is written) {
  cluster_options options;
  options.nodes = 1;
  cluster occupant(options);
  occupant.start_all_and_wait();
  const temporary_directory directory;
  const auto data = (directory.path() / "data").string();
  check_refused({node_program(), "--listen", occupant.endpoint(1), "--http", "off", "--data-dir", data}, 2, occupant.endpoint(1));
  const auto http = "127.0.0.1:" + std::to_string(occupant.http_port(1));
  check_refused({node_program(), "--listen", "127.0.0.1:" + std::to_string(free_port()), "--http", http, "--data-dir", data}, 2,
                http);
  CAF_CHECK(!fs::exists(data));
}

CAF_TEST(a node prints one line when it is ready and stops with status 0) {
  const temporary_directory directory;
  const auto command = node_command(directory.path());
  process_files files;
  files.output = directory.path() / "out";
  files.error = directory.path() / "err";
  process node(command, files);
  const std::string expected = "kahuna-node n1 ready on " + command[2] + "\n";
  CAF_CHECK(eventually(start_patience, [&] { return read_file(files.output) == expected; }));
  node.send(SIGTERM);
  const auto ended = node.wait(milliseconds(5000));
  CAF_REQUIRE(ended.has_value());
  CAF_CHECK_EQUAL(ended->status, 0);
  CAF_CHECK_EQUAL(read_file(files.output), expected);

  process interrupted(command, files);
  CAF_CHECK(eventually(start_patience, [&] { return read_file(files.output) == expected + expected; }));
  interrupted.send(SIGINT);
  const auto interrupt_ended = interrupted.wait(milliseconds(5000));
  CAF_REQUIRE(interrupt_ended.has_value());
  CAF_CHECK_EQUAL(interrupt_ended->status, 0);
}

CAF_TEST(nodes stop within five seconds under load and beside peers that stand still) {
  cluster nodes;
  nodes.start_all_and_wait();
  register_load_options options;
  options.timeout = milliseconds(1000);
  register_load load(nodes.endpoints(), options);
  load.start();
  CAF_REQUIRE(load.wait_for_answers(500, milliseconds(10'000)));
  const auto check_stops = [&](int node) {
    const auto began = steady_clock::now();
    const auto ended = nodes.stop(node);
    CAF_REQUIRE(ended.has_value());
    CAF_CHECK_EQUAL(ended->status, 0);
    CAF_MESSAGE(nodes.node_name(node) << " stopped after " << elapsed_ms(began, steady_clock::now()) << " ms");
  };
  check_stops(1);
  nodes.pause(2);
  check_stops(3);
  nodes.resume(2);
  check_stops(2);
  load.stop();
  nodes.start_all_and_wait();
  auto reader = connect_or_fail(nodes.endpoints());
  CAF_CHECK_EQUAL(joined(load.violations(reader)), "");
}

CAF_TEST(a data directory of another cluster or node is refused) {
  cluster_options options;
  options.nodes = 1;
  cluster owner(options);
  owner.start_all_and_wait();
  CAF_REQUIRE(owner.stop(1).has_value());
  const auto data = owner.data_directory(1).string();
  const auto other_listen = "127.0.0.1:" + std::to_string(free_port());
  check_refused({node_program(), "--listen", other_listen, "--http", "off", "--data-dir", data}, 2, data);
  check_refused({node_program(), "--node-id", "n7", "--listen", owner.endpoint(1), "--http", "off", "--data-dir", data}, 2, data);
  // It has taken no harm.
  owner.start_all_and_wait();
}

CAF_TEST(an empty data directory under a known node id is refused) {
  cluster nodes;
  nodes.start_all_and_wait();
  nodes.kill(3);
  fs::remove_all(nodes.data_directory(3));
  check_refused(nodes.command(3), 2, "--rejoin");
  // The others go on without it.
  const auto answer = nodes.run_cli(1, {}, "set a \"1\"\n");
  CAF_CHECK_EQUAL(answer.status, 0);
}

CAF_TEST(a damaged data directory is refused with status 4) {
  for (const std::string folder : {"log", "data"}) {
    CAF_MESSAGE("damaging " << folder);
    cluster_options options;
    options.nodes = 1;
    cluster nodes(options);
    nodes.start_all_and_wait();
    std::string commands;
    for (int i = 0; i < 200; ++i) commands += "set key-" + std::to_string(i) + " \"" + std::string(100, 'x') + "\"\n";
    CAF_REQUIRE_EQUAL(nodes.run_cli(1, {}, commands).status, 0);
    CAF_REQUIRE(nodes.stop(1).has_value());
    const auto directory = nodes.data_directory(1) / folder;
    CAF_REQUIRE(damage_files(directory, ".log") + damage_files(directory, ".sst") > 0);
    check_refused(nodes.command(1), 4, folder);
  }
}
