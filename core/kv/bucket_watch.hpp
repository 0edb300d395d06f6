// When the buckets that transactions have read were last changed: so that a commit finds out whether keys have come, gone or
// changed in one, which no look at single keys shows (phantoms).
//
// Owned by the partition core of the leader, in memory. A bucket is watched from its first reading on until nobody who has read it
// can commit any more; one that is not watched counts as changed. So writers pay for it only where somebody reads, and a new
// leader, which watches nothing, refuses what it cannot vouch for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "core/base/ids.hpp"

namespace kahuna::kv {

class bucket_watch {
 public:
  static constexpr std::size_t buckets_max = 65'536;

  // From now on, at least until this Unix time. `resource` names the bucket and its space; every modification behind the stamp
  // `since` is still to come, or will be noted. False: too many are watched.
  bool watch(const std::string& resource, timestamp since, std::uint64_t until_ms) {
    if (!watched_.contains(resource) && watched_.size() >= buckets_max) return false;
    auto& watched = watched_.try_emplace(resource, watched_bucket{since, {}, 0}).first->second;
    watched.until_ms = std::max(watched.until_ms, until_ms);
    return true;
  }

  bool is_idle() const { return watched_.empty(); }

  // A key of it is modified at this stamp.
  void note(const std::string& resource, timestamp stamp) {
    if (const auto found = watched_.find(resource); found != watched_.end())
      found->second.modified = std::max(found->second.modified, stamp);
  }

  // Whether what was seen of it at this stamp is certain to be so still. What was seen before it was watched is not.
  bool is_unchanged_since(const std::string& resource, timestamp seen) const {
    const auto found = watched_.find(resource);
    return found != watched_.end() && found->second.since <= seen && found->second.modified <= seen;
  }

  void forget_overdue(std::uint64_t now_ms) {
    std::erase_if(watched_, [&](const auto& entry) { return entry.second.until_ms < now_ms; });
  }
  void clear() { watched_.clear(); }

 private:
  struct watched_bucket {
    timestamp since;
    timestamp modified;
    std::uint64_t until_ms = 0;
  };

  std::unordered_map<std::string, watched_bucket> watched_;
};

}  // namespace kahuna::kv
