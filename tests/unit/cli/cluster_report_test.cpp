#define CAF_SUITE cli_cluster_report
#include "cli/cluster_report.hpp"

#include <nlohmann/json.hpp>

#include "caf/test/unit_test.hpp"
#include "cli/output.hpp"

using namespace kahuna;
using namespace kahuna::cli;
using namespace std::chrono_literals;

namespace {

client::replica_state at(raft::role_kind role, std::uint64_t commit, std::uint64_t applied, std::optional<std::uint64_t> lag) {
  return {role, 4, commit, applied, lag, "node 1 leader"};
}

// n2 is down; partition 1 has no leader where `is_impaired`.
client::cluster_overview two_nodes(bool is_down, bool is_impaired) {
  client::cluster_overview overview{
      "00ff", "n1", {{"n1", "127.0.0.1:4870", true, 1, 2}, {"n2", "10.0.0.2:4870", !is_down, 0, 2}}, {}};
  client::partition_overview partition{0, "n1", 4, {{"n1", at(raft::role_kind::leader, 1200, 1200, 0)}, {"n2", std::nullopt}}};
  if (!is_down) partition.replicas[1].state = at(raft::role_kind::follower, 1190, 1180, 20);
  overview.partitions.push_back(partition);
  if (is_impaired)
    overview.partitions.push_back(
        {1, std::nullopt, 7, {{"n1", at(raft::role_kind::candidate, 3, 3, std::nullopt)}, {"n2", std::nullopt}}});
  return overview;
}

std::string formatted(outcome what, output_style style = {}) {
  return format_answer({"cluster", std::nullopt, std::move(what), 12ms}, style);
}

}  // namespace

CAF_TEST(tables are aligned) {
  CAF_CHECK_EQUAL(formatted(cluster_answer{two_nodes(true, true)}),
                  "node  address         state  leads  holds\n"
                  "n1    127.0.0.1:4870  alive  1      2\n"
                  "n2    10.0.0.2:4870   down   0      2\n"
                  "\n"
                  "partition  leader  term  committed  replicas  lag\n"
                  "0          n1      4     1200       n1 n2     0 ?\n"
                  "1          none    7     ?          n1 n2     ? ?\n"
                  "impaired 12ms\n");
  const auto alone = formatted(cluster_answer{two_nodes(false, false)}, {output_format::console, list_footer::hidden});
  CAF_CHECK(alone.ends_with("0 20\n"));
}

CAF_TEST(status says whether the cluster serves) {
  CAF_CHECK_EQUAL(formatted(status_answer{two_nodes(false, false)}),
                  "answered by  n1\n"
                  "cluster      00ff\n"
                  "nodes        2 of 2 alive\n"
                  "partitions   1, 0 without a leader\n"
                  "healthy: every node answers and every partition has a leader 12ms\n");
  const auto degraded = formatted(status_answer{two_nodes(true, false)});
  CAF_CHECK(degraded.find("nodes        1 of 2 alive, down: n2\n") != std::string::npos);
  CAF_CHECK(degraded.ends_with("\ndegraded: n2 does not answer; every partition has a leader 12ms\n"));
  const auto impaired = formatted(status_answer{two_nodes(true, true)});
  CAF_CHECK(impaired.ends_with("\nimpaired: 1 partition has no leader; n2 does not answer 12ms\n"));
}

CAF_TEST(a partition is described) {
  const auto overview = two_nodes(true, false);
  CAF_CHECK_EQUAL(formatted(partition_answer{overview.partitions[0]}),
                  "replica  role             term  committed  applied  lag\n"
                  "n1       leader           4     1200       1200     0\n"
                  "n2       does not answer\n"
                  "n1: node 1 leader\n"
                  "partition 0 led by n1 12ms\n");
}

CAF_TEST(json has the fields of the http port and more) {
  const output_style json_style{output_format::json, list_footer::shown};
  CAF_CHECK_EQUAL(
      formatted(cluster_answer{two_nodes(true, false)}, json_style),
      R"({"op":"cluster","status":"found","cluster_id":"00ff","node_id":"n1","members":[)"
      R"({"id":"n1","address":"127.0.0.1:4870","alive":true,"leads":1,"holds":2,"state":"active"},)"
      R"({"id":"n2","address":"10.0.0.2:4870","alive":false,"leads":0,"holds":2,"state":"active"}],)"
      R"("partitions":[{"id":0,"leader":"n1","term":4,"replicas":["n1","n2"],"commit_index":1200,"applied_index":1200,)"
      R"("lag":{"n1":0,"n2":null}}],"elapsed_ms":12.0})"
      "\n");
  const auto status = nlohmann::json::parse(formatted(status_answer{two_nodes(true, true)}, json_style));
  CAF_CHECK_EQUAL(status.value("health", ""), "impaired");
  CAF_CHECK_EQUAL(status.value("nodes_alive", 0), 1);
  CAF_CHECK_EQUAL(status.value("partitions_without_leader", 0), 1);
  const auto overview = two_nodes(true, true);
  const auto described = nlohmann::json::parse(formatted(partition_answer{overview.partitions[1]}, json_style));
  CAF_CHECK(described["leader"].is_null());
  CAF_CHECK_EQUAL(described["replicas"][0].value("role", ""), "candidate");
  CAF_CHECK_EQUAL(described["replicas"][1].dump(), R"({"answered":false,"node":"n2"})");
}

