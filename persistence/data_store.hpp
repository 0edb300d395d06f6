// The key/value state of a partition in an ordered store (design §7): kv::partition_store over RocksDB or memory.
//
// Not durable by itself: the log is, and is replayed from the applied index found here. It is written by checkpoints (see
// kv::partition_store), never before an effect that it stands for.
//
//   main    partition:be32 key 0x00 ~revision:be64 kind → version     kind: 0 tombstone, 1 value. Newest first, and a
//                                                                     tombstone before the revision that it deleted.
//                                                                     A key has no NUL, so no key is another's prefix.
//   window  partition:be32 client:be64                  → client_window
//   meta    partition:be32                              → applied_state
//   transaction   partition:be32 'P' id                 → prepared_transaction     id: began_at:be64 client:be64 number:be64
//                 partition:be32 'R' id                 → transaction_record
//
// Everything that is replicated stands in `replicated_families` under the partition's number, to which a snapshot that was
// installed adds 2^31, or takes it away again: so a snapshot is written beside the state, and takes its place by one record, the
// applied_state, that says which of the two counts. What is in none of these families, or under other keys, is not replicated.
//
// What is applied, and checkpoints, are written to the store a while later (write_behind.hpp): until then they are in no danger that they would not be in
// afterwards.
//
// Owned by its partition's actor; several may share one store on disk, which takes writes from any thread.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/kv/partition_store.hpp"
#include "persistence/fatal_handler.hpp"
#include "persistence/ordered_store.hpp"
#include "persistence/write_behind.hpp"

namespace kahuna::persistence {

inline constexpr std::array replicated_families{family::main, family::window, family::transaction};

// How it is written: in the order of the keys of a partition, many at a time. Erased ranges begin with a partition's number.
inline constexpr nearby_writes data_store_writes{4, 4 + 1};

// Of one of so many partitions of a node: the more there are, the nearer to each other are the keys of each.
constexpr write_behind_limits write_behind_of(std::size_t partitions) {
  write_behind_limits limits;
  limits.gathered_bytes_max = std::max((std::size_t{512} << 10) / std::max<std::size_t>(partitions, 1), limits.gathered_bytes_max);
  return limits;
}

class data_store final : public kv::partition_store {
 public:
  // `fatal` is called where a write fails. Error: data_corrupted, where what says how far it was applied is damaged.
  static result<std::unique_ptr<data_store>> open(std::shared_ptr<ordered_store> store, partition_id partition, fatal_handler fatal,
                                                  const write_behind_limits& limits = {});

  // Takes away whatever the store holds of a partition of which no data_store is open. Durable no sooner than flushed.
  static std::optional<error> clear(ordered_store& store, partition_id partition);

  result<std::optional<kv::version>> latest(std::string_view key) const override;
  result<std::optional<kv::version>> at_revision(std::string_view key, std::int64_t revision) const override;
  std::optional<error> walk_keys(std::string_view prefix, std::string_view after, timestamp visible,
                                 const visitor& visit) const override;
  std::optional<error> walk_versions(const std::optional<kv::version_position>& from,
                                     const version_visitor& visit) const override;
  void apply(const kv::applied_effects& effects) override;
  void checkpoint(const kv::window_changes& windows) override;
  void write_out() override { unwritten_.write_all(); }
  std::unique_ptr<kv::snapshot_view> open_snapshot() const override;
  std::optional<error> stage(bool is_first, std::string_view piece) override;
  std::optional<error> install_staged(const raft::log_start& start) override;
  raft::log_start snapshot() const override { return applied_.snapshot; }
  log_index applied_index() const override { return applied_.index; }
  timestamp applied_stamp() const override { return applied_.stamp; }
  std::uint64_t collected_below_ms() const override { return applied_.collected_below_ms; }
  result<std::vector<kv::client_window>> load_windows() const override;
  result<kv::stored_transactions> load_transactions() const override;

 private:
  struct applied_state {
    log_index index;
    timestamp stamp;
    std::uint64_t collected_below_ms = 0;
    bool is_in_second_place = false;  // which of the two places counts
    raft::log_start snapshot;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
      archive& index& stamp& collected_below_ms& is_in_second_place& snapshot;
    }
  };
  class view;

  data_store(std::shared_ptr<ordered_store> store, partition_id partition, fatal_handler fatal, const write_behind_limits& limits)
      : store_(std::move(store)), partition_(partition), fatal_(std::move(fatal)), unwritten_(store_, limits, fatal_) {}

  std::string meta_key() const;
  std::string prefix() const { return prefix_of(applied_.is_in_second_place); }
  std::string prefix_of(bool is_in_second_place) const;
  void erase_place(bool is_second);
  bool is_empty_place(bool is_second) const;
  std::string window_key(std::uint64_t client) const;
  std::string versions_key(std::string_view key) const;
  std::string transaction_key(char kind, const txn::transaction_id& id) const;
  void put(const kv::transaction_changes& changes);
  error damaged(std::string_view key, const std::string& what) const;
  // Where the versions of one key are read.
  std::unique_ptr<store_cursor> cursor_for(std::string_view user_key) const;
  result<kv::version> decode_version(std::string_view stored_key, std::string_view record) const;
  // From the newest version of a key, where the cursor stands: the newest one that was created by then, if any.
  result<std::optional<kv::version>> newest_created_by(timestamp visible, store_cursor& cursor, const std::string& versions_key) const;

  std::shared_ptr<ordered_store> store_;
  partition_id partition_;
  fatal_handler fatal_;
  applied_state applied_;
  std::optional<applied_state> staged_;  // of the snapshot that is being staged, once it came
  write_behind unwritten_;
};

}  // namespace kahuna::persistence
