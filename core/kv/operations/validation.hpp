// Checks of a request on its own, before it touches any key. Every error is `invalid_argument` and says which part is wrong.
#pragma once

#include <optional>
#include <string_view>

#include "core/base/errc.hpp"
#include "core/kv/operation.hpp"

namespace kahuna::kv {

inline constexpr std::size_t key_bytes_max = 4096;
inline constexpr std::int64_t expires_ms_max = 3'155'760'000'000;  // 100 years
// What the operations of one step may have together, above two values: it fits into a frame.
inline constexpr std::size_t step_bytes_above_values = 2 << 20;

struct limits {
  std::size_t value_bytes_max = 1 << 20;
};

// `what` names the argument in the message: "key", "bucket", "prefix".
std::optional<error> validate_name(std::string_view name, std::string_view what);

std::optional<error> validate(const operation& op, const limits& bounds);

}  // namespace kahuna::kv