CAF_TEST(colours are only where they are wanted) {
  output_style coloured;
  coloured.is_coloured = coloured.are_errors_coloured = true;
  CAF_CHECK_EQUAL(formatted(kv::set_response{true, 3, {}}, coloured), "\x1b[2mr3\x1b[0m set \x1b[2m12ms\x1b[0m\n");
  CAF_CHECK_EQUAL(formatted(error{errc::timeout, "late"}, coloured), "\x1b[31merror: timeout: late\x1b[0m\n");
  coloured.are_errors_coloured = false;
  CAF_CHECK_EQUAL(formatted(error{errc::timeout, "late"}, coloured), "error: timeout: late\n");
  CAF_CHECK(formatted(cluster_answer{two_nodes(true, true)}, coloured).find("\x1b[31mdown\x1b[0m") != std::string::npos);
  coloured.format = output_format::json;
  CAF_CHECK_EQUAL(formatted(cluster_answer{two_nodes(true, true)}, coloured).find('\x1b'), std::string::npos);
}

CAF_TEST(lists are aligned for a terminal alone) {
  client::key_list list{.items = {{.key = "a", .value = "1", .revision = 12},
                                  {.key = "gr\xc3\xbc\xc3\x9f"
                                          "e",
                                   .value = "2",
                                   .revision = 3}}};
  CAF_CHECK_EQUAL(formatted(list),
                  "r12 a 1\nr3 gr\xc3\xbc\xc3\x9f"
                  "e 2\n2 keys 12ms\n");
  output_style terminal;
  terminal.is_for_terminal = true;
  CAF_CHECK_EQUAL(formatted(list, terminal),
                  "r12 a     1\nr3  gr\xc3\xbc\xc3\x9f"
                  "e 2\n2 keys 12ms\n");
  // A very long key takes its own room and nobody else's.
  list.items[0].key = std::string(100, 'k');
  CAF_CHECK_EQUAL(formatted(list, terminal), "r12 " + std::string(100, 'k') +
                                                 " 1\nr3  gr\xc3\xbc\xc3\x9f"
                                                 "e 2\n2 keys 12ms\n");
}

CAF_TEST(what was abandoned) {
  CAF_CHECK_EQUAL(formatted(abandoned{true}), "abandoned; the write may still be applied 12ms\n");
  CAF_CHECK_EQUAL(formatted(abandoned{false}), "abandoned 12ms\n");
  CAF_CHECK_EQUAL(formatted(abandoned{true}, {output_format::json}),
                  R"({"op":"cluster","status":"abandoned","applied":"unknown","elapsed_ms":12.0})"
                  "\n");
}

CAF_TEST(a caret stands under the place) {
  CAF_CHECK_EQUAL(format_caret("set a", 6), "  set a\n       ^\n");
  CAF_CHECK_EQUAL(format_caret("nonsense", 1), "  nonsense\n  ^\n");
  CAF_CHECK_EQUAL(format_caret("", 1), "  \n  ^\n");
  CAF_CHECK_EQUAL(format_caret("a", 99), "  a\n   ^\n");
  // Columns of the terminal, not bytes; and nothing that it would obey.
  CAF_CHECK_EQUAL(format_caret("\"\xc3\xbc\" x", 6), "  \"\xc3\xbc\" x\n      ^\n");
  CAF_CHECK_EQUAL(format_caret("\t\x1b[2J x", 6), "  \\t\\x1b[2J x\n           ^\n");
  // Of a long line what is near.
  const auto cut = format_caret(std::string(500, 'a') + std::string(500, 'b'), 501);
  CAF_CHECK_EQUAL(cut, "  …" + std::string(36, 'a') + std::string(36, 'b') + "…\n  " + std::string(37, ' ') + "^\n");
}

CAF_TEST(members on their way in or out are told apart from those that are down) {
  auto overview = two_nodes(true, false);
  overview.members[1].state = routing::member_state::joining;
  const auto joining = cluster_tables(overview, false);
  CAF_CHECK(joining.find("n2    10.0.0.2:4870   awaited") != std::string::npos);
  CAF_CHECK_EQUAL(judge(overview).word, "healthy");
  overview.members[1].state = routing::member_state::leaving;
  CAF_CHECK(cluster_tables(overview, false).find("down, leaving") != std::string::npos);
  overview.members[1].is_alive = true;
  CAF_CHECK(cluster_tables(overview, false).find("alive, leaving") != std::string::npos);
}

CAF_TEST(what became of a change of members is said) {
  using state = change_answer::state;
  const auto said = [](change_answer what, output_format format = output_format::console) {
    return format_answer({"cluster add", std::nullopt, std::move(what), 12ms}, {format, list_footer::shown});
  };
  CAF_CHECK_EQUAL(said({state::done, false, "n4", "", ""}), "n4 added 12ms\n");
  CAF_CHECK_EQUAL(said({state::done, true, "n4", "", ""}), "n4 removed 12ms\n");
  CAF_CHECK_EQUAL(said({state::done, false, "n2", "n4", ""}), "n2 replaced by n4 12ms\n");
  CAF_CHECK_EQUAL(said({state::waits_for_node, false, "n4", "", "kahuna-node --node-id n4"}), "n4 added; start it: kahuna-node --node-id n4 12ms\n");
  CAF_CHECK_EQUAL(said({state::waits_for_node, false, "n2", "n4", "x"}), "n4 will replace n2; start it: x 12ms\n");
  CAF_CHECK_EQUAL(said({state::waits_for_node, false, "n4", "", "x"}, output_format::json),
                  R"({"op":"cluster add","status":"waiting","node":"n4","start":"x","elapsed_ms":12.0})"
                  "\n");
  CAF_CHECK_EQUAL(said({state::done, false, "n2", "n4", ""}, output_format::json),
                  R"({"op":"cluster add","status":"replaced","node":"n2","by":"n4","elapsed_ms":12.0})"
                  "\n");
}
