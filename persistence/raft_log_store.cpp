#include "persistence/raft_log_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/check.hpp"
#include "persistence/record.hpp"

namespace kahuna::persistence {

namespace {

constexpr std::uint32_t node_wide = 0xFFFFFFFF;
constexpr std::size_t slot_bytes = 12;
// More batches than are written while a memtable goes to disk: so long there are two journals.
constexpr std::uint64_t batch_slots = 16'384;

std::string key_of(std::uint32_t partition, char kind) {
  std::string key;
  append_be32(key, partition);
  key.push_back(kind);
  return key;
}

std::string entry_key(partition_id partition, log_index index) {
  auto key = key_of(partition.value, 'E');
  append_be64(key, index.value);
  return key;
}

// Behind the entry before this one: where a range of entries begins that is erased (nearby_writes).
std::string before_entry(partition_id partition, log_index index) {
  if (index == log_index{}) return key_of(partition.value, 'E');
  return entry_key(partition, index - 1) + '\0';
}

std::string batch_key(std::uint64_t number) {
  auto key = key_of(node_wide, 'N');
  append_be32(key, static_cast<std::uint32_t>(number % batch_slots));
  return key;
}

std::string peer_key(node_id peer) {
  auto key = key_of(node_wide, 'P');
  append_be32(key, peer.value);
  return key;
}

error damaged_entry(partition_id partition, log_index index, const std::string& what) {
  return {errc::data_corrupted, "the Raft log of partition " + std::to_string(partition.value) + " is damaged at entry " +
                                    std::to_string(index.value) + ": " + what};
}

std::string slot_of(std::uint64_t number) {
  std::string slot;
  append_be64(slot, number);
  append_be32(slot, crc32c(slot));
  return slot;
}

// Leaves `into` as it is where there is no such record.
template <class T>
std::optional<error> read_record(const ordered_store& store, partition_id partition, char kind, const std::string& what, T& into) {
  const auto key = key_of(partition.value, kind);
  const auto record = store.get(family::main, key);
  if (!record) return record.error();
  if (!*record) return std::nullopt;
  auto decoded = decode_record<T>(key, **record);
  if (!decoded)
    return error{errc::data_corrupted, "the " + what + " of partition " + std::to_string(partition.value) + " is damaged: " + decoded.error().message};
  into = std::move(*decoded);
  return std::nullopt;
}

result<std::uint64_t> read_number(const ordered_store& store, const std::string& key) {
  auto found = store.get(family::main, key);
  if (!found) return found.error();
  if (!*found) return std::uint64_t{0};
  return decode_record<std::uint64_t>(key, **found);
}

// The number of the last batch. Error: data_corrupted where one of those before it, as far as they have slots, is missing.
result<std::uint64_t> read_last_batch(const ordered_store& store) {
  const auto before_slots = read_number(store, key_of(node_wide, 'B'));
  if (!before_slots) return before_slots.error();
  auto last = *before_slots;
  auto oldest = ~std::uint64_t{0};
  std::uint64_t count = 0;
  const auto first_key = key_of(node_wide, 'N');
  const auto cursor = store.cursor(family::main);
  for (cursor->seek(first_key); cursor->is_valid() && cursor->key().starts_with(first_key); cursor->next()) {
    const auto number = decode_record<std::uint64_t>(cursor->key(), cursor->value());
    if (!number) return number.error();
    if (cursor->key() != batch_key(*number)) return error{errc::data_corrupted, "the log has batch " + std::to_string(*number) + " in another's place"};
    last = std::max(last, *number);
    oldest = std::min(oldest, *number);
    ++count;
  }
  if (const auto damage = cursor->damage()) return *damage;
  const auto expected = std::min(last - *before_slots, batch_slots);
  if (count != expected || (count != 0 && oldest != last - count + 1))
    return error{errc::data_corrupted, "the log ends at batch " + std::to_string(last) + ", and of the " + std::to_string(expected) +
                                           " before it that should be there it has " + std::to_string(count) + ": something was lost in between"};
  return last;
}

}  // namespace

// --- synced_mark --------------------------------------------------------------------------------------------------

result<std::unique_ptr<synced_mark>> synced_mark::open(const std::string& path, bool may_create) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC | (may_create ? O_CREAT : 0), 0644);
  if (descriptor < 0) {
    const auto code = errno == ENOENT ? errc::data_corrupted : errc::unavailable;
    return error{code, path + ": " + std::strerror(errno)};
  }
  std::unique_ptr<synced_mark> mark(new synced_mark(descriptor, 0));
  std::array<char, 2 * slot_bytes> bytes{};
  const auto count = ::pread(descriptor, bytes.data(), bytes.size(), 0);
  if (count == 0 && may_create) {
    mark->set(0);
    if (::fsync(descriptor) != 0) return error{errc::unavailable, path + ": " + std::strerror(errno)};
    return mark;
  }
  bool is_one_whole = false;
  for (std::size_t slot = 0; slot < 2; ++slot) {
    if (count < static_cast<ssize_t>((slot + 1) * slot_bytes)) continue;
    const auto number = read_be64(bytes.data() + slot * slot_bytes);
    if (slot_of(number) != std::string_view(bytes.data() + slot * slot_bytes, slot_bytes)) {
      mark->is_half_damaged_ = true;
      continue;
    }
    is_one_whole = true;
    mark->number_ = std::max(mark->number_, number);
  }
  if (!is_one_whole) return error{errc::data_corrupted, path + ": neither of its two numbers is whole"};
  return mark;
}

