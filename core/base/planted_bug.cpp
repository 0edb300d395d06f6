#include "core/base/planted_bug.hpp"

#ifdef KAHUNA_PLANTED_BUGS

namespace kahuna {

namespace {

std::string planted;
bool is_reached = false;

}  // namespace

void plant_bug(std::string_view name) {
  planted = name;
  is_reached = false;
}

bool was_planted_bug_reached() { return is_reached; }

bool detail::is_planted(std::string_view name) {
  if (planted != name) return false;
  is_reached = true;
  return true;
}

}  // namespace kahuna

#endif
