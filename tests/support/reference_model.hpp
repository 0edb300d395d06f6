// What a key should do, written from the contract and from nothing else: the twin that the differential test compares
// the whole system with. Deliberately dumb: maps, no clock, no cleverness.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/kv/operation.hpp"

namespace kahuna::testing {

class reference_model {
 public:
  // Does the operation and says what must be answered, in words: "set r3", "not set r-1", "r3 value", "not found",
  // "deleted r3", "extended r3", "exists r3"; lists as "key=rN value …".
  std::string run(const kv::operation& op);

  // The key's expiry has passed.
  void expire(kv::durability space, const std::string& key);

  // All ephemeral keys are gone, as after a restart of everything.
  void drop_ephemeral() { spaces_[1].clear(); }

 private:
  struct key_state {
    std::map<std::int64_t, std::string> history;
    std::int64_t last = -1;  // the last revision that it ever had
    bool is_live = false;
  };
  using space = std::map<std::string, key_state>;

  std::string set(const kv::set_request& r);
  std::string get(const kv::get_request& r);
  std::string list(const space& keys, const std::string& prefix, bool is_bucket) const;

  space spaces_[2];
};

// An answer in the same words.
std::string in_words(const kv::operation_response& response);

}  // namespace kahuna::testing
