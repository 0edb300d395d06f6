// `exists`: contract §2.
#pragma once

#include "core/kv/operations/decision.hpp"

namespace kahuna::kv {

exists_response evaluate(const exists_request& request, const std::optional<version>& newest, std::uint64_t now_ms);

}  // namespace kahuna::kv
