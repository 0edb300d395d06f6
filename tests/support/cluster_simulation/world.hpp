// Virtual time, the dice, and what is on its way in a simulated cluster. One thread; everything that happens is an event here.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "core/base/prng.hpp"
#include "tests/support/cluster_simulation/options.hpp"

namespace kahuna::testing {

using event = std::function<void()>;

// Something that can't be was seen.
struct violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class world {
 public:
  explicit world(const cluster_options& o) : options(o), dice(o.seed) {}

  const cluster_options options;
  prng dice;
  bool is_faulty = true;

  // Microseconds since the beginning.
  std::int64_t now() const { return now_; }
  // Events of the same time happen in the order in which they were put in.
  void at(std::int64_t delay_us, event what);
  void run_until(std::int64_t until);

  bool percent(int p) { return p > 0 && dice.chance(static_cast<std::uint64_t>(p), 100); }
  std::int64_t draw(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(dice.below(static_cast<std::uint64_t>(high - low) + 1));
  }

  // What happens goes into a digest, by which two runs are compared.
  void note(std::uint64_t number) { digest_ = (digest_ ^ number) * 1099511628211ull; }
  void note(std::string_view text) {
    for (const auto c : text) note(static_cast<unsigned char>(c));
  }
  std::uint64_t digest() const { return digest_; }

 private:
  struct entry {
    std::int64_t at;
    std::uint64_t order;
    event what;
  };
  static bool is_later(const entry& a, const entry& b) { return a.at != b.at ? a.at > b.at : a.order > b.order; }

  std::int64_t now_ = 1'000'000;
  std::uint64_t last_order_ = 0;
  std::vector<entry> heap_;
  std::uint64_t digest_ = 14695981039346656037ull;
};

}  // namespace kahuna::testing
