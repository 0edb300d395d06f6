#include "node/blocking_connection.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace kahuna::node {

namespace {

using clock = blocking_connection::clock;

bool wait_for(int descriptor, short events, clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now()).count();
  pollfd waiting{descriptor, events, 0};
  return left > 0 && ::poll(&waiting, 1, static_cast<int>(left)) == 1;
}

int connect_to(const messages::endpoint& target, clock::time_point deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &found) != 0) return -1;
  int connected = -1;
  for (const auto* entry = found; entry != nullptr && connected < 0; entry = entry->ai_next) {
    const int descriptor = ::socket(entry->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) continue;
    int failure = 0;
    socklen_t length = sizeof failure;
    const bool is_begun = ::connect(descriptor, entry->ai_addr, entry->ai_addrlen) == 0 || errno == EINPROGRESS;
    if (is_begun && wait_for(descriptor, POLLOUT, deadline) &&
        ::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &length) == 0 && failure == 0)
      connected = descriptor;
    else
      ::close(descriptor);
  }
  ::freeaddrinfo(found);
  return connected;
}

}  // namespace

blocking_connection::blocking_connection(const std::string& address, clock::time_point deadline) : deadline_(deadline) {
  const auto target = messages::parse_endpoint(address);
  if (target) descriptor_ = connect_to(*target, deadline);
}

blocking_connection::~blocking_connection() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool blocking_connection::send_all(const std::string& bytes) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    if (!wait_for(descriptor_, POLLOUT, deadline_)) return false;
    const auto count = ::send(descriptor_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return false;
    sent += static_cast<std::size_t>(count);
  }
  return true;
}

std::optional<messages::frame> blocking_connection::receive() {
  char bytes[4096];
  for (;;) {
    if (const auto frame = reader_.next()) return frame;
    if (reader_.failure() || !wait_for(descriptor_, POLLIN, deadline_)) return std::nullopt;
    const auto count = ::recv(descriptor_, bytes, sizeof bytes, 0);
    if (count <= 0) return std::nullopt;
    reader_.feed(bytes, static_cast<std::size_t>(count));
  }
}

}  // namespace kahuna::node
