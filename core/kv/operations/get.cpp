#include "core/kv/operations/get.hpp"

namespace kahuna::kv {

namespace {

get_response found_version(const version& v) { return {true, v.revision, v.value, v.expires_at_ms, v.modified}; }

}  // namespace

get_response evaluate(const get_request&, const std::optional<version>& newest, std::uint64_t now_ms) {
  const auto* live = live_version(newest, now_ms);
  return live != nullptr ? found_version(*live) : get_response{};
}

get_response answer_from_history(const std::optional<version>& found) { return found ? found_version(*found) : get_response{}; }

}  // namespace kahuna::kv
