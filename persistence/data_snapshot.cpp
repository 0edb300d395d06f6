// Snapshots of a partition's data: read from one view, written beside the state, and put in its place.
//
//   piece  := snapshot_piece by the codec; the records of each family in key order, family by family, and at last the applied_state
//   record := family, what the key is behind the partition's number, the record without its seal (which covers the key)
#include <utility>
#include <vector>

#include "core/base/check.hpp"
#include "core/base/planted_bug.hpp"
#include "persistence/data_store.hpp"
#include "persistence/record.hpp"

namespace kahuna::persistence {

namespace {

constexpr std::uint32_t second_place = 0x80000000;
constexpr std::size_t partition_bytes = 4;

struct snapshot_record {
  std::uint8_t place = 0;  // in replicated_families; behind them: the applied_state
  std::string key;
  std::string body;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& place& key& body;
  }
};

struct snapshot_piece {
  std::vector<snapshot_record> records;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& records;
  }
};

}  // namespace

std::string data_store::prefix_of(bool is_in_second_place) const {
  std::string key;
  append_be32(key, partition_.value | (is_in_second_place ? second_place : 0));
  return key;
}

void data_store::erase_place(bool is_second) {
  const auto from = prefix_of(is_second);
  std::string to;
  append_be32(to, (partition_.value | (is_second ? second_place : 0)) + 1);
  const auto batch = store_->make_batch();
  for (const auto f : replicated_families) batch->erase_range(f, from, to);
  if (const auto failure = store_->write(*batch, sync::no)) fatal_(*failure);
}

std::optional<error> data_store::clear(ordered_store& store, partition_id partition) {
  const auto batch = store.make_batch();
  for (const auto place : {std::uint32_t{0}, second_place}) {
    std::string from, to;
    append_be32(from, partition.value | place);
    append_be32(to, (partition.value | place) + 1);
    for (const auto f : replicated_families) batch->erase_range(f, from, to);
  }
  std::string meta;
  append_be32(meta, partition.value);
  batch->erase(family::meta, meta);
  return store.write(*batch, sync::no);
}

bool data_store::is_empty_place(bool is_second) const {
  const auto from = prefix_of(is_second);
  for (const auto f : replicated_families) {
    const auto cursor = store_->cursor(f, reading::once);
    cursor->seek(from);
    if (cursor->is_valid() && cursor->key().starts_with(from)) return false;
  }
  return true;
}

// Its cursors are opened one behind the other, and see the same: nobody but the partition itself writes under its number.
class data_store::view final : public kv::snapshot_view {
 public:
  // Replicas that have applied the same entries have the same view: what is each one's own is left out.
  explicit view(const data_store& store) : store_(store), prefix_(store.prefix()), applied_(store.applied_) {
    applied_.is_in_second_place = false;
    applied_.snapshot = {};
    for (const auto f : replicated_families) {
      cursors_.push_back(store.store_->cursor(f, reading::once));
      cursors_.back()->seek(prefix_);
    }
  }

  result<piece> next(std::size_t bytes_max) override {
    snapshot_piece out;
    std::size_t bytes = 0;
    for (; place_ < cursors_.size(); ++place_) {
      const auto f = replicated_families[place_];
      if (f == family::window && KAHUNA_PLANTED("snapshot.without_the_request_window")) continue;
      if (f == family::transaction && KAHUNA_PLANTED("snapshot.without_promises")) continue;
      auto& cursor = *cursors_[place_];
      for (; cursor.is_valid() && cursor.key().starts_with(prefix_); cursor.next()) {
        if (bytes >= bytes_max) return piece{messages::encode(out), false};
        const auto body = unseal(cursor.key(), cursor.value());
        if (!body) return store_.damaged(cursor.key().substr(partition_bytes), body.error().message);
        out.records.push_back({static_cast<std::uint8_t>(place_), std::string(cursor.key().substr(partition_bytes)), std::string(*body)});
        bytes += out.records.back().key.size() + body->size();
      }
      if (auto damage = cursor.damage()) return store_.damaged({}, damage->message);
    }
    out.records.push_back({static_cast<std::uint8_t>(place_), {}, messages::encode(applied_)});
    return piece{messages::encode(out), true};
  }

 private:
  const data_store& store_;
  const std::string prefix_;
  applied_state applied_;
  std::vector<std::unique_ptr<store_cursor>> cursors_;
  std::size_t place_ = 0;
};

std::unique_ptr<kv::snapshot_view> data_store::open_snapshot() const {
  KAHUNA_CHECK(unwritten_.bytes() == 0, unwritten_.bytes());
  return std::make_unique<view>(*this);
}

std::optional<error> data_store::stage(bool is_first, std::string_view piece) {
  const bool place = !applied_.is_in_second_place;
  if (is_first) {
    staged_.reset();
    erase_place(place);
  }
  auto decoded = messages::decode<snapshot_piece>(piece);
  if (!decoded) return error{errc::data_corrupted, "a piece of a snapshot is damaged: " + decoded.error().message};
  const auto batch = store_->make_batch();
  for (auto& record : decoded->records) {
    if (record.place < replicated_families.size()) {
      const auto key = prefix_of(place) + record.key;
      seal(key, record.body);
      batch->put(replicated_families[record.place], key, record.body);
      continue;
    }
    auto applied = messages::decode<applied_state>(record.body);
    if (!applied) return error{errc::data_corrupted, "a snapshot does not say how far it was applied: " + applied.error().message};
    staged_ = *applied;
  }
  if (const auto failure = store_->write(*batch, sync::no)) fatal_(*failure);
  return std::nullopt;
}

// One record turns the state over. RocksDB flushes all families as of one moment, so that a crash finds what was written before
// some moment and nothing behind it: the record never without what it stands for.
std::optional<error> data_store::install_staged(const raft::log_start& start) {
  const auto at = start.at;
  const auto staged = std::exchange(staged_, std::nullopt);
  if (!staged || staged->index != at.index)
    return error{errc::data_corrupted, "a snapshot ends at entry " + std::to_string(staged ? staged->index.value : 0) + " instead of " +
                                           std::to_string(at.index.value)};
  KAHUNA_CHECK(at.index > applied_.index, at.index, applied_.index);
  write_out();
  const bool old_place = applied_.is_in_second_place;
  applied_ = *staged;
  applied_.is_in_second_place = !old_place;
  applied_.snapshot = start;
  const auto batch = store_->make_batch();
  batch->put(family::meta, meta_key(), encode_record(meta_key(), applied_));
  if (const auto failure = store_->write(*batch, sync::no)) fatal_(*failure);
  erase_place(old_place);
  return std::nullopt;
}

}  // namespace kahuna::persistence
