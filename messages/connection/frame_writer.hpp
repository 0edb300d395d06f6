// A connection's way out: frames are collected, and given to the kernel at once where it takes them.
//
// CAF waits for a socket to be writable before it writes to it: two calls of epoll_ctl and a turn of its loop for every flush. Nearly
// always the kernel has room. So what CAF holds nothing of goes to the socket directly, and CAF gets only what the kernel did not take; from
// then on everything goes by way of CAF until it has written all of it, so that nothing is overtaken.
#pragma once

#include <cstddef>
#include <vector>

#include <caf/io/all.hpp>

#include "messages/connection/frame.hpp"

namespace kahuna::messages {

// Used on the thread of the broker that owns the connection, while it does.
class frame_writer {
 public:
  template <class Body>
  void append(frame_kind kind, const Body& body) {
    append_frame(collected_, kind, body);
  }

  // Requires ack_writes() for the connection. Whether the connection broke shows where it is read.
  void flush(caf::io::abstract_broker& owner, caf::io::connection_handle connection);

  // A data_transferred_msg of the connection came.
  void transferred(std::size_t bytes);

  // What the kernel has not taken yet.
  std::size_t unsent_bytes() const { return collected_.size() + with_caf_; }

 private:
  static constexpr std::size_t kept_capacity_bytes = 256 * 1024;

  std::vector<char> collected_;
  std::size_t with_caf_ = 0;
};

}  // namespace kahuna::messages
