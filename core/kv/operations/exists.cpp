#include "core/kv/operations/exists.hpp"

namespace kahuna::kv {

exists_response evaluate(const exists_request&, const std::optional<version>& newest, std::uint64_t now_ms) {
  const auto* live = live_version(newest, now_ms);
  if (live == nullptr) return {};
  return {true, live->revision, live->expires_at_ms, live->modified};
}

}  // namespace kahuna::kv
