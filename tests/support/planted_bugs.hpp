// How a simulation is shown to find planted bugs (core/base/planted_bug.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace kahuna::testing {

// What is wrong in the run of a seed, in words; empty where nothing is. A failed check counts as well.
using seed_runner = std::function<std::string(std::uint64_t seed)>;

// Runs seeds from 1 on with the bug until one finds something wrong, at most `seeds_max`, and fails the test where none does, or where
// the bug was never come upon. KAHUNA_SIM_SEEDS=N tries N seeds instead; with KAHUNA_PLANTED_BUG=NAME others than that are left out.
void expect_caught(const std::string& bug, std::uint64_t seeds_max, const seed_runner& violation_of);

}  // namespace kahuna::testing
