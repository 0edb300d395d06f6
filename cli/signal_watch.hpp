// Signals as input of a poll(): a handler that does nothing but write their numbers into a pipe.
#pragma once

#include <signal.h>

#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

namespace kahuna::cli {

// At most one in a process.
class signal_watch {
 public:
  // From now on these do nothing but show here.
  explicit signal_watch(std::initializer_list<int> signals);
  signal_watch(const signal_watch&) = delete;
  signal_watch& operator=(const signal_watch&) = delete;
  // They do what they did before.
  ~signal_watch();

  // Readable when there is something to take.
  int descriptor() const { return pipe_[0]; }

  // The number of a signal that came; nothing where none did.
  std::optional<int> take();

 private:
  int pipe_[2] = {-1, -1};
  std::vector<std::pair<int, struct sigaction>> before_;
};

}  // namespace kahuna::cli
