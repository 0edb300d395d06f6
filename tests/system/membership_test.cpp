// Members come and go while clients read and write: nobody notices.
#define CAF_SUITE system_membership
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "core/base/prng.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/register_load.hpp"

using namespace kahuna::testing;
using nlohmann::json;

namespace {

const std::vector<std::string> quick{"--timeout", "20000", "--format", "json"};

constexpr int partitions = 8;

struct members_cluster : cluster {
  members_cluster() : cluster({.node_arguments = {"--partitions", std::to_string(partitions)}}) {}

  // What kahuna-cli answers to an operator's command, asked of that node.
  json order(int at, const std::string& command) {
    auto arguments = quick;
    arguments.insert(arguments.end(), {"-e", command});
    const auto said = run_cli(at, arguments);
    CAF_MESSAGE(said.error << said.output);
    return json::parse(said.output, nullptr, false);
  }
  std::string status(int at, const std::string& command) { return order(at, command).value("status", "none"); }

  // The same, once the node that it is about has been started.
  std::string status_of_started(int at, const std::string& command) {
    std::string now;
    static_cast<void>(eventually(milliseconds(10'000), [&] { return (now = status(at, command)) != "waiting"; }, milliseconds(50)));
    return now;
  }

  std::string entry(int node) const { return node_name(node) + "=" + endpoint(node); }

  // Adds a node, starts it, and waits until it holds its share.
  void grow(int at) {
    const auto node = add_node();
    const auto began = steady_clock::now();
    CAF_REQUIRE_EQUAL(status(at, "cluster add " + entry(node)), "waiting");
    start(node);
    CAF_REQUIRE_EQUAL(status_of_started(at, "cluster add " + entry(node)), "added");
    CAF_MESSAGE(node_name(node) << " added within " << elapsed_ms(began, steady_clock::now()) << " ms");
  }

  // Removes a node, which hears of it and ends.
  void shrink(int at, int node) {
    const auto began = steady_clock::now();
    CAF_REQUIRE_EQUAL(status(at, "cluster remove " + node_name(node)), "removed");
    CAF_MESSAGE(node_name(node) << " removed within " << elapsed_ms(began, steady_clock::now()) << " ms");
    CAF_CHECK(eventually(milliseconds(10'000), [&] { return !is_running(node); }));
    CAF_CHECK(log(node).find("removed from") != std::string::npos);
  }
};

// The names of who holds each partition, by the view of a node.
std::map<std::string, int> held(const json& overview) {
  std::map<std::string, int> counts;
  for (const auto& member : overview["members"]) counts[member["id"]] = member["holds"];
  return counts;
}

template <class Counts>
int unevenness(const Counts& counts) {
  int most = 0, least = 1 << 30;
  for (const auto& [name, count] : counts) most = std::max(most, count), least = std::min(least, count);
  return most - least;
}

// What a load may not have met, and what it must have left.
void check(register_load& load, const std::vector<std::string>& endpoints) {
  load.stop();
  const auto counts = load.counts();
  CAF_MESSAGE(counts.writes_acknowledged << " writes acknowledged, " << counts.reads_answered << " reads answered");
  CAF_CHECK_EQUAL(counts.writes_refused, 0u);
  CAF_CHECK_EQUAL(counts.writes_unknown, 0u);
  CAF_CHECK_EQUAL(counts.reads_failed, 0u);
  auto reader = connect_or_fail(endpoints);
  CAF_CHECK_EQUAL(joined(load.violations(reader)), "");
}

}  // namespace

CAF_TEST(three nodes grow to five and shrink to three others under load) {
  members_cluster nodes;
  nodes.start_all_and_wait();
  register_load load(nodes.endpoints());
  load.start();
  CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
  nodes.grow(1);
  CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
  nodes.grow(2);
  CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
  const auto five = nodes.order(3, "cluster");
  CAF_CHECK(unevenness(held(five)) <= 1);
  nodes.shrink(4, 1);
  CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
  nodes.shrink(4, 2);
  CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
  check(load, {nodes.endpoint(3), nodes.endpoint(4), nodes.endpoint(5)});
  const auto three = nodes.order(3, "cluster");
  CAF_CHECK(held(three) == (std::map<std::string, int>{{"n3", partitions}, {"n4", partitions}, {"n5", partitions}}));

  // It stays so over a restart of all, whose founders' options name nobody that is left but one.
  nodes.kill_all();
  for (int node = 3; node <= 5; ++node) nodes.start(node);
  CAF_CHECK(nodes.wait_ready(milliseconds(20'000)));
  auto reader = connect_or_fail({nodes.endpoint(5)});
  CAF_CHECK_EQUAL(joined(load.violations(reader)), "");
  // Who was removed does not come back.
  nodes.start(1);
  CAF_CHECK(eventually(milliseconds(10'000), [&] { return !nodes.is_running(1); }));
  CAF_CHECK_EQUAL(nodes.status(3, "cluster remove n1"), "removed");
}

CAF_TEST(a node that lost its data is a member again under load) {
  members_cluster nodes;
  nodes.start_all_and_wait();
  register_load load(nodes.endpoints());
  load.start();
  CAF_REQUIRE(load.wait_for_answers(500, milliseconds(10'000)));
  nodes.kill(2);
  std::filesystem::remove_all(nodes.data_directory(2));
  // As it was it is refused.
  nodes.start(2);
  CAF_CHECK(eventually(milliseconds(10'000), [&] { return !nodes.is_running(2); }));
  CAF_CHECK(nodes.log(2).find("--rejoin") != std::string::npos);
  nodes.set_arguments(2, {"--rejoin"});
  const auto began = steady_clock::now();
  nodes.start(2);
  const auto is_whole = [&] {
    const auto seen = nodes.order(1, "cluster");
    return seen["members"].size() == 3 && std::all_of(seen["members"].begin(), seen["members"].end(), [](const json& m) {
             return m["alive"] == true && m["state"] == "active" && m["holds"] == partitions;
           });
  };
  CAF_CHECK(eventually(milliseconds(30'000), is_whole, milliseconds(200)));
  CAF_MESSAGE("n2 is whole again after " << elapsed_ms(began, steady_clock::now()) << " ms");
  CAF_CHECK_EQUAL(nodes.wait_until_caught_up(2, milliseconds(20'000)).value_or(""), "");
  CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
  // It counts: without another one the cluster still serves.
  nodes.kill(3);
  CAF_REQUIRE(load.wait_for_answers(500, milliseconds(10'000)));
  nodes.start(3);
  CAF_CHECK(nodes.wait_ready(milliseconds(20'000)));
  check(load, {nodes.endpoint(1), nodes.endpoint(2)});
}

CAF_TEST(a dead node is replaced under load) {
  members_cluster nodes;
  nodes.start_all_and_wait();
  register_load load(nodes.endpoints());
  load.start();
  CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
  nodes.kill(1);
  const auto node = nodes.add_node();
  const auto command = "cluster replace n1 " + nodes.entry(node);
  CAF_REQUIRE_EQUAL(nodes.status(2, command), "waiting");
  nodes.start(node);
  CAF_REQUIRE_EQUAL(nodes.status_of_started(2, command), "replaced");
  CAF_CHECK_EQUAL(nodes.status(3, command), "replaced");
  CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
  check(load, {nodes.endpoint(2), nodes.endpoint(3)});
  const auto after = nodes.order(node, "cluster");
  CAF_CHECK(held(after) == (std::map<std::string, int>{{"n2", partitions}, {"n3", partitions}, {"n4", partitions}}));
}

CAF_TEST(the one who leads the system partition dies while members change) {
  members_cluster nodes;
  nodes.start_all_and_wait();
  register_load load(nodes.endpoints());
  load.start();
  CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
  const auto node = nodes.add_node();
  CAF_REQUIRE_EQUAL(nodes.status(1, "cluster add " + nodes.entry(node)), "waiting");
  nodes.start(node);
  CAF_CHECK(eventually(milliseconds(10'000), [&] { return held(nodes.order(1, "cluster"))["n4"] > 2; }, milliseconds(10)));
  const auto leader = nodes.node_number(nodes.view(1)->partitions[0].leader);
  nodes.kill(leader);
  nodes.start(leader);
  CAF_REQUIRE_EQUAL(nodes.status_of_started(leader == 1 ? 2 : 1, "cluster add " + nodes.entry(node)), "added");
  CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
  // The new one dies in the middle of being emptied, and comes back.
  static_cast<void>(run({cli_program(), "-c", nodes.endpoint(1), "--timeout", "100", "-e", "cluster remove n4"}));
  nodes.kill(node);
  nodes.start(node);
  CAF_CHECK_EQUAL(nodes.status(1, "cluster remove n4"), "removed");
  check(load, {nodes.endpoint(1), nodes.endpoint(2), nodes.endpoint(3)});
}

// KAHUNA_FULL=1 for many rounds; KAHUNA_SEED repeats a run's choices.
CAF_TEST(members change while any node is killed at any moment) {
  const char* given = std::getenv("KAHUNA_SEED");
  const auto seed = given != nullptr ? std::strtoull(given, nullptr, 10) : static_cast<std::uint64_t>(history_now()) % 1'000'000;
  CAF_MESSAGE("KAHUNA_SEED=" << seed);
  kahuna::prng dice(seed);
  members_cluster nodes;
  nodes.start_all_and_wait();
  register_load load(nodes.endpoints());
  load.start();
  CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
  std::vector<int> members{1, 2, 3};
  for (int round = is_full() ? 20 : 3; round > 0; --round) {
    const auto at = dice.below(members.size());
    const int going = members[at];
    const int coming = nodes.add_node();
    std::string command;
    if (const auto what = dice.below(members.size() > 3 ? 3 : 2); what == 0) {
      command = "cluster add " + nodes.entry(coming);
      members.push_back(coming);
    } else {
      members.erase(members.begin() + static_cast<std::ptrdiff_t>(at));
      command = "cluster remove " + nodes.node_name(going);
      if (what == 1) {
        command = "cluster replace " + nodes.node_name(going) + " " + nodes.entry(coming);
        members.push_back(coming);
      }
    }
    CAF_MESSAGE(command);
    const auto asked = members[dice.below(2)];
    static_cast<void>(run({cli_program(), "-c", nodes.endpoint(asked), "--timeout", "1000", "-e", command}));
    if (members.back() == coming && !nodes.is_running(coming)) nodes.start(coming);
    for (auto kills = dice.below(4); kills > 0; --kills) {
      std::this_thread::sleep_for(milliseconds(dice.below(1500)));
      const int victim = members[dice.below(members.size())];
      if (!nodes.is_running(victim)) continue;
      CAF_MESSAGE("kill -9 of " << nodes.node_name(victim));
      nodes.kill(victim);
      std::this_thread::sleep_for(milliseconds(dice.below(500)));
      nodes.start(victim);
      // One at a time: with two down a majority is gone.
      CAF_REQUIRE(eventually(milliseconds(20'000), [&] { return nodes.is_running(victim) && nodes.is_ready(victim); }, milliseconds(20)));
    }
    std::string became;
    const auto is_done = [&] {
      became = nodes.status(members[0], command);
      return became == "added" || became == "removed" || became == "replaced";
    };
    if (!eventually(milliseconds(60'000), is_done, milliseconds(100))) CAF_FAIL(command << " is " << became << ": " << nodes.order(members[0], "cluster").dump());
    CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
  }
  std::vector<std::string> endpoints;
  for (const int member : members) endpoints.push_back(nodes.endpoint(member));
  check(load, endpoints);
}

CAF_TEST(six nodes hold three replicas of each partition evenly and lead evenly) {
  members_cluster nodes;
  nodes.start_all_and_wait();
  std::vector<int> added;
  for (int i = 0; i < 3; ++i) added.push_back(nodes.add_node());
  for (const int node : added) CAF_REQUIRE_EQUAL(nodes.status(1, "cluster add " + nodes.entry(node)), "waiting");
  for (const int node : added) {
    nodes.set_arguments(node, {"--zone", "z" + std::to_string(node)});
    nodes.start(node);
  }
  for (const int node : added) CAF_REQUIRE_EQUAL(nodes.status_of_started(1, "cluster add " + nodes.entry(node)), "added");
  const auto overview = nodes.order(1, "cluster");
  CAF_CHECK(held(overview) == (std::map<std::string, int>{{"n1", 4}, {"n2", 4}, {"n3", 4}, {"n4", 4}, {"n5", 4}, {"n6", 4}}));
  for (const auto& partition : overview["partitions"]) CAF_CHECK_EQUAL(partition["replicas"].size(), 3u);
  // Any node takes what any partition is asked.
  for (int node = 1; node <= 6; ++node) {
    auto connection = connect_or_fail({nodes.endpoint(node)});
    for (int key = 0; key < 32; ++key) CAF_CHECK(connection.set(set_of("k" + std::to_string(key), std::to_string(node))).has_value());
  }
  const auto lead_evenly = [&] {
    const auto seen = nodes.view(1);
    auto led = seen ? seen->led() : std::map<std::string, int>();
    for (int node = 1; node <= 6; ++node) led[nodes.node_name(node)];
    return seen && seen->has_leader_everywhere() && unevenness(led) <= 1;
  };
  CAF_CHECK(eventually(milliseconds(60'000), lead_evenly, milliseconds(200)));
}

CAF_TEST(what can not be is refused with the reason) {
  members_cluster nodes;
  nodes.start_all_and_wait();
  const auto refusal = [&](const std::string& command) {
    const auto said = nodes.order(1, command);
    return said.value("code", "") + ": " + said.value("message", "");
  };
  CAF_CHECK_EQUAL(refusal("cluster add n2=127.0.0.1:1"), "invalid_argument: n2 is a member already, at " + nodes.endpoint(2) + "; give it another name");
  CAF_CHECK_EQUAL(refusal("cluster add n9=" + nodes.endpoint(2)), "invalid_argument: " + nodes.endpoint(2) + " is the address of n2; give another one");
  CAF_CHECK_EQUAL(refusal("cluster remove n9"), "invalid_argument: there is no node n9");
  const auto stranger = nodes.add_node();
  const auto ends_with_2 = [&](const std::string& why) {
    nodes.start(stranger);
    CAF_CHECK(eventually(milliseconds(15'000), [&] { return !nodes.is_running(stranger); }));
    if (nodes.log(stranger).find(why) == std::string::npos) CAF_ERROR(nodes.log(stranger));
    CAF_CHECK(!std::filesystem::exists(nodes.data_directory(stranger)));
  };
  ends_with_2("this cluster does not know n4; add it first with kahuna-cli: cluster add n4=HOST:PORT");
  nodes.set_arguments(stranger, {"--rejoin"});
  ends_with_2("this cluster does not know n4");
  CAF_CHECK_EQUAL(nodes.status(1, "cluster add n4=127.0.0.1:9"), "waiting");
  nodes.set_arguments(stranger, {});
  ends_with_2("this cluster knows n4 at 127.0.0.1:9; give that port to --listen");
  // One that never came is removed as it was added.
  CAF_CHECK_EQUAL(nodes.status(1, "cluster remove n4"), "removed");
  nodes.kill(3);
  CAF_CHECK(eventually(milliseconds(5000), [&] { return !nodes.view(1)->alive.at("n3"); }));
  CAF_CHECK(refusal("cluster remove n2").find("unavailable: without n2 partition 0 would have no majority") == 0);
  nodes.kill(2);
  // Now nobody is left to write it down; nothing waits for ever.
  const auto said = nodes.run_cli(1, {"--timeout", "500", "cluster", "remove", "n2"});
  CAF_CHECK_EQUAL(said.status, 1);
  CAF_CHECK(said.output.find("error: timeout: ") == 0 || said.output.find("error: unavailable: ") == 0);
}
