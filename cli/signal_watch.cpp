#include "cli/signal_watch.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "core/base/check.hpp"

namespace kahuna::cli {

namespace {

std::atomic<int> handler_pipe{-1};

void write_down(int signal) {
  const int error_before = errno;
  const auto number = static_cast<char>(signal);
  // A full pipe has enough to tell.
  [[maybe_unused]] const auto written = ::write(handler_pipe.load(), &number, 1);
  errno = error_before;
}

}  // namespace

signal_watch::signal_watch(std::initializer_list<int> signals) {
  KAHUNA_CHECK(::pipe2(pipe_, O_CLOEXEC | O_NONBLOCK) == 0, errno);
  KAHUNA_CHECK(handler_pipe.exchange(pipe_[1]) == -1);
  for (const int signal : signals) {
    struct sigaction action {};
    action.sa_handler = write_down;
    action.sa_flags = SA_RESTART;  // it may come to any thread, which must not notice
    struct sigaction before {};
    KAHUNA_CHECK(::sigaction(signal, &action, &before) == 0, signal);
    before_.emplace_back(signal, before);
  }
}

signal_watch::~signal_watch() {
  for (const auto& [signal, before] : before_) ::sigaction(signal, &before, nullptr);
  // The pipe stays: a handler may be about to write to it.
  handler_pipe = -1;
}

std::optional<int> signal_watch::take() {
  char number = 0;
  if (::read(pipe_[0], &number, 1) != 1) return std::nullopt;
  return number;
}

}  // namespace kahuna::cli
