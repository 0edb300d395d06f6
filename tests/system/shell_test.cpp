// kahuna-cli as a person meets it: at a pseudo-terminal, against real nodes; and its command line as scripts meet it.
#define CAF_SUITE system_shell
#include "caf/test/unit_test.hpp"

#include <signal.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "tests/support/cluster_fixture.hpp"
#include "tests/support/terminal.hpp"

using namespace kahuna::testing;
using nlohmann::json;
using namespace std::string_literals;

namespace {

const std::string ctrl_c = "\x03";
const std::string ctrl_d = "\x04";
const std::string up = "\x1b[A";

cluster_options one_node() {
  cluster_options options;
  options.nodes = 1;
  options.node_arguments = {"--partitions", "4"};
  return options;
}

struct fixture {
  temporary_directory home;
  cluster nodes{one_node()};

  std::map<std::string, std::string> environment() const {
    return {{"TERM", "xterm-256color"},
            {"INPUTRC", "/dev/null"},
            {"HOME", home.path().string()},
            {"LANG", "C.UTF-8"},
            {"NO_COLOR", "1"}};
  }

  std::vector<std::string> command(std::vector<std::string> more = {}) const {
    std::vector<std::string> words{cli_program(), "--connect", nodes.endpoint(1)};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  void start() { nodes.start_all_and_wait(); }

  run_result run_cli(std::vector<std::string> arguments, const std::string& input = "") {
    return nodes.run_cli(1, std::move(arguments), input);
  }
};

#define CHECK_SHOWS(shell, text) \
  if (!(shell).shows(text)) CAF_ERROR("no [" << (text) << "] in\n" << (shell).output())
#define CHECK_MATCHES(shell, pattern) \
  if (!(shell).shows_match(pattern)) CAF_ERROR("nothing like [" << (pattern) << "] in\n" << (shell).output())

// Types a command at the prompt and waits for an answer of this form.
void check_answer(terminal& shell, const std::string& command, const std::string& pattern) {
  CHECK_SHOWS(shell, "kahuna> ");
  shell.type(command + "\r");
  CHECK_SHOWS(shell, command + "\r");
  CHECK_MATCHES(shell, pattern);
}

int status_of(terminal& shell) {
  const auto ended = shell.wait();
  return ended ? ended->status : -1;
}

}  // namespace

CAF_TEST_FIXTURE_SCOPE(system_shell_tests, fixture)

CAF_TEST(the examples of the issue) {
  start();
  terminal shell(command(), environment());
  check_answer(shell, "set `my-config` \"my-value\" nx", "\nr0 set [0-9.]+ms\r\n");
  check_answer(shell, "set `my-config` \"my-value\" cmp \"current-value\"", "\nr0 not set [0-9.]+ms\r\n");
  check_answer(shell, "set `my-config` \"my-value\" ex 10000", "\nr1 set [0-9.]+ms\r\n");
  check_answer(shell, "extend `my-config` 30000", "\nr1 extended [0-9.]+ms\r\n");
  CHECK_SHOWS(shell, "kahuna> ");
  shell.type(ctrl_d);
  CAF_CHECK_EQUAL(status_of(shell), 0);

  const auto set = run_cli({"--set", "services/auth/instance-1", "--value", "node1"});
  CAF_CHECK(set.output.starts_with("r0 set ") && set.output.ends_with("ms\n"));
  const auto list = run_cli({"--get-by-prefix", "services/auth"});
  CAF_CHECK_EQUAL(list.output, "r0 services/auth/instance-1 node1\n");
  CAF_CHECK_EQUAL(set.error + list.error, "");
}

CAF_TEST(history is kept between runs) {
  start();
  {
    terminal shell(command(), environment());
    check_answer(shell, "set h \"1\"", "\nr0 set ");
    check_answer(shell, "get h", "\nr0 1 ");
    CHECK_SHOWS(shell, "kahuna> ");
    shell.type("exit\r");
    CAF_CHECK_EQUAL(status_of(shell), 0);
  }
  const auto file = home.path() / ".local" / "state" / "kahuna" / "history";
  CAF_CHECK_EQUAL(read_file(file), "set h \"1\"\nget h\nexit\n");
  struct stat found {};
  CAF_REQUIRE(::stat(file.c_str(), &found) == 0);
  CAF_CHECK_EQUAL(found.st_mode & 0777, 0600u);
  {
    terminal shell(command(), environment());
    CHECK_SHOWS(shell, "kahuna> ");
    shell.type(up + up + up + "\r");
    CHECK_MATCHES(shell, "\nr1 set ");
  }
  // Where nothing can be kept the shell is as good.
  auto elsewhere = environment();
  elsewhere["KAHUNA_HISTORY"] = "/proc/nothing/here";
  terminal shell(command(), elsewhere);
  check_answer(shell, "get h", "\nr1 1 ");
  CAF_CHECK_EQUAL(shell.count("error"), 0u);
}

CAF_TEST(tab completes by position) {
  start();
  terminal shell(command(), environment());
  CHECK_SHOWS(shell, "kahuna> ");
  shell.type("ge\t");
  CHECK_SHOWS(shell, "get ");
  shell.type("b\t");
  CHECK_SHOWS(shell, "by ");
  shell.type("bu\t");
  CHECK_SHOWS(shell, "bucket ");
  shell.type("services/auth l\t1\r");
  CHECK_SHOWS(shell, "limit 1\r");
  CHECK_MATCHES(shell, "\n0 keys [0-9.]+ms\r\n");
  CHECK_SHOWS(shell, "kahuna> ");
  shell.type("set k \"a b\" \t\t");
  CHECK_MATCHES(shell, "cmp +cmprev +ex +nx +xx");
  shell.type("c\t\t\t");
  CHECK_MATCHES(shell, "cmp +cmprev");
}

CAF_TEST(ctrl c abandons the line and not the shell) {
  start();
  terminal shell(command(), environment());
  CHECK_SHOWS(shell, "kahuna> ");
  shell.type("set half \"typed");
  CHECK_SHOWS(shell, "typed");
  shell.type(ctrl_c);
  CHECK_SHOWS(shell, "^C\r\n");
  check_answer(shell, "get half", "\nr-1 not found ");
  CHECK_SHOWS(shell, "kahuna> ");
  shell.type(ctrl_d);
  CAF_CHECK_EQUAL(status_of(shell), 0);
}

CAF_TEST(ctrl c abandons the request and not the shell) {
  start();
  terminal shell(command({"--timeout", "60000"}), environment());
  check_answer(shell, "set a \"1\"", "\nr0 set ");
  CHECK_SHOWS(shell, "kahuna> ");
  nodes.pause(1);
  shell.type("set a \"2\"\r");
  CHECK_SHOWS(shell, "set a \"2\"\r\n");
  shell.type(ctrl_c);
  CHECK_MATCHES(shell, "abandoned; the write may still be applied [0-9.]+ms\r\n");
  CHECK_SHOWS(shell, "kahuna> ");
  shell.type("get a\r");
  CHECK_SHOWS(shell, "get a\r");
  shell.type(ctrl_c);
  CHECK_MATCHES(shell, "\nabandoned [0-9.]+ms\r\n");
  nodes.resume(1);
  check_answer(shell, "exists a", "\nr[01] exists ");
  CHECK_SHOWS(shell, "kahuna> ");
  shell.type(ctrl_d);
  CAF_CHECK_EQUAL(status_of(shell), 1);  // not all were answered
}

CAF_TEST(pasted lines run in their order) {
  start();
  terminal shell(command(), environment());
  CHECK_SHOWS(shell, "kahuna> ");
  shell.paste("set p \"1\"\rset p \"2\"\r\r# a comment\rget p");
  CHECK_SHOWS(shell, "get p");
  shell.type("\r");
  CHECK_MATCHES(shell, "\nr0 set [0-9.]+ms\r\nr1 set [0-9.]+ms\r\nr1 2 [0-9.]+ms\r\n");
  // From a terminal that does not tell pastes from keys.
  CHECK_SHOWS(shell, "kahuna> ");
  shell.type("set p \"3\"\rget p\rexists p\r");
  CHECK_MATCHES(shell, "\nr2 set [0-9.]+ms\r\n");
  CHECK_MATCHES(shell, "\nr2 3 [0-9.]+ms\r\n");
  CHECK_MATCHES(shell, "\nr2 exists [0-9.]+ms\r\n");
  // A mistake is told by its place in what was pasted, and the rest is run.
  CHECK_SHOWS(shell, "kahuna> ");
  shell.paste("get p\rset p\rget p");
  CHECK_SHOWS(shell, "get p");
  shell.type("\r");
  CHECK_MATCHES(shell,
                "\nr2 3 [0-9.]+ms\r\nerror: invalid_argument: line 2, column 6: [^\r]*\r\n  set p\r\n       \\^\r\nr2 3 ");
}

CAF_TEST(colours are for terminals whose users want them) {
  start();
  {
    terminal shell(command(), environment());
    check_answer(shell, "set c \"1\"", "\nr0 set [0-9.]+ms\r\n");
    check_answer(shell, "set c", "\nerror: invalid_argument: line 1, column 6: ");
    CAF_CHECK_EQUAL(shell.count("\x1b[2m"), 0u);
    CAF_CHECK_EQUAL(shell.count("\x1b[31m"), 0u);
  }
  auto coloured = environment();
  coloured["NO_COLOR"] = "";
  {
    terminal shell(command(), coloured);
    check_answer(shell, "get c", "\x1b\\[2mr0\x1b\\[0m 1 ");
    check_answer(shell, "set c", "\x1b\\[31merror: invalid_argument: line 1, column 6: [^\x1b]*\x1b\\[0m\r\n");
  }
  coloured["TERM"] = "dumb";
  terminal dumb(command(), coloured);
  check_answer(dumb, "get c", "\nr0 1 [0-9.]+ms\r\n");
  terminal machine(command({"--format", "json"}), coloured);
  check_answer(machine, "get c", "\\{\"op\":\"get\",\"key\":\"c\",\"status\":\"found\"");
}

CAF_TEST(lists are aligned for people alone) {
  start();
  CAF_CHECK_EQUAL(run_cli({"-e", "set l/a \"1\"", "-e", "set l/longer \"2\"", "-e", "set l/a \"\\x1b[2J\""}).status, 0);
  terminal shell(command(), environment());
  check_answer(shell, "get by bucket l", "\nr1 l/a      \\\\x1b\\[2J\r\nr0 l/longer 2\r\n2 keys ");
  const auto piped = run_cli({}, "get by bucket l\n");
  CAF_CHECK(piped.output.starts_with("r1 l/a \\x1b[2J\nr0 l/longer 2\n2 keys "));
}

CAF_TEST(the shell says that the cluster is lost and found again) {
  start();
  terminal shell(command({"--timeout", "60000"}), environment());
  check_answer(shell, "set a \"1\"", "\nr0 set ");
  CHECK_SHOWS(shell, "kahuna> ");
  shell.type("get a");
  CHECK_SHOWS(shell, "get a");
  nodes.kill(1);
  CHECK_SHOWS(shell, "-- connection lost, reconnecting\r\n");
  CHECK_SHOWS(shell, "kahuna> get a");  // the line under way is still there
  nodes.start(1);
  CAF_REQUIRE(nodes.wait_ready(milliseconds(30'000)));
  CHECK_SHOWS(shell, "-- connected again\r\n");
  shell.type("\r");
  CHECK_MATCHES(shell, "\nr0 1 [0-9.]+ms\r\n");
  CAF_CHECK_EQUAL(shell.count("-- connection lost"), 1u);
  CAF_CHECK_EQUAL(shell.count("-- connected again"), 1u);
  // While a request waits.
  CHECK_SHOWS(shell, "kahuna> ");
  nodes.kill(1);
  CHECK_SHOWS(shell, "-- connection lost, reconnecting\r\n");
  shell.type("set a \"2\"\r");
  CHECK_SHOWS(shell, "set a \"2\"\r\n");
  nodes.start(1);
  CHECK_MATCHES(shell, "-- connected again\r\n(.|\r|\n)*r1 set [0-9.]+ms\r\n");
}

CAF_TEST(help and what is done by the shell itself) {
  start();
  terminal shell(command(), environment());
  check_answer(shell, "help set", "set KEY VALUE \\[nx\\] \\[xx\\] \\[cmp VALUE\\] \\[cmprev REVISION\\] \\[ex MS\\]\r\n");
  CHECK_SHOWS(shell, "Example: set `my-config` \"my-value\" nx ex 10000\r\n");
  check_answer(shell, "help", "Keys\r\n");
  CHECK_SHOWS(shell, "describe partition N");
  check_answer(shell, "status", "\nhealthy: ");
  check_answer(shell, "clear", "\x1b\\[H\x1b\\[2J");
  CHECK_SHOWS(shell, "kahuna> ");
  shell.type("quit\r");
  CAF_CHECK_EQUAL(status_of(shell), 0);
}

CAF_TEST(the terminal is left as it was found) {
  start();
  const auto flags_of = [](const terminal& shell) { return shell.settings().c_lflag & (ECHO | ICANON | ISIG); };
  {
    terminal shell(command(), environment());
    const auto before = static_cast<tcflag_t>(ECHO | ICANON | ISIG);
    CHECK_SHOWS(shell, "kahuna> ");
    CAF_CHECK(flags_of(shell) != before);
    shell.type("get a");
    CHECK_SHOWS(shell, "get a");
    shell.send(SIGTERM);
    CAF_CHECK_EQUAL(status_of(shell), 128 + SIGTERM);
    CAF_CHECK_EQUAL(flags_of(shell), before);
  }
  // Nobody at the start: exit status 3, before a prompt.
  nodes.kill(1);
  terminal shell(command({"--timeout", "500"}), environment());
  CAF_CHECK_EQUAL(status_of(shell), 3);
  CAF_CHECK_EQUAL(shell.count("kahuna> "), 0u);
  CAF_CHECK_EQUAL(shell.count("kahuna-cli: unavailable: "), 1u);
}

// --- the command line ----------------------------------------------------------------------------------------------

CAF_TEST(any bytes of an argument come back) {
  start();
  const std::string odd = "\xff\xfe \x01\n\xc3\x28";
  CAF_CHECK_EQUAL(run_cli({"--set", "odd/" + odd, "--value", odd}).status, 0);
  const auto console = run_cli({"--get", "odd/" + odd});
  CAF_CHECK(console.output.starts_with("r0 \\xff\\xfe \\x01\\n\\xc3( "));
  const auto answered = json::parse(run_cli({"--format", "json", "--get", "odd/" + odd}).output);
  CAF_CHECK_EQUAL(answered.value("value_base64", ""), "//4gAQrDKA==");
  CAF_CHECK_EQUAL(answered.value("key_base64", ""), "b2RkL//+IAEKwyg=");
  // The escapes that were shown are those of the command language.
  const auto command = run_cli({"-e", "get \"odd/\\xff\\xfe \\x01\\n\\xc3(\""});
  CAF_CHECK(command.output.starts_with("r0 \\xff\\xfe \\x01\\n\\xc3( "));
  // As they are in a line, too.
  const auto piped = run_cli({}, "set raw '\xff\xfe'\nget raw\n");
  CAF_CHECK(piped.output.find("r0 \\xff\\xfe ") != std::string::npos);
  // A NUL byte is a byte of a value and none of a key.
  CAF_CHECK_EQUAL(run_cli({"--set", "nul", "--value", "-"}, "a\0b"s).status, 0);
  const auto nul = run_cli({"--get", "nul"});
  CAF_CHECK(nul.output.starts_with("r0 a\\x00b "));
  const auto refused = run_cli({}, "set 'a\\x00b' \"1\"\nget 'a\0b'\n"s);
  CAF_CHECK_EQUAL(refused.status, 1);
  CAF_CHECK_EQUAL(std::count(refused.output.begin(), refused.output.end(), '\n'), 2);
  CAF_CHECK(refused.output.starts_with("error: invalid_argument: "));
}

CAF_TEST(commands of the command line run in order) {
  start();
  const auto ran = run_cli({"-e", "set a \"1\"", "--execute", "get a", "-eget a", "-e", "# nothing"});
  CAF_CHECK_EQUAL(ran.status, 0);
  CAF_CHECK(ran.output.starts_with("r0 set "));
  CAF_CHECK_EQUAL(std::count(ran.output.begin(), ran.output.end(), '\n'), 3);
  CAF_CHECK_EQUAL(ran.error, "");
  const auto ended = run_cli({"-e", "get a", "-e", "exit", "-e", "get a"});
  CAF_CHECK_EQUAL(std::count(ended.output.begin(), ended.output.end(), '\n'), 1);

  // One line for each command, whatever becomes of it; the place is shown beside the answers.
  const auto wrong = run_cli({}, "get a\nset a\nget a\n");
  CAF_CHECK_EQUAL(wrong.status, 1);
  CAF_CHECK_EQUAL(std::count(wrong.output.begin(), wrong.output.end(), '\n'), 3);
  CAF_CHECK(wrong.output.find("\nerror: invalid_argument: line 2, column 6: expected a value, found end of line\n") !=
            std::string::npos);
  CAF_CHECK_EQUAL(wrong.error, "  set a\n       ^\n");
  const auto quiet = run_cli({"--format", "json", "-e", "set a"});
  CAF_CHECK_EQUAL(quiet.error, "");
}

CAF_TEST(mistakes are told and nothing is done) {
  start();
  // Understood, but of no sense: an answer, exit status 1.
  const std::vector<std::vector<std::string>> senseless{
      {"--set", "k", "--value", "1", "--nx", "--xx"},
      {"--set", "k", "--value", "1", "--cmprev", "-2"},
      {"--set", "k", "--value", "1", "--expires", "-1"},
      {"--set", "k", "--value", "1", "--expires", "3155760000001"},
      {"--set", "", "--value", "1"},
      {"--set", std::string(4097, 'k'), "--value", "1"},
      {"--set", "__kahuna:k", "--value", "1"},
      {"--get", "k", "--at", "-1"},
      {"--get-by-bucket", "/"},
  };
  for (const auto& arguments : senseless) {
    const auto refused = run_cli(arguments);
    CAF_MESSAGE(arguments[0] + " " + arguments[1].substr(0, 20) + ": " + refused.error);
    CAF_CHECK_EQUAL(refused.status, 1);
    CAF_CHECK_EQUAL(refused.output, "");
    CAF_CHECK(refused.error.starts_with("error: invalid_argument: "));
    CAF_CHECK_EQUAL(std::count(refused.error.begin(), refused.error.end(), '\n'), 1);
  }
  // Not understood: exit status 2, and one line that says what.
  const std::vector<std::vector<std::string>> misspelt{
      {"--nonsense"},
      {"--set", "k"},
      {"--set", "k", "--value", "1", "--expires", "9223372036854775808"},
      {"--set", "k", "--value", "1", "--cmprev", "one"},
      {"--get", "k", "--nx"},
      {"--get", "k", "--delete", "k"},
      {"-e", "get k", "--get", "k"},
      {"--timeout", "0"},
      {"--format", "xml"},
      {"stray"},
      {"stray\x1b[2J\xff"},
  };
  for (const auto& arguments : misspelt) {
    const auto refused = run_cli(arguments);
    CAF_MESSAGE(refused.error);
    CAF_CHECK_EQUAL(refused.status, 2);
    CAF_CHECK_EQUAL(refused.output, "");
    CAF_CHECK_EQUAL(std::count(refused.error.begin(), refused.error.end(), '\n'), 1);
    CAF_CHECK_EQUAL(refused.error.find('\x1b'), std::string::npos);
  }
  const auto untouched = run_cli({"--exists", "k"});
  CAF_CHECK(untouched.output.starts_with("r-1 not found "));
}

CAF_TEST_FIXTURE_SCOPE_END()

CAF_TEST(operators see members and leaders and lag) {
  cluster nodes;
  nodes.start_all_and_wait();
  const auto ask = [&](int node, const std::string& option) {
    return json::parse(nodes.run_cli(node, {"--format", "json", option}).output);
  };
  for (int node = 1; node <= 3; ++node) {
    const auto all = ask(node, "--cluster");
    CAF_CHECK_EQUAL(all.value("op", ""), "cluster");
    CAF_CHECK_EQUAL(all.value("status", ""), "found");
    CAF_CHECK_EQUAL(all.value("node_id", ""), nodes.node_name(node));
    CAF_CHECK_EQUAL(all["members"].size(), 3u);
    for (const auto& member : all["members"]) CAF_CHECK(member.value("alive", false));
    CAF_CHECK_EQUAL(all["partitions"].size(), 16u);
    // The same leaders as the http port knows.
    const auto seen = nodes.view(node);
    CAF_REQUIRE(seen.has_value());
    for (std::size_t p = 0; p < 16; ++p) {
      const auto& partition = all["partitions"][p];
      CAF_CHECK_EQUAL(partition.value("leader", ""), seen->partitions[p].leader);
      CAF_CHECK_EQUAL(partition.value("term", 0ull), seen->partitions[p].term);
      CAF_CHECK_EQUAL(partition["lag"].size(), 3u);
    }
  }
  // Idle followers catch up.
  CAF_CHECK(eventually(milliseconds(10'000), [&] {
    const auto all = ask(1, "--cluster");
    for (const auto& partition : all["partitions"])
      for (const auto& [node, lag] : partition["lag"].items())
        if (lag != 0) return false;
    return true;
  }));
  CAF_CHECK_EQUAL(ask(2, "--status").value("health", ""), "healthy");

  nodes.kill(3);
  CAF_CHECK(eventually(milliseconds(20'000), [&] { return ask(1, "--status").value("health", "") == "degraded"; }));
  const auto status = nodes.run_cli(1, {"--status"});
  CAF_CHECK_EQUAL(status.status, 0);
  CAF_CHECK(status.output.find("2 of 3 alive, down: n3\n") != std::string::npos);
  const auto described = nodes.run_cli(2, {"--describe-partition", "0"});
  CAF_CHECK(described.output.find("n3       does not answer\n") != std::string::npos);
  CAF_CHECK(described.output.find(" term ") != std::string::npos);
  CAF_CHECK_EQUAL(nodes.run_cli(2, {"--describe-partition", "16"}).status, 1);

  // Without a quorum the survivor still answers for itself.
  nodes.kill(2);
  CAF_CHECK(eventually(milliseconds(20'000), [&] { return ask(1, "--status").value("health", "") == "impaired"; }));
  // A node that is silent is down like one that is gone, and does not hold the answer up for long.
  nodes.start(2);
  nodes.start(3);
  CAF_CHECK(eventually(milliseconds(30'000), [&] { return ask(1, "--status").value("health", "") == "healthy"; }));
  nodes.pause(2);
  const auto silent = nodes.run_cli(1, {"--cluster"});
  nodes.resume(2);
  CAF_CHECK_EQUAL(silent.status, 0);
  CAF_CHECK(silent.output.find("down") != std::string::npos);
  CAF_CHECK(silent.elapsed < milliseconds(10'000));
}
