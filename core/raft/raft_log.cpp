#include "core/raft/raft_log.hpp"

#include <algorithm>
#include <utility>

#include "core/base/check.hpp"

namespace kahuna::raft {

namespace {

// Places whose bytes are known lie about so far apart.
constexpr std::uint64_t mark_distance_bytes = 4096;

}  // namespace

raft_log::raft_log(const log_reader& reader, const initial_state& found)
    : reader_(reader), start_(found.start), is_start_unwritten_(found.is_log_obsolete), total_bytes_(found.log_bytes),
      first_cached_(found.last_index + 1), last_index_(found.last_index),
      last_term_(found.last_index == found.start.index ? found.start.term : reader.term_at(found.last_index)),
      stable_index_(found.last_index), unwritten_from_(found.last_index + 1) {
  KAHUNA_CHECK(found.start.index <= found.last_index, found.start.index, found.last_index);
  if (found.is_log_obsolete) truncate_from_ = found.start.index + 1;
  if (last_index_ > start_.index) marks_.push_back({last_index_, total_bytes_});
}

term_id raft_log::term_at(log_index index) const {
  if (index < start_.index || index > last_index_) return {};
  if (index == start_.index) return start_.term;
  if (index == last_index_) return last_term_;
  return index >= first_cached_ ? cached(index).term : reader_.term_at(index);
}

log_index raft_log::last_index_with_term_at_most(term_id term, log_index from) const {
  if (from < start_.index) return from;
  auto low = start_.index;
  if (start_.term > term) return low == log_index{} ? low : low - 1;
  auto high = std::min(from, last_index_);
  while (low < high) {
    const auto middle = low + (high - low + 1) / 2;
    if (term_at(middle) <= term)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

std::vector<log_entry> raft_log::entries_from(log_index from, log_index upto, std::size_t bytes_max) const {
  KAHUNA_CHECK(from > start_.index && upto <= last_index_, from, upto, start_.index, last_index_);
  std::vector<log_entry> entries;
  if (from > upto) return entries;
  if (from < first_cached_) {
    entries = reader_.read(from, std::min(upto + 1, first_cached_), bytes_max);
    KAHUNA_CHECK(!entries.empty() && entries.front().index == from, from, upto, first_cached_);
    if (entries.back().index + 1 < first_cached_ || entries.back().index == upto) return entries;
  }
  std::size_t bytes = 0;
  for (const auto& entry : entries) bytes += entry.size_bytes();
  for (auto index = from + entries.size(); index <= upto && bytes < bytes_max; ++index) {
    entries.push_back(cached(index));
    bytes += entries.back().size_bytes();
  }
  return entries;
}

void raft_log::append(log_entry entry) {
  KAHUNA_CHECK(entry.index == last_index_ + 1 && entry.term >= last_term_, entry.index, entry.term, last_index_, last_term_);
  last_index_ = entry.index;
  last_term_ = entry.term;
  cached_bytes_ += entry.size_bytes();
  total_bytes_ += entry.size_bytes();
  if (marks_.empty() || total_bytes_ >= marks_.back().bytes + mark_distance_bytes) marks_.push_back({last_index_, total_bytes_});
  cache_.push_back(std::move(entry));
}

void raft_log::truncate(log_index from) {
  KAHUNA_CHECK(from > start_.index && from <= last_index_, from, start_.index, last_index_);
  while (!cache_.empty() && cache_.back().index >= from) {
    cached_bytes_ -= cache_.back().size_bytes();
    cache_.pop_back();
  }
  while (!marks_.empty() && marks_.back().index >= from) marks_.pop_back();
  total_bytes_ = marks_.empty() ? start_bytes_ : marks_.back().bytes;
  const auto kept_term = term_at(from - 1);
  last_index_ = from - 1;
  last_term_ = kept_term;
  first_cached_ = std::min(first_cached_, from);
  stable_index_ = std::min(stable_index_, last_index_);
  // Only what was handed out to be written can be on disk.
  if (from < unwritten_from_) {
    truncate_from_ = truncate_from_ ? std::min(*truncate_from_, from) : from;
    unwritten_from_ = from;
  }
}

void raft_log::start_at(log_position start) {
  KAHUNA_CHECK(start.index >= start_.index, start.index, start_.index);
  const bool has_it = start.index <= last_index_ && term_at(start.index) == start.term;
  if (!has_it) {
    cache_.clear();
    cached_bytes_ = 0;
    marks_.clear();
    total_bytes_ = start_bytes_;
    last_index_ = start.index;
    last_term_ = start.term;
    first_cached_ = unwritten_from_ = start.index + 1;
    stable_index_ = start.index;
    truncate_from_ = start.index + 1;
  }
  while (!cache_.empty() && cache_.front().index <= start.index) {
    cached_bytes_ -= cache_.front().size_bytes();
    cache_.pop_front();
  }
  first_cached_ = std::max(first_cached_, start.index + 1);
  while (!marks_.empty() && marks_.front().index <= start.index) {
    start_bytes_ = marks_.front().bytes;
    marks_.pop_front();
  }
  // What the data has needs no write any more.
  stable_index_ = std::max(stable_index_, start.index);
  unwritten_from_ = std::max(unwritten_from_, start.index + 1);
  start_ = start;
  is_start_unwritten_ = true;
}

log_index raft_log::last_index_before(std::size_t bytes) const {
  if (bytes == 0) return last_index_;
  auto found = start_.index;
  for (const auto& mark : marks_) {
    if (mark.bytes + bytes > total_bytes_) break;
    found = mark.index;
  }
  return found;
}

raft_log::unwritten raft_log::take_unwritten() {
  unwritten result{std::nullopt, std::exchange(truncate_from_, std::nullopt), {}};
  if (std::exchange(is_start_unwritten_, false)) result.start = start_;
  result.entries.reserve(last_index_ + 1 - unwritten_from_);
  for (auto index = unwritten_from_; index <= last_index_; ++index) result.entries.push_back(cached(index));
  unwritten_from_ = last_index_ + 1;
  return result;
}

void raft_log::mark_stable(log_index upto) {
  KAHUNA_CHECK(upto <= last_index_, upto, last_index_);
  stable_index_ = std::max(stable_index_, upto);
}

void raft_log::evict(std::size_t bytes_max) {
  while (cached_bytes_ > bytes_max && !cache_.empty() && first_cached_ <= stable_index_) {
    cached_bytes_ -= cache_.front().size_bytes();
    cache_.pop_front();
    ++first_cached_;
  }
}

}  // namespace kahuna::raft
