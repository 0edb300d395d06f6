// Frames: how the bytes of a connection are cut into messages. Pure; whoever owns the connection feeds it.
//
//   frame := length:u32 little-endian (of kind and body: 1 … bound)  kind:u8  body
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/errc.hpp"
#include "messages/codec/portable_archive.hpp"
#include "messages/protocol.hpp"

namespace kahuna::messages {

// What is read of a connection at a time. CAF clears a buffer of this size for every read, however few bytes come; so more only while
// a large frame is under way.
inline constexpr std::size_t read_bytes_max = 16 * 1024;
inline constexpr std::size_t large_read_bytes_max = 256 * 1024;

struct frame {
  frame_kind kind;
  std::string_view body;  // good until the reader is fed or asked again
};

// Cuts received bytes into frames. A length is checked before a byte of its frame is waited for, and memory grows only
// with bytes that were received; after a large frame it is given back.
class frame_reader {
 public:
  explicit frame_reader(std::uint32_t bound) : bound_(bound) {}

  // For the frames that follow: a handshake's are smaller than a connection's.
  void set_bound(std::uint32_t bound) { bound_ = bound; }

  void feed(const char* bytes, std::size_t count);

  // The next whole frame; nothing where more bytes are needed or the input is malformed (failure()).
  std::optional<frame> next();

  // Why nothing more will come out: a forged length or an unknown kind. The connection is to be closed.
  const std::optional<error>& failure() const { return failure_; }

  bool has_partial_frame() const { return taken_ < buffer_.size(); }

  // How much is to be read at a time from now on, where that has changed since it was asked last; it begins with read_bytes_max. To be asked
  // when nothing more can be taken of what there is.
  std::optional<std::size_t> take_read_size() {
    const auto wanted = missing_bytes_ > 4 * read_bytes_max ? large_read_bytes_max : read_bytes_max;
    if (std::exchange(read_size_, wanted) == wanted) return std::nullopt;
    return wanted;
  }

 private:
  static constexpr std::size_t kept_capacity_bytes = 256 * 1024;

  std::uint32_t bound_;
  std::string buffer_;
  std::size_t taken_ = 0;          // bytes of buffer_ that were given out as frames
  std::size_t missing_bytes_ = 0;  // of the frame that is under way
  std::size_t read_size_ = read_bytes_max;
  std::optional<error> failure_;
};

// Appends a frame to a connection's buffer, encoding straight into it.
template <class Buffer, class Body>
void append_frame(Buffer& out, frame_kind kind, const Body& body) {
  const auto start = out.size();
  out.resize(start + frame_header_bytes);
  out.push_back(static_cast<char>(kind));
  encode_to(out, body);
  const auto length = static_cast<std::uint32_t>(out.size() - start - frame_header_bytes);
  for (std::size_t i = 0; i < frame_header_bytes; ++i) out[start + i] = static_cast<char>(length >> (8 * i));
}

}  // namespace kahuna::messages
