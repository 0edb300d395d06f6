#define CAF_SUITE cluster_overview
#include "client/cluster_overview.hpp"

#include "caf/test/unit_test.hpp"
#include "client/cluster_inquiry.hpp"

using namespace kahuna;
using namespace kahuna::client;
using messages::cluster_reply;
using raft::role_kind;

namespace {

constexpr node_id n1{1};
constexpr node_id n2{2};
constexpr node_id n3{3};
constexpr instant start{std::chrono::hours(1)};

// One partition on three nodes.
routing::partition_map one_partition() { return routing::form_cluster({{"n1", "h:1"}, {"n2", "h:2"}, {"n3", "h:3"}}, 1, 3); }

cluster_reply said(node_id node, std::vector<node_id> alive, std::uint64_t term, node_id leader, role_kind role,
                   std::uint64_t commit, std::uint64_t applied) {
  return {0,
          node,
          std::move(alive),
          {{partition_id{0}, term_id{term}, leader}},
          {{partition_id{0}, role, term_id{term}, log_index{commit}, log_index{applied}, ""}}};
}

}  // namespace

CAF_TEST(all nodes answer) {
  const std::vector<node_id> all{n1, n2, n3};
  const auto overview = merge_views(
      one_partition(), {said(n2, all, 4, n2, role_kind::leader, 30, 30), said(n1, all, 4, n2, role_kind::follower, 28, 27),
                        said(n3, all, 4, n2, role_kind::follower, 31, 31)});
  CAF_CHECK_EQUAL(overview.answered_by, "n2");
  CAF_CHECK_EQUAL(overview.cluster_id.size(), 16u);
  CAF_REQUIRE_EQUAL(overview.members.size(), 3u);
  CAF_CHECK_EQUAL(overview.members[1].name, "n2");
  CAF_CHECK_EQUAL(overview.members[1].address, "h:2");
  CAF_CHECK_EQUAL(overview.members[1].partitions_led, 1u);
  for (const auto& member : overview.members) CAF_CHECK(member.is_alive);
  CAF_REQUIRE_EQUAL(overview.partitions.size(), 1u);
  const auto& partition = overview.partitions[0];
  CAF_CHECK_EQUAL(partition.leader.value_or("none"), "n2");
  CAF_CHECK_EQUAL(partition.term, 4u);
  CAF_REQUIRE_EQUAL(partition.replicas.size(), 3u);
  CAF_CHECK_EQUAL(partition.replicas[0].state->lag.value_or(99), 3u);
  CAF_CHECK_EQUAL(partition.replicas[1].state->lag.value_or(99), 0u);
  CAF_CHECK_EQUAL(partition.replicas[2].state->lag.value_or(99), 0u);  // asked after the leader was: ahead of it
  CAF_REQUIRE(partition.leading() != nullptr);
  CAF_CHECK_EQUAL(partition.leading()->commit_index, 30u);
}

CAF_TEST(a node that does not answer is down and its replica unknown) {
  const auto overview = merge_views(one_partition(), {said(n1, {n1, n2}, 4, n1, role_kind::leader, 5, 5),
                                                      said(n2, {n1, n2}, 4, n1, role_kind::follower, 5, 4)});
  CAF_CHECK(!overview.members[2].is_alive);
  CAF_CHECK(!overview.partitions[0].replicas[2].state.has_value());
  CAF_CHECK_EQUAL(overview.partitions[0].replicas[1].state->lag.value_or(99), 1u);
}

CAF_TEST(the highest term says who leads) {
  // n3 was cut off as leader of term 4, and does not know of term 5 yet.
  const auto overview = merge_views(
      one_partition(), {said(n3, {n3}, 4, n3, role_kind::leader, 5, 5), said(n1, {n1, n2}, 5, n1, role_kind::leader, 9, 9),
                        said(n2, {n1, n2}, 5, n1, role_kind::follower, 9, 9)});
  CAF_CHECK_EQUAL(overview.partitions[0].leader.value_or("none"), "n1");
  CAF_CHECK_EQUAL(overview.partitions[0].term, 5u);
  CAF_CHECK_EQUAL(overview.partitions[0].replicas[2].state->lag.value_or(99), 4u);
}

