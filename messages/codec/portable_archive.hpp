// The one codec for wire and disk: a small portable archive that drives Boost.Serialization's serialize() members.
//
// Format, by type:
//   bool, 8-bit        one byte; a bool is 0 or 1
//   unsigned integer   varint: 7 bits a byte, low first, the high bit says that more follow
//   signed integer     zigzag, then varint
//   enum               its underlying integer; values that are not declared valid (enum_maximum) are refused
//   string, bytes      length as varint, then the bytes
//   vector             count as varint, then the elements
//   optional           0, or 1 and the value
//   variant            index as one byte, then the value
//   strong_integer     as its integer
//   any other class    its class version (BOOST_CLASS_VERSION, 0 where none is stated) as varint, then what serialize() names
//
// Safe on hostile bytes: every length is checked against the bytes that are there before anything is allocated, the
// input never throws, and after the first error everything that is loaded is empty. A class version that is newer than
// ours is an error; an older one is handed to serialize(), which then leaves out what that version did not have.
#pragma once

#include <boost/serialization/version.hpp>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/errc.hpp"
#include "core/base/ids.hpp"
#include "core/base/shared_bytes.hpp"
#include "messages/codec/class_versions.hpp"
#include "messages/codec/enum_maximum.hpp"

namespace kahuna::messages {

namespace detail {

template <class T>
inline constexpr bool is_strong_integer = false;
template <class Tag, class Rep>
inline constexpr bool is_strong_integer<strong_integer<Tag, Rep>> = true;

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

template <class T>
inline constexpr bool is_variant = false;
template <class... Ts>
inline constexpr bool is_variant<std::variant<Ts...>> = true;

template <class T>
constexpr unsigned class_version() {
  return static_cast<unsigned>(boost::serialization::version<T>::value);
}

}  // namespace detail

// Appends to a contiguous container of bytes (std::string, std::vector<char>), so that a frame can be encoded straight
// into a connection's buffer.
template <class Buffer>
class portable_output {
 public:
  using is_saving = std::true_type;
  using is_loading = std::false_type;

  explicit portable_output(Buffer& out) : out_(out) {}

  template <class T>
  portable_output& operator&(const T& x) {
    save(x);
    return *this;
  }
  template <class T>
  portable_output& operator<<(const T& x) {
    return *this & x;
  }

 private:
  template <class T>
  void save(const T& x) {
    if constexpr (std::is_same_v<T, bool>) {
      put_byte(x ? 1 : 0);
    } else if constexpr (std::is_enum_v<T>) {
      save(static_cast<std::underlying_type_t<T>>(x));
    } else if constexpr (std::is_integral_v<T> && sizeof(T) == 1) {
      put_byte(static_cast<std::uint8_t>(x));
    } else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
      const auto wide = static_cast<std::int64_t>(x);
      put_varint((static_cast<std::uint64_t>(wide) << 1) ^ static_cast<std::uint64_t>(wide >> 63));
    } else if constexpr (std::is_integral_v<T>) {
      put_varint(x);
    } else if constexpr (std::is_same_v<T, std::string>) {
      put_bytes(x);
    } else if constexpr (std::is_same_v<T, shared_bytes>) {
      put_bytes(x.view());
    } else if constexpr (detail::is_strong_integer<T>) {
      save(x.value);
    } else if constexpr (detail::is_vector<T>) {
      put_varint(x.size());
      for (const auto& element : x) save(element);
    } else if constexpr (detail::is_optional<T>) {
      put_byte(x ? 1 : 0);
      if (x) save(*x);
    } else if constexpr (detail::is_variant<T>) {
      static_assert(std::variant_size_v<T> < 256);
      put_byte(static_cast<std::uint8_t>(x.index()));
      std::visit([this](const auto& alternative) { this->save(alternative); }, x);
    } else {
      constexpr auto version = detail::class_version<T>();
      put_varint(version);
      // Boost's convention: one serialize() for both ways, so it is not const; saving does not change the object.
      const_cast<T&>(x).serialize(*this, version);
    }
  }

  void put_byte(std::uint8_t byte) { out_.push_back(static_cast<char>(byte)); }

  void put_varint(std::uint64_t n) {
    char bytes[10];
    std::size_t count = 0;
    while (n >= 0x80) {
      bytes[count++] = static_cast<char>(n | 0x80);
      n >>= 7;
    }
    bytes[count++] = static_cast<char>(n);
    out_.insert(out_.end(), bytes, bytes + count);
  }

  void put_bytes(std::string_view bytes) {
    put_varint(bytes.size());
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }

  Buffer& out_;
};

class portable_input {
 public:
  using is_saving = std::false_type;
  using is_loading = std::true_type;

  explicit portable_input(std::string_view bytes) : rest_(bytes) {}

  template <class T>
  portable_input& operator&(T& x) {
    load(x);
    return *this;
  }
  template <class T>
  portable_input& operator>>(T& x) {
    return *this & x;
  }

