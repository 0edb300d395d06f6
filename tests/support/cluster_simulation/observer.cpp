#include "tests/support/cluster_simulation/observer.hpp"

#include <algorithm>
#include <sstream>
#include <string_view>

namespace kahuna::testing {

namespace {

template <class... Ts>
[[noreturn]] void fail(const Ts&... parts) {
  std::ostringstream out;
  ((out << parts), ...);
  throw violation(out.str());
}

std::uint64_t digest_of(const raft::log_entry& entry) {
  std::uint64_t hash = 14695981039346656037ull + static_cast<std::uint64_t>(entry.kind);
  for (const auto c : entry.payload.view()) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

}  // namespace

void observer::leads(partition_id partition, term_id term, node_id node, const simulated_disk& log) {
  const auto [known, is_new] = leaders_.emplace(std::pair(partition, term), node);
  if (known->second != node)
    fail("election safety: partition ", partition, " has two leaders in term ", term, ": nodes ", known->second, " and ", node);
  if (!is_new) return;
  // The last that was committed in an earlier term: all before it are in the log then, by the matching of logs.
  const auto& committed = committed_[partition];
  for (auto last = committed.rbegin(); last != committed.rend(); ++last) {
    if (last->second.known_in >= term) continue;
    const bool is_there = last->first <= log.start.index || log.term_at(last->first) == last->second.term;
    if (!is_there)
      fail("leader completeness: partition ", partition, ", the leader of term ", term, " on node ", node, " has not entry ", last->first,
           " of term ", last->second.term, ", which was committed in term ", last->second.known_in);
    return;
  }
}

void observer::written(partition_id partition, const raft::log_write& write, const simulated_disk& log_before, term_id leading) {
  if (leading != term_id{} && write.truncate_from && log_before.term_at(*write.truncate_from) == leading)
    fail("leader append-only: partition ", partition, ", the leader of term ", leading, " takes its entries from ", *write.truncate_from,
         " on away");
  auto before = write.entries.empty() ? term_id{} : log_before.term_at(write.entries.front().index - 1);
  for (const auto& entry : write.entries) {
    const entry_seen seen{digest_of(entry), before};
    const auto [known, is_new] = entries_.emplace(std::tuple(partition, entry.index, entry.term), seen);
    if (known->second.payload != seen.payload)
      fail("log matching: partition ", partition, ", entry ", entry.index, " of term ", entry.term, " is not the same in two logs");
    // Where the log begins, the term before is not known.
    if (known->second.before == term_id{}) known->second.before = before;
    if (before != term_id{} && known->second.before != before)
      fail("log matching: partition ", partition, ", entry ", entry.index, " of term ", entry.term, " stands behind entries of terms ",
           known->second.before, " and ", before);
    before = entry.term;
  }
}

void observer::committed(partition_id partition, term_id term, const raft::log_entry& entry) {
  const committed_entry seen{entry.term, digest_of(entry), term};
  auto& known = committed_[partition].emplace(entry.index, seen).first->second;
  if (known.term != seen.term || known.payload != seen.payload)
    fail("state machine safety: partition ", partition, ", entry ", entry.index, " is of term ", known.term, " to one and of term ",
         seen.term, " to another");
  known.known_in = std::min(known.known_in, term);
}

void observer::is_in_force(partition_id partition, const raft::configuration_change& change) {
  // A replica that was made anew knows none before the first that is an entry, also when its log begins between the two.
  const bool is_known = change.index != log_index{} && !change.members.voters.empty();
  if (!change.is_committed || !is_known) return;
  const auto& known = configurations_[partition].emplace(change.index, change.members).first->second;
  if (known != change.members) fail("membership: partition ", partition, " has two configurations at index ", change.index);
}

void observer::goes_by(const routing::partition_map& map) {
  if (newest_map_ && map.version <= newest_map_->version) return;
  for (std::uint32_t p = 0; newest_map_ && p < map.partitions; ++p) {
    const auto& held = map.placements[p];
    if (!held.is_settled() || newest_map_->placements[p].is_settled()) continue;
    const auto& known = configurations_[partition_id{p}];
    const auto is_settled = [&](const raft::configuration& last) { return last.voters == held.voters && !last.is_joint() && last.learners.empty(); };
    // A target may have been taken back before the group had begun.
    if (known.empty() ? newest_map_->placements[p].voters != held.voters : !is_settled(known.rbegin()->second))
      fail("membership: version ", map.version, " of the map says that partition ", p, " is settled, and its group has not committed that");
  }
  newest_map_ = map;
}

void observer::applied(partition_id partition, log_index index, std::uint64_t digest, node_id node) {
  const auto [known, is_new] = states_.emplace(std::pair(partition, index), std::pair(digest, node));
  if (!is_new) ++states_compared_;
  if (known->second.first != digest)
    fail("replicas differ: partition ", partition, " at applied index ", index, " on nodes ", known->second.second, " and ", node);
}

}  // namespace kahuna::testing
