// The shell: its lines, its command line, and how it shows bytes that others chose.
#include <algorithm>
#include <string>
#include <variant>

#include "cli/completion.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/shell_language.hpp"
#include "core/base/check.hpp"
#include "messages/connection/outbound_connection.hpp"
#include "tests/fuzz/allocation_meter.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace kahuna::fuzz {

namespace {

// A line of one-letter words becomes words of 40 bytes each, in a vector that grows by doubling. The constant is what help
// compares a topic with: the words of every command.
constexpr allocation_bound line_bound{96, 64 * 1024};

bool is_plain(std::string_view text) {
  return cli::is_utf8(text) &&
         std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != 0x7f; });
}

void fuzz_shell_line(std::string_view input) {
  const auto parsed = read_within(line_bound, input.size(), [&] { return cli::parse_input(input); });
  const auto offered = cli::completions(input);
  KAHUNA_CHECK(std::is_sorted(offered.begin(), offered.end()));
  const auto* wrong = std::get_if<kv::syntax_error>(&parsed);
  if (wrong == nullptr) return;
  KAHUNA_CHECK(wrong->column >= 1 && wrong->column <= input.size() + 1, wrong->column);
  KAHUNA_CHECK(!wrong->message.empty() && wrong->message.size() < 256, wrong->message.size());
  const auto caret = cli::format_caret(input, wrong->column);
  KAHUNA_CHECK(std::count(caret.begin(), caret.end(), '\n') == 2, caret);
}

std::vector<std::string> shell_lines() {
  return {"cluster",     "STATUS # now", "describe partition 3", "help get by bucket", "clear", "exit", "quit\r",
          "set a '1' n", "get by "};
}

// The lines of the input are the arguments.
void fuzz_shell_options(std::string_view input) {
  std::vector<std::string> arguments;
  for (auto rest = input; !rest.empty();) {
    arguments.emplace_back(rest.substr(0, rest.find('\n')));
    rest.remove_prefix(std::min(arguments.back().size() + 1, rest.size()));
  }
  // The constant is the table of options, which is made anew for each reading.
  constexpr allocation_bound options_bound{256, 256 * 1024};
  const auto parsed = read_within(options_bound, input.size(), [&] { return cli::parse_options(arguments); });
  if (const auto* wrong = std::get_if<cli::usage_error>(&parsed)) KAHUNA_CHECK(is_plain(wrong->message), wrong->message);
  const auto* chosen = std::get_if<cli::options>(&parsed);
  if (chosen == nullptr) return;
  KAHUNA_CHECK(chosen->timeout >= std::chrono::milliseconds(1) && chosen->timeout <= std::chrono::milliseconds(60'000));
  KAHUNA_CHECK(!chosen->endpoints.empty() && (chosen->commands.empty() || !chosen->one_shot));
  for (const auto& endpoint : chosen->endpoints)
    if (const auto found = messages::parse_endpoint(endpoint))
      KAHUNA_CHECK(!found->host.empty() && !found->port.empty(), endpoint);
}

std::vector<std::string> shell_arguments() {
  return {"--connect\nh1:1,[::1]:2\n--format=json\n--timeout=100\n-e\nget a\n-eset a 1",
          "--set=k\n--value=v\n--nx\n--cmp=old\n--cmprev=-1\n--expires=500\n--ephemeral",
          "--get\nk\n--at=3",
          "--describe-partition=4294967295\n-ch:65535",
          "--scan-by-prefix=s",
          "--help",
          "--version"};
}

// The first byte picks what was asked; the rest is both key and value of the answer.
void fuzz_shell_output(std::string_view input) {
  const std::string bytes(input.substr(std::min<std::size_t>(1, input.size())));
  const auto choice = input.empty() ? 0 : input.front() & 3;
  cli::answer shown{.op_name = "get", .key = bytes, .what = error{errc::unavailable, bytes}};
  if (choice == 1) shown.what = kv::get_response{.is_found = true, .revision = 1, .value = bytes};
  if (choice == 2) shown.what = client::key_list{.items = {{bytes, bytes, 1, 0, timestamp{9}}, {"k", bytes, 1, 9, {}}}};
  const auto json = cli::format_answer(shown, {.format = cli::output_format::json});
  KAHUNA_CHECK(json.find('\n') == json.size() - 1 && cli::is_utf8(json), json);
  for (const bool is_for_terminal : {false, true}) {
    auto console = cli::format_answer(shown, {.is_for_terminal = is_for_terminal});
    std::erase(console, '\n');
    KAHUNA_CHECK(is_plain(console), console);
  }
  KAHUNA_CHECK(is_plain(cli::escape_text(bytes)), cli::escape_text(bytes));
}

std::vector<std::string> shown_bytes() {
  return {std::string("\0key\n\x1b[2J", 9), "\1\"10.0.0.7:8080\"", "\2\xc3\xa9\xf0\x9f\x98\x80",
          std::string("\1\xff\0\xc0\x80", 5)};
}

}  // namespace

std::vector<fuzz_target> shell_targets() {
  return {{"shell_line", fuzz_shell_line, shell_lines},
          {"shell_options", fuzz_shell_options, shell_arguments},
          {"shell_output", fuzz_shell_output, shown_bytes}};
}

}  // namespace kahuna::fuzz
