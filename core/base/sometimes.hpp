// KAHUNA_SOMETIMES: marks a rare case that the simulations must reach: one that never does is a simulation that proves less than
// it seems to.
//
//   if (is_conflicting) { KAHUNA_SOMETIMES("raft.conflicting_suffix_truncated"); … }
//
// Counted in the libraries with planted bugs (planted_bug.hpp), which the simulations link; nothing in every other build.
#pragma once

#ifdef KAHUNA_PLANTED_BUGS

#include <cstdint>
#include <map>
#include <string>

namespace kahuna {

// How often each mark was passed, since the process began; of those that were. Not thread-safe: a simulation has one thread.
const std::map<std::string, std::uint64_t>& cases_reached();

namespace detail {
std::uint64_t& count_of_case(const char* name);
}

}  // namespace kahuna

#define KAHUNA_SOMETIMES(name)                                          \
  do {                                                                  \
    static auto& times_reached = ::kahuna::detail::count_of_case(name); \
    ++times_reached;                                                    \
  } while (false)

#else

#define KAHUNA_SOMETIMES(name) static_cast<void>(0)

#endif
