// How long to wait before trying again: longer from try to try, and never the same for two who failed together.
//
// Full jitter: each pause is drawn anew between the shortest one and a bound that doubles up to the longest. So what
// thousands of clients lost at the same moment they ask for again spread over that bound.
#pragma once

#include <algorithm>

#include "core/base/prng.hpp"
#include "core/base/time.hpp"

namespace kahuna {

class backoff {
 public:
  // Requires 0 < min <= max.
  backoff(duration min, duration max) : min_(min), max_(max), bound_(2 * min) {}

  // The next pause, within [min, max].
  duration next(prng& dice) {
    const auto bound = std::min(bound_, max_);
    bound_ = std::min(2 * bound_, max_);
    return duration(static_cast<duration::rep>(
        dice.between(static_cast<std::uint64_t>(min_.count()), static_cast<std::uint64_t>(bound.count()))));
  }

  // It worked: the next pause is a short one again.
  void reset() { bound_ = 2 * min_; }

 private:
  duration min_;
  duration max_;
  duration bound_;
};

}  // namespace kahuna
