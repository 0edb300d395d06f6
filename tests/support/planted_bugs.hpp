// How a simulation is shown to find a planted bug (core/base/planted_bug.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace kahuna::testing {

struct planted_bug_verdict {
  std::uint64_t seeds = 0;   // that were run; the last one caught it, if any did
  bool is_reached = false;   // the simulation came upon it
  std::string violation;     // empty: it was not caught
};

// Runs so many seeds from `first` on with the bug until one says what is wrong, or breaks an invariant. An empty name: with none.
planted_bug_verdict hunt(const std::string& bug, std::uint64_t first, std::uint64_t seeds_max, const std::function<std::string(std::uint64_t seed)>& violation_of);

}  // namespace kahuna::testing
