// The limits of the contract (§1, §3, §5), each at its last good value and at the first bad one: through the client
// library, on the wire past the library's own checks, and through kahuna-cli.
#define CAF_SUITE system_limits
#include "caf/test/unit_test.hpp"

#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "client/client.hpp"
#include "core/base/prng.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/register_load.hpp"
#include "tests/support/wire_client.hpp"

using namespace kahuna;
using namespace kahuna::testing;
using namespace std::string_literals;
using nlohmann::json;

namespace {

constexpr std::size_t mebibyte = 1 << 20;
constexpr std::int64_t hundred_years_ms = 3'155'760'000'000;
constexpr auto number_max = std::numeric_limits<std::int64_t>::max();
constexpr auto number_min = std::numeric_limits<std::int64_t>::min();

// A request and whether it is within the limits.
struct probe {
  std::string what;
  kv::operation op;
  bool is_good = false;
};

kv::set_request set_in(kv::durability space, std::string key, std::string value = "v") {
  auto request = testing::set_of(key, std::move(value));
  request.space = space;
  return request;
}

std::vector<probe> probes(kv::durability space) {
  std::vector<probe> all;
  const auto names = std::vector<std::tuple<std::string, std::string, bool>>{
      {"1 byte", "k", true},
      {"4096 bytes", std::string(4096, 'k'), true},
      {"4097 bytes", std::string(4097, 'k'), false},
      {"no byte", "", false},
      {"a NUL within", "a\0b"s, false},
      {"a NUL alone", "\0"s, false},
      {"a NUL at the end", "a\0"s, false},
      {"all other control characters", "\x01\x02\n\r\t\x1f\x7f", true},
      {"no UTF-8", "\xff\xfe\xc0", true},
      {"the reserved prefix alone", "__kahuna:", false},
      {"a reserved name", "__kahuna:x", false},
      {"almost reserved", "__kahuna", true},
      {"reserved in other letters", "__Kahuna:x", true},
      {"reserved further in", "x__kahuna:", true},
  };
  for (const auto& [what, name, is_good] : names) {
    all.push_back({"set, key of " + what, set_in(space, name), is_good});
    all.push_back({"get, key of " + what, kv::get_request{name, space, std::nullopt}, is_good});
    all.push_back({"get at, key of " + what, kv::get_request{name, space, 0}, is_good});
    all.push_back({"exists, key of " + what, kv::exists_request{name, space}, is_good});
    all.push_back({"extend, key of " + what, kv::extend_request{name, space, 0}, is_good});
    all.push_back({"delete, key of " + what, kv::delete_request{name, space}, is_good});
    all.push_back({"bucket of " + what, kv::get_by_bucket_request{name, space, {}, 0, {}}, is_good});
    all.push_back({"prefix of " + what, kv::scan_by_prefix_request{name, space, {}, {}, 0, {}}, is_good});
  }

  all.push_back({"empty value", set_in(space, "value", ""), true});
  all.push_back({"value of 1 MiB", set_in(space, "value", std::string(mebibyte, 'v')), true});
  all.push_back({"value of 1 MiB and 1", set_in(space, "value", std::string(mebibyte + 1, 'v')), false});
  auto compared = set_in(space, "value");
  compared.if_value = shared_bytes(std::string(mebibyte, 'v'));
  all.push_back({"cmp of 1 MiB", compared, true});
  compared.if_value = shared_bytes(std::string(mebibyte + 1, 'v'));
  all.push_back({"cmp of 1 MiB and 1", compared, false});

  for (const auto& [expires_ms, is_good] : std::vector<std::pair<std::int64_t, bool>>{{0, true}, {1, true}, {hundred_years_ms, true},
                                                                                      {hundred_years_ms + 1, false}, {-1, false},
                                                                                      {number_max, false}, {number_min, false}}) {
    auto set = set_in(space, "expiry");
    set.expires_ms = expires_ms;
    all.push_back({"set ex " + std::to_string(expires_ms), set, is_good});
    all.push_back({"extend " + std::to_string(expires_ms), kv::extend_request{"expiry", space, expires_ms}, is_good});
  }
  for (const auto& [revision, is_good] : std::vector<std::pair<std::int64_t, bool>>{{-1, true}, {0, true}, {number_max, true},
                                                                                    {-2, false}, {number_min, false}}) {
    auto set = set_in(space, "revision");
    set.if_revision = revision;
    all.push_back({"cmprev " + std::to_string(revision), set, is_good});
  }
  for (const auto& [revision, is_good] :
       std::vector<std::pair<std::int64_t, bool>>{{0, true}, {number_max, true}, {-1, false}, {number_min, false}})
    all.push_back({"at " + std::to_string(revision), kv::get_request{"revision", space, revision}, is_good});

  auto contradiction = set_in(space, "nx-xx");
  contradiction.if_absent = contradiction.if_present = true;
  all.push_back({"nx and xx", contradiction, false});
  return all;
}

template <class T>
std::string verdict(const result<T>& answered) {
  return answered ? "answered" : std::string(to_string(answered.error().code));
}

std::string verdict(const kv::operation_response& response) {
  const auto* failure = std::get_if<error>(&response);
  return failure == nullptr ? "answered" : std::string(to_string(failure->code));
}

// As an application asks it.
std::string ask(client::client& connection, const kv::operation& op) {
  struct asker {
    client::client& connection;
    std::string operator()(const kv::set_request& r) const { return verdict(connection.set(r)); }
    std::string operator()(const kv::get_request& r) const { return verdict(connection.get(r)); }
    std::string operator()(const kv::exists_request& r) const { return verdict(connection.exists(r)); }
    std::string operator()(const kv::delete_request& r) const { return verdict(connection.erase(r)); }
    std::string operator()(const kv::extend_request& r) const { return verdict(connection.extend(r)); }
    std::string operator()(const kv::get_by_bucket_request& r) const {
      return verdict(connection.get_by_bucket(r.bucket, {.space = r.space}));
    }
    std::string operator()(const kv::scan_by_prefix_request& r) const {
      return verdict(connection.scan_by_prefix(r.prefix, {.space = r.space}));
    }
    std::string operator()(const kv::read_clock_request&) const { return "not asked here"; }
    std::string operator()(const kv::transaction_request&) const { return "not asked here"; }
    std::string operator()(const kv::participant_request&) const { return "not asked here"; }
  };
  return std::visit(asker{connection}, op);
}

void check_probes(cluster& nodes, int through, kv::durability space) {
  auto connection = connect_or_fail({nodes.endpoint(through)}, milliseconds(20'000));
  wire_client wire(nodes.port(through));
  CAF_REQUIRE(wire.shake_hands(space == kv::durability::ephemeral ? 77'001 : 77'000).has_value());
  std::uint64_t sequence = 0;
  int good = 0, bad = 0;
  for (const auto& probe : probes(space)) {
    const auto expected = probe.what + ": " + (probe.is_good ? "answered" : "invalid_argument");
    CAF_CHECK_EQUAL(probe.what + ": " + ask(connection, probe.op), expected);
    CAF_REQUIRE(wire.send(++sequence, probe.op, milliseconds(20'000)));
    const auto reply = wire.receive(milliseconds(20'000));
    CAF_REQUIRE(reply.has_value());
    CAF_CHECK_EQUAL(probe.what + " on the wire: " + verdict(reply->response),
                    probe.what + " on the wire: " + (probe.is_good ? "answered" : "invalid_argument"));
    probe.is_good ? ++good : ++bad;
  }
  CAF_MESSAGE(good << " within the limits, " << bad << " beyond");
}

// A refused write must have left nothing.
void check_nothing_reserved(cluster& nodes) {
  auto connection = connect_or_fail(nodes.endpoints());
  for (const auto space : {kv::durability::persistent, kv::durability::ephemeral}) {
    const auto listed = connection.scan_by_prefix("__", {.space = space});
    CAF_REQUIRE(listed.has_value());
    for (const auto& item : listed->items) CAF_CHECK(!item.key.starts_with("__kahuna:"));
    const auto answer = connection.get({"nx-xx", space, std::nullopt});
    CAF_REQUIRE(answer.has_value());
    CAF_CHECK(!answer->is_found);
  }
}

std::vector<std::string> lines_of(const std::string& output) {
  std::vector<std::string> lines;
  std::istringstream in(output);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string one_line(const std::string& text) { return text.substr(0, 200); }

}  // namespace

CAF_TEST(what is at a limit is taken and what is beyond is refused by library and node alike) {
  cluster nodes({.nodes = 1, .node_arguments = {}});
  nodes.start_all_and_wait();
  for (const auto space : {kv::durability::persistent, kv::durability::ephemeral}) check_probes(nodes, 1, space);
  check_nothing_reserved(nodes);
}

CAF_TEST(limits are the same through a node of three that leads little) {
  cluster nodes;
  nodes.start_all_and_wait();
  const auto through = nodes.least_leader();
  for (const auto space : {kv::durability::persistent, kv::durability::ephemeral}) check_probes(nodes, through, space);
  check_nothing_reserved(nodes);
}

CAF_TEST(one trailing slash of a bucket is dropped before its limits are looked at) {
  cluster nodes({.nodes = 1, .node_arguments = {}});
  nodes.start_all_and_wait();
  auto connection = connect_or_fail(nodes.endpoints());
  const std::string long_bucket(4095, 'b');
  for (const std::string key : {"a/1", "a//2", "/x", "plain"}) CAF_REQUIRE(connection.set(set_in({}, key)).has_value());
  const auto keys_in = [&](const std::string& bucket) {
    const auto list = connection.get_by_bucket(bucket);
    if (!list) return std::string(to_string(list.error().code));
    std::string text;
    for (const auto& item : list->items) text += item.key + " ";
    return text;
  };
  CAF_CHECK_EQUAL(keys_in("a"), "a/1 ");
  CAF_CHECK_EQUAL(keys_in("a/"), "a/1 ");
  CAF_CHECK_EQUAL(keys_in("a//"), "a//2 ");
  CAF_CHECK_EQUAL(keys_in(""), "invalid_argument");
  CAF_CHECK_EQUAL(keys_in("/"), "invalid_argument");
  CAF_CHECK_EQUAL(keys_in(long_bucket), "");
  CAF_CHECK_EQUAL(keys_in(std::string(4096, 'b')), "");
  CAF_CHECK_EQUAL(keys_in(std::string(4096, 'b') + "/"), "");
  CAF_CHECK_EQUAL(keys_in(std::string(4097, 'b')), "invalid_argument");
}

CAF_TEST(values may be as large as the node was told and no larger) {
  constexpr std::size_t most = 16 * mebibyte;
  cluster nodes({.nodes = 1, .node_arguments = {"--max-value-size", std::to_string(most)}});
  nodes.start_all_and_wait();
  auto connection = connect_or_fail(nodes.endpoints(), milliseconds(30'000));
  const std::string large(most, 'v');
  for (const auto space : {kv::durability::persistent, kv::durability::ephemeral}) {
    CAF_CHECK_EQUAL(verdict(connection.set(set_in(space, "large", large))), "answered");
    const auto answer = connection.get({"large", space, std::nullopt});
    CAF_REQUIRE(answer.has_value());
    CAF_CHECK(answer->value.view() == large);
    CAF_CHECK_EQUAL(verdict(connection.set(set_in(space, "large", large + "v"))), "invalid_argument");
    const auto unchanged = connection.exists({"large", space});
    CAF_REQUIRE(unchanged.has_value());
    CAF_CHECK_EQUAL(+unchanged->revision, 0);
  }
  // Through standard input, where no command line bounds it.
  CAF_CHECK_EQUAL(nodes.run_cli(1, {"--timeout", "30000", "--set", "piped", "--value", "-"}, large).status, 0);
  const auto refused = nodes.run_cli(1, {"--timeout", "30000", "--set", "piped", "--value", "-"}, large + "v");
  CAF_CHECK_EQUAL(refused.status, 1);
  CAF_CHECK(refused.error.starts_with("error: invalid_argument: value has 16777217 bytes"));
  const auto piped = nodes.run_cli(1, {"--timeout", "30000", "--get", "piped"});
  CAF_CHECK_EQUAL(piped.status, 0);
  CAF_CHECK(piped.output.starts_with("r0 " + std::string(1000, 'v')));
  CAF_CHECK_GREATER(piped.output.size(), most);
}

// More than the kernel's buffers hold: part of a frame goes to the socket at once, and the rest of it, and what comes behind, when the client
// reads.
CAF_TEST(a client that reads late gets every answer whole and in its order) {
  cluster nodes({.nodes = 1});
  nodes.start_all_and_wait();
  wire_client wire(nodes.port(1));
  CAF_REQUIRE(wire.shake_hands(77).has_value());
  std::string value;
  prng dice(3);
  while (value.size() < (512 << 10)) value.push_back(static_cast<char>(dice.below(256)));
  kv::set_request set;
  set.key = "large";
  set.value = value;
  CAF_REQUIRE(wire.send(1, set, milliseconds(5000)));
  CAF_REQUIRE(wire.receive(milliseconds(5000)).has_value());
  kv::get_request get;
  get.key = "large";
  std::uint64_t sent = 1;
  const auto ask = [&](int count) {
    for (int i = 0; i < count; ++i) CAF_REQUIRE(wire.send(++sent, get, milliseconds(30'000)));
  };
  ask(40);
  std::this_thread::sleep_for(milliseconds(200));  // the node fills what there is to be filled
  std::uint64_t received = 1;
  const auto take = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const auto reply = wire.receive(milliseconds(10'000));
      CAF_REQUIRE(reply.has_value());
      CAF_REQUIRE_EQUAL(reply->sequence, ++received);
      const auto* answer = std::get_if<kv::get_response>(&reply->response);
      CAF_REQUIRE(answer != nullptr);
      CAF_REQUIRE(answer->value.view() == value);
    }
  };
  // New ones come while the old ones are on their way, whenever there is room for a little again.
  for (int i = 0; i < 400; ++i) {
    take(1);
    ask(1);
  }
  take(40);
}

CAF_TEST(a node takes no larger bound on values) {
  const temporary_directory directory;
  for (const std::string bound : {"16777217", "0", "-1", "many"}) {
    const auto refused = run({node_program(), "--listen", "127.0.0.1:" + std::to_string(free_port()), "--http", "off", "--data-dir",
                              (directory.path() / "data").string(), "--max-value-size", bound});
    CAF_CHECK_EQUAL(bound + " " + std::to_string(refused.status), bound + " 2");
    CAF_CHECK(refused.error.find("max-value-size") != std::string::npos);
    CAF_CHECK(!std::filesystem::exists(directory.path() / "data"));
  }
}

CAF_TEST(the shell says what is wrong and where) {
  cluster nodes({.nodes = 1, .node_arguments = {}});
  nodes.start_all_and_wait();
  struct row {
    std::string line;
    int column;  // 0: understood, and refused by what it says
    std::string word;  // that the message names
  };
  const std::vector<row> rows{
      {"nonsense", 1, "nonsense"},
      {"   nonsense", 4, "nonsense"},
      {"set", 4, "key"},
      {"set k", 6, "value"},
      {"set k v", 7, "value"},
      {"set k \"v\" zz", 11, "zz"},
      {"set k \"v\" ex", 13, "expiry"},
      {"set k \"v\" ex soon", 14, "soon"},
      {"set k \"v\" ex 99999999999999999999", 14, "out of range"},
      {"set k \"v\" cmprev 9223372036854775808", 18, "out of range"},
      {"set k \"v\" nx nx", 14, "nx"},
      {"set k \"v", 7, ""},
      {"set k \"\\q\"", 8, ""},
      {"set k \"\\xg0\"", 8, ""},
      {"get", 4, "key"},
      {"get k at", 9, "revision"},
      {"get k extra", 7, "extra"},
      {"get \xff", 5, ""},
      {"extend k", 9, "expiry"},
      {"get by bucket", 14, "bucket"},
      {"get by bucket b limit 0", 23, "out of range"},
      {"get by bucket b limit 4294967296", 23, "out of range"},
      {"get by bucket b after", 22, "key"},
      {"scan by bucket b", 9, "bucket"},
      {"eset", 5, "key"},
      {"set k \"v\" nx xx", 0, "nx and xx"},
      {"set k \"v\" ex -1", 0, "-1"},
      {"set k \"v\" ex 3155760000001", 0, "3155760000001"},
      {"set k \"v\" cmprev -2", 0, "-2"},
      {"get k at -1", 0, "-1"},
      {"extend k -1", 0, "-1"},
      {"extend k 3155760000001", 0, "3155760000001"},
      {"get \"a\\x00b\"", 0, "NUL"},
      {"get \"\"", 0, "empty"},
      {"get __kahuna:x", 0, "reserved"},
      {"get by bucket \"\"", 0, "empty"},
      {"get by bucket /", 0, "empty"},
      {"scan by prefix \"\"", 0, "empty"},
      {"scan by prefix __kahuna:", 0, "reserved"},
      {"get " + std::string(4097, 'k'), 0, "4097"},
      {"set " + std::string(4097, 'k') + " \"v\"", 0, "4097"},
      {"set k \"" + std::string(mebibyte + 1, 'v') + "\"", 0, "1048577"},
  };
  std::string input;
  for (const auto& r : rows) input += r.line + "\n";
  input += "set k \"still here\"\n";
  const auto console = nodes.run_cli(1, {}, input);
  const auto structured = nodes.run_cli(1, {"--format", "json"}, input);
  CAF_CHECK_EQUAL(console.status, 1);
  CAF_CHECK_EQUAL(structured.status, 1);
  const auto lines = lines_of(console.output);
  const auto objects = lines_of(structured.output);
  CAF_REQUIRE_EQUAL(lines.size(), rows.size() + 1);
  CAF_REQUIRE_EQUAL(objects.size(), rows.size() + 1);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& r = rows[i];
    const auto where = "line " + std::to_string(i + 1) + ", column " + std::to_string(r.column) + ": ";
    const auto start = "error: invalid_argument: " + (r.column == 0 ? "" : where);
    const auto asked = one_line(r.line) + " -> ";
    CAF_CHECK_EQUAL(asked + lines[i].substr(0, start.size()), asked + start);
    CAF_CHECK_EQUAL(asked + (lines[i].find(r.word) == std::string::npos ? one_line(lines[i]) : r.word), asked + r.word);
    const auto object = json::parse(objects[i], nullptr, false);
    CAF_REQUIRE(object.is_object());
    CAF_CHECK_EQUAL(asked + object.value("status", "") + " " + object.value("code", "") + " " + object.value("applied", ""),
                    asked + "error invalid_argument no");
    CAF_CHECK_EQUAL(object.contains("op"), r.column == 0);
    if (r.column != 0) CAF_CHECK_EQUAL(asked + object.value("message", "").substr(0, where.size()), asked + where);
  }
  // None of it changed anything, nor ended the session.
  CAF_CHECK(lines.back().starts_with("r0 set "));
  const auto last = json::parse(objects.back(), nullptr, false);
  CAF_CHECK_EQUAL(last.value("revision", -1), 1);
}

CAF_TEST(wrong options end with status 2 before any node is asked) {
  const auto nobody = "127.0.0.1:" + std::to_string(free_port());
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong{
      {{"--nonsense"}, "--nonsense"},
      {{"--get", "k", "--nonsense=1"}, "--nonsense"},
      {{"-z"}, "-z"},
      {{"stray"}, "stray"},
      {{"--get"}, "--get"},
      {{"--set", "k"}, "--value"},
      {{"--value", "v"}, "--value"},
      {{"--get", "k", "--value", "v"}, "--value"},
      {{"--get", "k", "--delete", "k"}, "exclude"},
      {{"--get", "k", "-e", "get k"}, "exclude"},
      {{"--get", "k", "--at", "first"}, "--at"},
      {{"--get", "k", "--at", "9223372036854775808"}, "--at"},
      {{"--extend", "k"}, "--expires"},
      {{"--set", "k", "--value", "v", "--expires", "soon"}, "--expires"},
      {{"--set", "k", "--value", "v", "--cmprev", ""}, "--cmprev"},
      {{"--format", "xml"}, "--format"},
      {{"--timeout", "0"}, "--timeout"},
      {{"--timeout", "60001"}, "--timeout"},
      {{"--nx=1", "--set", "k", "--value", "v"}, "--nx"},
      {{"--get", "k", "--get", "l"}, "get"},
      {{"--scan-by-prefix", "p", "--nx"}, "--nx"},
  };
  for (const auto& [arguments, word] : wrong) {
    std::vector<std::string> command{cli_program(), "--connect", nobody};
    command.insert(command.end(), arguments.begin(), arguments.end());
    const auto refused = run(command);
    std::string shown;
    for (const auto& argument : arguments) shown += argument + " ";
    CAF_CHECK_EQUAL(shown + std::to_string(refused.status), shown + "2");
    CAF_CHECK_EQUAL(shown + refused.output, shown);
    CAF_CHECK_EQUAL(shown + (refused.error.find(word) == std::string::npos ? refused.error : word), shown + word);
    CAF_CHECK_EQUAL(lines_of(refused.error).size(), 1u);
  }
}

CAF_TEST(a one-shot of no sense is an error of the command and not of its use) {
  cluster nodes({.nodes = 1, .node_arguments = {}});
  nodes.start_all_and_wait();
  const std::vector<std::vector<std::string>> refused{
      {"--set", "k", "--value", "v", "--nx", "--xx"}, {"--set", "k", "--value", "v", "--expires", "-1"},
      {"--set", "k", "--value", "v", "--expires", "3155760000001"}, {"--set", "k", "--value", "v", "--cmprev", "-2"},
      {"--set", "", "--value", "v"}, {"--set", "__kahuna:k", "--value", "v"}, {"--get", std::string(4097, 'k')},
      {"--get", "k", "--at", "-1"}, {"--extend", "k", "--expires", "-1"}, {"--get-by-bucket", ""}, {"--get-by-prefix", "/"},
      {"--scan-by-prefix", ""}};
  for (const bool is_ephemeral : {false, true})
    for (auto arguments : refused) {
      if (is_ephemeral) arguments.push_back("--ephemeral");
      const auto shown = one_line(arguments[0] + " " + arguments[1]) + " ";
      const auto answer = nodes.run_cli(1, arguments);
      CAF_CHECK_EQUAL(shown + std::to_string(answer.status), shown + "1");
      CAF_CHECK_EQUAL(shown + answer.output, shown);
      CAF_CHECK(answer.error.starts_with("error: invalid_argument: "));
      arguments.insert(arguments.begin(), {"--format", "json"});
      const auto structured = nodes.run_cli(1, arguments);
      CAF_CHECK_EQUAL(shown + std::to_string(structured.status), shown + "1");
      CAF_CHECK_EQUAL(shown + structured.error, shown);
      const auto object = json::parse(structured.output, nullptr, false);
      CAF_REQUIRE(object.is_object());
      CAF_CHECK_EQUAL(object.value("code", ""), "invalid_argument");
    }
  CAF_CHECK(nodes.run_cli(1, {"--get", "k"}).output.starts_with("r-1 not found "));
}

CAF_TEST(bytes that are no text come back as they were given) {
  cluster nodes({.nodes = 1, .node_arguments = {}});
  nodes.start_all_and_wait();
  const std::string key = "bytes/\xff\xfek";  // base64: Ynl0ZXMv//5r
  const std::string value = "\xc3\x28\x80";    // base64: wyiA
  for (const bool is_ephemeral : {false, true}) {
    const auto with_space = [&](std::vector<std::string> arguments) {
      if (is_ephemeral) arguments.push_back("--ephemeral");
      return arguments;
    };
    const auto parsed = [&](std::vector<std::string> arguments) {
      arguments.insert(arguments.begin(), {"--format", "json"});
      const auto answer = nodes.run_cli(1, with_space(arguments));
      CAF_CHECK_EQUAL(answer.status, 0);
      auto object = json::parse(answer.output, nullptr, false);
      CAF_REQUIRE(object.is_object());
      return object;
    };
    const auto set = parsed({"--set", key, "--value", value});
    CAF_CHECK_EQUAL(set.value("key_base64", ""), "Ynl0ZXMv//5r");
    CAF_CHECK(!set.contains("key"));
    const auto got = parsed({"--get", key});
    CAF_CHECK_EQUAL(got.value("key_base64", ""), "Ynl0ZXMv//5r");
    CAF_CHECK_EQUAL(got.value("value_base64", ""), "wyiA");
    CAF_CHECK(!got.contains("value"));
    const auto listed = parsed({"--get-by-bucket", "bytes"});
    CAF_REQUIRE_EQUAL(listed.value("count", 0), 1);
    const json item = listed["items"][0];
    CAF_CHECK_EQUAL(item.value("key_base64", ""), "Ynl0ZXMv//5r");
    CAF_CHECK_EQUAL(item.value("value_base64", ""), "wyiA");
    const auto compared = parsed({"--set", key, "--value", "text", "--cmp", value});
    CAF_CHECK_EQUAL(compared.value("status", ""), "set");
    const auto history = nodes.run_cli(1, with_space({"--get", key, "--at", "0"}));
    CAF_CHECK(history.output.starts_with("r0 \\xc3(\\x80 "));
    const auto console = nodes.run_cli(1, with_space({"--scan-by-prefix", "bytes/\xff"}));
    CAF_CHECK_EQUAL(console.output, "r1 bytes/\\xff\\xfek text\n");
    // The same key as the command language spells it, and a value with a NUL, which is text.
    const std::string e = is_ephemeral ? "e" : "";
    const auto session = nodes.run_cli(1, {"--format", "json"}, e + "set \"bytes/\\xff\\xfek\" \"a\\x00b\" cmprev 1\n" + e + "get \"bytes/\\xff\\xfek\"\n");
    CAF_CHECK_EQUAL(session.status, 0);
    const auto lines = lines_of(session.output);
    CAF_REQUIRE_EQUAL(lines.size(), 2u);
    const auto found = json::parse(lines[1], nullptr, false);
    CAF_CHECK(found.value("value", "") == "a\0b"s);
    CAF_CHECK_EQUAL(found.value("revision", -1), 2);
  }
}
