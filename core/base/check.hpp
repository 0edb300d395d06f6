// KAHUNA_CHECK: our own state or our own caller broke a rule. On in every build.
//
// Never for what came from the network, the disk, a client or a configuration: that is an error value.
// A failed check calls the handler (by default: prints and aborts), which must not return. The node's handler takes the
// replica out of service by ending the process, since nothing that a broken invariant computed may be acknowledged.
#pragma once

#include <sstream>
#include <string>

namespace kahuna {

using check_handler = void (*)(const char* file, int line, const char* expression, const std::string& values);

// Replaces what happens on a failed check; for tests of the checks themselves, which throw from it.
void set_check_handler(check_handler handler);

[[noreturn]] void check_failed(const char* file, int line, const char* expression, const std::string& values);

namespace detail {
template <class... Ts>
std::string render_values(const Ts&... values) {
  std::ostringstream out;
  ((out << ' ' << values), ...);
  return out.str();
}
}  // namespace detail

}  // namespace kahuna

// KAHUNA_CHECK(condition, values to print…)
#define KAHUNA_CHECK(condition, ...)                                                                                      \
  do {                                                                                                                    \
    if (!(condition)) [[unlikely]]                                                                                        \
      ::kahuna::check_failed(__FILE__, __LINE__, #condition, ::kahuna::detail::render_values(__VA_ARGS__));               \
  } while (false)
