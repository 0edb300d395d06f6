// `extend`: contract §2.
#pragma once

#include "core/kv/operations/decision.hpp"

namespace kahuna::kv {

write_decision<extend_response> evaluate(const extend_request& request, const std::optional<version>& newest, timestamp stamp);

}  // namespace kahuna::kv
