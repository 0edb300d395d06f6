#define CAF_SUITE cli_session
#include "cli/session.hpp"

#include <sstream>

#include "caf/test/unit_test.hpp"
#include "cli/run_command.hpp"

using namespace kahuna;
using namespace kahuna::cli;
using namespace std::string_literals;

namespace {

// Answers without a cluster: a key named `late` times out, all others are not there.
answer answer_absent(const request& asked) {
  const auto& statement = std::get<kv::statement>(asked);
  outcome what = kv::get_response{};
  if (statement.key == "late") what = error{errc::timeout, "late"};
  return {statement.op_name, statement.key, what, std::chrono::milliseconds(12)};
}

struct fixture {
  std::ostringstream output;
  std::ostringstream error_output;

  session make(output_format format = output_format::console) {
    return session(answer_absent, {format, list_footer::shown}, output, error_output);
  }
};

}  // namespace

CAF_TEST_FIXTURE_SCOPE(cli_session_tests, fixture)

CAF_TEST(each line has its answer and blank ones have none) {
  auto s = make();
  std::istringstream input("get a\n\n# nothing\r\nget b\r\nget c");
  s.run_lines(input);
  CAF_CHECK_EQUAL(output.str(), "r-1 not found 12ms\nr-1 not found 12ms\nr-1 not found 12ms\n");
  CAF_CHECK_EQUAL(error_output.str(), "");
  CAF_CHECK(!s.has_failed());
}

CAF_TEST(an error does not end the session) {
  auto s = make();
  std::istringstream input("\nget late\nset a\nget a\n");
  s.run_lines(input);
  CAF_CHECK_EQUAL(output.str(), "r-1 not found 12ms\n");
  CAF_CHECK_EQUAL(error_output.str(),
                  "error: timeout: late\nerror: invalid_argument: line 3, column 6: expected a value, found end of line\n");
  CAF_CHECK(s.has_failed());
}

CAF_TEST(a line that could not be parsed has neither op nor key in json) {
  auto s = make(output_format::json);
  s.run_line("nonsense", 7);
  CAF_CHECK_EQUAL(error_output.str(),
                  R"({"status":"error","code":"invalid_argument","applied":"no",)"
                  R"("message":"line 7, column 1: unknown command nonsense","elapsed_ms":0.0})"
                  "\n");
}

CAF_TEST(a line that is too long is an error and the next one is read) {
  auto s = make();
  std::istringstream input("get aaaaaa\nget aaaaaaa\nget b\n");
  s.run_lines(input, 10);
  CAF_CHECK_EQUAL(output.str(), "r-1 not found 12ms\nr-1 not found 12ms\n");
  CAF_CHECK_EQUAL(error_output.str(), "error: invalid_argument: line 2, column 11: the line is longer than 10 bytes\n");
}

CAF_TEST(a line that could not be parsed is shown with a caret) {
  std::ostringstream carets;
  session s(answer_absent, {output_format::console, list_footer::shown}, output, error_output, &carets);
  s.run_line("get a b", 1);
  CAF_CHECK_EQUAL(carets.str(), "  get a b\n        ^\n");
  CAF_CHECK_EQUAL(error_output.str(), "error: invalid_argument: line 1, column 7: expected at, as of or end of line, found b\n");
}

CAF_TEST(exit ends reading) {
  auto s = make();
  std::istringstream input("get a\nexit\nget b\n");
  s.run_lines(input);
  CAF_CHECK_EQUAL(output.str(), "r-1 not found 12ms\n");
  CAF_CHECK(s.has_ended());
  CAF_CHECK(!s.has_failed());
}

CAF_TEST(help needs no cluster and clearing no answer) {
  auto s = make();
  s.run_line("help exists", 1);
  CAF_CHECK_EQUAL(output.str(),
                  "exists KEY [as of TIMESTAMP]\n  tell whether a key is there\n"
                  "    as of TIMESTAMP  what was so then: a commit timestamp, Unix ms, or now\n  eexists does the same with ephemeral keys.\n"
                  "  Example: exists `my-config`\n");
  output.str("");
  s.run_line("clear", 2);
  CAF_CHECK_EQUAL(output.str(), "");
  auto j = make(output_format::json);
  j.run_line("help commit", 1);
  CAF_CHECK_EQUAL(output.str(), R"({"op":"help","status":"found","text":"commit\n  commit the transaction\n","elapsed_ms":0.0})" "\n");
}

CAF_TEST(what is abandoned is not answered) {
  session s([](const request& asked) { return to_answer(asked, abandoned{false}, std::chrono::steady_clock::now()); },
            {output_format::console, list_footer::shown}, output, error_output);
  s.run_line("get a", 1);
  CAF_CHECK(s.has_failed());
  CAF_CHECK_EQUAL(error_output.str(), "");
}

CAF_TEST(an output that takes no more ends the session) {
  auto s = make();
  output.setstate(std::ios::badbit);
  std::istringstream input("get a\nget b\n");
  s.run_lines(input);
  CAF_CHECK_EQUAL(input.tellg(), 0);
  s.run_line("get a", 1);
  CAF_CHECK(s.has_failed());
}

CAF_TEST(lines are read whole) {
  std::istringstream input("a\0b\n\nlast"s);
  std::string line;
  CAF_CHECK(read_line(input, line, 10) == line_state::complete);
  CAF_CHECK_EQUAL(line, "a\0b"s);
  CAF_CHECK(read_line(input, line, 10) == line_state::complete);
  CAF_CHECK_EQUAL(line, "");
  CAF_CHECK(read_line(input, line, 3) == line_state::too_long);
  CAF_CHECK_EQUAL(line, "");
  CAF_CHECK(read_line(input, line, 10) == line_state::none);
}

CAF_TEST(all of the input is read up to a bound) {
  const std::string bytes(200'000, 'x');
  std::istringstream fits(bytes);
  const auto whole = read_all(fits, 200'000);
  CAF_REQUIRE(whole.has_value());
  CAF_CHECK(*whole == bytes);
  std::istringstream larger(bytes);
  const auto refused = read_all(larger, 199'999);
  CAF_REQUIRE(!refused.has_value());
  CAF_CHECK(refused.error().code == errc::invalid_argument);
  std::istringstream empty;
  const auto nothing = read_all(empty, 0);
  CAF_REQUIRE(nothing.has_value());
  CAF_CHECK_EQUAL(*nothing, "");
}

CAF_TEST_FIXTURE_SCOPE_END()
