#include "core/kv/version_cache.hpp"

namespace kahuna::kv {

namespace {

// The list's and the map's nodes, and the blocks that the value is counted in.
constexpr std::size_t overhead_bytes = 240;

}  // namespace

const std::optional<version>* version_cache::find(std::string_view key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  recent_first_.splice(recent_first_.begin(), recent_first_, found->second);
  return &found->second->newest;
}

void version_cache::put(std::string_view key, std::optional<version> newest) {
  const auto bytes = key.size() + (newest ? newest->value.size() : 0) + overhead_bytes;
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    auto& place = *found->second;
    bytes_ += bytes - place.bytes;
    place.bytes = bytes;
    place.newest = std::move(newest);
    recent_first_.splice(recent_first_.begin(), recent_first_, found->second);
  } else {
    recent_first_.push_front({std::string(key), std::move(newest), bytes});
    by_key_.emplace(recent_first_.front().key, recent_first_.begin());
    bytes_ += bytes;
  }
  while (bytes_ > bytes_max_) erase(std::prev(recent_first_.end()));
}

void version_cache::drop(std::string_view key) {
  if (const auto found = by_key_.find(key); found != by_key_.end()) erase(found->second);
}

void version_cache::clear() {
  by_key_.clear();
  recent_first_.clear();
  bytes_ = 0;
}

void version_cache::erase(items::iterator place) {
  bytes_ -= place->bytes;
  by_key_.erase(place->key);
  recent_first_.erase(place);
}

}  // namespace kahuna::kv