synced_mark::~synced_mark() { ::close(descriptor_); }

void synced_mark::set(std::uint64_t number, sync s) {
  const auto slot = slot_of(number);
  // Where this fails the mark lags, which only makes the next start's check weaker: the log itself is synced.
  static_cast<void>(::pwrite(descriptor_, slot.data(), slot.size(), static_cast<off_t>((number % 2) * slot_bytes)) + 0);
  if (s == sync::yes) static_cast<void>(::fdatasync(descriptor_) + 0);
  number_ = number;
}

// --- reading ------------------------------------------------------------------------------------------------------

class raft_log_store::partition_reader final : public raft::log_reader {
 public:
  partition_reader(const ordered_store& store, partition_id partition, const fatal_handler& fatal)
      : store_(store), partition_(partition), fatal_(fatal) {}

  std::vector<raft::log_entry> read(log_index from, log_index to, std::size_t bytes_max) const override {
    std::vector<raft::log_entry> entries;
    std::size_t bytes = 0;
    const auto cursor = store_.cursor(family::main);
    cursor->seek(entry_key(partition_, from));
    for (auto index = from; index < to && (entries.empty() || bytes < bytes_max); ++index, cursor->next()) {
      const auto key = entry_key(partition_, index);
      if (!cursor->is_valid() || cursor->key() != key) {
        if (const auto damage = cursor->damage()) fatal_(damaged_entry(partition_, index, damage->message));
        break;
      }
      auto entry = decode_record<raft::log_entry>(key, cursor->value());
      if (!entry) {
        fatal_(damaged_entry(partition_, index, entry.error().message));
        break;
      }
      bytes += entry->size_bytes();
      entries.push_back(std::move(*entry));
    }
    return entries;
  }

  term_id term_at(log_index index) const override {
    const auto key = entry_key(partition_, index);
    const auto found = store_.get(family::main, key);
    if (found && !*found) return {};
    if (found)
      if (const auto entry = decode_record<raft::log_entry>(key, **found)) return entry->term;
    fatal_(damaged_entry(partition_, index, found ? "its record's checksum does not match" : found.error().message));
    return {};
  }

 private:
  const ordered_store& store_;
  partition_id partition_;
  const fatal_handler& fatal_;
};

result<std::unique_ptr<raft_log_store>> raft_log_store::open(std::shared_ptr<ordered_store> store,
                                                             std::unique_ptr<synced_mark> mark, fatal_handler fatal) {
  const auto number = read_last_batch(*store);
  if (!number) return number.error();
  if (mark && *number < mark->number())
    return error{errc::data_corrupted, "the log ends at batch " + std::to_string(*number) + ", but batch " +
                                           std::to_string(mark->number()) + " was synced: its end was lost"};
  // What was found counts from now on, and opening has made it durable: Raft promises what it finds.
  if (mark && *number > mark->number()) mark->set(*number, sync::yes);
  return std::unique_ptr<raft_log_store>(new raft_log_store(std::move(store), std::move(mark), *number, std::move(fatal)));
}

