#include "node/peer_probe.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "messages/connection/frame.hpp"
#include "messages/connection/outbound_connection.hpp"

namespace kahuna::node {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds patience{1000};

class socket_guard {
 public:
  explicit socket_guard(int descriptor) : descriptor_(descriptor) {}
  ~socket_guard() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  socket_guard(const socket_guard&) = delete;
  socket_guard& operator=(const socket_guard&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

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

// The first frame that the member answers with, if it is a final refusal.
std::optional<std::string> ask(const std::string& address, const messages::hello& hello) {
  const auto target = messages::parse_endpoint(address);
  if (!target) return std::nullopt;
  const auto deadline = clock::now() + patience;
  const socket_guard connection(connect_to(*target, deadline));
  if (connection.get() < 0) return std::nullopt;
  std::string out;
  messages::append_frame(out, messages::frame_kind::hello, hello);
  if (::send(connection.get(), out.data(), out.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(out.size())) return std::nullopt;

  messages::frame_reader reader(messages::frame_bytes_max(0));
  char bytes[4096];
  while (wait_for(connection.get(), POLLIN, deadline)) {
    const auto count = ::recv(connection.get(), bytes, sizeof bytes, 0);
    if (count <= 0) return std::nullopt;
    reader.feed(bytes, static_cast<std::size_t>(count));
    const auto frame = reader.next();
    if (!frame && !reader.failure()) continue;
    if (!frame || frame->kind != messages::frame_kind::refusal) return std::nullopt;
    const auto said = messages::decode<messages::refusal>(frame->body);
    if (said && said->is_final) return said->reason.message;
    return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> ask_members_for_refusal(const routing::partition_map& map, node_id self, std::uint64_t incarnation,
                                                   std::uint32_t election_timeout_ms) {
  messages::hello hello;
  hello.role = messages::connection_role::node;
  hello.cluster_id = map.cluster_id;
  hello.node = self;
  hello.incarnation = incarnation;
  hello.election_timeout_ms = election_timeout_ms;
  hello.is_probe = true;
  for (const auto& member : map.members) {
    if (member.id == self) continue;
    if (auto refusal = ask(member.address, hello)) return member.name + " at " + member.address + " says: " + *refusal;
  }
  return std::nullopt;
}

}  // namespace kahuna::node
