// Time as the cores see it: an input, never something that they read.
//
// `instant` is a point of the steady clock of one process, in microseconds since an epoch of that process; it has no
// meaning in another process. Whoever drives a core reads the clock and hands the instant in.
#pragma once

#include <chrono>
#include <cstdint>

namespace kahuna {

using duration = std::chrono::microseconds;

// Names the steady clock without being able to read it: there is deliberately no now().
struct steady_time {
  using duration = kahuna::duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<steady_time>;
  static constexpr bool is_steady = true;
};

using instant = steady_time::time_point;

}  // namespace kahuna