raft_log_store::raft_log_store(std::shared_ptr<ordered_store> store, std::unique_ptr<synced_mark> mark,
                               std::uint64_t batch_number, fatal_handler fatal)
    : store_(std::move(store)), mark_(std::move(mark)), batch_number_(batch_number), batch_(store_->make_batch()),
      fatal_(std::move(fatal)) {}

result<raft::initial_state> raft_log_store::load(partition_id partition, log_index applied_index,
                                                 const raft::log_start& snapshot) const {
  raft::initial_state found;
  found.applied_index = applied_index;
  if (auto failure = read_record(*store_, partition, 'H', "hard state", found.state)) return *failure;
  if (auto failure = read_record(*store_, partition, 'D', "dropped log's end", found.dropped)) return *failure;
  raft::log_start start;
  if (auto failure = read_record(*store_, partition, 'S', "log's start", start)) return *failure;
  found.start = start.at;
  found.members = std::move(start.members);

  const auto last = last_index(partition, found.start.index);
  if (!last) return last.error();
  found.last_index = *last;

  // A snapshot was installed, and the crash came before the log was told: where it has not led there, nothing of it counts.
  if (const auto at = snapshot.at; at.index > found.start.index) {
    if (at.index > applied_index)
      return damaged_entry(partition, at.index, "the data began with it and was applied up to entry " + std::to_string(applied_index.value));
    if (at.index > found.last_index || reader(partition)->term_at(at.index) != at.term) {
      found.start = at;
      found.members = snapshot.members;
      found.last_index = at.index;
      found.is_log_obsolete = true;
    }
  }
  if (applied_index < found.start.index)
    return damaged_entry(partition, found.start.index, "it is gone, and the data was applied up to entry " +
                                                           std::to_string(applied_index.value) + " only");
  if (found.last_index < applied_index)
    return damaged_entry(partition, found.last_index, "the data was applied up to entry " + std::to_string(applied_index.value) +
                                                          ", which the log does not have");
  if (found.last_index == found.start.index) return found;
  const auto cursor = store_->cursor(family::main);
  for (cursor->seek(entry_key(partition, found.start.index + 1)); cursor->is_valid() && cursor->key().starts_with(key_of(partition.value, 'E'));
       cursor->next())
    found.log_bytes += cursor->value().size();
  if (auto failure = check_entries(partition, std::max(applied_index, found.start.index + 1), found)) return *failure;
  return found;
}

// Of the last entry, or `start` where there is none behind it.
result<log_index> raft_log_store::last_index(partition_id partition, log_index start) const {
  const auto cursor = store_->cursor(family::main);
  cursor->seek_back(entry_key(partition, log_index{~std::uint64_t{0}}));
  const auto first_key = entry_key(partition, log_index{0});
  const bool is_entry = cursor->is_valid() && cursor->key() > first_key && cursor->key().size() == first_key.size();
  if (const auto damage = cursor->damage()) return *damage;
  return is_entry ? std::max(start, log_index{read_be64(cursor->key().data() + first_key.size() - 8)}) : start;
}

// Whatever may still be applied or sent must be whole and in order.
std::optional<error> raft_log_store::check_entries(partition_id partition, log_index from, const raft::initial_state& found) const {
  auto last_term = found.start.term;
  const auto cursor = store_->cursor(family::main);
  cursor->seek(entry_key(partition, from));
  for (auto index = from; index <= found.last_index; ++index, cursor->next()) {
    const auto key = entry_key(partition, index);
    if (!cursor->is_valid() || cursor->key() != key) return damaged_entry(partition, index, "it is missing");
    const auto entry = decode_record<raft::log_entry>(key, cursor->value());
    if (!entry) return damaged_entry(partition, index, entry.error().message);
    if (entry->index != index || entry->term < last_term || entry->term > found.state.term)
      return damaged_entry(partition, index, "its term is out of order");
    last_term = entry->term;
  }
  return std::nullopt;
}

