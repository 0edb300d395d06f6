#include "tests/support/planted_bugs.hpp"

#include <stdexcept>

#include "core/base/check.hpp"
#include "core/base/planted_bug.hpp"

namespace kahuna::testing {

namespace {

void throw_failure(const char* file, int line, const char* expression, const std::string&) {
  throw std::runtime_error(std::string(file) + ':' + std::to_string(line) + " !(" + expression + ')');
}

}  // namespace

planted_bug_verdict hunt(const std::string& bug, std::uint64_t first, std::uint64_t seeds_max, const std::function<std::string(std::uint64_t seed)>& violation_of) {
  set_check_handler(throw_failure);
  plant_bug(bug);
  planted_bug_verdict verdict;
  while (verdict.violation.empty() && verdict.seeds < seeds_max) {
    try {
      verdict.violation = violation_of(first + verdict.seeds++);
    } catch (const std::exception& failure) {
      verdict.violation = failure.what();
    }
    verdict.is_reached = verdict.is_reached || was_planted_bug_reached();
  }
  plant_bug("");
  return verdict;
}

}  // namespace kahuna::testing
