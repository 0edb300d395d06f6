// What one log entry of a partition carries: effects, not requests (docs/decisions/0001).
//
// The leader evaluated the operations once; every replica applies the same effects blindly, without reading. So applying
// is the same everywhere, and a new operation does not change what is in the log.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/kv/transaction_operation.hpp"
#include "core/kv/version.hpp"

namespace kahuna::kv {

// Takes one stored version away: its history is not to be kept any longer. One that is not there is no error.
struct removal {
  std::string key;
  std::int64_t revision = no_revision;
  bool is_tombstone = false;

  friend bool operator==(const removal&, const removal&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& key& revision& is_tombstone;
  }
};

// The answer of a write, kept so that a retry of it gets the same one.
struct write_result {
  std::uint64_t sequence = 0;  // the client's number of the request
  bool is_accepted = true;     // refused: nothing was changed, and a later attempt must not change anything either
  std::int64_t revision = no_revision;
  timestamp modified;

  friend bool operator==(const write_result&, const write_result&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& sequence& is_accepted& revision& modified;
  }
};

// What one client did in one batch: its new results, and how far it has heard its answers.
struct window_update {
  std::uint64_t client = 0;
  std::uint64_t floor = 0;  // every request with a lower sequence has been answered and is forgotten
  std::vector<write_result> results;

  friend bool operator==(const window_update&, const window_update&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& client& floor& results;
  }
};

// What a partition has promised a transaction: what it read stays as it is, and what it is to write is written by nobody
// else, until it is resolved. Of persistent keys; the leader that promised knows the ephemeral ones, which go with it.
struct prepared_transaction {
  txn::transaction_id id;
  term_id term;  // of the anchor's leadership that coordinates it
  partition_id anchor;               // who knows the decision
  timestamp prepared;                // the commit timestamp will not be below it
  std::uint64_t valid_until_ms = 0;  // nor at or behind this Unix time; 0: no bound
  std::uint64_t deadline_ms = 0;     // Unix time from which it is doubted that anybody still coordinates it
  std::vector<std::string> read_keys;
  std::vector<std::string> read_buckets;
  std::vector<intended_write> writes;

  friend bool operator==(const prepared_transaction&, const prepared_transaction&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& id& term& anchor& prepared& valid_until_ms& deadline_ms& read_keys& read_buckets& writes;
  }
};

// The decision of a transaction that committed, kept by its anchor until every other participant has heard of it.
struct transaction_record {
  txn::transaction_id id;
  term_id term;  // of the anchor's leadership that coordinated it
  timestamp committed;
  std::vector<partition_id> participants;

  friend bool operator==(const transaction_record&, const transaction_record&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& id& term& committed& participants;
  }
};

// What an entry changes of transactions, in this order. Taking away what is not there is no error.
struct transaction_changes {
  std::vector<prepared_transaction> prepared;
  std::vector<txn::transaction_id> resolved;  // no longer prepared; what they wrote is among the batch's mutations
  std::vector<transaction_record> decided;
  std::vector<txn::transaction_id> forgotten;  // records

  bool is_empty() const { return prepared.empty() && resolved.empty() && decided.empty() && forgotten.empty(); }

  friend bool operator==(const transaction_changes&, const transaction_changes&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& prepared& resolved& decided& forgotten;
  }
};

struct write_batch {
  timestamp stamp;  // the highest commit timestamp in it; rises from batch to batch of a partition
  std::vector<mutation> mutations;
  std::vector<window_update> windows;
  std::vector<removal> removals;
  // Unix time: a read view from before it may miss what removals took away; 0: nothing was taken by this batch.
  std::uint64_t collected_below_ms = 0;
  transaction_changes transactions;

  friend bool operator==(const write_batch&, const write_batch&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& stamp& mutations& windows& removals& collected_below_ms& transactions;
  }
};

// What a partition remembers of one client, as stored: replaced whole.
struct client_window {
  std::uint64_t client = 0;
  std::uint64_t floor = 0;
  timestamp last_active;
  std::vector<write_result> results;  // by rising sequence, none below floor

  friend bool operator==(const client_window&, const client_window&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& client& floor& last_active& results;
  }
};

}  // namespace kahuna::kv