std::unique_ptr<raft::log_reader> raft_log_store::reader(partition_id partition) const {
  return std::make_unique<partition_reader>(*store_, partition, fatal_);
}

// --- writing ------------------------------------------------------------------------------------------------------

void raft_log_store::add(partition_id partition, const raft::log_write& write) {
  if (write.state) {
    const auto key = key_of(partition.value, 'H');
    batch_->put(family::main, key, encode_record(key, *write.state));
  }
  if (write.start) {
    const auto key = key_of(partition.value, 'S');
    batch_->put(family::main, key, encode_record(key, *write.start));
    batch_->erase_range(family::main, before_entry(partition, log_index{0}), entry_key(partition, write.start->at.index + 1));
  }
  if (write.truncate_from)
    batch_->erase_range(family::main, before_entry(partition, *write.truncate_from), key_of(partition.value, 'F'));
  for (const auto& entry : write.entries) {
    const auto key = entry_key(partition, entry.index);
    batch_->put(family::main, key, encode_record(key, entry));
  }
}

std::optional<error> raft_log_store::commit() {
  const auto batch = std::exchange(batch_, store_->make_batch());
  const auto key = batch_key(batch_number_ + 1);
  batch->put(family::main, key, encode_record(key, batch_number_ + 1));
  if (const auto failure = store_->write(*batch, sync::yes)) return failure;
  ++batch_number_;
  return std::nullopt;
}

void raft_log_store::note_commit() {
  if (mark_ && mark_->number() != batch_number_) mark_->set(batch_number_);
}

std::uint64_t raft_log_store::incarnation_of(node_id peer) const {
  const auto number = read_number(*store_, peer_key(peer));
  if (number) return *number;
  fatal_(number.error());
  return 0;
}

std::optional<error> raft_log_store::remember_peer(node_id peer, std::uint64_t incarnation) {
  const auto key = peer_key(peer);
  batch_->put(family::main, key, encode_record(key, incarnation));
  return commit();
}

// As a history:
//   - dropped: dies before this, and the replica is as it was; dies after it, and the start finds data without a replica, which goes.
//   - made anew: the data was cleared, durably, before this; dies before it, and nothing is here; after it, an empty replica.
std::optional<error> raft_log_store::record_replica(partition_id partition, bool is_hosted) {
  const auto key = key_of(partition.value, 'R');
  batch_->put(family::main, key, encode_record(key, is_hosted));
  if (!is_hosted) {
    const auto end = end_of_dropped(partition);
    if (!end) return end.error();
    const auto end_key = key_of(partition.value, 'D');
    batch_->put(family::main, end_key, encode_record(end_key, *end));
    batch_->erase_range(family::main, before_entry(partition, log_index{0}), key_of(partition.value, 'F'));
    batch_->erase(family::main, key_of(partition.value, 'S'));
  }
  return commit();
}

// Where the log ends, or an earlier one that was dropped and not yet regained. What was added and is not committed does not count:
// nothing was promised of it. Nor does a snapshot that was installed, and acknowledged, before the log was told of it: what it holds was
// committed by others, and nobody counts on this replica for it.
result<raft::log_position> raft_log_store::end_of_dropped(partition_id partition) const {
  raft::log_position earlier;
  if (auto failure = read_record(*store_, partition, 'D', "dropped log's end", earlier)) return *failure;
  raft::log_start start;
  if (auto failure = read_record(*store_, partition, 'S', "log's start", start)) return *failure;
  const auto last = last_index(partition, start.at.index);
  if (!last) return last.error();
  const auto end = *last == start.at.index ? start.at : raft::log_position{*last, reader(partition)->term_at(*last)};
  return end.is_up_to_date_with(earlier) ? end : earlier;
}

result<std::optional<bool>> raft_log_store::is_hosted(partition_id partition) const {
  const auto key = key_of(partition.value, 'R');
  const auto found = store_->get(family::main, key);
  if (!found) return found.error();
  if (!*found) return std::optional<bool>();
  const auto decoded = decode_record<bool>(key, **found);
  if (!decoded)
    return error{errc::data_corrupted, "whether partition " + std::to_string(partition.value) + " has a replica here is damaged: " + decoded.error().message};
  return std::optional(*decoded);
}

}  // namespace kahuna::persistence
