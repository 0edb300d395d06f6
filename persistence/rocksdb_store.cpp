#include "persistence/rocksdb_store.hpp"

#include <array>
#include <atomic>
#include <utility>
#include <vector>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/table_properties_collectors.h>
#include <rocksdb/write_batch.h>

#include "core/base/check.hpp"
#include "persistence/journal_files.hpp"

namespace kahuna::persistence {

namespace {

// Erased keys give their place on disk back only when what holds them is written out and merged. Nothing else may come to
// bring that about where a store only forgets: so it is asked for after so many.
constexpr std::size_t erased_per_flush = 50'000;
// A file in which so many of so many neighbouring keys are erasures is merged soon.
constexpr std::size_t erased_window = 4'096;
constexpr std::size_t erased_in_window = 1'024;

// Levels of the data's files that are not packed; 256 MiB and the newest files are on them.
constexpr int young_levels = 2;

constexpr std::array<const char*, family_count> family_names{"default", "window", "meta", "transaction"};

rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view view(const rocksdb::Slice& bytes) { return {bytes.data(), bytes.size()}; }

error error_of(const rocksdb::Status& status, const std::string& path) {
  const auto code = status.IsCorruption() || status.IsInvalidArgument() ? errc::data_corrupted : errc::unavailable;
  return {code, path + ": " + status.ToString()};
}

class nearby_prefix final : public rocksdb::SliceTransform {
 public:
  explicit nearby_prefix(const nearby_writes& nearby) : nearby_(nearby) {}
  const char* Name() const override { return "kahuna.nearby_prefix"; }
  bool InDomain(const rocksdb::Slice& key) const override { return nearby_.concern(key.size()); }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override { return {key.data(), nearby_.prefix_bytes}; }

 private:
  nearby_writes nearby_;
};

class rocksdb_batch final : public store_batch {
 public:
  rocksdb_batch(const std::vector<rocksdb::ColumnFamilyHandle*>& families, const rocksdb_settings& settings)
      : families_(families), settings_(settings) {}

  void put(family f, std::string_view key, std::string_view value) override { batch_.Put(of(f), slice(key), slice(value)); }
  void erase(family f, std::string_view key) override {
    batch_.Delete(of(f), slice(key));
    ++erased_;
  }
  void erase_range(family f, std::string_view from, std::string_view to) override {
    KAHUNA_CHECK(!settings_.nearby || !settings_.nearby->concern(from.size()), from.size());
    batch_.DeleteRange(of(f), slice(from), slice(to));
  }

  rocksdb::WriteBatch& batch() { return batch_; }
  std::size_t erased() const { return erased_; }

 private:
  rocksdb::ColumnFamilyHandle* of(family f) { return families_.at(static_cast<std::size_t>(f)); }

  const std::vector<rocksdb::ColumnFamilyHandle*>& families_;
  const rocksdb_settings& settings_;
  rocksdb::WriteBatch batch_;
  std::size_t erased_ = 0;
};

class rocksdb_cursor final : public store_cursor {
 public:
  rocksdb_cursor(std::unique_ptr<rocksdb::Iterator> iterator, const std::string& path)
      : iterator_(std::move(iterator)), path_(path) {}

  void seek(std::string_view key) override { iterator_->Seek(slice(key)); }
  void seek_back(std::string_view key) override { iterator_->SeekForPrev(slice(key)); }
  void next() override { iterator_->Next(); }
  bool is_valid() const override { return iterator_->Valid(); }
  std::string_view key() const override { return view(iterator_->key()); }
  std::string_view value() const override { return view(iterator_->value()); }
  std::optional<error> damage() const override {
    if (iterator_->status().ok()) return std::nullopt;
    return error{errc::data_corrupted, path_ + ": " + iterator_->status().ToString()};
  }

 private:
  std::unique_ptr<rocksdb::Iterator> iterator_;
  const std::string& path_;
};

class rocksdb_store final : public ordered_store {
 public:
  rocksdb_store(std::unique_ptr<rocksdb::Env> environment, std::unique_ptr<rocksdb::DB> db, std::vector<rocksdb::ColumnFamilyHandle*> families,
                rocksdb_settings settings)
      : environment_(std::move(environment)), db_(std::move(db)), families_(std::move(families)), settings_(std::move(settings)) {}

  ~rocksdb_store() override {
    for (auto* handle : families_) db_->DestroyColumnFamilyHandle(handle);
    db_->Close();
  }

  std::unique_ptr<store_batch> make_batch() override { return std::make_unique<rocksdb_batch>(families_, settings_); }

