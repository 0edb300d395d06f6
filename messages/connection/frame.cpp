#include "messages/connection/frame.hpp"

namespace kahuna::messages {

namespace {

bool is_known(std::uint8_t kind) {
  switch (static_cast<frame_kind>(kind)) {
    case frame_kind::hello:
    case frame_kind::welcome:
    case frame_kind::refusal:
    case frame_kind::ping:
    case frame_kind::pong:
    case frame_kind::client_requests:
    case frame_kind::client_replies:
    case frame_kind::leaders:
    case frame_kind::cluster_request:
    case frame_kind::cluster_reply:
    case frame_kind::transfer_leader:
    case frame_kind::membership_request:
    case frame_kind::membership_reply:
    case frame_kind::map_news:
    case frame_kind::peer_messages:
    case frame_kind::forwarded_requests:
    case frame_kind::forwarded_replies:
    case frame_kind::group_order:
    case frame_kind::group_report: return true;
  }
  return false;
}

}  // namespace

void frame_reader::feed(const char* bytes, std::size_t count) {
  if (failure_) return;
  if (taken_ > 0) {
    buffer_.erase(0, taken_);
    taken_ = 0;
    if (buffer_.capacity() > kept_capacity_bytes && buffer_.size() + count < kept_capacity_bytes) buffer_.shrink_to_fit();
  }
  buffer_.append(bytes, count);
}

std::optional<frame> frame_reader::next() {
  if (failure_) return std::nullopt;
  missing_bytes_ = 0;
  const auto rest = std::string_view(buffer_).substr(taken_);
  if (rest.size() < frame_header_bytes) return std::nullopt;
  std::uint32_t length = 0;
  for (std::size_t i = 0; i < frame_header_bytes; ++i)
    length |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(rest[i])) << (8 * i);
  if (length == 0 || length > bound_) {
    failure_ = error{errc::invalid_argument,
                     "a frame of " + std::to_string(length) + " bytes; 1 to " + std::to_string(bound_) + " are allowed here"};
    return std::nullopt;
  }
  if (rest.size() > frame_header_bytes && !is_known(static_cast<std::uint8_t>(rest[frame_header_bytes]))) {
    failure_ = error{errc::invalid_argument, "a frame of an unknown kind"};
    return std::nullopt;
  }
  if (rest.size() < frame_header_bytes + length) {
    missing_bytes_ = frame_header_bytes + length - rest.size();
    return std::nullopt;
  }
  taken_ += frame_header_bytes + length;
  return frame{static_cast<frame_kind>(rest[frame_header_bytes]), rest.substr(frame_header_bytes + 1, length - 1)};
}

}  // namespace kahuna::messages
