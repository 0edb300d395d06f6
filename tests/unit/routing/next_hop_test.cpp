#define CAF_SUITE next_hop
#include "caf/test/unit_test.hpp"

#include <map>
#include <set>

#include "core/routing/next_hop.hpp"

using namespace kahuna;
using namespace kahuna::routing;

namespace {

constexpr node_id n1{1}, n2{2}, n3{3}, n4{4};

node_id hop(node_id leader, may_go way, const std::set<node_id>& connected, const std::set<node_id>& linked) {
  return next_hop(leader, way, connected, [&](node_id node) { return linked.contains(node); });
}

// Nodes that each take somebody for the leader. The nodes that a request comes to, the first one included.
struct nodes {
  std::map<node_id, node_id> believed;
  std::map<node_id, std::set<node_id>> connected;

  std::vector<node_id> way_of_a_request(node_id asked, node_id leader) const {
    std::vector<node_id> way{asked};
    for (auto may = may_go::anywhere; way.back() != leader; may = after(may)) {
      const auto here = way.back();
      const auto next = next_hop(believed.at(here), may, connected.at(here), [&](node_id node) { return node != here; });
      if (next == no_node || !connected.at(here).contains(next)) break;
      way.push_back(next);
    }
    return way;
  }
};

}  // namespace

CAF_TEST(a request goes to the leader where that is reached) {
  CAF_CHECK(hop(n2, may_go::anywhere, {n2, n3}, {n2, n3}) == n2);
  CAF_CHECK(hop(n2, may_go::to_leader, {n2, n3}, {n2, n3}) == n2);
  CAF_CHECK(hop(n2, may_go::nowhere, {n2, n3}, {n2, n3}) == no_node);
}

CAF_TEST(or by way of another node) {
  CAF_CHECK(hop(n2, may_go::anywhere, {n3}, {n2, n3}) == n3);
  CAF_CHECK(hop(no_node, may_go::anywhere, {n3}, {n2, n3}) == n3);
  CAF_CHECK(hop(n4, may_go::anywhere, {n3}, {n2, n3}) == n3);
  // A link that has said that it is up before anybody said that there is one.
  CAF_CHECK(hop(n2, may_go::anywhere, {n3}, {n2}) == n2);
  CAF_CHECK(hop(n2, may_go::anywhere, {n2, n3}, {n3}) == n3);
}

CAF_TEST(who passes it on gives it to nobody but the leader) {
  CAF_CHECK(hop(n2, may_go::to_leader, {n3}, {n2, n3}) == n2);
  CAF_CHECK(hop(no_node, may_go::to_leader, {n3}, {n2, n3}) == no_node);
  CAF_CHECK(hop(n4, may_go::to_leader, {n3}, {n2, n3}) == no_node);
}

CAF_TEST(a link that is down says so where nobody else is reached) {
  CAF_CHECK(hop(n2, may_go::anywhere, {}, {n2, n3}) == n2);
  CAF_CHECK(hop(no_node, may_go::anywhere, {}, {n2, n3}) == no_node);
}

// What n3 was told last was that n2 leads; since then n1 was elected, whom n3 does not hear.
CAF_TEST(a node that takes another one for the leader than leads reaches it all the same) {
  const nodes all{{{n1, n1}, {n2, n1}, {n3, n2}}, {{n1, {n2}}, {n2, {n1, n3}}, {n3, {n2}}}};
  CAF_CHECK(all.way_of_a_request(n3, n1) == (std::vector{n3, n2, n1}));
}

CAF_TEST(nothing goes round for ever where all are wrong) {
  const nodes all{{{n1, n2}, {n2, n3}, {n3, n1}}, {{n1, {n2, n3}}, {n2, {n1, n3}}, {n3, {n1, n2}}}};
  CAF_CHECK(all.way_of_a_request(n1, n4) == (std::vector{n1, n2, n3}));
}
