#include "messages/connection/outbound_connection.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/check.hpp"
#include "messages/connection/handshake.hpp"

namespace kahuna::messages {

namespace {

constexpr std::chrono::milliseconds dial_check_interval{2};

// The addresses behind a name. Blocks where the name is not a number.
endpoint_resolved resolve(const endpoint& target, bool is_numeric_only) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (is_numeric_only ? AI_NUMERICHOST : 0);
  addrinfo* found = nullptr;
  endpoint_resolved resolved;
  const int failure = ::getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &found);
  if (failure != 0) {
    resolved.failure = target.host + ": " + ::gai_strerror(failure);
    return resolved;
  }
  for (const auto* entry = found; entry != nullptr; entry = entry->ai_next)
    resolved.addresses.emplace_back(reinterpret_cast<const char*>(entry->ai_addr), entry->ai_addrlen);
  ::freeaddrinfo(found);
  return resolved;
}

}  // namespace

result<endpoint> parse_endpoint(const std::string& text) {
  const error wrong{errc::invalid_argument, "'" + text + "' is no HOST:PORT, e.g. 127.0.0.1:4870"};
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return wrong;
  endpoint parsed{text.substr(0, colon), text.substr(colon + 1)};
  if (parsed.host.front() == '[' && parsed.host.back() == ']') parsed.host = parsed.host.substr(1, parsed.host.size() - 2);
  else if (parsed.host.find(':') != std::string::npos) return wrong;
  if (parsed.host.empty() || parsed.port.empty() || parsed.port.size() > 5 ||
      parsed.port.find_first_not_of("0123456789") != std::string::npos)
    return wrong;
  const auto number = std::stoul(parsed.port);
  if (number == 0 || number > 65535) return wrong;
  return parsed;
}

outbound_connection::outbound_connection(caf::io::broker* owner, std::uint64_t number, outbound_settings settings,
                                         outbound_events events)
    : owner_(owner), number_(number), settings_(std::move(settings)), events_(std::move(events)), dice_(settings_.seed + number),
      pauses_(settings_.retry_pause_min, settings_.retry_pause_max), reader_(handshake_frame_bytes_max) {}

outbound_connection::~outbound_connection() { drop_socket(); }

instant outbound_connection::now() const {
  return instant(std::chrono::duration_cast<duration>(owner_->clock().now().time_since_epoch()));
}

void outbound_connection::start() {
  if (phase_ == phase::idle) dial();
}

void outbound_connection::stop() {
  if (phase_ == phase::greeting || phase_ == phase::open) owner_->close(handle_);
  drop_socket();
  phase_ = phase::stopped;
}

void outbound_connection::drop_socket() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

// --- connecting ---------------------------------------------------------------------------------------------------

void outbound_connection::dial() {
  ++attempt_;
  phase_ = phase::resolving;
  deadline_ = now() + settings_.connect_timeout;
  last_failure_ = "no answer in time";
  const auto target = parse_endpoint(settings_.address);
  if (!target) return lose(target.error(), true);
  auto resolved = resolve(*target, true);
  if (resolved.failure.empty()) {
    resolved.connection = number_;
    resolved.attempt = attempt_;
    take(resolved);
    return;
  }
  // A name: looking it up may take long, so a thread of its own does. Its answer is ignored when it comes too late.
  auto receiver = caf::actor_cast<caf::actor>(owner_);
  owner_->home_system().spawn<caf::detached>(
      [target = *target, receiver, number = number_, attempt = attempt_](caf::event_based_actor*) {
        auto looked_up = resolve(target, false);
        looked_up.connection = number;
        looked_up.attempt = attempt;
        caf::anon_send(receiver, std::move(looked_up));
      });
}

bool outbound_connection::take(const endpoint_resolved& resolved) {
  if (resolved.connection != number_) return false;
  if (phase_ != phase::resolving || resolved.attempt != attempt_) return true;
  if (!resolved.failure.empty()) {
    lose({errc::unavailable, resolved.failure}, false);
    return true;
  }
  addresses_ = resolved.addresses;
  try_next_address();
  return true;
}

void outbound_connection::try_next_address() {
  while (!addresses_.empty()) {
    const auto address = addresses_.front();
    addresses_.erase(addresses_.begin());
    const auto* raw = reinterpret_cast<const sockaddr*>(address.data());
    socket_ = ::socket(raw->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ >= 0 && (::connect(socket_, raw, static_cast<socklen_t>(address.size())) == 0 || errno == EINPROGRESS)) {
      phase_ = phase::connecting;
      return look_whether_connected();
    }
    last_failure_ = std::strerror(errno);
    drop_socket();
  }
  lose({errc::unavailable, settings_.address + ": " + last_failure_}, false);
}

