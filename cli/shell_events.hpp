// What the client's threads have to tell the shell's: that a request is answered, and that connections come and go.
//
// Outlives the client. Thread safe.
#pragma once

#include <deque>
#include <mutex>
#include <optional>

namespace kahuna::cli {

class shell_events {
 public:
  shell_events();
  shell_events(const shell_events&) = delete;
  shell_events& operator=(const shell_events&) = delete;
  ~shell_events();

  // Readable after a ring() that was not cleared.
  int descriptor() const { return descriptor_; }
  void ring();
  void clear();

  void connection_changed(bool is_connected);

  // Whether there is a connection, as it has changed, one change a call; nothing where there is no more news.
  std::optional<bool> take_connection_change();

 private:
  int descriptor_;
  std::mutex mutex_;
  std::deque<bool> changes_;
};

}  // namespace kahuna::cli
