// The newest versions of the keys that were used last, bounded by bytes; least recently used goes first.
//
// Holds what the store holds, never more: whoever applies an entry puts or drops each key that it changes. "The key was
// never set" is remembered too. Not thread safe.
#pragma once

#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/kv/write_batch.hpp"

namespace kahuna::kv {

class version_cache {
 public:
  // 0 keeps nothing.
  explicit version_cache(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // nullptr: not known. Good until the next call. An empty optional: known to have no version.
  const std::optional<version>* find(std::string_view key);

  void put(std::string_view key, std::optional<version> newest);
  void drop(std::string_view key);
  void clear();

  std::size_t bytes() const { return bytes_; }

 private:
  struct item {
    std::string key;
    std::optional<version> newest;
    std::size_t bytes = 0;
  };
  using items = std::list<item>;

  void erase(items::iterator place);

  std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  items recent_first_;
  std::unordered_map<std::string_view, items::iterator> by_key_;  // keys live in the items
};

}  // namespace kahuna::kv
