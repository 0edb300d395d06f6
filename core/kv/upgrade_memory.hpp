// Which keys transactions have lately read under a shared lock and then wanted to write while others had read them too. Two of them can
// only wait for each other, and of many all but one lose: so whoever is going to read such a key gets the exclusive lock at once.
// A guess that costs at worst that readers wait for each other; nothing that is correct rests on it. It is kept up by those alone for whom it
// came true: who got the exclusive lock for reading, and then wrote. Others that write the key would do so anyway, and readers go together
// again soon.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "core/base/time.hpp"

namespace kahuna::kv {

class upgrade_memory {
 public:
  // For so long after it was last seen, or came true.
  static constexpr duration kept = std::chrono::seconds(10);
  static constexpr std::size_t keys_max = 1024;

  bool is_empty() const { return until_.empty(); }
  bool has(const std::string& resource, instant now) const {
    const auto found = until_.find(resource);
    return found != until_.end() && now < found->second;
  }

  // What doesn't fit is not remembered.
  void note(const std::string& resource, instant now) {
    if (until_.size() >= keys_max) std::erase_if(until_, [&](const auto& entry) { return entry.second <= now; });
    if (until_.size() < keys_max || until_.contains(resource)) until_[resource] = now + kept;
  }
  void clear() { until_.clear(); }

 private:
  std::unordered_map<std::string, instant> until_;
};

}  // namespace kahuna::kv