CAF_TEST(an election under way has no leader though an older term had one) {
  const auto overview = merge_views(one_partition(), {said(n1, {n1, n2}, 4, n3, role_kind::follower, 5, 5),
                                                      said(n2, {n1, n2}, 5, no_node, role_kind::candidate, 5, 5)});
  CAF_CHECK(!overview.partitions[0].leader.has_value());
  CAF_CHECK_EQUAL(overview.partitions[0].term, 5u);
  CAF_CHECK(!overview.partitions[0].replicas[0].state->lag.has_value());
}

CAF_TEST(a leader whom nobody reaches leads nothing) {
  const auto gone = merge_views(one_partition(), {said(n1, {n1, n2}, 4, n3, role_kind::follower, 5, 5)});
  CAF_CHECK(!gone.partitions[0].leader.has_value());
  // This client does not reach it, the other nodes do.
  const auto hidden = merge_views(one_partition(), {said(n1, {n1, n2, n3}, 4, n3, role_kind::follower, 5, 5)});
  CAF_CHECK_EQUAL(hidden.partitions[0].leader.value_or("none"), "n3");
  CAF_CHECK(!hidden.members[2].is_alive);
}

CAF_TEST(what nodes may say amiss is left out) {
  cluster_reply odd = said(n1, {n1, node_id{77}}, 4, node_id{77}, role_kind::follower, 5, 5);
  odd.leaders.push_back({partition_id{900}, term_id{9}, n1});
  odd.replicas.push_back({partition_id{900}, role_kind::leader, term_id{9}, log_index{1}, log_index{1}, ""});
  const auto overview = merge_views(one_partition(), {odd, odd, said(node_id{77}, {}, 1, n1, role_kind::leader, 1, 1)});
  CAF_CHECK_EQUAL(overview.partitions.size(), 1u);
  CAF_CHECK_EQUAL(overview.members.size(), 3u);
  const auto nothing = merge_views(one_partition(), {});
  CAF_CHECK_EQUAL(nothing.answered_by, "");
  CAF_CHECK(!nothing.members[0].is_alive);
}

CAF_TEST(an inquiry ends when every node has answered or is lost) {
  cluster_inquiry inquiry({7, std::nullopt}, start + std::chrono::seconds(1));
  CAF_CHECK(inquiry.begin_asking(0));
  CAF_CHECK(!inquiry.begin_asking(0));
  CAF_CHECK(inquiry.begin_asking(1));
  CAF_CHECK(!inquiry.is_settled(3, start));
  inquiry.reply_came(0, {7, n1, {}, {}, {}});
  inquiry.reply_came(0, {7, n1, {}, {}, {}});  // doubled
  inquiry.reply_came(1, {6, n2, {}, {}, {}});  // of another question
  inquiry.reply_came(2, {7, n3, {}, {}, {}});  // never asked
  CAF_CHECK_EQUAL(inquiry.replies().size(), 1u);
  inquiry.node_lost(1);
  CAF_CHECK(!inquiry.is_settled(3, start));
  inquiry.node_lost(2);
  CAF_CHECK(inquiry.is_settled(3, start));
  inquiry.node_lost(0);  // after its answer
  CAF_CHECK_EQUAL(inquiry.replies().size(), 1u);
}

CAF_TEST(an inquiry ends at its deadline) {
  cluster_inquiry inquiry({7, std::nullopt}, start + std::chrono::seconds(1));
  CAF_CHECK(inquiry.begin_asking(0));
  CAF_CHECK(!inquiry.is_settled(1, start + std::chrono::milliseconds(999)));
  CAF_CHECK(inquiry.is_settled(1, start + std::chrono::seconds(1)));
}
