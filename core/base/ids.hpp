// Strong types for the numbers of the system, so that a term is never taken for an index.
//
// Each is a thin wrapper of one integer: compared and ordered as that integer, printed as it, and serialized as it.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>

namespace kahuna {

template <class Tag, class Rep>
struct strong_integer {
  using rep = Rep;

  Rep value{};

  constexpr strong_integer() = default;
  constexpr explicit strong_integer(Rep v) : value(v) {}

  friend constexpr auto operator<=>(const strong_integer&, const strong_integer&) = default;

  constexpr strong_integer& operator++() {
    ++value;
    return *this;
  }
  friend constexpr strong_integer operator+(strong_integer a, Rep n) { return strong_integer{static_cast<Rep>(a.value + n)}; }
  friend constexpr strong_integer operator-(strong_integer a, Rep n) { return strong_integer{static_cast<Rep>(a.value - n)}; }
  friend constexpr Rep operator-(strong_integer a, strong_integer b) { return static_cast<Rep>(a.value - b.value); }

  friend std::ostream& operator<<(std::ostream& out, strong_integer x) { return out << +x.value; }

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& value;
  }
};

// A node's number within its cluster, 1 upward; 0 is no node. Names ("n1") are for people, numbers for protocols.
using node_id = strong_integer<struct node_id_tag, std::uint32_t>;
// A partition's number, 0 upward; 0 is the system partition.
using partition_id = strong_integer<struct partition_id_tag, std::uint32_t>;
// A Raft term; 0 is before the first election.
using term_id = strong_integer<struct term_tag, std::uint64_t>;
// A position in a Raft log, 1 upward; 0 is before the first entry.
using log_index = strong_integer<struct log_index_tag, std::uint64_t>;
// A hybrid logical clock's stamp: Unix milliseconds × 65,536 + counter (contract §1).
using timestamp = strong_integer<struct timestamp_tag, std::uint64_t>;

inline constexpr node_id no_node{};

// The Unix time in milliseconds that a stamp stands for.
constexpr std::uint64_t unix_ms(timestamp t) { return t.value >> 16; }
// The first stamp of a millisecond.
constexpr timestamp timestamp_at(std::uint64_t ms) { return timestamp{ms << 16}; }

}  // namespace kahuna

template <class Tag, class Rep>
struct std::hash<kahuna::strong_integer<Tag, Rep>> {
  std::size_t operator()(kahuna::strong_integer<Tag, Rep> x) const noexcept { return std::hash<Rep>{}(x.value); }
};
