#include "tests/support/memory_partition_store.hpp"

#include "core/base/check.hpp"

namespace kahuna::testing {

using kv::version;

std::optional<error> memory_partition_store::damage_of(std::string_view key) const {
  if (!damaged_keys_.contains(key)) return std::nullopt;
  return error{errc::data_corrupted, "key " + std::string(key) + " was damaged by the test"};
}

result<std::optional<version>> memory_partition_store::latest(std::string_view key) const {
  if (auto damage = damage_of(key)) return *damage;
  const auto found = histories_.find(std::string(key));
  if (found == histories_.end()) return std::optional<version>();
  return std::optional(found->second.rbegin()->second);
}

result<std::optional<version>> memory_partition_store::at_revision(std::string_view key, std::int64_t revision) const {
  if (auto damage = damage_of(key)) return *damage;
  const auto found = histories_.find(std::string(key));
  if (found == histories_.end()) return std::optional<version>();
  const auto at = found->second.find({revision, false});
  return at == found->second.end() ? std::optional<version>() : std::optional(at->second);
}

std::optional<error> memory_partition_store::walk_keys(std::string_view prefix, std::string_view after, timestamp visible,
                                                       const visitor& visit) const {
  std::string skipped_upto;
  for (const auto& [key, versions] : histories_) {
    if (!key.starts_with(prefix) || key <= after || key < skipped_upto) continue;
    if (auto damage = damage_of(key)) return damage;
    const version* newest = nullptr;
    for (const auto& [place, v] : versions)
      if (v.created <= visible) newest = &v;
    if (newest == nullptr) continue;
    auto next = visit(key, *newest);
    if (next.what == walk::stop) return std::nullopt;
    if (next.what == walk::skip_to) skipped_upto = std::move(next.target);
  }
  return std::nullopt;
}

void memory_partition_store::apply(const kv::applied_effects& effects) {
  KAHUNA_CHECK(effects.index == applied_index_ + 1, effects.index, applied_index_);
  KAHUNA_CHECK(effects.stamp >= applied_stamp_, effects.stamp, applied_stamp_);
  for (const auto& mutation : *effects.mutations)
    histories_[mutation.key][{mutation.version.revision, mutation.version.is_tombstone}] = mutation.version;
  for (const auto& window : *effects.windows) windows_[window.client] = window;
  for (const auto client : *effects.forgotten_clients) windows_.erase(client);
  applied_index_ = effects.index;
  applied_stamp_ = effects.stamp;
}

result<std::vector<kv::client_window>> memory_partition_store::load_windows() const {
  if (are_windows_damaged_) return error{errc::data_corrupted, "the windows were damaged by the test"};
  std::vector<kv::client_window> all;
  for (const auto& [client, window] : windows_) all.push_back(window);
  return all;
}

}  // namespace kahuna::testing
