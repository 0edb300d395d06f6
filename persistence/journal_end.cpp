#include "persistence/journal_end.hpp"

#include <algorithm>
#include <cstdint>
#include <string>

#include "persistence/record.hpp"

namespace kahuna::persistence {

namespace {

constexpr std::size_t block_bytes = 32 << 10;
constexpr std::size_t header_bytes = 7;
constexpr std::size_t kind_at = 6;
constexpr std::size_t batch_header_bytes = 12;
constexpr std::uint64_t sequence_max = (std::uint64_t{1} << 56) - 1;

enum class kind : std::uint8_t { full = 1, first = 2, middle = 3, last = 4 };

bool begins_a_batch(kind k) { return k == kind::full || k == kind::first; }

std::uint64_t little_endian(std::string_view bytes, std::size_t at, std::size_t count) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < count; ++i) number |= std::uint64_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return number;
}

std::uint32_t unmasked(std::uint32_t crc) {
  const auto rotated = crc - 0xa282ead8u;
  return rotated >> 17 | rotated << 15;
}

std::size_t end_of_block(std::size_t position) { return (position / block_bytes + 1) * block_bytes; }

// Behind a record: where the next one begins.
std::size_t next_header(std::size_t position) {
  const auto end = end_of_block(position);
  return end - position < header_bytes ? end : position;
}

struct record {
  kind what = kind::full;
  std::string_view payload;
  std::size_t end = 0;
};

// What stands there, if it is a whole record.
std::optional<record> record_at(std::string_view file, std::size_t position) {
  const auto limit = std::min(end_of_block(position), file.size());
  if (position >= limit || limit - position < header_bytes) return std::nullopt;
  const auto what = static_cast<unsigned char>(file[position + kind_at]);
  if (what < static_cast<unsigned char>(kind::full) || what > static_cast<unsigned char>(kind::last)) return std::nullopt;
  const auto length = static_cast<std::size_t>(little_endian(file, position + 4, 2));
  if (length > limit - position - header_bytes) return std::nullopt;
  if (unmasked(static_cast<std::uint32_t>(little_endian(file, position, 4))) != crc32c(file.substr(position + kind_at, 1 + length))) return std::nullopt;
  return record{static_cast<kind>(what), file.substr(position + header_bytes, length), position + header_bytes + length};
}

// What follows the batches that it is shown.
class batch_counter {
 public:
  void add(const record& next) {
    if (begins_a_batch(next.what)) header_.clear();
    if (header_.size() < batch_header_bytes) header_.append(next.payload.substr(0, batch_header_bytes - header_.size()));
    if ((next.what == kind::full || next.what == kind::last) && header_.size() == batch_header_bytes)
      next_sequence_ = little_endian(header_, 0, 8) + little_endian(header_, 8, 4);
  }

  // Whether that may be a batch behind the next one, which has so many bytes. Values of clients may hold whole records, of a copy of a journal say; but not
  // with this journal's numbers.
  bool may_be_behind_next(const record& found, std::size_t bytes) const {
    if (!begins_a_batch(found.what) || found.payload.size() < batch_header_bytes) return false;
    const auto sequence = little_endian(found.payload, 0, 8);
    if (!next_sequence_) return sequence <= sequence_max;
    return sequence > *next_sequence_ && sequence - *next_sequence_ <= bytes;
  }

 private:
  std::string header_;  // of the batch that is under way
  std::optional<std::uint64_t> next_sequence_;
};

}  // namespace

std::optional<std::size_t> end_of_journal(std::string_view file) {
  std::size_t end = 0;
  batch_counter batches;
  while (const auto found = record_at(file, next_header(end))) {
    end = found->end;
    batches.add(*found);
  }
  const auto last_byte = file.find_last_not_of('\0');
  if (last_byte == std::string_view::npos || last_byte < end) return end;
  // How long what is not whole would have been can't be trusted: the next record may be anywhere.
  for (auto at = next_header(end) + 1; at < last_byte; ++at)
    if (const auto found = record_at(file, at); found && batches.may_be_behind_next(*found, at - end)) return std::nullopt;
  return end;
}

}  // namespace kahuna::persistence
