#define CAF_SUITE frame
#include "caf/test/unit_test.hpp"

#include "core/base/prng.hpp"
#include "messages/connection/frame.hpp"

using namespace kahuna;
using namespace kahuna::messages;

namespace {

std::string frame_of(const ping& body) {
  std::string bytes;
  append_frame(bytes, frame_kind::ping, body);
  return bytes;
}

std::string header(std::uint32_t length) {
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(length >> shift));
  return bytes;
}

}  // namespace

CAF_TEST(a frame is its length and kind and body) {
  const auto bytes = frame_of({5});
  CAF_CHECK_EQUAL(bytes, std::string("\x03\x00\x00\x00\x04\x00\x05", 7));
}

CAF_TEST(frames are found however their bytes arrive) {
  std::string bytes;
  for (std::uint64_t i = 0; i < 50; ++i) append_frame(bytes, i % 2 == 0 ? frame_kind::ping : frame_kind::pong, ping{i * 1000});
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    prng dice(seed);
    frame_reader reader(handshake_frame_bytes_max);
    std::uint64_t found = 0;
    for (std::size_t at = 0; at < bytes.size();) {
      const auto count = std::min<std::size_t>(seed == 0 ? 1 : dice.between(1, 40), bytes.size() - at);
      reader.feed(bytes.data() + at, count);
      at += count;
      while (const auto frame = reader.next()) {
        CAF_REQUIRE(frame->kind == (found % 2 == 0 ? frame_kind::ping : frame_kind::pong));
        CAF_REQUIRE_EQUAL(+decode<ping>(frame->body)->token, found * 1000);
        ++found;
      }
    }
    CAF_CHECK_EQUAL(found, 50u);
    CAF_CHECK(!reader.has_partial_frame());
    CAF_CHECK(!reader.failure());
  }
}

CAF_TEST(a length is refused when its header has come) {
  for (const std::uint32_t length : {0u, 1u << 31, 0xFFFFFFFFu, handshake_frame_bytes_max + 1}) {
    frame_reader reader(handshake_frame_bytes_max);
    const auto bytes = header(length);
    reader.feed(bytes.data(), bytes.size());
    CAF_CHECK(!reader.next());
    CAF_CHECK(reader.failure().has_value());
    // Nothing comes out any more.
    const auto good = frame_of({1});
    reader.feed(good.data(), good.size());
    CAF_CHECK(!reader.next());
  }
}

CAF_TEST(the bound can be raised and an unknown kind is refused) {
  frame_reader reader(100);
  reader.set_bound(1000);
  auto bytes = header(500) + static_cast<char>(frame_kind::ping) + std::string(499, 'x');
  reader.feed(bytes.data(), bytes.size());
  CAF_CHECK(reader.next().has_value());
  bytes = header(2) + std::string("\xfe\x00", 2);
  reader.feed(bytes.data(), bytes.size());
  CAF_CHECK(!reader.next());
  CAF_CHECK(reader.failure().has_value());
}

CAF_TEST(half a frame is noticed) {
  frame_reader reader(100);
  CAF_CHECK(!reader.has_partial_frame());
  const auto bytes = frame_of({1});
  reader.feed(bytes.data(), bytes.size() - 1);
  CAF_CHECK(!reader.next());
  CAF_CHECK(reader.has_partial_frame());
  reader.feed(bytes.data() + bytes.size() - 1, 1);
  CAF_CHECK(reader.next().has_value());
  CAF_CHECK(!reader.has_partial_frame());
}
