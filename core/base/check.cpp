#include "core/base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace kahuna {

namespace {

void print_and_abort(const char* file, int line, const char* expression, const std::string& values) {
  std::fprintf(stderr, "%s:%d: check failed: %s%s\n", file, line, expression, values.c_str());
  std::fflush(stderr);
  std::abort();
}

check_handler current_handler = print_and_abort;

}  // namespace

void set_check_handler(check_handler handler) { current_handler = handler != nullptr ? handler : print_and_abort; }

void check_failed(const char* file, int line, const char* expression, const std::string& values) {
  current_handler(file, line, expression, values);
  std::abort();
}

}  // namespace kahuna
