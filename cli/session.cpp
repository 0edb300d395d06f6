#include "cli/session.hpp"

#include <array>
#include <utility>
#include <variant>

namespace kahuna::cli {

session::session(runner run, output_style style, std::ostream& output, std::ostream& error_output)
    : run_(std::move(run)), style_(style), output_(output), error_output_(error_output) {}

void session::run_line(std::string_view line, std::size_t number) {
  const auto parsed = kv::parse_line(line);
  if (const auto* e = std::get_if<kv::syntax_error>(&parsed))
    print({.op_name = {}, .key = {}, .what = kv::to_error(*e, number)});
  else if (const auto* statement = std::get_if<kv::statement>(&parsed))
    print(run_(*statement));
}

void session::run_lines(std::istream& input, std::string_view prompt, std::size_t line_bytes_max) {
  std::string line;
  for (std::size_t number = 1; output_; ++number) {
    if (!prompt.empty()) output_ << prompt << std::flush;
    const auto state = read_line(input, line, line_bytes_max);
    if (state == line_state::none) break;
    if (state == line_state::complete) {
      run_line(line, number);
    } else {
      const kv::syntax_error e{line_bytes_max + 1, "the line is longer than " + std::to_string(line_bytes_max) + " bytes"};
      print({.op_name = {}, .key = {}, .what = kv::to_error(e, number)});
    }
  }
  // Whoever ended the input at a prompt should not find the next prompt of the shell on the same line.
  if (!prompt.empty()) output_ << std::endl;
}

void session::print(const answer& a) {
  auto& stream = a.is_error() ? error_output_ : output_;
  stream << format_answer(a, style_) << std::flush;
  if (a.is_error() || !stream) has_failed_ = true;
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
