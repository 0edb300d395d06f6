#include "messages/connection/frame_writer.hpp"

#include <sys/socket.h>

#include <algorithm>

namespace kahuna::messages {

void frame_writer::flush(caf::io::abstract_broker& owner, caf::io::connection_handle connection) {
  std::size_t taken = 0;
  if (with_caf_ == 0 && owner.valid(connection)) {
    // The number of a connection is its socket's in CAF's multiplexer.
    const auto count = ::send(static_cast<int>(connection.id()), collected_.data(), collected_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0) taken = static_cast<std::size_t>(count);
  }
  if (taken < collected_.size()) {
    with_caf_ += collected_.size() - taken;
    owner.write(connection, collected_.size() - taken, collected_.data() + taken);
    owner.flush(connection);
  }
  collected_.clear();
  if (collected_.capacity() > kept_capacity_bytes) collected_.shrink_to_fit();
}

void frame_writer::transferred(std::size_t bytes) { with_caf_ -= std::min(with_caf_, bytes); }

}  // namespace kahuna::messages
