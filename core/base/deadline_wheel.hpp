// Deadlines of many requests, driven by one periodic look at the time.
//
// A deadline is noticed at the first advance() that is not before it, rounded up to a slot. Whatever ended in time is
// not removed: the owner ignores tokens that it no longer knows, so that adding costs an append and ending costs nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/base/time.hpp"

namespace kahuna {

class deadline_wheel {
 public:
  static constexpr duration slot = std::chrono::milliseconds(20);
  static constexpr std::size_t slots = 4096;  // 81 s: more than any request may ask for

  explicit deadline_wheel(instant now) : next_(index_of(now)), wheel_(slots) {}

  // Deadlines beyond the wheel's span are noticed at its end.
  void add(std::uint64_t token, instant deadline) {
    const auto index = std::clamp(index_of(deadline) + 1, next_, next_ + slots - 1);
    wheel_[index % slots].push_back(token);
  }

  // Calls `expired(token)` for every token whose deadline has passed.
  template <class Expired>
  void advance(instant now, Expired expired) {
    const auto upto = index_of(now);
    // After a pause longer than the wheel one turn has seen every slot.
    const auto last = std::min(upto, next_ + slots - 1);
    for (; next_ <= last; ++next_) {
      std::vector<std::uint64_t> due;
      due.swap(wheel_[next_ % slots]);
      for (const auto token : due) expired(token);
    }
    next_ = std::max(next_, upto + 1);
  }

 private:
  static std::uint64_t index_of(instant t) { return static_cast<std::uint64_t>(t.time_since_epoch() / slot); }

  std::uint64_t next_;
  std::vector<std::vector<std::uint64_t>> wheel_;
};

}  // namespace kahuna
