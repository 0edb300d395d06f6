// The contract's table of operations, cell by cell, through kahuna-cli: in both durabilities, on one node, and through a
// node of three that leads next to nothing.
#define CAF_SUITE system_contract_table
#include "caf/test/unit_test.hpp"

#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <vector>

#include "tests/support/cluster_fixture.hpp"

using namespace kahuna::testing;
using nlohmann::json;

namespace {

// The states of a key that a row tells apart, and how each comes to be. `K` stands for the key, and every command gets an
// `e` before it for its ephemeral twin.
enum state : std::size_t { never, live_r0, live_r2, live_expiring, deleted, expired, set_after_delete, set_after_expiry, states };
constexpr const char* state_names[states] = {"never", "live-r0", "live-r2", "live-expiring", "deleted", "expired", "again-d", "again-e"};

std::vector<std::string> setup_of(std::size_t s) {
  const std::vector<std::string> three{"set K \"v0\"", "set K \"v1\"", "set K \"v2\""};
  switch (s) {
    case never: return {};
    case live_r0: return {"set K \"v0\""};
    case live_r2: return three;
    case live_expiring: return {three[0], three[1], "set K \"v2\" ex 3600000"};
    case deleted: return {three[0], three[1], three[2], "delete K"};
    case expired: return {three[0], three[1], "set K \"v2\" ex 1"};
    case set_after_delete: return {three[0], three[1], "delete K", "set K \"v2\""};
    default: return {three[0], "set K \"v1\" ex 1"};  // and set again behind the expiry, below
  }
}

// Of a live key at r2 and an absent one that had r2 last the cells are the same whatever led there.
struct row {
  std::string command;
  std::string on_never;
  std::string on_r0;      // live r0, value v0
  std::string on_live;    // live r2, value v2
  std::string on_absent;  // had r2 last
  std::string then;       // what `get K` says afterwards where the command changed something: with R for the revision
};

std::string expected_of(const row& r, std::size_t s) {
  switch (s) {
    case never: return r.on_never;
    case live_r0: return r.on_r0;
    case deleted:
    case expired: return r.on_absent;
    default: return r.on_live;
  }
}

const std::string invalid = "error: invalid_argument:";

const std::vector<row>& table() {
  static const std::vector<row> rows{
      {"set K \"x\"", "r0 set", "r1 set", "r3 set", "r3 set", "rR x"},
      {"set K \"\"", "r0 set", "r1 set", "r3 set", "r3 set", "rR "},
      {"set K \"x\" nx", "r0 set", "r0 not set", "r2 not set", "r3 set", "rR x"},
      {"set K \"x\" xx", "r-1 not set", "r1 set", "r3 set", "r-1 not set", "rR x"},
      {"set K \"x\" cmp \"v2\"", "r-1 not set", "r0 not set", "r3 set", "r-1 not set", "rR x"},
      {"set K \"x\" cmp \"v0\"", "r-1 not set", "r1 set", "r2 not set", "r-1 not set", "rR x"},
      {"set K \"x\" cmp \"\"", "r-1 not set", "r0 not set", "r2 not set", "r-1 not set", ""},
      {"set K \"x\" cmprev -1", "r0 set", "r0 not set", "r2 not set", "r3 set", "rR x"},
      {"set K \"x\" cmprev 0", "r-1 not set", "r1 set", "r2 not set", "r-1 not set", "rR x"},
      {"set K \"x\" cmprev 2", "r-1 not set", "r0 not set", "r3 set", "r-1 not set", "rR x"},
      {"set K \"x\" cmprev 1", "r-1 not set", "r0 not set", "r2 not set", "r-1 not set", ""},
      {"set K \"x\" nx cmprev -1", "r0 set", "r0 not set", "r2 not set", "r3 set", "rR x"},
      {"set K \"x\" nx cmp \"v2\"", "r-1 not set", "r0 not set", "r2 not set", "r-1 not set", ""},
      {"set K \"x\" xx cmp \"v2\" cmprev 2", "r-1 not set", "r0 not set", "r3 set", "r-1 not set", "rR x"},
      {"set K \"x\" xx cmp \"v2\" cmprev 1", "r-1 not set", "r0 not set", "r2 not set", "r-1 not set", ""},
      {"set K \"x\" xx cmprev -1", "r-1 not set", "r0 not set", "r2 not set", "r-1 not set", ""},
      {"set K \"x\" nx xx", invalid, invalid, invalid, invalid, ""},
      {"set K \"x\" cmprev -2", invalid, invalid, invalid, invalid, ""},
      {"set K \"x\" ex -1", invalid, invalid, invalid, invalid, ""},
      {"set K \"x\" ex 3155760000001", invalid, invalid, invalid, invalid, ""},
      {"set K \"x\" ex 3155760000000", "r0 set", "r1 set", "r3 set", "r3 set", "rR x"},
      {"set K \"x\" ex 3600000 nx", "r0 set", "r0 not set", "r2 not set", "r3 set", "rR x"},
      {"get K", "r-1 not found", "r0 v0", "r2 v2", "r-1 not found", ""},
      {"get K at 0", "r-1 not found", "r0 v0", "r0 v0", "r0 v0", ""},
      {"get K at 1", "r-1 not found", "r-1 not found", "r1 v1", "r1 v1", ""},
      {"get K at 2", "r-1 not found", "r-1 not found", "r2 v2", "r2 v2", ""},
      {"get K at 3", "r-1 not found", "r-1 not found", "r-1 not found", "r-1 not found", ""},
      {"get K at -1", invalid, invalid, invalid, invalid, ""},
      {"exists K", "r-1 not found", "r0 exists", "r2 exists", "r-1 not found", ""},
      {"delete K", "r-1 not found", "r0 deleted", "r2 deleted", "r-1 not found", "r-1 not found"},
      {"extend K 3600000", "r-1 not found", "r0 extended", "r2 extended", "r-1 not found", "rR V"},
      {"extend K 0", "r-1 not found", "r0 extended", "r2 extended", "r-1 not found", "rR V"},
      {"extend K -1", invalid, invalid, invalid, invalid, ""},
      {"extend K 3155760000001", invalid, invalid, invalid, invalid, ""},
  };
  return rows;
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) text.replace(at, what.size(), with);
  return text;
}

