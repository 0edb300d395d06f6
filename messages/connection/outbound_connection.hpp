// The dialing side of a connection to a node, inside the broker that owns it: dials without ever blocking, says hello,
// keeps the connection alive, and dials again by itself, for as long as it is not stopped.
//
// A part of a broker, on the multiplexer's thread: the broker hands it the messages named below and a tick now and then.
//   idle → resolving → connecting → greeting → open, and from any of them, after a pause, to resolving again.
// Bounds: connecting and greeting in time; silence (we ping within it); bytes that the other side does not take.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <caf/all.hpp>
#include <caf/io/all.hpp>

#include "core/base/errc.hpp"
#include "core/base/backoff.hpp"
#include "core/base/prng.hpp"
#include "core/base/time.hpp"
#include "messages/connection/frame.hpp"
#include "messages/connection/frame_writer.hpp"

namespace kahuna::messages {

// HOST:PORT, as members and endpoints are written; an IPv6 address stands in brackets.
struct endpoint {
  std::string host;
  std::string port;
};
result<endpoint> parse_endpoint(const std::string& text);

// A name was looked up, on a thread of its own; to the broker that owns the connection.
struct endpoint_resolved {
  std::uint64_t connection = 0;  // outbound_connection's number
  std::uint64_t attempt = 0;
  std::vector<std::string> addresses;  // sockaddr bytes
  std::string failure;
};

// Time to look whether a connect has come through; from the broker to itself.
struct dial_check {
  std::uint64_t connection = 0;
  std::uint64_t attempt = 0;
};

struct outbound_settings {
  std::string address;  // HOST:PORT
  messages::hello hello;
  std::uint32_t frame_bytes_max = messages::frame_bytes_max(16u << 20);  // of frames that we take
  duration connect_timeout = std::chrono::seconds(1);  // from the first packet to the welcome
  duration retry_pause_min = std::chrono::milliseconds(20);
  duration retry_pause_max = std::chrono::milliseconds(500);
  duration ping_interval = std::chrono::milliseconds(500);
  duration silence_timeout = std::chrono::milliseconds(2000);
  std::size_t unsent_bytes_max = 64 << 20;
  std::uint64_t seed = 0;
};

// Why a connection ended, or did not come about.
struct connection_loss {
  error reason;
  bool is_final = false;  // the other side will never take us: no more dialing
};

struct outbound_events {
  std::function<void(const welcome&)> opened;
  // Why the connection is to be closed, or nothing. Pings and pongs don't come here.
  std::function<std::optional<std::string>(frame_kind, std::string_view body)> frame_came;
  // Also after a failed attempt to connect.
  std::function<void(const connection_loss&)> lost;
};

class outbound_connection {
 public:
  // `number` is unique among the connections of the broker, which must outlive this.
  outbound_connection(caf::io::broker* owner, std::uint64_t number, outbound_settings settings, outbound_events events);
  ~outbound_connection();
  outbound_connection(const outbound_connection&) = delete;
  outbound_connection& operator=(const outbound_connection&) = delete;

  // Begins, and goes on for ever. No-op where it has begun.
  void start();
  // Ends for good; tells nobody.
  void stop();
  // Comes now and then, at least every quarter of a second: pings, patience, pauses.
  void tick();

  bool is_open() const { return phase_ == phase::open; }
  // Whether more may be written: the other side takes what it is sent.
  bool has_room() const { return is_open() && writer_.unsent_bytes() < settings_.unsent_bytes_max; }
  std::size_t unsent_bytes() const { return writer_.unsent_bytes(); }
  const outbound_settings& settings() const { return settings_; }

  // Requires is_open(). Several frames may be sent before one flush.
  template <class Body>
  void send(frame_kind kind, const Body& body) {
    writer_.append(kind, body);
  }
  void flush() { writer_.flush(*owner_, handle_); }

  // The broker's messages; each false where it is not this connection's.
  bool take(const endpoint_resolved& resolved);
  bool take(const dial_check& check);
  bool take(const caf::io::new_data_msg& message);
  bool take(const caf::io::connection_closed_msg& message);
  bool take(const caf::io::data_transferred_msg& message);

 private:
  enum class phase : std::uint8_t { idle, resolving, connecting, greeting, open, pausing, stopped };

  instant now() const;
  void dial();
  void try_next_address();
  void look_whether_connected();
  void greet();
  std::optional<std::string> take_frame(const frame& received);
  void lose(error reason, bool is_final);
  void drop_socket();

  caf::io::broker* owner_;
  const std::uint64_t number_;
  outbound_settings settings_;
  outbound_events events_;
  prng dice_;

  phase phase_ = phase::idle;
  std::uint64_t attempt_ = 0;
  instant deadline_{};     // of connecting and greeting; the end of a pause
  backoff pauses_;  // between two dials
  int socket_ = -1;        // while connecting
  std::vector<std::string> addresses_;  // still to be tried
  std::string last_failure_;
  caf::io::connection_handle handle_;
  frame_reader reader_;
  frame_writer writer_;
  instant heard_at_{};
  instant pinged_at_{};
};

}  // namespace kahuna::messages

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::messages::endpoint_resolved)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::messages::dial_check)
