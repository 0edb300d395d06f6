// Takes an input apart into the choices of a target that does more than decode it: what has run out reads as zero.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kahuna::fuzz {

class byte_source {
 public:
  explicit byte_source(std::string_view bytes) : rest_(bytes) {}

  bool is_empty() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

  std::uint8_t take_byte() {
    const auto taken = take(1);
    return taken.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(taken.front());
  }

  // At most so many.
  std::string_view take(std::size_t count) {
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  // As many as the two bytes in front say, low one first.
  std::string_view take_block() {
    const auto low = take_byte();
    return take(low + 256u * take_byte());
  }

 private:
  std::string_view rest_;
};

// What take_block() takes; requires fewer than 65,536 bytes.
inline std::string block_of(std::string_view bytes) {
  std::string block{static_cast<char>(bytes.size()), static_cast<char>(bytes.size() >> 8)};
  return block.append(bytes);
}

}  // namespace kahuna::fuzz
