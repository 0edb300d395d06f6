#include "persistence/journal_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

#include <rocksdb/file_system.h>

#include "persistence/journal_end.hpp"

namespace kahuna::persistence {

namespace {

constexpr std::string_view journal_suffix = ".log";
constexpr std::uint64_t page_bytes = 4 << 10;
constexpr std::uint64_t piece_bytes = 256 << 10;
// A larger write takes longer than what its size costs, and would be written twice for little.
constexpr std::size_t small_write_bytes_max = 64 << 10;

// RocksDB cuts a file that it closes to what it wrote, as it does with what it had allocated ahead.
class journal_file final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  // `descriptor`: of the same file; taken over.
  journal_file(std::unique_ptr<rocksdb::FSWritableFile> file, int descriptor)
      : FSWritableFileOwnerWrapper(std::move(file)), descriptor_(descriptor) {}
  ~journal_file() override { ::close(descriptor_); }
  journal_file(const journal_file&) = delete;
  journal_file& operator=(const journal_file&) = delete;

  rocksdb::IOStatus Append(const rocksdb::Slice& bytes, const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    return appended(bytes.size(), FSWritableFileOwnerWrapper::Append(bytes, options, debug));
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& bytes, const rocksdb::IOOptions& options, const rocksdb::DataVerificationInfo& verification,
                           rocksdb::IODebugContext* debug) override {
    return appended(bytes.size(), FSWritableFileOwnerWrapper::Append(bytes, options, verification, debug));
  }

  // What is large comes in several pieces, of which the last one may be small.
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    unsynced_ = 0;
    return FSWritableFileOwnerWrapper::Sync(options, debug);
  }

 private:
  // The zeros go to disk with the next sync, as what was appended does. Where they can't be written, the file grows by itself; what that
  // says about the disk, the next write says too.
  rocksdb::IOStatus appended(std::size_t bytes, rocksdb::IOStatus status) {
    if (!status.ok()) is_size_known_ = false;
    size_ += bytes;
    unsynced_ += bytes;
    if (!is_size_known_ || size_ <= zeros_end_ || unsynced_ > small_write_bytes_max) return status;
    static const std::array<char, piece_bytes> zeros{};
    const auto end = (size_ + piece_bytes) / page_bytes * page_bytes;
    const auto written = ::pwrite(descriptor_, zeros.data(), end - size_, static_cast<off_t>(size_));
    if (written > 0) zeros_end_ = size_ + static_cast<std::uint64_t>(written);
    return status;
  }

  int descriptor_;
  std::uint64_t size_ = 0;
  std::uint64_t zeros_end_ = 0;
  std::uint64_t unsynced_ = 0;
  bool is_size_known_ = true;  // not how much a write that failed has left
};

class file_system final : public rocksdb::FileSystemWrapper {
 public:
  file_system() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "kahuna.journal_files"; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options, std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    auto status = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (!status.ok() || !name.ends_with(journal_suffix)) return status;
    if (const int descriptor = ::open(name.c_str(), O_WRONLY | O_CLOEXEC); descriptor >= 0)
      *file = std::make_unique<journal_file>(std::move(*file), descriptor);
    return status;
  }
};

std::optional<error> cut_journal(const std::string& path, std::size_t size) {
  std::string file(size, '\0');
  std::ifstream in(path, std::ios::binary);
  if (!in.read(file.data(), static_cast<std::streamsize>(size))) return error{errc::unavailable, path + ": can't be read: " + std::strerror(errno)};
  const auto end = end_of_journal(file);
  if (!end) return error{errc::data_corrupted, path + ": is damaged before its last batch"};
  if (*end != size && ::truncate(path.c_str(), static_cast<off_t>(*end)) != 0)
    return error{errc::unavailable, path + ": can't be cut: " + std::strerror(errno)};
  return std::nullopt;
}

}  // namespace

std::shared_ptr<rocksdb::FileSystem> journal_file_system() { return std::make_shared<file_system>(); }

std::optional<error> cut_journals(const std::string& store_path) {
  namespace fs = std::filesystem;
  std::error_code failure;
  if (!fs::exists(store_path, failure)) return std::nullopt;
  for (auto at = fs::directory_iterator(store_path, failure); !failure && at != fs::directory_iterator(); at.increment(failure)) {
    if (at->path().extension() != journal_suffix) continue;
    const auto size = at->file_size(failure);
    if (failure) break;
    if (auto cut = cut_journal(at->path().string(), size)) return cut;
  }
  if (failure) return error{errc::unavailable, store_path + ": can't be read: " + failure.message()};
  return std::nullopt;
}

}  // namespace kahuna::persistence
