// The time of a simulation: things to be done at moments, in order, in one thread. The same calls give the same order.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "core/base/time.hpp"

namespace kahuna::testing {

inline constexpr std::uint64_t simulated_wall_ms = 1'700'000'000'000;  // Unix time at which simulations begin

class virtual_time {
 public:
  std::int64_t now_us() const { return now_; }
  instant steady_now() const { return instant(duration(now_)); }
  std::uint64_t wall_now_ms() const { return simulated_wall_ms + static_cast<std::uint64_t>(now_ / 1000); }

  void at(std::int64_t delay_us, std::function<void()> what) { events_.emplace(std::pair(now_ + delay_us, ++order_), std::move(what)); }

  void run(std::chrono::milliseconds length) {
    const auto until = now_ + length.count() * 1000;
    while (!events_.empty() && events_.begin()->first.first <= until) {
      auto what = std::move(events_.begin()->second);
      now_ = events_.begin()->first.first;
      events_.erase(events_.begin());
      what();
    }
    now_ = until;
  }

 private:
  std::int64_t now_ = 1'000'000;
  std::uint64_t order_ = 0;
  std::map<std::pair<std::int64_t, std::uint64_t>, std::function<void()>> events_;  // by moment, then in the order in which they were given
};

}  // namespace kahuna::testing
