// One version of a key, and the writing of one.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/ids.hpp"
#include "core/base/shared_bytes.hpp"
#include "core/kv/key_operation.hpp"

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

}  // namespace kahuna::kv
