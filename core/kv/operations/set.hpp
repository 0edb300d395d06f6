// `set`, plain and conditional (nx, xx, cmp, cmprev): contract §2.
#pragma once

#include "core/kv/operations/decision.hpp"

namespace kahuna::kv {

// `newest` is the newest version of the key, which may be a tombstone or expired. Requires a validated request.
write_decision<set_response> evaluate(const set_request& request, const std::optional<version>& newest, timestamp stamp);

}  // namespace kahuna::kv
