// A plain blocking TCP connection to loopback, for tests that speak to a node byte by byte.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tests/support/eventually.hpp"

namespace kahuna::testing {

class tcp_socket {
 public:
  // Connects to host:port; is_open() says whether that worked within two seconds.
  explicit tcp_socket(int port, const std::string& host = "127.0.0.1");
  tcp_socket(tcp_socket&& other) noexcept;
  tcp_socket& operator=(tcp_socket&& other) noexcept;
  ~tcp_socket();

  bool is_open() const { return fd_ >= 0; }

  // Whether all bytes were taken; false where the other side has closed, or takes nothing for two seconds.
  bool send(std::string_view bytes);

  // Says that nothing more will be sent.
  void finish_sending();

  // Exactly `count` bytes, or nothing where the other side closes or `patience` ends first.
  std::optional<std::string> receive(std::size_t count, milliseconds patience);

  // Reads and drops what comes; whether the other side closed within `patience`.
  bool is_closed_within(milliseconds patience);

  // Everything up to the other side's close, or up to the end of `patience`.
  std::string receive_all(milliseconds patience);

 private:
  enum class chunk { data, closed, late };
  chunk receive_some(std::size_t bytes_max, steady_clock::time_point deadline);

  int fd_ = -1;
  std::string received_;
};

struct http_response {
  int status = 0;
  std::string body;
};

// GET from host:port; nothing where no answer came within `patience`.
std::optional<http_response> http_get(int port, const std::string& path, milliseconds patience = milliseconds(2000),
                                      const std::string& host = "127.0.0.1");

}  // namespace kahuna::testing
