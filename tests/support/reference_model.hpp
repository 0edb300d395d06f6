// What a key should do, written from the contract and from nothing else: the twin that the contract's table and the
// differential test compare the whole system with. Deliberately dumb: maps, no clock, no cleverness.
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
  // "deleted r3", "extended r3", "exists r3", "error invalid_argument"; lists as "key=rN value …", and "more" behind
  // what a limit cut. Values are not measured: how large they may be is the node's option.
  std::string run(const kv::operation& op);

  // The key's expiry has passed.
  void expire(kv::durability space, const std::string& key);

  // The expiry that the key was last given, in ms from then; 0 where it has none or is absent.
  std::int64_t expires_ms(kv::durability space, const std::string& key) const;

  // All ephemeral keys are gone, as after a restart of everything.
  void drop_ephemeral() { spaces_[1].clear(); }

 private:
  struct key_state {
    std::map<std::int64_t, std::string> history;
    std::int64_t last = -1;  // the last revision that it ever had
    bool is_live = false;
    std::int64_t expires_ms = 0;
  };
  using space = std::map<std::string, key_state>;

  std::string set(const kv::set_request& r);
  std::string get(const kv::get_request& r);

  // Which keys a list is about, and which of them a page shows.
  struct list_of {
    std::string prefix;
    bool is_bucket = false;
    std::string after;
    std::uint32_t limit = 0;
  };
  std::string list(const space& keys, const list_of& asked) const;

  space spaces_[2];
};

// An answer in the same words; of an error also its message, behind a colon.
std::string in_words(const kv::operation_response& response);

// The words of an error without its message, which the contract leaves open; all others as they are.
std::string without_message(const std::string& words);

}  // namespace kahuna::testing