void outbound_connection::look_whether_connected() {
  pollfd waiting{socket_, POLLOUT, 0};
  if (::poll(&waiting, 1, 0) != 1) {
    owner_->delayed_send(owner_, dial_check_interval, dial_check{number_, attempt_});
    return;
  }
  int failure = 0;
  socklen_t length = sizeof failure;
  if (::getsockopt(socket_, SOL_SOCKET, SO_ERROR, &failure, &length) == 0 && failure == 0) return greet();
  last_failure_ = std::strerror(failure);
  drop_socket();
  try_next_address();
}

bool outbound_connection::take(const dial_check& check) {
  if (check.connection != number_) return false;
  if (phase_ == phase::connecting && check.attempt == attempt_) look_whether_connected();
  return true;
}

void outbound_connection::greet() {
  // What is not sent yet is to wait here, where what is small may pass what is large.
  const int unsent_max = 256 * 1024;
  static_cast<void>(::setsockopt(socket_, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_max, sizeof unsent_max));
  handle_ = owner_->add_scribe(std::exchange(socket_, -1));
  owner_->ack_writes(handle_, true);
  owner_->configure_read(handle_, caf::io::receive_policy::at_most(read_bytes_max));
  reader_ = frame_reader(settings_.frame_bytes_max);
  writer_ = frame_writer();
  phase_ = phase::greeting;
  send(frame_kind::hello, settings_.hello);
  flush();
}

// --- connected ----------------------------------------------------------------------------------------------------

bool outbound_connection::take(const caf::io::new_data_msg& message) {
  if (message.handle != handle_ || (phase_ != phase::greeting && phase_ != phase::open)) return false;
  const auto attempt = attempt_;
  heard_at_ = now();
  reader_.feed(message.buf.data(), message.buf.size());
  while (const auto received = reader_.next()) {
    const auto wrong = take_frame(*received);
    // The handler may have ended the connection.
    if (attempt != attempt_ || (phase_ != phase::greeting && phase_ != phase::open)) return true;
    if (wrong) {
      lose({errc::unavailable, settings_.address + ": " + *wrong}, false);
      return true;
    }
  }
  if (const auto& wrong = reader_.failure()) {
    lose({errc::unavailable, settings_.address + ": " + wrong->message}, false);
  } else if (const auto size = reader_.take_read_size()) {
    owner_->configure_read(handle_, caf::io::receive_policy::at_most(*size));
  }
  return true;
}

std::optional<std::string> outbound_connection::take_frame(const frame& received) {
  if (phase_ == phase::greeting) {
    if (received.kind == frame_kind::refusal) {
      const auto said = decode<refusal>(received.body);
      if (!said) return said.error().message;
      lose(said->reason, said->is_final);
      return std::nullopt;
    }
    if (received.kind != frame_kind::welcome) return "is no node of Kahuna";
    const auto said = decode<welcome>(received.body);
    if (!said) return said.error().message;
    if (auto wrong = check_welcome(*said)) return wrong;
    phase_ = phase::open;
    pauses_.reset();
    pinged_at_ = now();
    events_.opened(*said);
    return std::nullopt;
  }
  if (received.kind == frame_kind::pong) return std::nullopt;
  return events_.frame_came(received.kind, received.body);
}

bool outbound_connection::take(const caf::io::connection_closed_msg& message) {
  if (message.handle != handle_ || (phase_ != phase::greeting && phase_ != phase::open)) return false;
  const bool was_open = phase_ == phase::open;
  lose({errc::unavailable, settings_.address + (was_open ? ": the connection broke" : ": closed the connection")}, false);
  return true;
}

bool outbound_connection::take(const caf::io::data_transferred_msg& message) {
  if (message.handle != handle_) return false;
  writer_.transferred(message.written);
  return true;
}

void outbound_connection::tick() {
  const auto current = now();
  switch (phase_) {
    case phase::resolving:
    case phase::connecting:
    case phase::greeting:
      if (current >= deadline_) lose({errc::unavailable, settings_.address + ": " + last_failure_}, false);
      return;
    case phase::pausing:
      if (current >= deadline_) dial();
      return;
    case phase::open:
      if (current - heard_at_ > settings_.silence_timeout)
        return lose({errc::unavailable, settings_.address + ": the connection is silent"}, false);
      if (current - pinged_at_ < settings_.ping_interval) return;
      pinged_at_ = current;
      send(frame_kind::ping, ping{attempt_});
      return flush();
    case phase::idle:
    case phase::stopped:
      return;
  }
}

void outbound_connection::lose(error reason, bool is_final) {
  if (phase_ == phase::greeting || phase_ == phase::open) owner_->close(handle_);
  drop_socket();
  addresses_.clear();
  deadline_ = now() + pauses_.next(dice_);
  ++attempt_;
  phase_ = is_final ? phase::stopped : phase::pausing;
  events_.lost({std::move(reason), is_final});
}

}  // namespace kahuna::messages
