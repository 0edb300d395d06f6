// A store of ordered bytes: what RocksDB gives us, and what memory gives the tests behind the same interface.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/errc.hpp"

namespace kahuna::persistence {

// Each is a column family of its own. The log database has only `main`.
enum class family : std::uint8_t { main = 0, window = 1, meta = 2, transaction = 3 };
inline constexpr std::size_t family_count = 4;

// Keys of these lengths are mostly written near the one that was written last of those with the same first `prefix_bytes`, and their place in
// the memtable is looked for from there. No range that is erased may begin with such a key: RocksDB 7.8 takes that place for one among erased ranges.
struct nearby_writes {
  std::size_t prefix_bytes = 0;
  std::size_t key_bytes_min = 0;
  std::size_t key_bytes_max = std::numeric_limits<std::size_t>::max();

  bool concern(std::size_t key_bytes) const { return key_bytes >= key_bytes_min && key_bytes <= key_bytes_max; }
};

// One atomic change of the store.
class store_batch {
 public:
  virtual ~store_batch() = default;
  virtual void put(family f, std::string_view key, std::string_view value) = 0;
  virtual void erase(family f, std::string_view key) = 0;
  // Erases [from, to).
  virtual void erase_range(family f, std::string_view from, std::string_view to) = 0;
};

class store_cursor {
 public:
  virtual ~store_cursor() = default;
  // To the first key >= `key`.
  virtual void seek(std::string_view key) = 0;
  // To the last key <= `key`.
  virtual void seek_back(std::string_view key) = 0;
  virtual void next() = 0;
  virtual bool is_valid() const = 0;
  // Requires is_valid(); good until the cursor moves.
  virtual std::string_view key() const = 0;
  virtual std::string_view value() const = 0;
  // What ended the walk, where is_valid() is false because of damage rather than the end.
  virtual std::optional<error> damage() const = 0;
};

enum class sync : std::uint8_t { no, yes };

// Whether what is read is likely to be read again, or comes by once and must not push other things out of the cache.
enum class reading : std::uint8_t { often, once };

// A cursor and a get see every write that returned before them. Writes come from one thread at a time.
class ordered_store {
 public:
  virtual ~ordered_store() = default;
  virtual std::unique_ptr<store_batch> make_batch() = 0;
  // Atomic; durable on return where `sync::yes`. An error means that nothing on this disk may be trusted further.
  virtual std::optional<error> write(store_batch& batch, sync s) = 0;
  virtual result<std::optional<std::string>> get(family f, std::string_view key) const = 0;
  virtual std::unique_ptr<store_cursor> cursor(family f, reading how = reading::often) const = 0;
  // Makes everything written so far durable in files that need no log.
  virtual std::optional<error> flush() = 0;
};

}  // namespace kahuna::persistence
