// One line at a time from a terminal, edited with readline: the only place that knows it.
//
// Driven from outside: whoever owns it waits for input (and for whatever else it waits for) and hands each key in, so that
// nothing here ever blocks. There is one terminal, so there is at most one of these in a process.
//
// Between lines the terminal neither echoes nor waits for a newline: what is typed or pasted while a command runs is kept
// for the next line, and shown once, there.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kahuna::cli {

class line_editor {
 public:
  // The candidates for the last word of what stands before the cursor.
  using completer = std::function<std::vector<std::string>(std::string_view)>;

  // Requires that standard input and output are a terminal.
  explicit line_editor(completer complete);
  line_editor(const line_editor&) = delete;
  line_editor& operator=(const line_editor&) = delete;
  // The terminal is as it was before.
  ~line_editor();

  // The line can be had again with the arrow keys.
  void remember(const std::string& line);

  // Shows the prompt and begins a line. Requires that none is under way.
  void begin(const std::string& prompt);

  enum class progress { typing, done, ended };

  // Takes one key, or one whole paste. Requires that a line is under way and that there is input.
  // done: `text` is the line, or several with newlines between them where they were pasted. ended: the input is at its end.
  progress take_input(std::string& text);

  // The line under way is dropped and begun anew.
  void abandon_line();

  // Prints whole lines in front of the line under way, if one is.
  void print(std::string_view lines);

  // The terminal has another size.
  void take_new_size();

  // Stops the process as Ctrl-Z does; returns when it goes on.
  void suspend();

 private:
  struct implementation;
  std::unique_ptr<implementation> implementation_;
};

}  // namespace kahuna::cli
