// A small seeded generator (xoshiro256** of Blackman and Vigna, public domain, seeded through splitmix64).
//
// The standard library's engines and distributions differ between implementations; this one gives the same numbers
// everywhere, so that a seed replays. Not for secrets.
#pragma once

#include <array>
#include <cstdint>

namespace kahuna {

class prng {
 public:
  explicit prng(std::uint64_t seed);

  // Uniform over all 64-bit numbers.
  std::uint64_t next();

  // Uniform over [0, bound); requires bound > 0.
  std::uint64_t below(std::uint64_t bound);

  // Uniform over [low, high]; requires low <= high.
  std::uint64_t between(std::uint64_t low, std::uint64_t high);

  // True in `numerator` of `denominator` cases.
  bool chance(std::uint64_t numerator, std::uint64_t denominator);

 private:
  std::array<std::uint64_t, 4> state_;
};

}  // namespace kahuna
