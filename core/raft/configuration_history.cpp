#include "core/raft/configuration_history.hpp"

#include <iterator>
#include <utility>

#include "core/base/check.hpp"

namespace kahuna::raft {

const configuration_history::entry& configuration_history::at(log_index index) const {
  KAHUNA_CHECK(entries_.front().index <= index, index, entries_.front().index);
  return *std::prev(std::partition_point(entries_.begin(), entries_.end(), [&](const entry& e) { return e.index <= index; }));
}

std::vector<node_id> configuration_history::members_since(log_index index) const {
  const auto& first = at(index);
  auto all = first.members.members();
  for (const auto& later : entries_) {
    if (later.index <= first.index) continue;
    std::vector<node_id> united;
    const auto members = later.members.members();
    std::set_union(all.begin(), all.end(), members.begin(), members.end(), std::back_inserter(united));
    all = std::move(united);
  }
  return all;
}

void configuration_history::append(log_index index, configuration members) {
  KAHUNA_CHECK(index > entries_.back().index, index, entries_.back().index);
  entries_.push_back({index, std::move(members)});
  ++version_;
}

void configuration_history::truncate(log_index from) {
  KAHUNA_CHECK(from > entries_.front().index, from, entries_.front().index);
  while (entries_.back().index >= from) {
    entries_.pop_back();
    ++version_;
  }
}

void configuration_history::start_at(log_index index) {
  while (entries_.size() > 1 && entries_[1].index <= index) entries_.pop_front();
}

void configuration_history::restart_at(log_index index, configuration members) {
  entries_.clear();
  entries_.push_back({index, std::move(members)});
  ++version_;
}

}  // namespace kahuna::raft
