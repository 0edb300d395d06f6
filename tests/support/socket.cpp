#include "tests/support/socket.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace kahuna::testing {

tcp_socket::tcp_socket(int port, const std::string& host) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (fd_ < 0) return;
  const timeval patience{2, 0};  // of connect and send
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const int yes = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) == 1 && ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return;
  ::close(fd_);
  fd_ = -1;
}

tcp_socket::tcp_socket(tcp_socket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), received_(std::move(other.received_)) {}

tcp_socket& tcp_socket::operator=(tcp_socket&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(received_, other.received_);
  return *this;
}

tcp_socket::~tcp_socket() {
  if (fd_ >= 0) ::close(fd_);
}

bool tcp_socket::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void tcp_socket::finish_sending() { ::shutdown(fd_, SHUT_WR); }

tcp_socket::chunk tcp_socket::receive_some(std::size_t bytes_max, steady_clock::time_point deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
  pollfd waiting{fd_, POLLIN, 0};
  if (::poll(&waiting, 1, std::max(0, static_cast<int>(left.count()))) <= 0) return chunk::late;
  char buffer[16384];
  const auto count = ::recv(fd_, buffer, std::min(sizeof buffer, bytes_max), 0);
  if (count <= 0) return chunk::closed;
  received_.append(buffer, static_cast<std::size_t>(count));
  return chunk::data;
}

std::optional<std::string> tcp_socket::receive(std::size_t count, milliseconds patience) {
  const auto deadline = steady_clock::now() + patience;
  while (received_.size() < count)
    if (receive_some(count - received_.size(), deadline) != chunk::data) return std::nullopt;
  auto bytes = received_.substr(0, count);
  received_.erase(0, count);
  return bytes;
}

bool tcp_socket::is_closed_within(milliseconds patience) {
  const auto deadline = steady_clock::now() + patience;
  for (;;) {
    const auto got = receive_some(SIZE_MAX, deadline);
    received_.clear();
    if (got != chunk::data) return got == chunk::closed;
  }
}

std::string tcp_socket::receive_all(milliseconds patience) {
  const auto deadline = steady_clock::now() + patience;
  while (receive_some(SIZE_MAX, deadline) == chunk::data) {
  }
  return std::exchange(received_, {});
}

std::optional<http_response> http_get(int port, const std::string& path, milliseconds patience, const std::string& host) {
  tcp_socket connection(port, host);
  if (!connection.is_open()) return std::nullopt;
  if (!connection.send("GET " + path + " HTTP/1.0\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")) return std::nullopt;
  const std::string answer = connection.receive_all(patience);
  constexpr std::string_view version = "HTTP/1.x ";
  const auto head_end = answer.find("\r\n\r\n");
  http_response response;
  if (head_end == std::string::npos || answer.size() < version.size() + 3) return std::nullopt;
  const char* digits = answer.data() + version.size();
  if (std::from_chars(digits, digits + 3, response.status).ec != std::errc()) return std::nullopt;
  response.body = answer.substr(head_end + 4);
  return response;
}

}  // namespace kahuna::testing
