// Waiting in tests of real processes: for a predicate, up to a deadline, never for a time that should be enough.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdlib>

namespace kahuna::testing {

using steady_clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

#ifdef __SANITIZE_ADDRESS__
inline constexpr bool is_sanitized = true;
#else
inline constexpr bool is_sanitized = false;
#endif

// Whether tests are to be as large as their requirements say, however long that takes.
inline bool is_full() { return std::getenv("KAHUNA_FULL") != nullptr; }

// A little rest between two looks at something that gives no signal of its own.
inline void pause_briefly(milliseconds time = milliseconds(5)) { ::poll(nullptr, 0, static_cast<int>(time.count())); }

// Whether `holds()` came true within `patience`. It is asked at least once, and again every few milliseconds.
template <class Predicate>
bool eventually(milliseconds patience, Predicate&& holds, milliseconds interval = milliseconds(5)) {
  const auto deadline = steady_clock::now() + patience;
  while (!holds()) {
    if (steady_clock::now() >= deadline) return false;
    pause_briefly(interval);
  }
  return true;
}

// Milliseconds between two instants, for what tests print.
inline double elapsed_ms(steady_clock::time_point from, steady_clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

}  // namespace kahuna::testing
