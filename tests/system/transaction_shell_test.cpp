// Transactions as the shell has them (contract §6), to the letter, in both formats: against real nodes, with a shell that is asked one
// line at a time, as a program at the other end of a pipe does it.
#define CAF_SUITE system_transaction_shell
#include "caf/test/unit_test.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include <regex>

#include "tests/support/cluster_fixture.hpp"
#include "tests/support/register_load.hpp"
#include "tests/support/terminal.hpp"

using namespace kahuna::testing;
using nlohmann::json;

namespace {

// A shell with a pipe to its input and a file behind its output.
class piped_shell {
 public:
  piped_shell(const cluster& nodes, const std::string& format) : input_(files_.path() / "input"), output_(files_.path() / "output") {
    CAF_REQUIRE_EQUAL(::mkfifo(input_.c_str(), 0600), 0);
    // Open for both first: neither side waits for the other.
    pipe_ = ::open(input_.c_str(), O_RDWR | O_CLOEXEC);
    shell_.emplace(std::vector<std::string>{cli_program(), "--connect", nodes.endpoint(1), "--format", format},
                   process_files{input_, output_, files_.path() / "error"});
  }
  ~piped_shell() {
    if (pipe_ >= 0) ::close(pipe_);
  }
  piped_shell(const piped_shell&) = delete;
  piped_shell& operator=(const piped_shell&) = delete;

