#include "core/kv/operations/delete.hpp"

namespace kahuna::kv {

write_decision<delete_response> evaluate(const delete_request&, const std::optional<version>& newest, timestamp stamp) {
  const auto* live = live_version(newest, unix_ms(stamp));
  if (live == nullptr) return {};

  // The tombstone has the revision of what it deletes and stands before it, so that deleting does not move the revision.
  version tombstone;
  tombstone.revision = live->revision;
  tombstone.is_tombstone = true;
  tombstone.created = tombstone.modified = stamp;
  return {{true, live->revision, stamp}, std::move(tombstone)};
}

}  // namespace kahuna::kv