std::string command_of(const std::string& pattern, const std::string& key, bool is_ephemeral) {
  const auto space = pattern.find(' ');
  return (is_ephemeral ? "e" : "") + pattern.substr(0, space) + replaced(pattern.substr(space), " K", " `" + key + "`");
}

// A bucket of its own for each cell, so that lists show it alone.
std::string bucket_of(std::size_t number, std::size_t s) { return "t/" + std::string(state_names[s]) + "/" + std::to_string(number); }

std::vector<std::string> lines_of(const std::string& output) {
  std::vector<std::string> lines;
  std::istringstream in(output);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The line without the time at its end, which must be there.
std::string timeless(const std::string& line) {
  static const std::regex time(" ([0-9]\\.[0-9]|[1-9][0-9]+)ms( more)?$");
  if (line.starts_with("error: ")) return line.substr(0, line.find(':', line.find(':') + 1) + 1);
  CAF_CHECK(std::regex_search(line, time));
  return std::regex_replace(line, time, "$2");
}

// What a command changed must be there, what it did not change must not have moved.
std::string then_of(const row& r, std::size_t s, const std::string& answer) {
  const bool is_changed = answer.ends_with(" set") && !answer.ends_with(" not set");
  const bool is_done = is_changed || answer.ends_with("deleted") || answer.ends_with("extended");
  const std::string value = s == live_r0 ? "v0" : "v2";
  if (!is_done) {
    if (s == never || s == deleted || s == expired) return "r-1 not found";
    return (s == live_r0 ? "r0 " : "r2 ") + value;
  }
  auto text = replaced(r.then, "V", value);
  return replaced(text, "R", answer.substr(1, answer.find(' ') - 1));
}

struct cell {
  std::size_t number = 0;
  std::size_t s = 0;
  std::string key;
  std::string expected;
};

void check_table(cluster& nodes, int through, bool is_ephemeral, const std::string& generation) {
  std::string setup, again, commands;
  std::vector<cell> cells;
  for (std::size_t number = 0; number < table().size(); ++number)
    for (std::size_t s = 0; s < states; ++s) {
      const auto key = generation + bucket_of(number, s) + "/k";
      cells.push_back({number, s, key, expected_of(table()[number], s)});
      for (const auto& step : setup_of(s)) setup += command_of(step, key, is_ephemeral) + "\n";
      if (s == set_after_expiry) again += command_of("set K \"v2\"", key, is_ephemeral) + "\n";
      commands += command_of(table()[number].command, key, is_ephemeral) + "\n";
      commands += command_of("get K", key, is_ephemeral) + "\n";
      const std::string e = is_ephemeral ? "e" : "";
      commands += e + "get by bucket `" + generation + bucket_of(number, s) + "`\n";
      commands += e + "scan by prefix `" + key + "`\n";
    }
  const auto prepared = nodes.run_cli(through, {}, setup);
  CAF_REQUIRE_EQUAL(prepared.status, 0);
  // Behind the last expiry of 1 ms by far: the session took that long, and this one is a process more.
  CAF_REQUIRE_EQUAL(nodes.run_cli(through, {}, again).status, 0);
  const auto answered = nodes.run_cli(through, {}, commands);
  CAF_CHECK_EQUAL(answered.status, 1);  // some cells are errors
  const auto lines = lines_of(answered.output);
  std::size_t at = 0;
  for (const auto& c : cells) {
    const auto& r = table()[c.number];
    CAF_REQUIRE(at + 5 <= lines.size());
    const auto answer = timeless(lines[at++]);
    const auto seen = timeless(lines[at++]);
    const auto what = c.key + ": " + r.command + " -> ";
    CAF_CHECK_EQUAL(what + answer, what + c.expected);
    const auto then = then_of(r, c.s, answer);
    CAF_CHECK_EQUAL(what + "then " + seen, what + "then " + then);
    // Both lists show the key as `get` does.
    for (int list = 0; list < 2; ++list) {
      std::string listed;
      if (then != "r-1 not found") {
        listed = lines[at++];
        const auto space = then.find(' ');
        CAF_CHECK_EQUAL(what + listed, what + then.substr(0, space) + ' ' + c.key + then.substr(space));
      }
      CAF_REQUIRE(at < lines.size());
      CAF_CHECK_EQUAL(what + timeless(lines[at++]), what + (listed.empty() ? "0 keys" : "1 key"));
    }
  }
  CAF_CHECK_EQUAL(at, lines.size());
}

// The same cells as JSON: fields, their order and their values.
void check_json(cluster& nodes, int through, bool is_ephemeral, const std::string& generation) {
  const std::string e = is_ephemeral ? "e" : "";
  const auto key = generation + "json/k";
  std::string commands;
  for (const std::string command : {"get K", "set K \"v\"", "set K \"v\" nx", "get K", "exists K", "extend K 60000", "get K", "delete K",
                                    "delete K", "exists K", "extend K 5", "get K at 0", "set K \"\\xff\"", "get K", "set K \"x\" nx xx"})
    commands += command_of(command, key, is_ephemeral) + "\n";
  commands += e + "get by bucket `" + generation + "json`\n" + e + "get by prefix `" + generation + "json` limit 1\n" + e +
              "scan by prefix `" + generation + "nothing`\n" + "set K\n";
  const auto answered = nodes.run_cli(through, {"--format", "json"}, commands);
  CAF_CHECK_EQUAL(answered.status, 1);
  const auto quoted = "\"key\":\"" + key + "\"";
  const std::string T = ",\"elapsed_ms\":T}", M = ",\"modified\":\"N\"", E = ",\"expires\":N";
  const std::vector<std::string> expected{
      "{\"op\":\"" + e + "get\"," + quoted + ",\"status\":\"not found\",\"revision\":-1" + T,
      "{\"op\":\"" + e + "set\"," + quoted + ",\"status\":\"set\",\"revision\":0" + M + T,
      "{\"op\":\"" + e + "set\"," + quoted + ",\"status\":\"not set\",\"revision\":0" + T,
      "{\"op\":\"" + e + "get\"," + quoted + ",\"status\":\"found\",\"value\":\"v\",\"revision\":0" + M + T,
      "{\"op\":\"" + e + "exists\"," + quoted + ",\"status\":\"exists\",\"revision\":0" + T,
      "{\"op\":\"" + e + "extend\"," + quoted + ",\"status\":\"extended\",\"revision\":0" + M + T,
      "{\"op\":\"" + e + "get\"," + quoted + ",\"status\":\"found\",\"value\":\"v\",\"revision\":0" + E + M + T,
      "{\"op\":\"" + e + "delete\"," + quoted + ",\"status\":\"deleted\",\"revision\":0" + M + T,
      "{\"op\":\"" + e + "delete\"," + quoted + ",\"status\":\"not found\",\"revision\":-1" + T,
      "{\"op\":\"" + e + "exists\"," + quoted + ",\"status\":\"not found\",\"revision\":-1" + T,
      "{\"op\":\"" + e + "extend\"," + quoted + ",\"status\":\"not found\",\"revision\":-1" + T,
      "{\"op\":\"" + e + "get\"," + quoted + ",\"status\":\"found\",\"value\":\"v\",\"revision\":0" + E + M + T,
      "{\"op\":\"" + e + "set\"," + quoted + ",\"status\":\"set\",\"revision\":1" + M + T,
      "{\"op\":\"" + e + "get\"," + quoted + ",\"status\":\"found\",\"value_base64\":\"/w==\",\"revision\":1" + M + T,
      "{\"op\":\"" + e + "set\"," + quoted + ",\"status\":\"error\",\"code\":\"invalid_argument\",\"applied\":\"no\",\"message\":\"…\"" + T,
      "{\"op\":\"" + e + "get by bucket\",\"status\":\"found\",\"count\":1,\"items\":[{" + quoted + ",\"value_base64\":\"/w==\",\"revision\":1" + M + "}]" + T,
      "{\"op\":\"" + e + "get by prefix\",\"status\":\"found\",\"count\":1,\"items\":[{" + quoted + ",\"value_base64\":\"/w==\",\"revision\":1" + M + "}]" + T,
      "{\"op\":\"" + e + "scan by prefix\",\"status\":\"found\",\"count\":0,\"items\":[]" + T,
      "{\"status\":\"error\",\"code\":\"invalid_argument\",\"applied\":\"no\",\"message\":\"…\"" + T,
  };
  const auto lines = lines_of(answered.output);
  CAF_REQUIRE_EQUAL(lines.size(), expected.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    CAF_CHECK(json::accept(lines[i]));
    auto line = std::regex_replace(lines[i], std::regex("\"elapsed_ms\":[0-9]+(\\.[0-9])?\\}"), "\"elapsed_ms\":T}");
    line = std::regex_replace(line, std::regex("\"modified\":\"[0-9]+\""), "\"modified\":\"N\"");
    line = std::regex_replace(line, std::regex("\"expires\":[0-9]{13}"), "\"expires\":N");
    line = std::regex_replace(line, std::regex("\"message\":\"[^\"]+\""), "\"message\":\"…\"");
    CAF_CHECK_EQUAL(line, expected[i]);
  }
}

}  // namespace

