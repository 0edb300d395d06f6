#include "tests/support/raft_replica.hpp"

#include <utility>

#include "core/base/check.hpp"

namespace kahuna::testing {

std::vector<raft::log_entry> simulated_disk::read(log_index from, log_index to, std::size_t bytes_max) const {
  std::vector<raft::log_entry> found;
  std::size_t bytes = 0;
  for (auto index = from; index < to && index > start.index && index <= last_index() && (found.empty() || bytes < bytes_max); ++index) {
    found.push_back(entries[index - start.index - 1]);
    bytes += found.back().size_bytes();
  }
  return found;
}

term_id simulated_disk::term_at(log_index index) const {
  return index <= start.index || index > last_index() ? term_id{} : entries[index - start.index - 1].term;
}

raft::initial_state simulated_disk::found() const {
  raft::initial_state found{state, start, last_index(), applied_index, 0, false, members, dropped};
  if (snapshot.at.index > start.index && term_at(snapshot.at.index) != snapshot.at.term) {
    found.start = snapshot.at;
    found.members = snapshot.members;
    found.last_index = snapshot.at.index;
    found.is_log_obsolete = true;
  } else {
    for (const auto& entry : entries) found.log_bytes += entry.size_bytes();
  }
  return found;
}

void simulated_disk::write(const raft::log_write& write) {
  if (write.state) state = *write.state;
  if (write.truncate_from)
    while (!entries.empty() && entries.back().index >= *write.truncate_from) entries.pop_back();
  if (write.start) {
    KAHUNA_CHECK(write.start->at.index >= start.index, write.start->at.index, start.index);
    while (!entries.empty() && entries.front().index <= write.start->at.index) entries.pop_front();
    start = write.start->at;
    members = write.start->members;
  }
  for (const auto& entry : write.entries) {
    // The write before this one may have been put off by a start that went past what it holds.
    if (entry.index <= start.index) continue;
    KAHUNA_CHECK(entry.index == last_index() + 1, entry.index, last_index());
    entries.push_back(entry);
  }
}

void simulated_disk::drop() {
  simulated_disk left;
  left.state = state;
  const auto end = entries.empty() ? start : raft::log_position{last_index(), entries.back().term};
  left.dropped = end.is_up_to_date_with(dropped) ? end : dropped;
  *this = std::move(left);
}

raft_replica::raft_replica(node_id self, std::vector<node_id> founders, raft::raft_options options, std::uint64_t seed)
    : self_(self), founders_{std::move(founders), {}, {}}, options_(options), seed_(seed) {}

void raft_replica::drop() {
  KAHUNA_CHECK(!is_up());
  disk_.drop();
  founders_ = {};
}

void raft_replica::start(instant now) {
  KAHUNA_CHECK(!is_up());
  core_ = std::make_unique<raft::raft_core>(self_, founders_, options_, disk_.found(), disk_, prng(seed_ + 1000 * ++starts_), now);
}

void raft_replica::crash(std::size_t writes_kept) {
  core_.reset();
  for (std::size_t i = 0; i < writes_kept && i < writes_.size(); ++i) disk_.write(writes_[i]);
  writes_.clear();
}

void raft_replica::step(raft::raft_input input, instant now) {
  const auto term = core_->term();
  const auto commit_index = core_->commit_index();
  core_->step(std::move(input), now);
  core_->check_invariants();
  KAHUNA_CHECK(core_->term() >= term && core_->commit_index() >= commit_index, core_->describe());
}

raft::ready raft_replica::take_ready() {
  auto ready = core_->take_ready();
  core_->check_invariants();
  if (ready.write) writes_.push_back(*ready.write);
  return ready;
}

void raft_replica::finish_write(instant now) {
  const auto number = writes_.front().number;
  disk_.write(writes_.front());
  writes_.pop_front();
  step(raft::persisted{number}, now);
}

}  // namespace kahuna::testing
