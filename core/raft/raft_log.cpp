#include "core/raft/raft_log.hpp"

#include <algorithm>
#include <utility>

#include "core/base/check.hpp"

namespace kahuna::raft {

raft_log::raft_log(const log_reader& reader, log_index last_index)
    : reader_(reader), first_cached_(last_index + 1), last_index_(last_index),
      last_term_(last_index == log_index{} ? term_id{} : reader.term_at(last_index)), stable_index_(last_index),
      unwritten_from_(last_index + 1) {}

term_id raft_log::term_at(log_index index) const {
  if (index == log_index{} || index > last_index_) return {};
  if (index == last_index_) return last_term_;
  return index >= first_cached_ ? cached(index).term : reader_.term_at(index);
}

log_index raft_log::last_index_with_term_at_most(term_id term, log_index from) const {
  auto low = log_index{};  // its term is at most `term`: 0 stands before every entry
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
  KAHUNA_CHECK(from > log_index{} && upto <= last_index_, from, upto, last_index_);
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
  cache_.push_back(std::move(entry));
}

void raft_log::truncate(log_index from) {
  KAHUNA_CHECK(from > log_index{} && from <= last_index_, from, last_index_);
  while (!cache_.empty() && cache_.back().index >= from) {
    cached_bytes_ -= cache_.back().size_bytes();
    cache_.pop_back();
  }
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

raft_log::unwritten raft_log::take_unwritten() {
  unwritten result{std::exchange(truncate_from_, std::nullopt), {}};
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
