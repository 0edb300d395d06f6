// What a partition remembers of writes, so that a retry of one gets the first answer and is not applied again: of all that
// were accepted, and of refused ones that were sent more than once (an earlier attempt may still come).
//
// Part of the replicated state: changed only by applying log entries, and the same on every replica at the same index.
// Bounded: a client's answered requests are forgotten (its floor says which), and a client that was not heard of for
// `retention` is forgotten whole. A request older than that is refused before it gets here (partition_core), so that
// forgetting never lets one be applied twice.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <optional>
#include <set>
#include <vector>

#include "core/kv/operation.hpp"
#include "core/kv/partition_store.hpp"
#include "core/kv/write_batch.hpp"

namespace kahuna::kv {

class request_window {
 public:
  static constexpr std::uint64_t retention_ms = 300'000;

  // Takes what was stored before a restart.
  void load(std::vector<client_window> windows);

  enum class verdict : std::uint8_t {
    fresh,      // not seen: evaluate it
    answered,   // judged before: `result` is its answer
    forgotten,  // below the client's floor: its answer has been heard, whoever sends it again is late
  };
  struct lookup_result {
    verdict what = verdict::fresh;
    write_result result;
  };
  lookup_result lookup(std::uint64_t client, std::uint64_t sequence) const;

  // How many results are kept of a client, those below `floor` left out: they go with its next write.
  std::size_t results_of(std::uint64_t client, std::uint64_t floor) const;
  // Of all clients.
  std::size_t results() const { return results_; }
  // Whether the next entry, at this stamp, will forget somebody.
  bool has_overdue(timestamp stamp) const {
    return !by_activity_.empty() && unix_ms(by_activity_.begin()->first) + retention_ms < unix_ms(stamp);
  }
  std::size_t clients() const { return clients_.size(); }
  bool has_client(std::uint64_t client) const { return clients_.contains(client); }

  // The same for a window that is stored nowhere: that of ephemeral keys, one write at a time.
  void note(std::uint64_t client, std::uint64_t floor, const write_result& result, timestamp stamp);

  void apply(const std::vector<window_update>& updates, timestamp stamp);

  // What apply() has changed since this was called last.
  window_changes take_changes();

 private:
  void take(std::uint64_t client, std::uint64_t floor, const std::vector<write_result>& results, timestamp stamp);
  void forget_overdue(timestamp stamp);

  std::unordered_map<std::uint64_t, client_window> clients_;
  std::size_t results_ = 0;
  std::set<std::pair<timestamp, std::uint64_t>> by_activity_;  // (last_active, client) of every client
  std::vector<std::uint64_t> changed_;                         // clients, some maybe more than once
};

// The answer of a repeated write, as the first one had it.
operation_response repeated_answer(const operation& op, const write_result& result);

}  // namespace kahuna::kv
