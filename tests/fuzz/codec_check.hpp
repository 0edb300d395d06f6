// What holds for every type that the codec reads, whatever the bytes.
#pragma once

#include <string>
#include <string_view>

#include "core/base/check.hpp"
#include "messages/codec/portable_archive.hpp"
#include "tests/fuzz/allocation_meter.hpp"

namespace kahuna::fuzz {

// The factor: the items of a vector are larger than their shortest encodings, at most 28 times (a member as it was once written,
// of no name: 112 bytes for 4); a vector that grows by doubling allocates less than 4 times what it ends with, which makes 112;
// and a string or shared_bytes of one byte has up to 48 bytes of its own. The constant: room for 64 items is reserved as
// soon as so many bytes follow, on each of the two levels of vectors there are, and an error's message.
inline constexpr allocation_bound decoding_bound{144, 32 * 1024};

// Decodes; what comes out is encoded and read back the same, and not when its last byte is missing or one too many stands
// behind it.
template <class T>
result<T> checked_decode(std::string_view input) {
  auto decoded = read_within(decoding_bound, input.size(), [&] { return messages::decode<T>(input); });
  if (!decoded) {
    KAHUNA_CHECK(decoded.error().code == errc::data_corrupted && !decoded.error().message.empty());
    return decoded;
  }
  const auto encoded = messages::encode(*decoded);
  const auto again = messages::decode<T>(encoded);
  KAHUNA_CHECK(again.has_value() && messages::encode(*again) == encoded, encoded.size());
  KAHUNA_CHECK(!messages::decode<T>(std::string_view(encoded).substr(0, encoded.size() - 1)), encoded.size());
  KAHUNA_CHECK(!messages::decode<T>(encoded + '\0'), encoded.size());
  return decoded;
}

}  // namespace kahuna::fuzz
