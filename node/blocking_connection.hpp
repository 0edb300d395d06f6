// A connection to a node before there is an actor that could own one: what a node that starts asks of others. Blocks, until a deadline.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "messages/connection/frame.hpp"
#include "messages/connection/outbound_connection.hpp"

namespace kahuna::node {

class blocking_connection {
 public:
  using clock = std::chrono::steady_clock;

  // To HOST:PORT. Whatever comes of it is seen by is_open().
  blocking_connection(const std::string& address, clock::time_point deadline);
  ~blocking_connection();
  blocking_connection(const blocking_connection&) = delete;
  blocking_connection& operator=(const blocking_connection&) = delete;

  bool is_open() const { return descriptor_ >= 0; }

  // False: it was not sent whole.
  template <class Body>
  bool send(messages::frame_kind kind, const Body& body) {
    std::string out;
    messages::append_frame(out, kind, body);
    return send_all(out);
  }

  // The next frame, whose body is good until the next call; nothing: the deadline has passed, the connection broke, or what came is none.
  std::optional<messages::frame> receive();

 private:
  bool send_all(const std::string& bytes);

  clock::time_point deadline_;
  int descriptor_ = -1;
  messages::frame_reader reader_{messages::frame_bytes_max(0)};
};

}  // namespace kahuna::node
