// Bytes that no friend would send. The node closes what is malformed, goes on serving, stays small, and says what it
// refused without filling its log.
#define CAF_SUITE system_hostile_input
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <fstream>

#include "core/base/prng.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/partition_probe.hpp"
#include "tests/support/wire_client.hpp"

using namespace kahuna::testing;
using kahuna::prng;
using kahuna::messages::frame_kind;
namespace messages = kahuna::messages;

namespace {

constexpr std::uint64_t seed = 4870;
constexpr int connections_of_each_kind = 2000;
constexpr std::size_t growth_max = 100'000'000;

std::string random_bytes(prng& dice, std::size_t count) {
  std::string bytes(count, '\0');
  for (auto& byte : bytes) byte = static_cast<char>(dice.next());
  return bytes;
}

std::string header_of(std::uint32_t length) {
  std::string bytes;
  for (std::size_t i = 0; i < messages::frame_header_bytes; ++i) bytes.push_back(static_cast<char>(length >> (8 * i)));
  return bytes;
}

messages::client_requests some_requests(prng& dice) {
  messages::client_requests requests;
  const auto count = dice.between(1, 4);
  for (std::uint64_t i = 0; i < count; ++i) {
    messages::client_request request;
    request.sequence = dice.chance(1, 4) ? dice.next() : i + 1;
    request.floor = dice.below(3);
    request.issued_at = kahuna::timestamp(dice.chance(1, 2) ? dice.next() : 0);
    request.budget_ms = static_cast<std::uint32_t>(dice.chance(1, 2) ? dice.next() : 100);
    kahuna::kv::set_request set;
    set.key = "hostile/" + std::to_string(dice.below(50));
    set.value = random_bytes(dice, dice.below(200));
    kahuna::kv::get_by_bucket_request list;
    list.bucket = "hostile";
    list.view.visible = kahuna::timestamp(dice.next());
    kahuna::kv::scan_by_prefix_request scan;
    scan.partition = kahuna::partition_id(static_cast<std::uint32_t>(dice.next()));
    switch (dice.below(3)) {
      case 0: request.op = set; break;
      case 1: request.op = list; break;
      default: request.op = scan; break;
    }
    requests.requests.push_back(std::move(request));
  }
  return requests;
}

messages::peer_messages some_peer_messages(prng& dice) {
  messages::peer_messages batch;
  batch.now = kahuna::timestamp(dice.next());
  batch.envelopes.emplace_back();
  batch.envelopes.back().partition = kahuna::partition_id(static_cast<std::uint32_t>(dice.below(20)));
  return batch;
}

// Valid frames in a wrong place, or nearly valid ones in the right place.
std::string structured_random(prng& dice) {
  std::string bytes;
  auto hello = client_hello(dice.between(1, 1'000'000));
  // A node's hello is refused or takes a peer's place: only its malformed forms are this test's business.
  if (dice.chance(1, 8)) hello.magic = static_cast<std::uint32_t>(dice.next());
  if (dice.chance(1, 8)) hello.version_min = hello.version_max = static_cast<std::uint16_t>(dice.next());
  if (dice.chance(1, 8)) hello.cluster_id = dice.next();
  if (dice.chance(1, 8)) hello.client_id = 0;
  if (dice.chance(7, 8)) messages::append_frame(bytes, frame_kind::hello, hello);
  const auto frames = dice.between(1, 4);
  for (std::uint64_t i = 0; i < frames; ++i) {
    switch (dice.below(8)) {
      case 0: messages::append_frame(bytes, frame_kind::hello, hello); break;
      case 1: messages::append_frame(bytes, frame_kind::client_requests, some_requests(dice)); break;
      case 2: messages::append_frame(bytes, frame_kind::peer_messages, some_peer_messages(dice)); break;
      case 3: messages::append_frame(bytes, frame_kind::ping, messages::ping{dice.next()}); break;
      case 4: bytes += frame_of_bytes(static_cast<std::uint8_t>(dice.next()), random_bytes(dice, dice.below(300))); break;
      case 5: bytes += frame_of_bytes(static_cast<std::uint8_t>(frame_kind::client_requests), random_bytes(dice, dice.below(300))); break;
      case 6: bytes += frame_of_bytes(static_cast<std::uint8_t>(frame_kind::forwarded_requests), random_bytes(dice, dice.below(300))); break;
      default: bytes += header_of(static_cast<std::uint32_t>(dice.next())); break;
    }
  }
  // Then some bits turn over, or the end is missing.
  if (dice.chance(1, 2)) {
    const auto flips = dice.between(1, 8);
    for (std::uint64_t i = 0; i < flips; ++i) {
      auto& byte = bytes[dice.below(bytes.size())];
      byte = static_cast<char>(byte ^ (1 << dice.below(8)));
    }
  }
  if (dice.chance(1, 4)) bytes.resize(dice.between(1, bytes.size()));
  return bytes;
}

// What is hit and what watches over it.
struct victim {
  cluster nodes;
  std::size_t bytes_before = 0;

