#include "tests/support/planted_bugs.hpp"

#include "caf/test/unit_test.hpp"

#include <cstdlib>
#include <stdexcept>

#include "core/base/check.hpp"
#include "core/base/planted_bug.hpp"

namespace kahuna::testing {

namespace {

void throw_failure(const char* file, int line, const char* expression, const std::string& values) {
  throw std::runtime_error(std::string(file) + ':' + std::to_string(line) + " !(" + expression + ')' + values);
}

}  // namespace

void expect_caught(const std::string& bug, std::uint64_t seeds_max, const seed_runner& violation_of) {
  if (const char* only = std::getenv("KAHUNA_PLANTED_BUG"); only != nullptr && bug != only) return;
  if (const char* text = std::getenv("KAHUNA_SIM_SEEDS")) seeds_max = std::strtoull(text, nullptr, 10);
  set_check_handler(throw_failure);
  plant_bug(bug);
  std::string wrong;
  std::uint64_t seed = 0;
  bool is_reached = false;
  while (wrong.empty() && seed < seeds_max) {
    try {
      wrong = violation_of(++seed);
    } catch (const std::exception& failure) {
      wrong = failure.what();
    }
    is_reached = is_reached || was_planted_bug_reached();
  }
  plant_bug("");
  CAF_CHECK(is_reached);
  if (wrong.empty())
    CAF_ERROR(bug << ": not caught by " << seeds_max << " seeds" << (is_reached ? "" : ", and never come upon"));
  else
    CAF_MESSAGE(bug << ": caught by seed " << seed << ": " << wrong.substr(0, 200));
}

}  // namespace kahuna::testing
