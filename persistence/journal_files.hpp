// The files of RocksDB's journal, which are written ahead of what comes: zeros, a piece at a time (docs/decisions/0015).
//
// A file that grows with every write has a new size for every sync, which the file system has to write to a journal of its own: one for all
// files on it, so that nodes which share a disk wait for each other. What is written over zeros that are there changes the size of nothing.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/base/errc.hpp"

namespace rocksdb {
class FileSystem;
}

namespace kahuna::persistence {

// As the default one, but for journals that are written in it. They end where they should when they are closed, and with up to a piece of zeros
// behind a crash.
std::shared_ptr<rocksdb::FileSystem> journal_file_system();

// Cuts what is behind their ends off the journals of a store that is not open, nor being opened by anybody else (end_of_journal()). Where that is
// interrupted, or lost with the power, the next start does it again. Errors: data_corrupted (a journal is damaged; it is left as it is), unavailable.
std::optional<error> cut_journals(const std::string& store_path);

}  // namespace kahuna::persistence
