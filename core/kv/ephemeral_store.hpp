// The ephemeral keys of a partition, in the memory of its leader: versions, their last revisions, and what bounds them.
//
// Owned by the partition core of the leader, and empty everywhere else. Not thread safe, but for the budget that it
// shares with the node's other partitions.
//
// Invariants:
//   1. of each key at most `revisions_max` revisions are to be seen, the current one included.
//   2. while the node's budget is exceeded and this store holds more than its share of it, keys go, whole, least recently
//      used first; the key that was used last stays, without its older revisions.
//   3. a key that was absent (deleted or expired) for `absent_kept_ms` is forgotten whole: set again, it starts at r0.
//   4. a list's view that is registered is read unchanged, or is_view_intact() says that it is not any more.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/memory_budget.hpp"
#include "core/kv/version_reader.hpp"

namespace kahuna::kv {

class ephemeral_store final : public version_reader {
 public:
  static constexpr std::int64_t revisions_max = 16;
  static constexpr std::uint64_t absent_kept_ms = 30'000;
  static constexpr std::uint64_t view_kept_ms = 15'000;  // from its last page
  static constexpr std::size_t views_max = 256;          // registered at a time
  static constexpr std::uint64_t view_idle_ms = 2'000;   // one that was not used for so long makes room for another

  explicit ephemeral_store(std::shared_ptr<memory_budget> budget) : budget_(std::move(budget)) {}
  ~ephemeral_store() override { clear(); }
  ephemeral_store(const ephemeral_store&) = delete;
  ephemeral_store& operator=(const ephemeral_store&) = delete;

  result<std::optional<version>> latest(std::string_view key) const override;
  result<std::optional<version>> at_revision(std::string_view key, std::int64_t revision) const override;
  std::optional<error> walk_keys(std::string_view prefix, std::string_view after, timestamp visible,
                                 const visitor& visit) const override;

  // The key was used now.
  void touch(std::string_view key);

  // The newest version of a key from now on; one of the same revision and kind is replaced. May evict other keys.
  void put(std::string_view key, version newest);

  // Forgets at most `keys_max` keys that were absent for long enough, and evicts what the node's budget asks for.
  void sweep(std::uint64_t now_ms, std::size_t keys_max);

  // A list of the keys with this prefix goes on at this view, behind the key `after`; said by every page. False: too many
  // lists are under way.
  bool keep_view(std::string_view prefix, std::string_view after, timestamp visible, std::uint64_t now_ms);
  bool is_view_intact(std::string_view prefix, timestamp visible) const;

  void clear();

  std::size_t bytes() const { return bytes_; }
  std::size_t keys() const { return records_.size(); }
  std::uint64_t evictions() const { return evictions_; }
  void check_invariants() const;

 private:
  struct record;
  using records = std::map<std::string, record, std::less<>>;
  struct record {
    std::vector<version> versions{};  // oldest first; a tombstone behind the version that it deleted
    std::list<records::iterator>::iterator use{};
    std::size_t bytes = 0;
    std::uint64_t forget_at_ms = 0;  // 0: it does not expire
  };
  struct view {
    std::string prefix;
    std::string after;  // what is before it the list has already
    timestamp visible;
    std::uint64_t used_ms = 0;
    bool is_broken = false;

    bool needs(std::string_view key) const { return !is_broken && key > after && key.starts_with(prefix); }
  };

  const record* find(std::string_view key) const;
  static std::size_t bytes_of(const version& v);
  static bool is_live_in(const record& r, timestamp visible);
  void trim(record& r, std::string_view key);
  bool is_seen_by_a_view(std::string_view key, const version& v, timestamp superseded) const;
  void count(records::iterator place);
  void count(records::iterator place, std::size_t bytes);
  void schedule(records::iterator place);
  void forget(records::iterator place);
  void evict();

  std::shared_ptr<memory_budget> budget_;
  records records_;
  std::unordered_map<std::string_view, records::iterator> by_key_;  // all of them: what most operations ask for is one key
  std::list<records::iterator> recent_first_;
  std::set<std::pair<std::uint64_t, std::string_view>> forget_at_;  // (Unix ms, key) of the keys that will be absent
  std::list<view> views_;                                           // least recently used first
  std::size_t bytes_ = 0;
  std::uint64_t evictions_ = 0;
};

}  // namespace kahuna::kv
