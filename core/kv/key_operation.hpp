// The operations on keys that a client may ask, and their answers: one named struct for each meaning.
//
// The same structs travel inside a process (CAF messages) and between processes (frames). What each does in every state
// of a key is the contract's table; core/kv/operations/ implements it, one file an operation.
//
// Archives meet these structs only through serialize(); which class versions exist is stated in messages/codec.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/shared_bytes.hpp"

namespace kahuna::kv {

// The numbers are on the wire: never change or reuse one.
enum class durability : std::uint8_t { persistent = 0, ephemeral = 1 };

// The revision that absence reports.
inline constexpr std::int64_t no_revision = -1;

struct set_request {
  std::string key{};
  shared_bytes value{};
  durability space = durability::persistent;
  bool if_absent = false;                     // nx
  bool if_present = false;                    // xx
  std::optional<shared_bytes> if_value{};     // cmp: only if the value equals this
  std::optional<std::int64_t> if_revision{};  // cmprev: only if the revision is this; -1 = only if absent
  std::int64_t expires_ms = 0;                // from when the leader takes the command; 0 = never

  friend bool operator==(const set_request&, const set_request&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& key& value& space& if_absent& if_present& if_value& if_revision& expires_ms;
  }
};

struct set_response {
  bool is_set = false;
  std::int64_t revision = no_revision;  // set: the new one; not set: the key's current one, -1 where absent
  timestamp modified{};                 // set: the commit timestamp

  friend bool operator==(const set_response&, const set_response&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& is_set& revision& modified;
  }
};

struct get_request {
  std::string key{};
  durability space = durability::persistent;
  std::optional<std::int64_t> at_revision{};  // from the history, >= 0
  timestamp as_of{};                          // the version that was current then; 0 = now. Not with at_revision

  friend bool operator==(const get_request&, const get_request&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& key& space& at_revision& as_of;
  }
};

struct get_response {
  bool is_found = false;
  std::int64_t revision = no_revision;
  shared_bytes value{};
  std::uint64_t expires_at_ms = 0;  // Unix time; 0 = never
  timestamp modified{};

  friend bool operator==(const get_response&, const get_response&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& is_found& revision& value& expires_at_ms& modified;
  }
};

struct exists_request {
  std::string key{};
  durability space = durability::persistent;
  timestamp as_of{};  // 0 = now

  friend bool operator==(const exists_request&, const exists_request&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& key& space& as_of;
  }
};

struct exists_response {
  bool is_found = false;
  std::int64_t revision = no_revision;
  std::uint64_t expires_at_ms = 0;
  timestamp modified{};

  friend bool operator==(const exists_response&, const exists_response&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& is_found& revision& expires_at_ms& modified;
  }
};

struct delete_request {
  std::string key{};
  durability space = durability::persistent;

  friend bool operator==(const delete_request&, const delete_request&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& key& space;
  }
};

struct delete_response {
  bool is_deleted = false;
  std::int64_t revision = no_revision;  // the revision at deletion
  timestamp modified{};

  friend bool operator==(const delete_response&, const delete_response&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& is_deleted& revision& modified;
  }
};

struct extend_request {
  std::string key{};
  durability space = durability::persistent;
  std::int64_t expires_ms = 0;  // from when the leader takes the command; 0 removes the expiry

  friend bool operator==(const extend_request&, const extend_request&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& key& space& expires_ms;
  }
};

struct extend_response {
  bool is_extended = false;
  std::int64_t revision = no_revision;
  timestamp modified{};

  friend bool operator==(const extend_response&, const extend_response&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& is_extended& revision& modified;
  }
};

// A moment that the pages of one list share, so that they are one consistent read.
struct read_view {
  timestamp visible{};          // versions up to this stamp are seen; 0: not chosen yet, the partition chooses now
  std::uint64_t judged_ms = 0;  // the Unix time against which expiry is judged

  friend bool operator==(const read_view&, const read_view&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& visible& judged_ms;
  }
};

// A page of the live keys of a bucket, in key order.
struct get_by_bucket_request {
  std::string bucket{};  // without the one trailing '/' that users may write
  durability space = durability::persistent;
  std::string after{};      // only keys greater than this; empty = from the start
  std::uint32_t limit = 0;  // at most so many; 0 = as many as a page holds
  read_view view{};
  timestamp as_of{};  // what was live then; 0 = now. The same for all pages

  friend bool operator==(const get_by_bucket_request&, const get_by_bucket_request&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& bucket& space& after& limit& view& as_of;
  }
};

// A page of one partition's live keys that start with a prefix, in key order. The client merges the partitions.
struct scan_by_prefix_request {
  std::string prefix{};
  durability space = durability::persistent;
  partition_id partition{};
  std::string after{};
  std::uint32_t limit = 0;
  read_view view{};

  friend bool operator==(const scan_by_prefix_request&, const scan_by_prefix_request&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& prefix& space& partition& after& limit& view;
  }
};

struct listed_key {
  std::string key{};
  shared_bytes value{};
  std::int64_t revision = no_revision;
  std::uint64_t expires_at_ms = 0;
  timestamp modified{};

  friend bool operator==(const listed_key&, const listed_key&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& key& value& revision& expires_at_ms& modified;
  }
};

// One page, at most page_bytes_max of keys and values unless the first key alone is larger, found with a bounded amount
// of work: a page may have few items or none and still not be the last, where many keys are deleted or expired.
struct list_response {
  std::vector<listed_key> items{};
  bool has_more = false;         // a live key follows; not known (false) where the work was cut before one was met
  std::string continue_after{};  // not empty: the list goes on; ask again with this `after` and the same view
  read_view view{};

  friend bool operator==(const list_response&, const list_response&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& items& has_more& continue_after& view;
  }
};

inline constexpr std::size_t page_bytes_max = 1 << 20;

}  // namespace kahuna::kv
