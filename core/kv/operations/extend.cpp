#include "core/kv/operations/extend.hpp"

namespace kahuna::kv {

write_decision<extend_response> evaluate(const extend_request& request, const std::optional<version>& newest, timestamp stamp) {
  const auto* live = live_version(newest, unix_ms(stamp));
  if (live == nullptr) return {};

  // The same version with another expiry: `created` stays, so that a read view goes on seeing it.
  version extended = *live;
  extended.modified = stamp;
  extended.expires_at_ms = expiry_from(request.expires_ms, stamp);
  return {{true, extended.revision, stamp}, std::move(extended)};
}

}  // namespace kahuna::kv
