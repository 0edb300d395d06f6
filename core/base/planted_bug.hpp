// KAHUNA_PLANTED: a defect on purpose, at the place where it would be made, that a test build can switch on to prove that the
// simulations catch it. In every other build it is `false`, and nothing of it is left in the program.
//
//   if (!is_up_to_date(last) && !KAHUNA_PLANTED("raft.vote_for_a_stale_log")) return refuse();
//
// A name is `part.what_goes_wrong`. The libraries with these defects in them are kahuna_planted_*, and linked by the programs of
// tests/sim alone; what each defect is, and how soon it is found, stands in docs/testing.md.
#pragma once

#ifdef KAHUNA_PLANTED_BUGS

#include <string>
#include <string_view>

namespace kahuna {

// Switches on the one with this name alone; an empty name: none. Not thread-safe: a simulation has one thread.
void plant_bug(std::string_view name);

// Whether the one that is on was come upon since it was switched on. One that never is has a name that nothing in the code has, or
// stands where the simulation never goes.
bool was_planted_bug_reached();

namespace detail {
bool is_planted(std::string_view name);
}

}  // namespace kahuna

#define KAHUNA_PLANTED(name) ::kahuna::detail::is_planted(name)

#else

#define KAHUNA_PLANTED(name) false

#endif
