// The defects that the simulation of whole clusters is tested with (core/base/planted_bug.hpp).
#pragma once

#include <cstdint>

namespace kahuna::testing {

struct planted_defect {
  const char* name;
  const char* what;
  std::uint64_t seeds_max;  // within which it must be found, from 1 on
};

inline constexpr planted_defect cluster_bugs[] = {
    {"disk.sync_error_ignored", "a node goes on after a failed sync of its log", 400},
};

}  // namespace kahuna::testing
