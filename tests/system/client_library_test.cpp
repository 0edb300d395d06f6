// The client library as its users meet it: the examples do what they say, and a program built elsewhere finds it installed.
#define CAF_SUITE system_client_library
#include "caf/test/unit_test.hpp"

#include "client/client.hpp"
#include "client/client_actor.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/eventually.hpp"

using namespace kahuna::testing;

namespace {

std::string example(const std::string& name) { return KAHUNA_BIN_DIR "/../examples/example_" + name; }

void check_example(const cluster& nodes, const std::string& name, const std::string& output) {
  const auto ran = run({example(name), nodes.endpoint(1)});
  CAF_CHECK_EQUAL(name + ": " + ran.output, name + ": " + output);
  CAF_CHECK_EQUAL(ran.status, 0);
}

}  // namespace

CAF_TEST(the examples do what they say) {
  cluster nodes;
  nodes.start_all_and_wait();
  check_example(nodes, "blocking",
                "set, revision 0\ngot 10.0.0.7:8080\nthere is one already, at revision 0\ndeleted\nit was 10.0.0.7:8080\nephemeral too\n");
  check_example(nodes, "asynchronous", "registered at revision 0\nread back 10.0.0.9:25\n");
  check_example(nodes, "batches", "1000 set\nthe thirteenth is 144\n");
  check_example(nodes, "expiry_and_renewal", "taken\nrenewed 3 times\ngiven up\n");
  check_example(nodes, "compare_and_swap", "counted to 100\n");
  check_example(nodes, "buckets", "250 instances\nthe first 100, and there are more\n250 are up\n100 by prefix\n");
  check_example(nodes, "transfer", "together they have 300\nrolled back\n");
  check_example(nodes, "errors",
                "connecting: unavailable: not applied: repeat it later, or give up\n"
                "a reserved name: invalid_argument: the request is wrong: mend it, don't repeat it\n"
                "contradictory conditions: invalid_argument: the request is wrong: mend it, don't repeat it\n"
                "an absent key: no error, an answer\n");
}

CAF_TEST(a bucket of many pages is visited without holding it) {
  cluster nodes({.nodes = 1, .node_arguments = {}});
  nodes.start_all_and_wait();
  auto kahuna = kahuna::client::client::connect({.endpoints = nodes.endpoints()});
  CAF_REQUIRE(kahuna.has_value());
  for (const auto space : {kahuna::kv::durability::persistent, kahuna::kv::durability::ephemeral}) {
    std::vector<kahuna::kv::set_request> sets;
    for (int i = 0; i < 40; ++i) sets.push_back({.key = "pages/" + std::to_string(100 + i), .value = std::string(100'000, 'v'), .space = space});
    for (const auto& answer : kahuna->set_many(std::move(sets))) CAF_REQUIRE(answer.has_value());
    // What is changed under way is not seen: it is one moment that is read.
    int visited = 0;
    const auto failed = kahuna->visit_bucket("pages/", [&](const kahuna::kv::listed_key& item) {
      CAF_CHECK_EQUAL(item.key, "pages/" + std::to_string(100 + visited));
      CAF_CHECK_EQUAL(item.value.size(), 100'000u);
      if (++visited == 5) {
        CAF_CHECK(kahuna->erase({.key = "pages/139", .space = space}).has_value());
        CAF_CHECK(kahuna->set({.key = "pages/130", .value = "short", .space = space}).has_value());
      }
      return true;
    }, space);
    CAF_CHECK(!failed);
    CAF_CHECK_EQUAL(visited, 40);
    visited = 0;
    CAF_CHECK(!kahuna->visit_bucket("pages", [&](const kahuna::kv::listed_key&) { return ++visited < 7; }, space));
    CAF_CHECK_EQUAL(visited, 7);
  }
}

CAF_TEST(a client survives the node that it was given) {
  cluster nodes;
  nodes.start_all_and_wait();
  auto kahuna = kahuna::client::client::connect({.endpoints = {nodes.endpoint(1)}});
  CAF_REQUIRE(kahuna.has_value());
  CAF_REQUIRE(kahuna->set({.key = "k", .value = "1"}).has_value());
  nodes.kill(1);
  for (int i = 0; i < 20; ++i) {
    const auto set = kahuna->set({.key = "k" + std::to_string(i), .value = "2"});
    CAF_CHECK(set.has_value());
  }
}

CAF_TEST(the clients of a program share a beat that ends with the last of them) {
  namespace client = kahuna::client;
  namespace kv = kahuna::kv;
  cluster nodes({.nodes = 1, .node_arguments = {}});
  nodes.start_all_and_wait();
  caf::actor_system_config config;
  config.load<caf::io::middleman>();
  caf::actor_system system(config);
  caf::scoped_actor self(system);
  // Whether an answer comes; a silent node gives none, so only a tick can bring one by the deadline.
  const auto is_answered = [&](const client::client_handle& kahuna) {
    bool is_there = false;
    self->request(kahuna, std::chrono::seconds(5), kv::get_request{.key = "k"})
        .receive([&](const kv::get_response&) { is_there = true; }, [&](const caf::error& e) { is_there = e.category() == caf::atom("kahuna"); });
    return is_there;
  };
  const auto stop = [&](const client::client_handle& kahuna) {
    self->send(kahuna, client::stop_client{});
    self->wait_for(kahuna);
  };
  const auto spawn = [&] { return client::spawn_client(system, {.endpoints = {nodes.endpoint(1)}, .timeout = std::chrono::milliseconds(400)}); };
  for (int generation = 0; generation < 2; ++generation) {
    const auto first = spawn(), second = spawn();
    CAF_CHECK(is_answered(first));
    CAF_CHECK(is_answered(second));
    stop(first);
    nodes.pause(1);
    CAF_CHECK(is_answered(second));
    nodes.resume(1);
    stop(second);
  }
  // Neither a client nor what gave them the beat.
  CAF_CHECK(eventually(std::chrono::seconds(5), [&] { return system.registry().running() == 1; }));
}

CAF_TEST(a program built elsewhere finds the installed library) {
  const temporary_directory directory;
  const auto prefix = (directory.path() / "prefix").string();
  const auto build = (directory.path() / "build").string();
  const auto must = [](const std::vector<std::string>& command) {
    const auto ran = run(command, "", milliseconds(120'000));
    if (ran.status != 0) CAF_MESSAGE(ran.output << ran.error);
    CAF_REQUIRE_EQUAL(ran.status, 0);
  };
  must({KAHUNA_CMAKE, "--install", KAHUNA_BIN_DIR "/..", "--prefix", prefix, "--component", "library"});
  must({KAHUNA_CMAKE, "-S", KAHUNA_SOURCE_DIR "/tests/external", "-B", build, "-DCMAKE_PREFIX_PATH=" + prefix,
        "-DCMAKE_CXX_COMPILER=" KAHUNA_CXX, "-DCMAKE_CXX_FLAGS=" KAHUNA_EXTERNAL_FLAGS});
  must({KAHUNA_CMAKE, "--build", build});
  cluster nodes({.nodes = 1, .node_arguments = {}});
  nodes.start_all_and_wait();
  const auto ran = run({build + "/external", nodes.endpoint(1)});
  CAF_CHECK_EQUAL(ran.status, 0);
  CAF_CHECK_EQUAL(ran.output, "built elsewhere\n");
}
