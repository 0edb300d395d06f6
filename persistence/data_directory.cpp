#include "persistence/data_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "persistence/data_store.hpp"
#include "persistence/record.hpp"
#include "persistence/rocksdb_store.hpp"

namespace kahuna::persistence {

namespace {

namespace fs = std::filesystem;

constexpr const char* lock_name = "LOCK";
constexpr const char* identity_name = "identity";
constexpr const char* new_identity_name = "identity.new";
// Opening the stores writes out what their journals hold, a write buffer each at most. RocksDB does not take it well if there is
// no room in the middle of that (docs/incidents/0008).
constexpr std::uintmax_t free_bytes_min = 64 << 20;

open_failure usage(std::string message) { return {false, std::move(message)}; }
open_failure damage(std::string message) { return {true, std::move(message)}; }

std::string system_error_text() { return std::strerror(errno); }

bool sync_path(const std::string& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool is_synced = ::fsync(descriptor) == 0;
  ::close(descriptor);
  return is_synced;
}

// Whole or not at all: written beside, synced, renamed, and the rename synced.
std::optional<open_failure> write_identity(const std::string& path, const identity& id) {
  const auto beside = path + '/' + new_identity_name;
  {
    std::ofstream out(beside, std::ios::binary | std::ios::trunc);
    out << encode_record(identity_name, id);
    out.close();
    if (!out) return usage(beside + ": can't be written: " + system_error_text());
  }
  if (!sync_path(beside, O_RDONLY) || ::rename(beside.c_str(), (path + '/' + identity_name).c_str()) != 0 ||
      !sync_path(path, O_RDONLY | O_DIRECTORY))
    return usage(path + '/' + identity_name + ": can't be written: " + system_error_text());
  return std::nullopt;
}

open_failure failure_of(const error& e, const std::string& path) {
  if (e.code == errc::data_corrupted) return damage(e.message + "; restore " + path + " from a copy, or replace this node");
  return usage(e.message);
}

}  // namespace

open_result<std::optional<identity>> data_directory::inspect(const std::string& path) {
  std::error_code failure;
  const auto status = fs::status(path, failure);
  if (status.type() == fs::file_type::not_found) return std::optional<identity>();
  if (failure) return usage(path + ": " + failure.message());
  if (status.type() != fs::file_type::directory) return usage(path + ": is not a directory; give another --data-dir");
  if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0)
    return usage(path + ": " + system_error_text() + "; give this user access to it, or another --data-dir");

  const auto file = path + '/' + identity_name;
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    if (errno != ENOENT) return usage(file + ": " + system_error_text());
    for (const auto& entry : fs::directory_iterator(path, failure)) {
      const auto name = entry.path().filename().string();
      if (name == lock_name || name == new_identity_name) continue;
      if (name == "log" || name == "data" || name == "log.synced")
        return damage(file + ": is missing beside the data; restore it from a copy, or replace this node");
      return usage(path + ": holds '" + name + "' and is no data directory of Kahuna; give an empty one");
    }
    return std::optional<identity>();
  }
  std::ostringstream bytes;
  bytes << in.rdbuf();
  auto found = decode_record<identity>(identity_name, bytes.str());
  if (!found) return damage(file + ": is damaged (" + found.error().message + "); restore it from a copy, or replace this node");
  if (found->format_version > identity::format_version_now)
    return usage(path + ": has the format of a newer version; start that version");
  if (!found->is_complete) return std::optional<identity>();
  // Written by a version that knew of no changes.
  if (found->map.placements.empty()) routing::complete_formed(found->map);
  if (found->newest.members.empty()) found->newest = found->map;
  if (!routing::is_well_formed(found->map) || !routing::is_well_formed(found->newest))
    return damage(file + ": holds a partition map that is none; restore it from a copy, or replace this node");
  return std::optional(std::move(*found));
}

open_result<std::unique_ptr<data_directory>> data_directory::open(const std::string& path, const identity& expected,
                                                                  fatal_handler fatal) {
  std::error_code failure;
  fs::create_directories(path, failure);
  if (failure) return usage(path + ": can't be made: " + failure.message());

  if (const auto space = fs::space(path, failure); !failure && space.available < free_bytes_min)
    return usage(path + ": No space left on device: " + std::to_string(space.available >> 20) + " MiB are free, a start needs " +
                 std::to_string(free_bytes_min >> 20) + "; make room");

  const auto lock_path = path + '/' + lock_name;
  const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0) return usage(lock_path + ": " + system_error_text());
  std::unique_ptr<data_directory> opened(new data_directory(lock, path));
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) return usage(path + ": another node runs on it; stop it, or give another --data-dir");

  // Under the lock: nobody changes it between the look and the opening.
  auto inspected = inspect(path);
  if (auto* wrong = std::get_if<open_failure>(&inspected)) return std::move(*wrong);
  const auto& found = std::get<std::optional<identity>>(inspected);
  const bool is_new = !found.has_value();
  auto id = is_new ? expected : *found;
  if (is_new) {
    id.is_complete = false;
    if (auto wrong = write_identity(path, id)) return std::move(*wrong);
    for (const auto* leftover : {"log", "data", "log.synced"}) fs::remove_all(path + '/' + leftover, failure);
  }

  auto log = open_rocksdb({.path = path + "/log", .kept = journal::own, .may_create = is_new, .nearby = raft_log_writes});
  if (!log) return failure_of(log.error(), path + "/log");
  auto data = open_rocksdb({.path = path + "/data", .kept = journal::none, .may_create = is_new, .nearby = data_store_writes});
  if (!data) return failure_of(data.error(), path + "/data");
  auto mark = synced_mark::open(path + "/log.synced", is_new);
  if (!mark) return failure_of(mark.error(), path + "/log.synced");
  if ((*mark)->is_half_damaged()) opened->repaired_ = path + "/log.synced: one of its two numbers was damaged, the other one counts";
  auto log_store = raft_log_store::open(std::shared_ptr<ordered_store>(std::move(*log)), std::move(*mark), std::move(fatal));
  if (!log_store) return damage(path + "/log: " + log_store.error().message);

  if (is_new) {
    id.is_complete = true;
    if (auto wrong = write_identity(path, id)) return std::move(*wrong);
  }
  opened->identity_ = std::move(id);
  opened->data_ = std::move(*data);
  opened->log_ = std::move(*log_store);
  return opened;
}

std::optional<open_failure> data_directory::remember(const routing::partition_map& newest) {
  identity_.newest = newest;
  return write_identity(path_, identity_);
}

data_directory::~data_directory() {
  log_.reset();
  data_.reset();
  ::close(lock_);
}

}  // namespace kahuna::persistence
