// A number that stands for the answers which a transaction's client has heard so far, in their order.
//
// A first step that comes late may begin a transaction again at another leader, which then has not answered what the client has
// heard: the next step tells by this number. Where both are the same the answers were, and it makes no difference who gave them.
// FNV-1a over what serialize() names; the same in every process.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "core/kv/operation.hpp"

namespace kahuna::kv {

class answer_digest {
 public:
  using is_saving = std::true_type;
  using is_loading = std::false_type;

  explicit answer_digest(std::uint64_t before) : digest_(before) {}
  std::uint64_t value() const { return digest_; }

  template <class T>
  answer_digest& operator&(const T& x) {
    add(x);
    return *this;
  }

 private:
  void add_number(std::uint64_t number) {
    for (int byte = 0; byte < 8; ++byte) digest_ = (digest_ ^ (number >> (8 * byte) & 0xFF)) * 1099511628211ull;
  }
  void add_bytes(std::string_view bytes) {
    add_number(bytes.size());
    for (const char c : bytes) digest_ = (digest_ ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  }

  void add(const std::string& text) { add_bytes(text); }
  void add(const shared_bytes& bytes) { add_bytes(bytes.view()); }
  template <class T>
  void add(const std::vector<T>& all) {
    add_number(all.size());
    for (const auto& x : all) add(x);
  }
  template <class T>
  void add(const std::optional<T>& x) {
    add_number(x.has_value());
    if (x) add(*x);
  }
  template <class... Ts>
  void add(const std::variant<Ts...>& x) {
    add_number(x.index());
    std::visit([this](const auto& held) { add(held); }, x);
  }
  template <class T>
  void add(const T& x) {
    if constexpr (std::is_enum_v<T>)
      add_number(static_cast<std::uint64_t>(x));
    else if constexpr (std::is_integral_v<T>)
      add_number(static_cast<std::uint64_t>(x));
    else
      const_cast<T&>(x).serialize(*this, 0);  // which only reads, as is_saving says
  }

  std::uint64_t digest_;
};

// The digest once this answer was heard too; `before`: of those before it, 0 where it is the first.
inline std::uint64_t digest_of(std::uint64_t before, const operation_response& answer) {
  answer_digest digest(before + 14695981039346656037ull);
  digest& answer;
  return digest.value();
}

}  // namespace kahuna::kv
