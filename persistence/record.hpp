// Records on disk: the codec's bytes, sealed with a CRC32C that also covers the key they stand under, so that a record
// that was damaged, or that stands in a wrong place, is noticed when it is read.
//
//   record := body (messages/codec)  crc32c:u32 little-endian (of key and body)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/errc.hpp"
#include "messages/codec/portable_archive.hpp"

namespace kahuna::persistence {

// CRC-32C (Castagnoli) of the two, one behind the other.
std::uint32_t crc32c(std::string_view first, std::string_view second = {});

// Appends the seal to `body`.
void seal(std::string_view key, std::string& body);

// The body of a sealed record. Error: data_corrupted.
result<std::string_view> unseal(std::string_view key, std::string_view record);

template <class T>
std::string encode_record(std::string_view key, const T& x) {
  auto body = messages::encode(x);
  seal(key, body);
  return body;
}

// Error: data_corrupted, with what is wrong but not where: the caller knows.
template <class T>
result<T> decode_record(std::string_view key, std::string_view record) {
  const auto body = unseal(key, record);
  if (!body) return body.error();
  return messages::decode<T>(*body);
}

// --- keys ---------------------------------------------------------------------------------------------------------

// Big-endian, so that bytes order as numbers do.
void append_be32(std::string& out, std::uint32_t n);
void append_be64(std::string& out, std::uint64_t n);
std::uint64_t read_be64(const char* bytes);

// Printable form of a key in a message: what is not printable ASCII as \xHH.
std::string printable(std::string_view key);

}  // namespace kahuna::persistence
