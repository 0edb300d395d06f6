// `get` and `get … at`: contract §2.
#pragma once

#include "core/kv/operations/decision.hpp"

namespace kahuna::kv {

// The newest version's answer, judged at this Unix time in ms.
get_response evaluate(const get_request& request, const std::optional<version>& newest, std::uint64_t now_ms);

// The answer of `get … at`: a version of the history, found however the key ended.
get_response answer_from_history(const std::optional<version>& found);

}  // namespace kahuna::kv
