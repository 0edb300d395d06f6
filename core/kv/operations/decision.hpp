// What evaluating a write against the newest version of its key comes to: the answer, and the effect where there is one.
//
// Evaluation is a pure function of the request, the newest version and the commit timestamp; contract §2 is its table.
#pragma once

#include <optional>

#include "core/kv/write_batch.hpp"

namespace kahuna::kv {

template <class Response>
struct write_decision {
  Response response;
  std::optional<version> effect;  // absent: nothing changes
};

// The newest version where a reader at this Unix time finds the key, else nullptr: never set, deleted and expired look
// the same to every condition.
inline const version* live_version(const std::optional<version>& newest, std::uint64_t now_ms) {
  return newest && newest->is_live(now_ms) ? &*newest : nullptr;
}

// The absolute expiry of a relative one; 0 stays "never".
inline std::uint64_t expiry_from(std::int64_t expires_ms, timestamp stamp) {
  return expires_ms == 0 ? 0 : unix_ms(stamp) + static_cast<std::uint64_t>(expires_ms);
}

}  // namespace kahuna::kv
