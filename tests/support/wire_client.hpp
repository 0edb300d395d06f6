// A client of one node that speaks its protocol itself: no retries, no other node, nothing hidden.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/errc.hpp"
#include "messages/connection/frame.hpp"
#include "tests/support/socket.hpp"

namespace kahuna::testing {

// A frame's bytes: header, kind and the body's encoding.
template <class Body>
std::string frame_bytes(messages::frame_kind kind, const Body& body) {
  std::string bytes;
  messages::append_frame(bytes, kind, body);
  return bytes;
}

// Any bytes as a frame with a right length.
std::string frame_of_bytes(std::uint8_t kind, std::string_view body);

// The hello of a client that no node has met before.
messages::hello client_hello(std::uint64_t client_id);

class wire_client {
 public:
  explicit wire_client(int port) : socket_(port) {}

  bool is_open() const { return socket_.is_open(); }
  tcp_socket& socket() { return socket_; }

  // Says hello and waits for the answer; nothing where the node refuses or says nothing within `patience`.
  std::optional<messages::welcome> shake_hands(std::uint64_t client_id, milliseconds patience = milliseconds(2000));

  // Sends one operation under this sequence number; false where the connection is gone.
  bool send(std::uint64_t sequence, kv::operation op, milliseconds budget);

  // The next reply that arrives, whatever else arrives before it; nothing where none does within `patience`.
  std::optional<messages::client_reply> receive(milliseconds patience);

 private:
  struct raw_frame {
    messages::frame_kind kind;
    std::string body;
  };
  std::optional<raw_frame> receive_frame(steady_clock::time_point deadline);
  void take_leaders(const std::string& body);

  tcp_socket socket_;
  std::optional<std::uint32_t> awaited_bytes_;  // of a frame whose header has come
  timestamp observed_;
  routing::partition_map map_;
  std::map<partition_id, term_id> terms_;  // of the leaders that the node has told of
  std::vector<messages::client_reply> replies_;  // that came together with one that was given out
};

}  // namespace kahuna::testing
