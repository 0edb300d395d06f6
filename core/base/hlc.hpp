// A hybrid logical clock: stamps that follow the wall clock where they can and causality always.
//
// Invariants: 1. every stamp given out is greater than every stamp given out or observed before;
//             2. the clock runs ahead of the physical clock only by what it observed or by its counter.
// Follows Kulkarni et al. 2014, with 48 bits of milliseconds and 16 of counter; a counter that is full carries into the
// milliseconds. Owned by whoever stamps; not thread safe.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/base/ids.hpp"

namespace kahuna {

class hlc {
 public:
  // The next stamp, given the wall clock's Unix time in milliseconds.
  timestamp tick(std::uint64_t physical_ms) {
    last_ = std::max(last_ + 1, timestamp_at(physical_ms));
    return last_;
  }

  // The next stamp without a look at the wall clock: for the second and later stamps of one batch.
  timestamp next() { return ++last_; }

  // Makes all later stamps greater than `received`.
  void observe(timestamp received) { last_ = std::max(last_, received); }

  timestamp last() const { return last_; }

 private:
  timestamp last_{};
};

}  // namespace kahuna
