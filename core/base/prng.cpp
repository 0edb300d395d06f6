#include "core/base/prng.hpp"

#include <bit>

#include "core/base/check.hpp"

namespace kahuna {

prng::prng(std::uint64_t seed) {
  for (auto& word : state_) {
    seed += 0x9e3779b97f4a7c15;
    auto z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    word = z ^ (z >> 31);
  }
}

std::uint64_t prng::next() {
  const auto result = std::rotl(state_[1] * 5, 7) * 9;
  const auto t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

std::uint64_t prng::below(std::uint64_t bound) {
  KAHUNA_CHECK(bound > 0);
  // Numbers under the threshold would make the low remainders more likely: draw again.
  const auto threshold = (0 - bound) % bound;
  for (;;) {
    const auto x = next();
    if (x >= threshold) return x % bound;
  }
}

std::uint64_t prng::between(std::uint64_t low, std::uint64_t high) {
  KAHUNA_CHECK(low <= high, low, high);
  const auto span = high - low;
  return span == UINT64_MAX ? next() : low + below(span + 1);
}

bool prng::chance(std::uint64_t numerator, std::uint64_t denominator) { return below(denominator) < numerator; }

}  // namespace kahuna
