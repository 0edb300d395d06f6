// The deliberately dumb partition store: a std::map of every version, no caches, no records, no skipping of what is there.
//
// The twin of persistence::data_store in tests that compare the two, and the store of tests that want to damage a key or to
// look at everything that a replica holds. A copy is what a crash leaves where everything applied was durable.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "core/kv/partition_store.hpp"

namespace kahuna::testing {

class memory_partition_store final : public kv::partition_store {
 public:
  // A version's place in its key's history: a tombstone stands behind the revision that it deleted.
  using place = std::pair<std::int64_t, bool>;
  using history = std::map<place, kv::version>;

  result<std::optional<kv::version>> latest(std::string_view key) const override;
  result<std::optional<kv::version>> at_revision(std::string_view key, std::int64_t revision) const override;
  std::optional<error> walk_keys(std::string_view prefix, std::string_view after, timestamp visible,
                                 const visitor& visit) const override;
  void apply(const kv::applied_effects& effects) override;
  log_index applied_index() const override { return applied_index_; }
  timestamp applied_stamp() const override { return applied_stamp_; }
  result<std::vector<kv::client_window>> load_windows() const override;

  // Whatever reads this key answers data_corrupted from now on.
  void damage_key(std::string key) { damaged_keys_.insert(std::move(key)); }
  void damage_windows() { are_windows_damaged_ = true; }

  const std::map<std::string, history>& histories() const { return histories_; }
  const std::map<std::uint64_t, kv::client_window>& windows() const { return windows_; }

 private:
  std::optional<error> damage_of(std::string_view key) const;

  std::map<std::string, history> histories_;
  std::map<std::uint64_t, kv::client_window> windows_;
  log_index applied_index_;
  timestamp applied_stamp_;
  std::set<std::string, std::less<>> damaged_keys_;
  bool are_windows_damaged_ = false;
};

}  // namespace kahuna::testing
