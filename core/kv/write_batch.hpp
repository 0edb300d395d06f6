// What one log entry of a partition carries: effects, not requests (docs/decisions/0001).
//
// The leader evaluated the operations once; every replica applies the same effects blindly, without reading. So applying
// is the same everywhere, and a new operation does not change what is in the log.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/shared_bytes.hpp"
#include "core/kv/operation.hpp"

namespace kahuna::kv {

// One version of a key. A tombstone has the revision of what it deleted and stands before it in the history.
struct version {
  std::int64_t revision = no_revision;
  bool is_tombstone = false;
  timestamp created;                // the set or delete that made it: decides what a read view sees
  timestamp modified;               // the last set, delete or extend
  std::uint64_t expires_at_ms = 0;  // Unix time from which the key is absent; 0 = never
  shared_bytes value;

  friend bool operator==(const version&, const version&) = default;

  // Whether a read that judges expiry at this Unix time finds the key.
  bool is_live(std::uint64_t now_ms) const { return !is_tombstone && (expires_at_ms == 0 || now_ms < expires_at_ms); }

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& revision& is_tombstone& created& modified& expires_at_ms& value;
  }
};

// Writes a version; one of the same key, revision and kind is replaced (that is how extending works).
struct mutation {
  std::string key;
  kv::version version;

  friend bool operator==(const mutation&, const mutation&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& key& version;
  }
};

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

struct write_batch {
  timestamp stamp;  // the highest commit timestamp in it; rises from batch to batch of a partition
  std::vector<mutation> mutations;
  std::vector<window_update> windows;
  std::vector<removal> removals;
  // Unix time: a read view from before it may miss what removals took away; 0: nothing was taken by this batch.
  std::uint64_t collected_below_ms = 0;

  friend bool operator==(const write_batch&, const write_batch&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& stamp& mutations& windows& removals& collected_below_ms;
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
