#define CAF_SUITE handshake
#include "caf/test/unit_test.hpp"

#include <functional>

#include "messages/connection/handshake.hpp"

using namespace kahuna;
using namespace kahuna::messages;

namespace {

struct fixture {
  routing::partition_map map = routing::form_cluster({{"n1", "h:1"}, {"n2", "h:2"}}, 16, 2);

  hello node_hello() const {
    hello said;
    said.role = connection_role::node;
    said.cluster_id = map.cluster_id;
    said.node = node_id{2};
    said.incarnation = 5;
    said.election_timeout_ms = 300;
    return said;
  }
  static hello client_hello() {
    hello said;
    said.client_id = 9;
    return said;
  }
  bool is_accepted(const hello& said) const { return std::holds_alternative<std::uint16_t>(check_hello(said, {map, node_id{1}, 300})); }
  bool is_refused_for_good(const hello& said) const {
    const auto verdict = check_hello(said, {map, node_id{1}, 300});
    const auto* refused = std::get_if<refusal>(&verdict);
    return refused != nullptr && refused->is_final && !refused->reason.message.empty();
  }
};

}  // namespace

CAF_TEST_FIXTURE_SCOPE(handshake_tests, fixture)

CAF_TEST(a client of any or of this cluster is let in) {
  CAF_CHECK(is_accepted(client_hello()));
  auto said = client_hello();
  said.cluster_id = map.cluster_id;
  CAF_CHECK(is_accepted(said));
  said.cluster_id ^= 1;
  CAF_CHECK(is_refused_for_good(said));
  said = client_hello();
  said.client_id = 0;
  CAF_CHECK(is_refused_for_good(said));
}

CAF_TEST(another member of this cluster is let in) {
  CAF_CHECK(is_accepted(node_hello()));
  for (const std::uint32_t id : {0u, 1u}) {
    auto said = node_hello();
    said.node = node_id{id};
    CAF_CHECK(is_refused_for_good(said));
  }
  auto said = node_hello();
  said.cluster_id = 0;
  CAF_CHECK(is_refused_for_good(said));
  said = node_hello();
  said.election_timeout_ms = 301;
  CAF_CHECK(is_refused_for_good(said));
  said = node_hello();
  said.incarnation = 0;
  CAF_CHECK(is_refused_for_good(said));
}

CAF_TEST(who is newer than the map is let in and who was removed is not) {
  auto said = node_hello();
  said.node = node_id{3};
  CAF_CHECK(is_accepted(said));
  map.members.erase(map.members.begin() + 1);
  map.former.push_back({node_id{2}, "n2"});
  said.node = node_id{2};
  CAF_CHECK(is_refused_for_good(said));
  const auto verdict = check_hello(said, {map, node_id{1}, 300});
  CAF_CHECK(std::get<refusal>(verdict).reason.message.find("node 2 (n2) was removed from this cluster") == 0);
  said.node = node_id{4};
  said.zone = std::string(zone_bytes_max, 'z');
  CAF_CHECK(is_accepted(said));
  said.zone += 'z';
  CAF_CHECK(is_refused_for_good(said));
}

CAF_TEST(strangers and other versions are refused) {
  auto said = client_hello();
  said.magic = 1;
  CAF_CHECK(is_refused_for_good(said));
  said = client_hello();
  said.version_min = said.version_max = protocol_version_max + 1;
  CAF_CHECK(is_refused_for_good(said));
  said = client_hello();
  said.version_min = 2;
  said.version_max = 1;
  CAF_CHECK(is_refused_for_good(said));
  said = client_hello();
  said.version_max = 100;
  CAF_CHECK(is_accepted(said));
}

CAF_TEST(a welcome is gone on with only where its map can be computed with) {
  const welcome good{protocol_version_max, node_id{2}, 5, timestamp{9}, map, 1 << 20, frame_bytes_max(1 << 20)};
  CAF_CHECK(!check_welcome(good));
  const auto is_refused = [&](const std::function<void(welcome&)>& change) {
    auto said = good;
    change(said);
    return check_welcome(said).has_value();
  };
  CAF_CHECK(is_refused([](welcome& said) { said.version = protocol_version_max + 1; }));
  CAF_CHECK(is_refused([](welcome& said) { said.node = node_id{3}; }));
  // A client would make room for each.
  CAF_CHECK(is_refused([](welcome& said) { said.map.partitions = ~std::uint32_t{0}; }));
}

CAF_TEST_FIXTURE_SCOPE_END()
