// An ordered store in RocksDB. With journal_files.hpp the only place that names RocksDB.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "persistence/ordered_store.hpp"

namespace kahuna::persistence {

// Where a write is durable before it is acknowledged.
enum class journal : std::uint8_t {
  own,   // in this store's own write-ahead log; only the family `main` is there
  none,  // elsewhere: after a crash the store is what it was at its last flush, all families as of the same write
};

struct rocksdb_settings {
  std::string path;
  journal kept = journal::own;
  bool may_create = false;  // where it is not there
  std::size_t block_cache_bytes = 64 << 20;
  std::size_t write_buffer_bytes = 32 << 20;
  std::optional<nearby_writes> nearby = std::nullopt;  // of all families
};

// Opens the store, which nobody else may do at the time. Forgiven is only that the last batch of a journal is not whole, as a crash leaves it that comes before its
// sync; that one which was synced is missing has to be noticed by whoever wrote it.
// Errors: data_corrupted (damaged, or not there and may not be created), unavailable (can't be read or written).
result<std::unique_ptr<ordered_store>> open_rocksdb(const rocksdb_settings& settings);

}  // namespace kahuna::persistence
