#include "cli/shell_events.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/check.hpp"

namespace kahuna::cli {

shell_events::shell_events() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { KAHUNA_CHECK(descriptor_ >= 0, errno); }

shell_events::~shell_events() { ::close(descriptor_); }

void shell_events::ring() { ::eventfd_write(descriptor_, 1); }

void shell_events::clear() {
  eventfd_t ignored = 0;
  ::eventfd_read(descriptor_, &ignored);
}

void shell_events::connection_changed(bool is_connected) {
  {
    const std::lock_guard guard(mutex_);
    // Where nobody looks for long, only the last state matters.
    if (changes_.size() >= 16) changes_.pop_front();
    changes_.push_back(is_connected);
  }
  ring();
}

std::optional<bool> shell_events::take_connection_change() {
  const std::lock_guard guard(mutex_);
  if (changes_.empty()) return std::nullopt;
  const bool is_connected = changes_.front();
  changes_.pop_front();
  return is_connected;
}

}  // namespace kahuna::cli
