// The Raft logs of all partitions of a node, in one ordered store: the write-ahead log of the system (design §7).
//
// Written by the log_writer alone; read by each partition's raft_peer while that goes on.
//
//   key     := partition:be32 'E' index:be64 → log_entry
//            | partition:be32 'H'            → hard_state
//            | partition:be32 'S'            → log_start: entries up to there are gone
//            | partition:be32 'R'            → bool: a replica was made here after the cluster was formed (true), or was dropped
//            | partition:be32 'D'            → log_position: where the log ended of one that was dropped
//            | 0xFFFFFFFF 'N' slot:be32      → number of the last batch in this slot: n in slot n mod 16,384
//            | 0xFFFFFFFF 'B'                → number of the last batch before there were slots: by an older build
//            | 0xFFFFFFFF 'P' node:be32      → incarnation of that node, as first heard
//
// Besides the store stands the file `log.synced`: the number of the last batch that was synced. The store's own recovery
// forgives a torn end, and can't tell it from an end that was cut off: but a store whose last batch is older than
// what the file knows has lost something that was promised. And of two journals that are there at a time the store forgives the older
// one's torn end too, which is none but damage: so the numbers of the last 16,384 batches must all be there.
//
//   log.synced := slot[2]; slot := number:be64 crc32c:be32, number n in slot n mod 2, so that a torn write spares one
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/raft/raft_log.hpp"
#include "persistence/fatal_handler.hpp"
#include "persistence/log_device.hpp"
#include "persistence/ordered_store.hpp"

namespace kahuna::persistence {

// The file `log.synced`.
class synced_mark {
 public:
  // Errors: data_corrupted (neither slot is whole), unavailable (can't be opened).
  static result<std::unique_ptr<synced_mark>> open(const std::string& path, bool may_create);
  ~synced_mark();
  synced_mark(const synced_mark&) = delete;
  synced_mark& operator=(const synced_mark&) = delete;

  std::uint64_t number() const { return number_; }
  // Of the two numbers that were found one was damaged, and the other counts: torn by a power failure, or by something worse.
  bool is_half_damaged() const { return is_half_damaged_; }
  // With sync::no it reaches the kernel, not yet the disk: it may lag behind the store after a power failure, and never leads it.
  void set(std::uint64_t number, sync s = sync::no);

 private:
  synced_mark(int descriptor, std::uint64_t number) : descriptor_(descriptor), number_(number) {}

  int descriptor_;
  std::uint64_t number_;
  bool is_half_damaged_ = false;
};

// How entries are written: one behind the other, in each partition. What else there is has shorter keys, and erased ranges begin with longer ones.
inline constexpr nearby_writes raft_log_writes{4 + 1, 4 + 1 + 8, 4 + 1 + 8};

class raft_log_store final : public log_device {
 public:
  // `mark` may be null (tests). Error: data_corrupted where the store is behind the mark, or lacks a batch before its last.
  static result<std::unique_ptr<raft_log_store>> open(std::shared_ptr<ordered_store> store, std::unique_ptr<synced_mark> mark,
                                                      fatal_handler fatal);

  // What a partition's replica starts from, whose data was applied up to `applied_index` and began with `snapshot`, where that is
  // not {}; every entry behind `applied_index` is checked on the way. Error: data_corrupted, naming the record.
  result<raft::initial_state> load(partition_id partition, log_index applied_index, const raft::log_start& snapshot = {}) const;

  // What record_replica() was told last; nothing: it was never told anything.
  result<std::optional<bool>> is_hosted(partition_id partition) const;

  // Good as long as the store.
  std::unique_ptr<raft::log_reader> reader(partition_id partition) const;

  void add(partition_id partition, const raft::log_write& write) override;
  std::optional<error> commit() override;
  void note_commit() override;
  std::uint64_t incarnation_of(node_id peer) const override;
  std::optional<error> remember_peer(node_id peer, std::uint64_t incarnation) override;
  std::optional<error> record_replica(partition_id partition, bool is_hosted) override;

 private:
  class partition_reader;

  result<log_index> last_index(partition_id partition, log_index start) const;
  result<raft::log_position> end_of_dropped(partition_id partition) const;
  std::optional<error> check_entries(partition_id partition, log_index from, const raft::initial_state& found) const;

  raft_log_store(std::shared_ptr<ordered_store> store, std::unique_ptr<synced_mark> mark, std::uint64_t batch_number,
                 fatal_handler fatal);

  std::shared_ptr<ordered_store> store_;
  std::unique_ptr<synced_mark> mark_;
  std::uint64_t batch_number_;
  std::unique_ptr<store_batch> batch_;
  fatal_handler fatal_;
};

}  // namespace kahuna::persistence
