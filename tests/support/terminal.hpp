// A program at a pseudo-terminal, typed to and looked at by a test.
#pragma once

#include <sys/types.h>
#include <termios.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/process.hpp"

namespace kahuna::testing {

// It dies with this object, or with the thread that started it: so start it from a test's main thread only.
class terminal {
 public:
  // `environment` is all that the program gets.
  terminal(const std::vector<std::string>& command, const std::map<std::string, std::string>& environment);
  terminal(const terminal&) = delete;
  terminal& operator=(const terminal&) = delete;
  ~terminal();

  // As a keyboard would; control characters included ("\x03" is Ctrl-C).
  void type(std::string_view keys);
  // As a terminal does it for programs that asked to be told of pastes.
  void paste(const std::string& lines) { type("\x1b[200~" + lines + "\x1b[201~"); }

  // Whether this text was written within `patience`, behind what was found before. What is found is not found again.
  bool shows(std::string_view text, milliseconds patience = milliseconds(10'000));
  // Likewise for a regular expression.
  bool shows_match(const std::string& pattern, milliseconds patience = milliseconds(10'000));

  // Everything written so far, escape sequences and all but those that switch bracketed paste.
  const std::string& output();
  // How often a text was written.
  std::size_t count(std::string_view text);

  void send(int signal);
  pid_t id() const { return id_; }
  std::optional<exit_state> wait(milliseconds patience = milliseconds(10'000));

  termios settings() const;

 private:
  void read_some();

  int fd_ = -1;
  pid_t id_ = -1;
  std::optional<exit_state> ended_;
  std::string output_;
  std::size_t found_ = 0;
};

}  // namespace kahuna::testing
