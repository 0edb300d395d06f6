// KAHUNA_FAULT_POINT: a named place between two steps of a protocol at which a test may make the worst happen.
//
// Builds for developing and testing have them (CMake's configuration Debug); in a release nothing of it is left. Whoever sets a
// handler is called with the name of each point that is reached: a simulation, which then crashes the replica, or the node's
// program, which kills itself at the point that the environment names in KAHUNA_FAULT_POINT (docs/testing.md).
#pragma once

#ifdef KAHUNA_FAULT_POINTS

#include <functional>
#include <string_view>

namespace kahuna {

// Set before other threads run; called on whatever thread reaches a point. Nothing: none is told of.
void set_fault_handler(std::function<void(std::string_view point)> handler);

namespace detail {
void reach_fault_point(std::string_view point);
}

}  // namespace kahuna

#define KAHUNA_FAULT_POINT(name) ::kahuna::detail::reach_fault_point(name)

#else

#define KAHUNA_FAULT_POINT(name) static_cast<void>(0)

#endif
