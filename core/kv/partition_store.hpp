// What a partition needs of the place where its keys are kept; handed to the partition core.
//
// Implemented over an ordered store in persistence/ (RocksDB in the product, memory in tests and simulation).
// A record that fails its check is an error `data_corrupted` that names the key: never a wrong value.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/errc.hpp"
#include "core/kv/write_batch.hpp"

namespace kahuna::kv {

// What applying one entry changes, in one atomic batch together with the applied index.
struct applied_effects {
  log_index index;
  timestamp stamp;                              // the highest commit timestamp applied so far
  const std::vector<mutation>* mutations = nullptr;
  const std::vector<client_window>* windows = nullptr;  // each replaced whole
  const std::vector<std::uint64_t>* forgotten_clients = nullptr;
};

class partition_store {
 public:
  virtual ~partition_store() = default;

  // The newest version of a key, which may be a tombstone or expired; nothing where the key was never set.
  virtual result<std::optional<version>> latest(std::string_view key) const = 0;

  // The version of that revision (not its tombstone).
  virtual result<std::optional<version>> at_revision(std::string_view key, std::int64_t revision) const = 0;

  // Calls `visit` for the keys that start with `prefix` and are greater than `after`, in key order, each with its newest
  // version whose `created` is not above `visible`, tombstones and expired ones included. Goes on while `visit` says so;
  // where it returns a non-empty skip target, continues at the first key >= that target.
  enum class walk : std::uint8_t { next, skip_to, stop };
  struct step {
    walk what = walk::next;
    std::string target;  // for skip_to
  };
  using visitor = std::function<step(std::string_view key, const version& newest)>;
  virtual std::optional<error> walk_keys(std::string_view prefix, std::string_view after, timestamp visible,
                                         const visitor& visit) const = 0;

  // Atomic. Not yet durable when it returns: the log is, and is replayed from applied_index().
  virtual void apply(const applied_effects& effects) = 0;

  // As of the last apply(), or as found when opened.
  virtual log_index applied_index() const = 0;
  virtual timestamp applied_stamp() const = 0;
  virtual result<std::vector<client_window>> load_windows() const = 0;
};

}  // namespace kahuna::kv
