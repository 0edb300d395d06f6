// The hybrid logical clock of a node, shared by all its actors.
//
// The one piece of memory that actors of a node share: a stamp is needed for each batch of operations, and a message
// round trip for it would cost more than the operation. Lock-free; every stamp given out is unique and greater than all
// that were given out or observed before.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

#include "core/base/hlc.hpp"
#include "core/base/ids.hpp"

namespace kahuna::actors {

class node_clock {
 public:
  // Unix time in milliseconds; handed in so that tests own time.
  using wall_clock = std::function<std::uint64_t()>;

  // Stamps received from others that are further ahead of the wall clock than this are refused.
  static constexpr std::uint64_t ahead_ms_max = 500;

  explicit node_clock(wall_clock wall) : wall_(std::move(wall)) {}

  timestamp now() {
    auto last = last_.load(std::memory_order_relaxed);
    for (;;) {
      hlc clock;
      clock.observe(timestamp{last});
      const auto next = clock.tick(wall_());
      if (last_.compare_exchange_weak(last, next.value, std::memory_order_acq_rel)) return next;
    }
  }

  // Our own stamps, e.g. those that a partition gave out or read from its log.
  void observe(timestamp stamp) {
    auto last = last_.load(std::memory_order_relaxed);
    while (last < stamp.value && !last_.compare_exchange_weak(last, stamp.value, std::memory_order_acq_rel)) {
    }
  }

  // A stamp from another process. False: too far ahead, and not taken.
  bool observe_remote(timestamp stamp) {
    if (unix_ms(stamp) > wall_() + ahead_ms_max) return false;
    observe(stamp);
    return true;
  }

 private:
  wall_clock wall_;
  std::atomic<std::uint64_t> last_{0};
};

// The Unix time in milliseconds of this machine.
inline std::uint64_t system_wall_ms() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

}  // namespace kahuna::actors
