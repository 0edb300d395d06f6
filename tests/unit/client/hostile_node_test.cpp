// The client library against something on loopback that speaks the protocol and lies.
#define CAF_SUITE hostile_node
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "client/client.hpp"
#include "messages/connection/frame.hpp"

using namespace kahuna;

namespace {

// Welcomes whoever dials with the same bytes, and waits until they hang up.
class lying_node {
 public:
  explicit lying_node(const messages::welcome& said) : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    messages::append_frame(greeting_, messages::frame_kind::welcome, said);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* name = reinterpret_cast<sockaddr*>(&address);
    CAF_REQUIRE(::bind(listener_, name, length) == 0 && ::listen(listener_, 8) == 0 &&
                ::getsockname(listener_, name, &length) == 0);
    endpoint_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }

  ~lying_node() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }

  const std::string& endpoint() const { return endpoint_; }

 private:
  void serve() {
    for (int connection; (connection = ::accept(listener_, nullptr, nullptr)) >= 0; ::close(connection)) {
      static_cast<void>(::send(connection, greeting_.data(), greeting_.size(), MSG_NOSIGNAL) + 0);
      char bytes[4096];
      while (::recv(connection, bytes, sizeof bytes, 0) > 0) {
      }
    }
  }

  int listener_;
  std::string greeting_;
  std::string endpoint_;
  std::thread thread_;
};

messages::welcome welcome_of(std::uint32_t partitions) {
  auto map = routing::form_cluster({{"n1", "127.0.0.1:1"}}, std::min(partitions, routing::partitions_max), 1);
  map.partitions = partitions;
  return {1, node_id{1}, 5, timestamp_at(1'700'000'000'000), std::move(map), 1 << 20, 1 << 22};
}

}  // namespace

CAF_TEST(a node with a partition map that is none is no node of a cluster) {
  for (const std::uint32_t partitions : {0u, routing::partitions_max + 1, ~0u}) {
    const lying_node node(welcome_of(partitions));
    const auto connected =
        client::client::connect({.endpoints = {node.endpoint()}, .connect_timeout = std::chrono::milliseconds(200)});
    CAF_REQUIRE(!connected.has_value());
    CAF_CHECK(connected.error().code == errc::unavailable);
    CAF_CHECK(connected.error().message.find("partition map") != std::string::npos);
  }
  const lying_node node(welcome_of(routing::partitions_max));
  CAF_CHECK(client::client::connect({.endpoints = {node.endpoint()}}).has_value());
}