  victim() {
    nodes.start_all_and_wait();
    partition_probe(nodes.endpoints()).wait_until_all_serve(milliseconds(10'000));
    bytes_before = resident_bytes(nodes.process_id(1));
  }

  void check_it_serves() {
    CAF_REQUIRE(nodes.is_running(1));
    const auto answer = nodes.run_cli(1, {"--format", "json"}, "set alive \"yes\"\nget alive\n");
    CAF_CHECK_EQUAL(answer.status, 0);
  }

  void check_it_stayed_small() {
    const auto now = resident_bytes(nodes.process_id(1));
    CAF_MESSAGE("resident before: " << bytes_before / 1'000'000 << " MB, now: " << now / 1'000'000 << " MB");
    if (!is_sanitized) CAF_CHECK(now < bytes_before + growth_max);
  }
};

template <class MakeBytes>
void send_on_many_connections(victim& target, MakeBytes make_bytes) {
  int closed = 0;
  for (int i = 0; i < connections_of_each_kind; ++i) {
    tcp_socket connection(target.nodes.port(1));
    CAF_REQUIRE(connection.is_open());
    connection.send(make_bytes());
    // A good part is left hanging: the node must get rid of it by itself.
    if (i % 8 == 0) closed += connection.is_closed_within(milliseconds(20));
  }
  CAF_MESSAGE(connections_of_each_kind << " connections; the node had closed " << closed << " of "
                                       << connections_of_each_kind / 8 << " that were watched");
}

}  // namespace

CAF_TEST(a node survives malformed connections and stays small) {
  CAF_MESSAGE("seed " << seed);
  prng root(seed);
  victim target;

  {
    prng dice(root.next());
    send_on_many_connections(target, [&] { return random_bytes(dice, dice.between(1, 3000)); });
    target.check_it_serves();
    target.check_it_stayed_small();
  }
  {
    prng dice(root.next());
    send_on_many_connections(target, [&] { return structured_random(dice); });
    target.check_it_serves();
    target.check_it_stayed_small();
  }

  // A frame of two gigabytes is announced: before a hello, and behind one.
  {
    tcp_socket connection(target.nodes.port(1));
    CAF_REQUIRE(connection.send(header_of(1U << 31)));
    CAF_CHECK(connection.is_closed_within(milliseconds(2000)));
    wire_client greeted(target.nodes.port(1));
    CAF_REQUIRE(greeted.shake_hands(77).has_value());
    CAF_REQUIRE(greeted.socket().send(header_of(1U << 31)));
    CAF_CHECK(greeted.socket().is_closed_within(milliseconds(2000)));
  }

  // A frame comes before its hello.
  {
    tcp_socket connection(target.nodes.port(1));
    CAF_REQUIRE(connection.send(frame_bytes(frame_kind::client_requests, messages::client_requests{})));
    CAF_CHECK(connection.is_closed_within(milliseconds(2000)));
  }

  // Two hundred connections say nothing: others are served meanwhile, and in the end the silent ones are closed.
  {
    std::vector<tcp_socket> silent;
    for (int i = 0; i < 200; ++i) {
      silent.emplace_back(target.nodes.port(1));
      CAF_REQUIRE(silent.back().is_open());
    }
    target.check_it_serves();
    const auto deadline = steady_clock::now() + milliseconds(15'000);
    int closed = 0;
    for (auto& connection : silent)
      closed += connection.is_closed_within(
          std::max(milliseconds(1), std::chrono::ceil<milliseconds>(deadline - steady_clock::now())));
    CAF_CHECK_EQUAL(closed, 200);
  }

  target.check_it_serves();
  target.check_it_stayed_small();
  for (int node = 1; node <= target.nodes.size(); ++node) CAF_CHECK(target.nodes.is_running(node));

  // It says what it refused, and has not said it thousands of times.
  const auto log = target.nodes.log(1);
  const auto lines = std::count(log.begin(), log.end(), '\n');
  CAF_MESSAGE(lines << " lines in the log");
  CAF_CHECK(log.find("connection refused") != std::string::npos || log.find("connection closed") != std::string::npos);
  CAF_CHECK(lines < 500);
}