  // The lines of the answer to one command, as many as are expected of it.
  std::string ask(const std::string& line, std::size_t lines = 1) {
    const auto text = line + "\n";
    CAF_REQUIRE_EQUAL(::write(pipe_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    std::string answer;
    const bool is_there = eventually(milliseconds(15'000), [&] {
      answer = read_file(output_).substr(seen_);
      return static_cast<std::size_t>(std::count(answer.begin(), answer.end(), '\n')) >= lines;
    });
    if (!is_there) CAF_ERROR("no answer to " << line);
    seen_ += answer.size();
    return answer;
  }

  // How the shell ended once its input did.
  int end() {
    ::close(std::exchange(pipe_, -1));
    const auto ended = shell_->wait(milliseconds(10'000));
    return ended ? ended->status : -1;
  }
  void kill() {
    shell_->send(SIGKILL);
    shell_->wait(milliseconds(10'000));
  }

 private:
  temporary_directory files_;
  std::filesystem::path input_;
  std::filesystem::path output_;
  int pipe_ = -1;
  std::size_t seen_ = 0;
  std::optional<process> shell_;
};

struct fixture {
  fixture() { nodes.start_all_and_wait(); }

  void check_console(piped_shell& shell, const std::string& line, const std::string& pattern, std::size_t lines = 1) {
    const auto answer = shell.ask(line, lines);
    if (!std::regex_match(answer, std::regex(pattern + "\n"))) CAF_ERROR(line << " was answered " << answer << "instead of " << pattern);
  }

  // All fields but the times, which must be there.
  void check_json(piped_shell& shell, const std::string& line, json expected) {
    auto answer = json::parse(shell.ask(line));
    CAF_CHECK(answer["elapsed_ms"].is_number());
    answer.erase("elapsed_ms");
    if (answer["status"] == "error") {
      CAF_CHECK(answer["message"].is_string());
      answer.erase("message");
    }
    const auto must_have = [&](const char* field) {
      CAF_CHECK(answer[field].is_string());
      CAF_CHECK(!answer[field].get<std::string>().empty());
      answer.erase(field);
    };
    if (expected.value("status", "") == "begun") must_have("transaction");
    if (expected.contains("modified")) {
      must_have("modified");
      expected.erase("modified");
    }
    CAF_CHECK_EQUAL(line + " -> " + answer.dump(), line + " -> " + expected.dump());
  }

  cluster nodes{{.nodes = 1, .node_arguments = {}}};
};

const std::string took = " [0-9.]+ms";

}  // namespace

CAF_TEST_FIXTURE_SCOPE(system_transaction_shell_tests, fixture)

CAF_TEST(a transaction on the console) {
  piped_shell shell(nodes, "console");
  check_console(shell, "set a \"0\"", "r0 set" + took);
  for (const std::string begin : {"begin", "begin locking=pessimistic", "BEGIN locking=optimistic timeout=10000", "begin timeout = 700 locking = optimistic"}) {
    check_console(shell, begin, "begun" + took);
    check_console(shell, "set a \"1\"", "r[0-9]+ set" + took);
    check_console(shell, "get a", "r[0-9]+ 1" + took);
    check_console(shell, "rollback", "rolled back" + took);
    check_console(shell, "get a", "r0 0" + took);
  }
  check_console(shell, "begin", "begun" + took);
  check_console(shell, "set a \"2\"", "r1 set" + took);
  // One revision, however often it sets; and each set answers with it.
  check_console(shell, "set a \"3\" cmp \"2\"", "r1 set" + took);
  check_console(shell, "set a \"4\" cmp \"2\"", "r1 not set" + took);
  check_console(shell, "set a \"4\" nx", "r1 not set" + took);
  check_console(shell, "set b/1 \"one\" xx", "r-1 not set" + took);
  check_console(shell, "set b/1 \"one\"", "r0 set" + took);
  check_console(shell, "set b/2 \"two\" ex 60000", "r0 set" + took);
  check_console(shell, "exists b/1", "r0 exists" + took);
  check_console(shell, "extend b/1 50000", "r0 extended" + took);
  check_console(shell, "get by bucket b", "r0 b/1 one\nr0 b/2 two\n2 keys" + took, 3);
  check_console(shell, "get by prefix b/ limit 1", "r0 b/1 one\n1 key" + took + " more", 2);
  check_console(shell, "delete b/1", "r0 deleted" + took);
  check_console(shell, "get b/1", "r-1 not found" + took);
  check_console(shell, "get a at 0", "r0 0" + took);
  check_console(shell, "eset c \"ephemeral\"", "r0 set" + took);
  check_console(shell, "commit", "committed" + took);
  check_console(shell, "get a", "r1 3" + took);
  check_console(shell, "get by bucket b", "r0 b/2 two\n1 key" + took, 2);
  check_console(shell, "eget c", "r0 ephemeral" + took);
  CAF_CHECK_EQUAL(shell.end(), 0);
}

CAF_TEST(a transaction in json) {
  piped_shell shell(nodes, "json");
  check_json(shell, "begin", {{"op", "begin"}, {"status", "begun"}});
  check_json(shell, "set k \"v\"", {{"op", "set"}, {"key", "k"}, {"status", "set"}, {"revision", 0}, {"modified", true}});
  check_json(shell, "get k", {{"op", "get"}, {"key", "k"}, {"status", "found"}, {"value", "v"}, {"revision", 0}, {"modified", true}});
  check_json(shell, "commit", {{"op", "commit"}, {"status", "committed"}, {"modified", true}});
  check_json(shell, "BEGIN locking=optimistic", {{"op", "begin"}, {"status", "begun"}});
  check_json(shell, "delete k", {{"op", "delete"}, {"key", "k"}, {"status", "deleted"}, {"revision", 0}, {"modified", true}});
  check_json(shell, "exists k", {{"op", "exists"}, {"key", "k"}, {"status", "not found"}, {"revision", -1}});
  check_json(shell, "rollback", {{"op", "rollback"}, {"status", "rolled back"}});
  check_json(shell, "get k", {{"op", "get"}, {"key", "k"}, {"status", "found"}, {"value", "v"}, {"revision", 0}, {"modified", true}});
  check_json(shell, "begin", {{"op", "begin"}, {"status", "begun"}});
  check_json(shell, "commit", {{"op", "commit"}, {"status", "committed"}, {"modified", true}});
  CAF_CHECK_EQUAL(shell.end(), 0);
}

CAF_TEST(mistakes are invalid arguments and end nothing) {
  piped_shell shell(nodes, "json");
  const auto mistake = [&](const std::string& line, const std::string& op, std::optional<std::string> key = {}) {
    json expected{{"op", op}, {"status", "error"}, {"code", "invalid_argument"}, {"applied", "no"}};
    if (key) expected["key"] = *key;
    check_json(shell, line, expected);
  };
  mistake("commit", "commit");
  mistake("rollback", "rollback");
  check_json(shell, "begin", {{"op", "begin"}, {"status", "begun"}});
  check_json(shell, "set k \"v\"", {{"op", "set"}, {"key", "k"}, {"status", "set"}, {"revision", 0}, {"modified", true}});
  mistake("begin", "begin");
  mistake("scan by prefix k", "scan by prefix");
  mistake("set k \"w\" nx xx", "set", "k");
  mistake("get k at -5", "get", "k");
  mistake("set `__kahuna:x` \"w\"", "set", "__kahuna:x");
  check_json(shell, "no command", {{"status", "error"}, {"code", "invalid_argument"}, {"applied", "no"}});
  check_json(shell, "get k", {{"op", "get"}, {"key", "k"}, {"status", "found"}, {"value", "v"}, {"revision", 0}, {"modified", true}});
  check_json(shell, "commit", {{"op", "commit"}, {"status", "committed"}, {"modified", true}});
  mistake("commit", "commit");
  // As of a moment nothing is written.
  check_json(shell, "begin as of now", {{"op", "begin"}, {"status", "begun"}});
  for (const std::string line : {"set k \"w\"", "delete k", "extend k 1000"}) mistake(line, line.substr(0, line.find(' ')), "k");
  check_json(shell, "get k", {{"op", "get"}, {"key", "k"}, {"status", "found"}, {"value", "v"}, {"revision", 0}, {"modified", true}});
  check_json(shell, "commit", {{"op", "commit"}, {"status", "committed"}, {"modified", true}});
  CAF_CHECK_EQUAL(shell.end(), 1);
}

CAF_TEST(a lost conflict is aborted from then on until rollback or begin) {
  auto other = connect_or_fail(nodes.endpoints());
  piped_shell shell(nodes, "json");
  const auto aborted = [&](const std::string& line, const std::string& op, std::optional<std::string> key = {}) {
    json expected{{"op", op}, {"status", "error"}, {"code", "aborted"}, {"applied", "no"}};
    if (key) expected["key"] = *key;
    check_json(shell, line, expected);
  };
  const auto lose = [&] {
    check_json(shell, "begin locking=optimistic", {{"op", "begin"}, {"status", "begun"}});
    CAF_CHECK(json::parse(shell.ask("get k"))["status"] != "error");
    CAF_CHECK(json::parse(shell.ask("set other \"x\""))["status"] == "set");
    CAF_REQUIRE(other.set(set_of("k", "taken")).has_value());
    aborted("commit", "commit");
    aborted("get k", "get", "k");
    aborted("set k \"v\"", "set", "k");
    aborted("get by bucket b", "get by bucket");
    aborted("commit", "commit");
  };
  lose();
  check_json(shell, "rollback", {{"op", "rollback"}, {"status", "rolled back"}});
  CAF_CHECK(json::parse(shell.ask("get other"))["status"] == "not found");
  lose();
  check_json(shell, "begin", {{"op", "begin"}, {"status", "begun"}});
  check_json(shell, "set k \"mine\"", {{"op", "set"}, {"key", "k"}, {"status", "set"}, {"revision", 2}, {"modified", true}});
  check_json(shell, "commit", {{"op", "commit"}, {"status", "committed"}, {"modified", true}});
  // Past its deadline: met by the next command.
  check_json(shell, "begin timeout=100", {{"op", "begin"}, {"status", "begun"}});
  check_json(shell, "set k \"late\"", {{"op", "set"}, {"key", "k"}, {"status", "set"}, {"revision", 3}, {"modified", true}});
  CAF_CHECK(eventually(milliseconds(5000), [&] {
    auto t = other.begin({.timeout = milliseconds(5000)});
    return t && t->set(set_of("k", "free")).has_value() && t->commit().has_value();
  }));
  aborted("get k", "get", "k");
  check_json(shell, "rollback", {{"op", "rollback"}, {"status", "rolled back"}});
  CAF_CHECK_EQUAL(shell.end(), 1);
}

CAF_TEST(reads as of a moment) {
  piped_shell shell(nodes, "json");
  const auto stamp_of = [&](const std::string& line) { return json::parse(shell.ask(line))["modified"].get<std::string>(); };
  const auto count_of = [&](const std::string& line) { return json::parse(shell.ask(line)).at("count").get<int>(); };
  const auto value_of = [&](const std::string& line) {
    const auto answer = json::parse(shell.ask(line));
    return answer["status"] == "found" ? answer["value"].get<std::string>() : answer["status"].get<std::string>();
  };
  const auto first = stamp_of("set t/k \"1\"");
  const auto second = stamp_of("set t/k \"2\"");
  const auto gone = stamp_of("delete t/k");
  const auto before = std::to_string(std::stoull(first) - 1);
  CAF_CHECK_EQUAL(value_of("get t/k as of " + before), "not found");
  CAF_CHECK_EQUAL(value_of("get t/k as of " + first), "1");
  CAF_CHECK_EQUAL(value_of("get t/k as of " + std::to_string(std::stoull(second) - 1)), "1");
  CAF_CHECK_EQUAL(value_of("get t/k as of " + second), "2");
  CAF_CHECK_EQUAL(value_of("get t/k as of " + gone), "not found");
  CAF_CHECK_EQUAL(value_of("get t/k as of now"), "not found");
  CAF_CHECK(json::parse(shell.ask("exists t/k as of " + first))["status"] == "exists");
  CAF_CHECK_EQUAL(count_of("get by bucket t as of " + second), 1);
  CAF_CHECK_EQUAL(count_of("get by bucket t limit 5 as of " + gone + " after t/a"), 0);
  // Unix time: the last stamp of that millisecond.
  const auto second_ms = std::stoull(second) >> 16;
  if (std::stoull(gone) >> 16 != second_ms) CAF_CHECK_EQUAL(value_of("get t/k as of " + std::to_string(second_ms)), "2");
  CAF_CHECK_EQUAL(value_of("get t/k as of " + std::to_string((std::stoull(first) >> 16) - 1)), "not found");
  check_json(shell, "eget t/k as of " + first, {{"op", "eget"}, {"key", "t/k"}, {"status", "error"}, {"code", "invalid_argument"}, {"applied", "no"}});

  check_json(shell, "begin as of " + first, {{"op", "begin"}, {"status", "begun"}});
  CAF_CHECK_EQUAL(value_of("get t/k"), "1");
  CAF_CHECK_EQUAL(value_of("get t/k as of " + second), "2");
  CAF_CHECK_EQUAL(count_of("get by bucket t"), 1);
  check_json(shell, "rollback", {{"op", "rollback"}, {"status", "rolled back"}});
  check_json(shell, "begin as of now", {{"op", "begin"}, {"status", "begun"}});
  CAF_CHECK_EQUAL(value_of("get t/k"), "not found");
  auto other = connect_or_fail(nodes.endpoints());
  CAF_REQUIRE(other.set(set_of("t/k", "3")).has_value());
  CAF_CHECK_EQUAL(value_of("get t/k"), "not found");
  check_json(shell, "commit", {{"op", "commit"}, {"status", "committed"}, {"modified", true}});
  CAF_CHECK_EQUAL(value_of("get t/k"), "3");
}

CAF_TEST(a shell that ends rolls back) {
  auto other = connect_or_fail(nodes.endpoints());
  piped_shell leaving(nodes, "console");
  check_console(leaving, "begin timeout=600000", "begun" + took);
  check_console(leaving, "set k \"v\"", "r0 set" + took);
  CAF_CHECK_EQUAL(leaving.end(), 0);
  const auto began = steady_clock::now();
  auto t = other.begin();
  CAF_REQUIRE(t.has_value());
  CAF_CHECK(t->set(set_of("k", "mine")).has_value());
  CAF_CHECK(t->commit().has_value());
  CAF_CHECK(elapsed_ms(began, steady_clock::now()) < 2000);
  // One that is killed can't; its timeout does.
  piped_shell killed(nodes, "console");
  check_console(killed, "begin timeout=500", "begun" + took);
  check_console(killed, "set k \"v\"", "r1 set" + took);
  killed.kill();
  auto next = other.begin();
  CAF_REQUIRE(next.has_value());
  CAF_CHECK(next->set(set_of("k", "mine too")).has_value());
  CAF_CHECK(next->commit().has_value());
}

CAF_TEST(commands given as options) {
  const auto ran = nodes.run_cli(1, {"-e", "begin", "-e", "set k \"v\"", "-e", "set l \"w\"", "-e", "commit", "-e", "get l"});
  CAF_CHECK_EQUAL(ran.status, 0);
  CAF_CHECK(std::regex_match(ran.output, std::regex("begun" + took + "\nr0 set" + took + "\nr0 set" + took + "\ncommitted" + took + "\nr0 w" + took + "\n")));
  // Not committed: gone with the shell.
  CAF_CHECK_EQUAL(nodes.run_cli(1, {"-e", "begin", "-e", "set k \"x\""}).status, 0);
  CAF_CHECK(nodes.run_cli(1, {"--get", "k"}).output.starts_with("r0 v "));
  const auto wrong = nodes.run_cli(1, {"-e", "commit"});
  CAF_CHECK_EQUAL(wrong.status, 1);
  CAF_CHECK((wrong.output + wrong.error).starts_with("error: invalid_argument: "));
}

CAF_TEST(the prompt shows an open transaction and Ctrl-C abandons a command that waits) {
  auto other = connect_or_fail(nodes.endpoints());
  const temporary_directory home;
  terminal shell({cli_program(), "--connect", nodes.endpoint(1)},
                 {{"TERM", "xterm-256color"}, {"INPUTRC", "/dev/null"}, {"HOME", home.path().string()}, {"LANG", "C.UTF-8"}, {"NO_COLOR", "1"}});
  CAF_CHECK(shell.shows("kahuna> "));
  shell.type("begin timeout=60000\r");
  CAF_CHECK(shell.shows("begun"));
  CAF_CHECK(shell.shows("kahuna*> "));
  shell.type("set mine \"v\"\r");
  CAF_CHECK(shell.shows("r0 set"));
  // Older than the shell's next transaction, so that this one has to wait.
  auto holder = other.begin({.timeout = milliseconds(60'000)});
  CAF_REQUIRE(holder.has_value());
  CAF_REQUIRE(holder->set(set_of("held", "v")).has_value());
  CAF_CHECK(shell.shows("kahuna*> "));
  shell.type("rollback\r");
  CAF_CHECK(shell.shows("rolled back"));
  CAF_CHECK(shell.shows("kahuna> "));
  shell.type("begin timeout=60000\r");
  CAF_CHECK(shell.shows("begun"));
  CAF_CHECK(shell.shows("kahuna*> "));
  shell.type("set held \"w\"\r");
  CAF_CHECK(shell.shows("set held \"w\"\r"));
  shell.type("\x03");
  CAF_CHECK(shell.shows("abandoned"));
  CAF_CHECK(shell.shows("kahuna*> "));
  shell.type("get mine\r");
  CAF_CHECK(shell.shows("error: invalid_argument: the step before is still under way"));
  shell.type("rollback\r");
  CAF_CHECK(shell.shows("rolled back"));
  CAF_CHECK(shell.shows("kahuna> "));
  shell.type("\x04");
  CAF_CHECK(shell.wait().has_value());
  CAF_CHECK(holder->commit().has_value());
  const auto found = other.get(get_of("held"));
  CAF_REQUIRE(found.has_value());
  CAF_CHECK_EQUAL(found->value.str(), "v");
}

CAF_TEST_FIXTURE_SCOPE_END()
