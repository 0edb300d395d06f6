#include "core/kv/operations/set.hpp"

namespace kahuna::kv {

namespace {

bool conditions_hold(const set_request& request, const version* live) {
  if (request.if_absent && live != nullptr) return false;
  if (request.if_present && live == nullptr) return false;
  if (request.if_value && (live == nullptr || live->value != *request.if_value)) return false;
  if (request.if_revision && (live != nullptr ? live->revision : no_revision) != *request.if_revision) return false;
  return true;
}

}  // namespace

write_decision<set_response> evaluate(const set_request& request, const std::optional<version>& newest, timestamp stamp) {
  const auto* live = live_version(newest, unix_ms(stamp));
  if (!conditions_hold(request, live)) return {{false, live != nullptr ? live->revision : no_revision, {}}, std::nullopt};

  version next;
  // A key that was deleted or has expired goes on counting: its history stays readable.
  next.revision = newest ? newest->revision + 1 : 0;
  next.created = next.modified = stamp;
  next.expires_at_ms = expiry_from(request.expires_ms, stamp);
  next.value = request.value;
  return {{true, next.revision, stamp}, std::move(next)};
}

}  // namespace kahuna::kv
