// Lines in, answers out, and whether any of them was an error. Knows no cluster: who answers statements is given to it.
#pragma once

#include <cstddef>
#include <functional>
#include <istream>
#include <ostream>
#include <string>
#include <string_view>

#include "cli/output.hpp"
#include "cli/shell_language.hpp"
#include "core/base/errc.hpp"

namespace kahuna::cli {

// Of a line, and of a value that is read from standard input: far above any value, far below what fills a memory.
inline constexpr std::size_t input_bytes_max = 64 << 20;

class session {
 public:
  using runner = std::function<answer(const request&)>;

  // `output` and `error_output` may be one stream, and must outlive this. `carets`: where lines that could not be parsed
  // are shown with a caret under the place; nullptr = nowhere.
  session(runner run, output_style style, std::ostream& output, std::ostream& error_output, std::ostream* carets = nullptr);

  // Runs one command and prints its answer; a blank or comment line has none. `number` is for messages, from 1.
  void run_line(std::string_view line, std::size_t number);

  // Whether a line said that it was the last one.
  bool has_ended() const { return has_ended_; }

  // Runs `input` to its end, or to a line that says so, or until the output takes no more. A line of more than
  // `line_bytes_max` is answered by an error and skipped.
  void run_lines(std::istream& input, std::size_t line_bytes_max = input_bytes_max);

  // Prints and flushes, so that a program at the other end of a pipe sees each answer at once.
  void print(const answer& a);

  // Whether an answer was an error, or was not waited for, or could not be written.
  bool has_failed() const { return has_failed_; }

 private:
  void run_shell_command(const shell_command& command);

  runner run_;
  output_style style_;
  std::ostream& output_;
  std::ostream& error_output_;
  std::ostream* carets_;
  bool has_failed_ = false;
  bool has_ended_ = false;
};

enum class line_state : std::uint8_t { complete, too_long, none };

// Reads up to a newline, which is dropped, or the end. too_long: `line` is empty and the whole line has been skipped.
// none: the input was at its end.
line_state read_line(std::istream& input, std::string& line, std::size_t bytes_max);

// Everything up to the end; invalid_argument where that is more than `bytes_max`.
result<std::string> read_all(std::istream& input, std::size_t bytes_max);

}  // namespace kahuna::cli
