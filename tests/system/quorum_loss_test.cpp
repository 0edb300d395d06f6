// Two nodes of three are down: nothing is acknowledged, and nothing hangs.
#define CAF_SUITE system_quorum_loss
#include "caf/test/unit_test.hpp"

#include <condition_variable>
#include <mutex>

#include "tests/support/cluster_fixture.hpp"
#include "tests/support/partition_probe.hpp"
#include "tests/support/register_load.hpp"

using namespace kahuna::testing;

CAF_TEST(without a quorum every request ends by its deadline and none is acknowledged) {
  cluster nodes;
  nodes.start_all_and_wait();
  partition_probe probe(nodes.endpoints());
  CAF_REQUIRE(probe.wait_until_all_serve(milliseconds(10'000)).has_value());
  // The survivor has led some partitions and followed in others: both kinds are asked for.
  const int survivor = nodes.busiest_leader();
  for (int node = 1; node <= nodes.size(); ++node)
    if (node != survivor) nodes.kill(node);
  // What it acknowledges under a lease that is still valid is right; the claim begins when that has run out.
  CAF_REQUIRE(eventually(
      milliseconds(10'000),
      [&] {
        const auto view = nodes.view(survivor);
        return view && view->led()[nodes.node_name(survivor)] == 0;
      },
      milliseconds(20)));

  constexpr milliseconds timeout(1500);
  constexpr milliseconds slack(500);
  auto client = connect_or_fail({nodes.endpoint(survivor)}, timeout);
  struct ended_request {
    kahuna::kv::operation_response response;
    double after_ms = 0;
  };
  std::vector<ended_request> ended;
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t asked = 0;
  for (const auto& key : probe.keys()) {
    kahuna::kv::delete_request erase;
    erase.key = key;
    kahuna::kv::get_by_bucket_request list;
    list.bucket = key;
    for (kahuna::kv::operation op :
         {kahuna::kv::operation(set_of(key, "lost")), kahuna::kv::operation(get_of(key)), kahuna::kv::operation(erase),
          kahuna::kv::operation(list)}) {
      ++asked;
      client.submit(std::move(op), [&, began = steady_clock::now()](kahuna::kv::operation_response response) {
        const std::lock_guard guard(mutex);
        ended.push_back({std::move(response), elapsed_ms(began, steady_clock::now())});
        changed.notify_one();
      });
    }
  }
  {
    std::unique_lock lock(mutex);
    const bool have_all_ended = changed.wait_for(lock, timeout + 4 * slack, [&] { return ended.size() == asked; });
    CAF_REQUIRE(have_all_ended);
  }
  double latest_ms = 0;
  for (const auto& request : ended) {
    latest_ms = std::max(latest_ms, request.after_ms);
    const auto* error = std::get_if<kahuna::error>(&request.response);
    CAF_REQUIRE(error != nullptr);
    const bool is_named_rightly = error->code == kahuna::errc::unavailable || error->code == kahuna::errc::timeout;
    CAF_CHECK(is_named_rightly);
    if (!is_named_rightly) CAF_MESSAGE(kahuna::to_string(error->code) << ": " << error->message);
  }
  CAF_MESSAGE(ended.size() << " requests, the last ended after " << latest_ms << " ms, of " << timeout.count() << " ms given");
  CAF_CHECK(latest_ms <= static_cast<double>((timeout + slack).count()));

  const auto cli = nodes.run_cli(survivor, {"--format", "json", "--timeout", "1000"}, "set a \"1\"\n");
  CAF_CHECK_EQUAL(cli.status, 1);
  CAF_CHECK(cli.output.find("\"status\":\"error\"") != std::string::npos);
  CAF_CHECK(cli.elapsed < milliseconds(5000));

  nodes.start_all_and_wait();
  CAF_CHECK(probe.wait_until_all_serve(milliseconds(10'000)).has_value());
}
