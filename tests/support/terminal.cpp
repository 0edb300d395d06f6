#include "tests/support/terminal.hpp"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <regex>

#include "core/base/check.hpp"

namespace kahuna::testing {

terminal::terminal(const std::vector<std::string>& command, const std::map<std::string, std::string>& environment) {
  KAHUNA_CHECK(!command.empty());
  std::vector<char*> arguments;
  for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  std::vector<std::string> assignments;
  for (const auto& [name, value] : environment) assignments.push_back(name + "=" + value);
  std::vector<char*> variables;
  for (auto& assignment : assignments) variables.push_back(assignment.data());
  variables.push_back(nullptr);
  winsize size{24, 120, 0, 0};
  const pid_t parent = ::getpid();

  id_ = ::forkpty(&fd_, nullptr, nullptr, &size);
  KAHUNA_CHECK(id_ >= 0, std::strerror(errno));
  if (id_ == 0) {
    // The child of a process with threads: nothing but plain system calls until exec.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    for (int fd = STDERR_FILENO + 1; fd < 1024; ++fd) ::close(fd);
    ::execve(arguments[0], arguments.data(), variables.data());
    ::_exit(127);
  }
  ::fcntl(fd_, F_SETFD, FD_CLOEXEC);
  ::fcntl(fd_, F_SETFL, O_NONBLOCK);
}

terminal::~terminal() {
  if (!ended_) {
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
  }
  ::close(fd_);
}

void terminal::type(std::string_view keys) {
  while (!keys.empty()) {
    const auto written = ::write(fd_, keys.data(), keys.size());
    if (written > 0) {
      keys.remove_prefix(static_cast<std::size_t>(written));
    } else {
      KAHUNA_CHECK(errno == EAGAIN || errno == EINTR, std::strerror(errno));
      read_some();
      pause_briefly();
    }
  }
}

void terminal::read_some() {
  char bytes[4096];
  for (;;) {
    const auto count = ::read(fd_, bytes, sizeof bytes);
    if (count <= 0) break;
    output_.append(bytes, static_cast<std::size_t>(count));
  }
  // The program's asking to be told of pastes, and not any more: around every line, and shown by nothing.
  for (const std::string_view unseen : {"\x1b[?2004h", "\x1b[?2004l\r"})
    for (auto at = output_.find(unseen, found_); at != std::string::npos; at = output_.find(unseen, at))
      output_.erase(at, unseen.size());
}

bool terminal::shows(std::string_view text, milliseconds patience) {
  return eventually(patience, [&] {
    read_some();
    const auto at = output_.find(text, found_);
    if (at == std::string::npos) return false;
    found_ = at + text.size();
    return true;
  });
}

bool terminal::shows_match(const std::string& pattern, milliseconds patience) {
  const std::regex expression(pattern);
  return eventually(patience, [&] {
    read_some();
    std::smatch match;
    const auto begin = output_.cbegin() + static_cast<std::ptrdiff_t>(found_);
    if (!std::regex_search(begin, output_.cend(), match, expression)) return false;
    found_ = static_cast<std::size_t>(match[0].second - output_.cbegin());
    return true;
  });
}

const std::string& terminal::output() {
  read_some();
  return output_;
}

std::size_t terminal::count(std::string_view text) {
  read_some();
  std::size_t times = 0;
  for (auto at = output_.find(text); at != std::string::npos; at = output_.find(text, at + text.size())) ++times;
  return times;
}

void terminal::send(int signal) {
  KAHUNA_CHECK(!ended_);
  ::kill(id_, signal);
}

std::optional<exit_state> terminal::wait(milliseconds patience) {
  if (ended_) return ended_;
  eventually(patience, [&] {
    read_some();  // else it may wait for its last words to be taken
    int status = 0;
    if (::waitpid(id_, &status, WNOHANG) != id_) return false;
    const bool was_signalled = WIFSIGNALED(status);
    ended_ = exit_state{was_signalled ? 128 + WTERMSIG(status) : WEXITSTATUS(status), was_signalled};
    return true;
  });
  read_some();
  return ended_;
}

termios terminal::settings() const {
  termios found{};
  KAHUNA_CHECK(::tcgetattr(fd_, &found) == 0, std::strerror(errno));
  return found;
}

}  // namespace kahuna::testing
