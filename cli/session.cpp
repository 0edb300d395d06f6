#include "cli/session.hpp"

#include <array>
#include <utility>
#include <variant>

#include "cli/command_table.hpp"

namespace kahuna::cli {

session::session(runner run, output_style style, std::ostream& output, std::ostream& error_output, std::ostream* carets)
    : run_(std::move(run)), style_(style), output_(output), error_output_(error_output), carets_(carets) {}

void session::run_line(std::string_view line, std::size_t number) {
  const auto parsed = parse_input(line);
  if (const auto* e = std::get_if<kv::syntax_error>(&parsed)) {
    print({.op_name = {}, .key = {}, .what = kv::to_error(*e, number)});
    if (carets_ != nullptr) *carets_ << format_caret(line, e->column) << std::flush;
  } else if (const auto* asked = std::get_if<request>(&parsed)) {
    print(run_(*asked));
  } else if (const auto* command = std::get_if<shell_command>(&parsed)) {
    run_shell_command(*command);
  }
}

void session::run_shell_command(const shell_command& command) {
  switch (command.action) {
    case shell_action::help:
      print({.op_name = "help", .key = {}, .what = help_answer{command.topic.empty() ? help_overview() : help_on(command.topic)}});
      break;
    case shell_action::clear:
      // Elsewhere than on a terminal there is nothing to clear.
      if (style_.is_for_terminal) output_ << "\x1b[H\x1b[2J\x1b[3J" << std::flush;
      break;
    case shell_action::exit: has_ended_ = true; break;
  }
}

void session::run_lines(std::istream& input, std::size_t line_bytes_max) {
  std::string line;
  for (std::size_t number = 1; output_ && !has_ended_; ++number) {
    const auto state = read_line(input, line, line_bytes_max);
    if (state == line_state::none) break;
    if (state == line_state::complete) {
      run_line(line, number);
    } else {
      const kv::syntax_error e{line_bytes_max + 1, "the line is longer than " + std::to_string(line_bytes_max) + " bytes"};
      print({.op_name = {}, .key = {}, .what = kv::to_error(e, number)});
    }
  }
}

void session::print(const answer& a) {
  auto& stream = a.is_error() ? error_output_ : output_;
  stream << format_answer(a, style_) << std::flush;
  if (!a.is_answered() || !stream) has_failed_ = true;
}

line_state read_line(std::istream& input, std::string& line, std::size_t bytes_max) {
  using traits = std::char_traits<char>;
  line.clear();
  auto* buffer = input.rdbuf();
  bool is_too_long = false;
  for (bool is_first = true;; is_first = false) {
    const auto next = buffer->sbumpc();
    const bool is_at_end = traits::eq_int_type(next, traits::eof());
    if (is_at_end && is_first) return line_state::none;
    if (is_at_end || traits::to_char_type(next) == '\n') return is_too_long ? line_state::too_long : line_state::complete;
    if (line.size() < bytes_max && !is_too_long) {
      line += traits::to_char_type(next);
    } else {
      is_too_long = true;
      line.clear();
    }
  }
}

result<std::string> read_all(std::istream& input, std::size_t bytes_max) {
  std::string bytes;
  std::array<char, 65536> chunk;
  for (;;) {
    const auto count = input.rdbuf()->sgetn(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    if (count <= 0) return bytes;
    bytes.append(chunk.data(), static_cast<std::size_t>(count));
    if (bytes.size() > bytes_max)
      return error{errc::invalid_argument, "standard input has more than " + std::to_string(bytes_max) + " bytes"};
  }
}

}  // namespace kahuna::cli