CAF_TEST(every cell of the table on one node) {
  cluster nodes({.nodes = 1, .node_arguments = {}});
  nodes.start_all_and_wait();
  for (const bool is_ephemeral : {false, true}) {
    check_table(nodes, 1, is_ephemeral, "one/");
    check_json(nodes, 1, is_ephemeral, "one/");
  }
}

CAF_TEST(every cell of the table through a follower of three) {
  cluster nodes;
  nodes.start_all_and_wait();
  const auto through = nodes.least_leader();
  for (const bool is_ephemeral : {false, true}) {
    check_table(nodes, through, is_ephemeral, "three/");
    check_json(nodes, through, is_ephemeral, "three/");
  }
}

CAF_TEST(the two durabilities are two spaces) {
  cluster nodes({.nodes = 1, .node_arguments = {}});
  nodes.start_all_and_wait();
  const auto session = nodes.run_cli(1, {},
                                     "set b/k \"p\"\neset b/k \"e0\"\neset b/k \"e1\"\nget b/k\neget b/k\nget by bucket b\neget by bucket b\n"
                                     "delete b/k\neget b/k\nescan by prefix b\nscan by prefix b\nedelete b/k\nget b/k at 0\neget b/k at 1\n");
  std::vector<std::string> seen;
  for (const auto& line : lines_of(session.output)) seen.push_back(std::regex_replace(line, std::regex(" [0-9.]+ms$"), ""));
  const std::vector<std::string> expected{"r0 set", "r0 set", "r1 set", "r0 p", "r1 e1", "r0 b/k p", "1 key", "r1 b/k e1", "1 key",
                                          "r0 deleted", "r1 e1", "r1 b/k e1", "1 key", "0 keys", "r1 deleted", "r0 p", "r1 e1"};
  CAF_CHECK(seen == expected);
  CAF_MESSAGE(session.output);
}

CAF_TEST(ephemeral keys keep sixteen revisions and are gone after a restart) {
  cluster nodes({.nodes = 1, .node_arguments = {}});
  nodes.start_all_and_wait();
  std::string sets;
  for (int i = 0; i < 20; ++i) sets += "eset k \"" + std::to_string(i) + "\"\n";
  CAF_CHECK_EQUAL(nodes.run_cli(1, {}, sets).status, 0);
  CAF_CHECK(nodes.run_cli(1, {"--get", "k", "--at", "4", "--ephemeral"}).output.starts_with("r4 4 "));
  CAF_CHECK(nodes.run_cli(1, {"--get", "k", "--at", "3", "--ephemeral"}).output.starts_with("r-1 not found "));
  CAF_REQUIRE(nodes.stop(1).has_value());
  nodes.start_all_and_wait();
  CAF_CHECK(nodes.run_cli(1, {"--get", "k", "--ephemeral"}).output.starts_with("r-1 not found "));
  CAF_CHECK(nodes.run_cli(1, {"--set", "k", "--value", "new", "--ephemeral"}).output.starts_with("r0 set "));
}
