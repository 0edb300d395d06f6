// What a partition needs of the place where its keys are kept; handed to the partition core.
//
// Implemented over an ordered store in persistence/ (RocksDB in the product, memory in tests and simulation).
// A record that fails its check is an error `data_corrupted` that names the key: never a wrong value.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/errc.hpp"
#include "core/kv/replicated_transactions.hpp"
#include "core/kv/version_reader.hpp"
#include "core/kv/write_batch.hpp"
#include "core/raft/raft_types.hpp"

namespace kahuna::kv {

// What has changed in a request window since the store was last told.
struct window_changes {
  std::vector<client_window> replaced;
  std::vector<std::uint64_t> forgotten;
};

// What applying one entry changes.
struct applied_effects {
  log_index index;
  timestamp stamp;  // the highest commit timestamp applied so far
  const std::vector<mutation>* mutations = nullptr;
  const std::vector<removal>* removals = nullptr;  // taken away before the mutations are written; nullptr: none
  std::uint64_t collected_below_ms = 0;            // never falls; see write_batch
  const transaction_changes* transactions = nullptr;  // nullptr: none
};

// One stored version's place: walks over whole histories go from one to the next.
struct version_position {
  std::string key;
  std::int64_t revision = no_revision;
  bool is_tombstone = false;

  friend bool operator==(const version_position&, const version_position&) = default;
};

// Everything that is replicated of a partition, as it was at one moment, in pieces.
class snapshot_view {
 public:
  virtual ~snapshot_view() = default;

  struct piece {
    std::string bytes;
    bool is_last = false;
  };
  // The next one: of about `bytes_max`, unless one record alone is larger. Error: data_corrupted.
  virtual result<piece> next(std::size_t bytes_max) = 0;
};

class partition_store : public version_reader {
 public:
  // Calls `visit` for every stored version behind `from` (of all keys where nothing is given), in key order and within a
  // key from the newest to the oldest, a tombstone before the version that it deleted; as long as visit returns true.
  using version_visitor = std::function<bool(std::string_view key, const version& v)>;
  virtual std::optional<error> walk_versions(const std::optional<version_position>& from,
                                             const version_visitor& visit) const = 0;

  // Not yet durable when it returns: the log is. A restart finds the last checkpoint that was written out, maybe with
  // effects of later entries or parts of them, and applies the log again from there: applying an entry twice does what applying it once does,
  // and nothing is read before all that was ever applied is applied again.
  virtual void apply(const applied_effects& effects) = 0;
  // Records how far was applied, and what the request window became by it. Atomic, and durable no sooner than the effects.
  virtual void checkpoint(const window_changes& windows) = 0;
  // When it returns, all of that is where a flush finds it.
  virtual void write_out() = 0;

  // --- snapshots
  // Requires that nothing was applied since the last checkpoint(), and that this was written out. Good as long as the store; holds back nobody.
  virtual std::unique_ptr<snapshot_view> open_snapshot() const = 0;
  // Stores a piece of another replica's view beside the state; the first drops what was stored before. Error: data_corrupted, of
  // the piece.
  virtual std::optional<error> stage(bool is_first, std::string_view piece) = 0;
  // Puts what was staged in the place of the state: atomic, and durable no sooner than flushed. Error: data_corrupted, where it is
  // not the whole state as of `start.at`; then the state is as it was.
  virtual std::optional<error> install_staged(const raft::log_start& start) = 0;
  // Of the snapshot that the state began with; {} where it began empty.
  virtual raft::log_start snapshot() const = 0;

  // As of the last apply(); when opened, as of the checkpoint that was found.
  virtual log_index applied_index() const = 0;
  virtual timestamp applied_stamp() const = 0;
  virtual std::uint64_t collected_below_ms() const = 0;
  virtual result<std::vector<client_window>> load_windows() const = 0;
  virtual result<stored_transactions> load_transactions() const = 0;
};

}  // namespace kahuna::kv
