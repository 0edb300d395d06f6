// Where a journal of RocksDB's ends in a file that goes on behind it with zeros (journal_files.hpp).
//
// RocksDB forgives a batch that was torn by a crash where the file ends with it. With zeros behind it, it takes the same batch for a damaged
// one, and refuses. So what is behind the end is cut off before it reads the file.
//
//   journal := block…           block := record… padding, 32 KiB, the last one shorter; padding := fewer than 7 zeros
//   record  := crc:le32 length:le16 kind:u8 payload, within a block; crc: masked CRC-32C of kind and payload
//   batch   := FULL | FIRST MIDDLE… LAST; their payloads begin with sequence:le64 count:le32, which add up to the next one's sequence
//
// (RocksDB 7.8, db/log_format.h and db/write_batch.cc. Recyclable records, which have longer headers, and packed ones are never written here.)
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace kahuna::persistence {

// Behind the last record that is whole, where nothing follows but zeros, or what is left of one batch: a batch is synced before the next
// one is begun, so a torn one was promised to nobody. Whether the last one was torn or damaged behind its sync can't be told from the file (raft_log_store.hpp:
// `log.synced` knows). Nothing: the journal is damaged, since a batch begins behind what is not whole.
std::optional<std::size_t> end_of_journal(std::string_view file);

}  // namespace kahuna::persistence