  std::optional<error> write(store_batch& batch, sync s) override {
    KAHUNA_CHECK(s == sync::no || settings_.kept == journal::own, settings_.path);
    rocksdb::WriteOptions options;
    options.sync = s == sync::yes;
    options.disableWAL = settings_.kept == journal::none;
    auto& changes = static_cast<rocksdb_batch&>(batch);
    const auto status = db_->Write(options, &changes.batch());
    if (!status.ok()) return error_of(status, settings_.path);
    if (changes.erased() != 0 && (erased_ += changes.erased()) >= erased_per_flush) {
      erased_ = 0;
      rocksdb::FlushOptions later;
      later.wait = false;
      later.allow_write_stall = true;  // rather than waiting here until there is no danger of one
      db_->Flush(later, families_).PermitUncheckedError();  // the next one will do as well
    }
    return std::nullopt;
  }

  result<std::optional<std::string>> get(family f, std::string_view key) const override {
    std::string value;
    const auto status = db_->Get(rocksdb::ReadOptions(), families_.at(static_cast<std::size_t>(f)), slice(key), &value);
    if (status.IsNotFound()) return std::optional<std::string>();
    if (!status.ok()) return error{errc::data_corrupted, settings_.path + ": " + status.ToString()};
    return std::optional(std::move(value));
  }

  std::unique_ptr<store_cursor> cursor(family f, reading how) const override {
    rocksdb::ReadOptions options;
    options.fill_cache = how == reading::often;
    return std::make_unique<rocksdb_cursor>(
        std::unique_ptr<rocksdb::Iterator>(db_->NewIterator(options, families_.at(static_cast<std::size_t>(f)))), settings_.path);
  }

  std::optional<error> flush() override {
    const auto status = db_->Flush(rocksdb::FlushOptions(), families_);
    if (status.ok()) return std::nullopt;
    return error_of(status, settings_.path);
  }

 private:
  std::unique_ptr<rocksdb::Env> environment_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;
  rocksdb_settings settings_;
  std::atomic<std::size_t> erased_{0};  // since a flush was asked for last
};

rocksdb::DBOptions database_options(const rocksdb_settings& settings) {
  rocksdb::DBOptions options;
  options.create_if_missing = settings.may_create;
  options.create_missing_column_families = settings.may_create;
  options.paranoid_checks = true;
  // RocksDB's default (point in time) drops everything behind a damaged record, which here would be forgotten votes.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  // What end_of_journal() reads; both are the defaults.
  options.wal_compression = rocksdb::kNoCompression;
  options.recycle_log_file_num = 0;
  // One flush for all families, so that the applied index never runs ahead of the effects that it stands for.
  options.atomic_flush = settings.kept == journal::none;
  options.avoid_flush_during_shutdown = true;
  options.max_background_jobs = 2;
  options.keep_log_file_num = 2;
  options.max_log_file_size = 1 << 20;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  return options;
}

rocksdb::ColumnFamilyOptions family_options(const rocksdb_settings& settings) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(settings.block_cache_bytes);
  rocksdb::ColumnFamilyOptions options;
  if (settings.kept == journal::own) {
    // What is in the log is read by walking along it, and most of it is gone before it comes to be merged.
    options.compression = rocksdb::kNoCompression;
  } else {
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    // Packing the young levels, which are written soonest and merged most often, was two fifths of what it cost to write them out.
    options.compression_per_level.assign(young_levels, rocksdb::kNoCompression);
    options.compression_per_level.push_back(rocksdb::kLZ4Compression);
  }
  options.write_buffer_size = settings.write_buffer_bytes;
  options.max_write_buffer_number = 3;
  if (settings.nearby) options.memtable_insert_with_hint_prefix_extractor = std::make_shared<nearby_prefix>(*settings.nearby);
  options.table_properties_collector_factories.push_back(
      rocksdb::NewCompactOnDeletionCollectorFactory(erased_window, erased_in_window));
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

result<std::unique_ptr<ordered_store>> open_rocksdb(const rocksdb_settings& settings) {
  const auto families = settings.kept == journal::own ? 1 : family_names.size();
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (std::size_t i = 0; i < families; ++i) descriptors.emplace_back(family_names[i], family_options(settings));
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  auto options = database_options(settings);
  std::unique_ptr<rocksdb::Env> environment;
  if (settings.kept == journal::own) {
    if (auto failure = cut_journals(settings.path)) return *failure;
    environment = rocksdb::NewCompositeEnv(journal_file_system());
    options.env = environment.get();
  }
  rocksdb::DB* db = nullptr;
  const auto status = rocksdb::DB::Open(options, settings.path, descriptors, &handles, &db);
  // Also an I/O error is damage where files are missing that the store's own records name.
  if (!status.ok()) {
    if (status.IsIOError() && status.ToString().find("No such file") != std::string::npos)
      return error{errc::data_corrupted, settings.path + ": " + status.ToString()};
    return error_of(status, settings.path);
  }
  return std::unique_ptr<ordered_store>(
      std::make_unique<rocksdb_store>(std::move(environment), std::unique_ptr<rocksdb::DB>(db), std::move(handles), settings));
}

}  // namespace kahuna::persistence
