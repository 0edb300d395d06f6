// The command language: one line.
#include <algorithm>
#include <string>
#include <variant>

#include "core/base/check.hpp"
#include "core/kv/command_language.hpp"
#include "tests/fuzz/allocation_meter.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace kahuna::fuzz {

namespace {

// A few copies of what was typed: in the token, which grows by doubling, in the request, and in the statement's key; and
// the text of an error.
constexpr allocation_bound line_bound{8, 2048};

std::string quoted(std::string_view text) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text)
    out.append("\\x")
        .append(1, digits[static_cast<unsigned char>(c) >> 4])
        .append(1, digits[static_cast<unsigned char>(c) & 15]);
  return out + '"';
}

// A stamp that is too small to be written as one was written as its millisecond.
std::string as_of(timestamp moment) {
  if (moment == timestamp{}) return {};
  const bool is_stamp = moment.value >= (std::uint64_t{1} << 52);
  return " as of " + std::to_string(is_stamp ? moment.value : unix_ms(moment));
}

std::string written(const kv::set_request& request, const std::string& op_name) {
  auto line = op_name + ' ' + quoted(request.key) + ' ' + quoted(request.value.view());
  if (request.if_absent) line += " nx";
  if (request.if_present) line += " xx";
  if (request.if_value) line += " cmp " + quoted(request.if_value->view());
  if (request.if_revision) line += " cmprev " + std::to_string(*request.if_revision);
  if (request.expires_ms != 0) line += " ex " + std::to_string(request.expires_ms);
  return line;
}
std::string written(const kv::get_request& request, const std::string& op_name) {
  return op_name + ' ' + quoted(request.key) + (request.at_revision ? " at " + std::to_string(*request.at_revision) : "") +
         as_of(request.as_of);
}
std::string written(const kv::extend_request& request, const std::string& op_name) {
  return op_name + ' ' + quoted(request.key) + ' ' + std::to_string(request.expires_ms);
}
std::string written(const kv::list_command& list, const std::string& op_name) {
  auto line = op_name + ' ' + quoted(list.prefix_or_bucket);
  if (list.limit != 0) line += " limit " + std::to_string(list.limit);
  if (!list.after.empty()) line += " after " + quoted(list.after);
  return line + as_of(list.as_of);
}
std::string written(const kv::begin_command& begin, const std::string&) {
  return std::string("begin locking=") + (begin.locking == kv::locking_mode::optimistic ? "optimistic" : "pessimistic") +
         " timeout=" + std::to_string(begin.timeout_ms) + (begin.is_as_of_now ? " as of now" : as_of(begin.as_of));
}
std::string written(const kv::exists_request& request, const std::string& op_name) {
  return op_name + ' ' + quoted(request.key) + as_of(request.as_of);
}
template <class Request>
std::string written(const Request& request, const std::string& op_name) {
  return op_name + ' ' + quoted(request.key);
}

// A line that means the same.
std::string written(const kv::statement& said) {
  return std::visit(
      [&](const auto& what) -> std::string {
        using what_type = std::decay_t<decltype(what)>;
        if constexpr (std::is_same_v<what_type, kv::commit_step> || std::is_same_v<what_type, kv::rollback_step>)
          return said.op_name;
        else
          return written(what, said.op_name);
      },
      said.what);
}

void fuzz_command_line(std::string_view input) {
  const auto parsed = read_within(line_bound, input.size(), [&] { return kv::parse_line(input); });
  if (const auto* wrong = std::get_if<kv::syntax_error>(&parsed)) {
    KAHUNA_CHECK(wrong->column >= 1 && wrong->column <= input.size() + 1, wrong->column);
    // It goes to a terminal: nothing of the line gets there as it is.
    KAHUNA_CHECK(!wrong->message.empty() && wrong->message.size() < 256, wrong->message.size());
    KAHUNA_CHECK(std::all_of(wrong->message.begin(), wrong->message.end(),
                             [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != 0x7f; }));
    return;
  }
  if (!input.ends_with('\r')) KAHUNA_CHECK(kv::parse_line(std::string(input) + " # comment\r") == parsed);
  if (const auto* said = std::get_if<kv::statement>(&parsed)) {
    const auto line = written(*said);
    KAHUNA_CHECK(kv::parse_line(line) == parsed, line);
  }
}

std::vector<std::string> command_lines() {
  return {"set a 1",
          "SET services/auth '10.0.0.7:8080' nx ex 60000  # lease",
          R"(eset "a key" `tick \` \x00\xff\n` xx cmp "old" cmprev -1 ex 9)",
          "get a at 3",
          "eget a as of now",
          "get a as of 1700000000000",
          "exists a",
          "edelete 'a'",
          "extend a -5",
          "get by bucket services/auth limit 10 after services/auth/b",
          "get by prefix a",
          "escan by prefix services after \"x\" limit 4294967295",
          "begin locking = optimistic timeout=100 as of now",
          "commit",
          "rollback",
          "set a -1.50e-3\r",
          "# nothing",
          "begin " + std::string(2000, '=')};
}

}  // namespace

std::vector<fuzz_target> language_targets() { return {{"command_line", fuzz_command_line, command_lines}}; }

}  // namespace kahuna::fuzz
