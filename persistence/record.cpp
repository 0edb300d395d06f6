#include "persistence/record.hpp"

#include <isa-l/crc.h>

namespace kahuna::persistence {

std::uint32_t crc32c(std::string_view first, std::string_view second) {
  // ISA-L leaves inverting the register, before and after, to its caller. It does not write to what it is given.
  const auto add = [](std::uint32_t sum, std::string_view bytes) {
    return crc32_iscsi(reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data())), static_cast<int>(bytes.size()), sum);
  };
  return ~add(add(~std::uint32_t{0}, first), second);
}

void seal(std::string_view key, std::string& body) {
  const auto sum = crc32c(key, body);
  for (int shift = 0; shift < 32; shift += 8) body.push_back(static_cast<char>(sum >> shift));
}

result<std::string_view> unseal(std::string_view key, std::string_view record) {
  if (record.size() < 4) return error{errc::data_corrupted, "the record is too short"};
  const auto body = record.substr(0, record.size() - 4);
  std::uint32_t stored = 0;
  for (std::size_t i = 0; i < 4; ++i)
    stored |= static_cast<std::uint32_t>(static_cast<unsigned char>(record[body.size() + i])) << (8 * i);
  if (stored != crc32c(key, body)) return error{errc::data_corrupted, "the record's checksum does not match"};
  return body;
}

void append_be32(std::string& out, std::uint32_t n) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(n >> shift));
}

void append_be64(std::string& out, std::uint64_t n) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(n >> shift));
}

std::uint64_t read_be64(const char* bytes) {
  std::uint64_t n = 0;
  for (int i = 0; i < 8; ++i) n = n << 8 | static_cast<unsigned char>(bytes[i]);
  return n;
}

std::string printable(std::string_view key) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '\\')
      out += c;
    else
      out.append("\\x").append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
  }
  return out;
}

}  // namespace kahuna::persistence
