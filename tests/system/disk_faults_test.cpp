// A disk of one node fills up, or fails to sync, under load: that node stops and says why, the others go on, nothing acknowledged is lost,
// and the node serves again when its disk does. A full disk needs the privilege to mount; is skipped with a message without it.
#define CAF_SUITE system_disk_faults
#include "caf/test/unit_test.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/support/cluster_fixture.hpp"
#include "tests/support/register_load.hpp"
#include "tests/support/small_disk.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

constexpr milliseconds patience(60'000);

// What the node has said since its log had so many bytes.
std::string said_since(const cluster& nodes, int node, std::size_t bytes) { return nodes.log(node).substr(bytes); }

// Overwrites large values until the node has ended; whatever becomes of the writes meanwhile.
bool write_until_it_ends(cluster& nodes, int node) {
  auto writer = connect_or_fail(nodes.endpoints(), milliseconds(5'000));
  const std::string value(64 << 10, 'v');
  const auto deadline = steady_clock::now() + patience;
  while (nodes.is_running(node) && steady_clock::now() < deadline) {
    std::vector<kv::set_request> batch;
    for (int i = 0; i < 32; ++i) batch.push_back(set_of("large-" + std::to_string(i), value));
    static_cast<void>(writer.set_many(std::move(batch)));
  }
  return !nodes.is_running(node);
}

void check_stopped(cluster& nodes, int node, std::size_t log_bytes, const std::string& reason) {
  const auto ended = nodes.wait_for_end(node, milliseconds(0));
  CAF_REQUIRE(ended.has_value());
  const auto said = said_since(nodes, node, log_bytes);
  CAF_MESSAGE(said);
  CAF_CHECK_EQUAL(ended->status, 3);
  CAF_CHECK(said.find(reason) != std::string::npos);
}

// With the mended node, and without one that never failed: what was acknowledged must be there.
void check_it_is_as_good_as_any(cluster& nodes, register_load& load, int mended) {
  nodes.start_all_and_wait();
  CAF_REQUIRE_EQUAL(nodes.wait_until_caught_up(mended, patience).value_or(""), "");
  CAF_CHECK(load.wait_for_answers(200, patience));
  nodes.kill(mended == 1 ? 2 : 1);
  CAF_CHECK(load.wait_for_answers(200, patience));
  load.stop();
  const auto counts = load.counts();
  CAF_MESSAGE(counts.writes_acknowledged << " writes acknowledged, " << counts.writes_refused << " refused, " << counts.writes_unknown
                                         << " of unknown outcome, " << counts.reads_answered << " reads");
  auto reader = connect_or_fail(nodes.endpoints(), milliseconds(20'000));
  CAF_CHECK_EQUAL(joined(load.violations(reader)), "");
}

void fail_syncs(const std::string& folder) {
  const temporary_directory directory;
  const auto switched_on = directory.path() / "syncs-fail";
  cluster nodes;
  constexpr int victim = 1;
  ::setenv("LD_PRELOAD", KAHUNA_FAILING_SYNC, 1);
  ::setenv("FAILING_SYNC_WHILE", switched_on.c_str(), 1);
  const auto of = "/n" + std::to_string(victim) + '/' + folder + '/';
  ::setenv("FAILING_SYNC_OF", of.c_str(), 1);
  // A sanitizer wants to be loaded first otherwise.
  const char* sanitizer_options = std::getenv("ASAN_OPTIONS");
  const std::string options_before = sanitizer_options != nullptr ? sanitizer_options : "";
  if (is_sanitized) ::setenv("ASAN_OPTIONS", (options_before + ":verify_asan_link_order=0").c_str(), 1);
  nodes.start_all();
  ::unsetenv("LD_PRELOAD");
  if (is_sanitized) ::setenv("ASAN_OPTIONS", options_before.c_str(), 1);
  nodes.start_all_and_wait();

  register_load load(nodes.endpoints());
  load.start();
  CAF_REQUIRE(load.wait_for_answers(200, patience));
  const auto log_bytes = nodes.log(victim).size();
  std::ofstream(switched_on) << "on";
  CAF_REQUIRE(write_until_it_ends(nodes, victim));
  check_stopped(nodes, victim, log_bytes, "Input/output error");
  CAF_CHECK(load.wait_for_answers(200, patience));
  std::filesystem::remove(switched_on);
  check_it_is_as_good_as_any(nodes, load, victim);
}

}  // namespace

CAF_TEST(a node whose disk is full stops and the others go on and nothing is lost) {
  cluster nodes;
  constexpr int victim = 1;
  const auto disk = small_disk::mount(nodes.data_directory(victim), 192 << 20);
  if (!disk) {
    CAF_MESSAGE("skipped: mounting needs a privilege that is missing here");
    return;
  }
  nodes.start_all_and_wait();
  register_load load(nodes.endpoints());
  load.start();
  CAF_REQUIRE(load.wait_for_answers(200, patience));
  auto log_bytes = nodes.log(victim).size();
  disk->fill();
  CAF_REQUIRE(write_until_it_ends(nodes, victim));
  check_stopped(nodes, victim, log_bytes, "No space left on device");
  CAF_CHECK(load.wait_for_answers(200, patience));

  // Started while there is no room it goes again, and does not take the full disk for a damaged one (docs/incidents/0008).
  log_bytes = nodes.log(victim).size();
  disk->fill();
  nodes.start(victim);
  const auto refused = nodes.wait_for_end(victim, patience);
  CAF_REQUIRE(refused.has_value());
  const auto said = said_since(nodes, victim, log_bytes);
  CAF_MESSAGE(said);
  CAF_CHECK_EQUAL(refused->status, 2);
  CAF_CHECK(said.find("No space left on device") != std::string::npos);
  CAF_CHECK(load.wait_for_answers(200, patience));

  disk->free_again();
  check_it_is_as_good_as_any(nodes, load, victim);
}

CAF_TEST(a node whose log does not sync stops and nothing is lost) { fail_syncs("log"); }

CAF_TEST(a node whose data does not sync stops and nothing is lost) { fail_syncs("data"); }
