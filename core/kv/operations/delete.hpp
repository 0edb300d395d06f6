// `delete`: contract §2.
#pragma once

#include "core/kv/operations/decision.hpp"

namespace kahuna::kv {

write_decision<delete_response> evaluate(const delete_request& request, const std::optional<version>& newest, timestamp stamp);

}  // namespace kahuna::kv