  // What is wrong with the bytes, nullptr so far nothing.
  const char* failure() const { return failure_; }
  std::string_view rest() const { return rest_; }

 private:
  template <class T>
  void load(T& x) {
    if constexpr (std::is_same_v<T, bool>) {
      const auto byte = take_byte();
      if (byte > 1) fail("a truth value is neither 0 nor 1");
      x = byte == 1;
    } else if constexpr (std::is_enum_v<T>) {
      std::underlying_type_t<T> number{};
      load(number);
      if (static_cast<std::uint64_t>(number) < enum_minimum(T{}) || static_cast<std::uint64_t>(number) > enum_maximum(T{})) {
        fail("an enumerator is unknown");
        number = static_cast<std::underlying_type_t<T>>(enum_minimum(T{}));
      }
      x = static_cast<T>(number);
    } else if constexpr (std::is_integral_v<T> && sizeof(T) == 1) {
      x = static_cast<T>(take_byte());
    } else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
      const auto zigzag = take_varint();
      const auto wide = static_cast<std::int64_t>((zigzag >> 1) ^ (0 - (zigzag & 1)));
      x = narrow<T>(wide);
    } else if constexpr (std::is_integral_v<T>) {
      x = narrow<T>(take_varint());
    } else if constexpr (std::is_same_v<T, std::string>) {
      x.assign(take_bytes());
    } else if constexpr (std::is_same_v<T, shared_bytes>) {
      x = shared_bytes(std::string(take_bytes()));
    } else if constexpr (detail::is_strong_integer<T>) {
      load(x.value);
    } else if constexpr (detail::is_vector<T>) {
      load_vector(x);
    } else if constexpr (detail::is_optional<T>) {
      bool has_value = false;
      load(has_value);
      x.reset();
      if (has_value) load(x.emplace());
    } else if constexpr (detail::is_variant<T>) {
      load_variant(x, std::make_index_sequence<std::variant_size_v<T>>());
    } else {
      constexpr auto known = detail::class_version<T>();
      const auto version = take_varint();
      if (version > known) fail("a record is of a newer version than this program knows");
      if (failure_ == nullptr) x.serialize(*this, static_cast<unsigned>(version));
    }
  }

  // Every element takes a byte or more, so a count above the bytes that are left is forged. Memory grows with what was
  // really read, not with the count.
  template <class T>
  void load_vector(std::vector<T>& x) {
    x.clear();
    const auto count = take_varint();
    if (count > rest_.size()) return fail("a count is greater than the bytes that follow");
    constexpr std::uint64_t reserved_max = 64;
    x.reserve(std::min(count, reserved_max));
    for (std::uint64_t i = 0; i < count && failure_ == nullptr; ++i) load(x.emplace_back());
    if (failure_ != nullptr) x.clear();
  }

  template <class Variant, std::size_t... Indexes>
  void load_variant(Variant& x, std::index_sequence<Indexes...>) {
    const auto index = take_byte();
    if (index >= sizeof...(Indexes)) return fail("a variant's index is unknown");
    static_cast<void>(((index == Indexes ? (load(x.template emplace<Indexes>()), true) : false) || ...));
  }

  template <class T, class Wide>
  T narrow(Wide wide) {
    const auto x = static_cast<T>(wide);
    if (static_cast<Wide>(x) == wide) return x;
    fail("a number does not fit its field");
    return T{};
  }

  void fail(const char* reason) {
    if (failure_ == nullptr) failure_ = reason;
    rest_ = {};
  }

  std::uint8_t take_byte() {
    if (rest_.empty()) {
      fail("the record ends too early");
      return 0;
    }
    const auto byte = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }

  std::uint64_t take_varint() {
    std::uint64_t n = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = take_byte();
      // The tenth byte has room for the one bit that is left.
      if (shift == 63 && byte > 1) break;
      n |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return failure_ == nullptr ? n : 0;
    }
    fail("a number is longer than 64 bits");
    return 0;
  }

  std::string_view take_bytes() {
    const auto length = take_varint();
    if (length > rest_.size()) {
      fail("a length is greater than the bytes that follow");
      return {};
    }
    const auto bytes = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return bytes;
  }

  std::string_view rest_;
  const char* failure_ = nullptr;
};

// Appends the encoding of `x`.
template <class Buffer, class T>
void encode_to(Buffer& out, const T& x) {
  portable_output<Buffer>(out) & x;
}

template <class T>
std::string encode(const T& x) {
  std::string out;
  encode_to(out, x);
  return out;
}

// The object that the bytes hold, all of them. Error: data_corrupted, with what is wrong.
template <class T>
result<T> decode(std::string_view bytes) {
  portable_input in(bytes);
  T x{};
  in & x;
  if (in.failure() != nullptr) return error{errc::data_corrupted, in.failure()};
  if (!in.rest().empty()) return error{errc::data_corrupted, "bytes are left over behind the record"};
  return x;
}

}  // namespace kahuna::messages
