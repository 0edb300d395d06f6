// The entry of every fuzz program: compiled once for each target, whose name is KAHUNA_FUZZ_TARGET.
#include <cstddef>
#include <cstdint>

#include "core/base/check.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

kahuna::fuzz::fuzz_target chosen_target() {
  for (const auto& target : kahuna::fuzz::all_targets())
    if (target.name == KAHUNA_FUZZ_TARGET) return target;
  kahuna::check_failed(__FILE__, __LINE__, "no such target", KAHUNA_FUZZ_TARGET);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto target = chosen_target();
  target.run({reinterpret_cast<const char*>(data), size});
  return 0;
}
