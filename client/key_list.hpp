// Lists of keys as a client asks for them and gets them: joined from pages.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/kv/operation.hpp"

namespace kahuna::client {

// A list joined from its pages.
struct key_list {
  std::vector<kv::listed_key> items{};  // in key order
  bool has_more = false;              // only where a limit was given
};

struct list_options {
  kv::durability space = kv::durability::persistent;
  std::uint32_t limit = 0;  // 0 = all
  std::string after{};        // only keys greater than this
  timestamp as_of{};          // of a bucket: what was live then; 0 = now
};

enum class list_kind : std::uint8_t { bucket, scan };

struct list_query {
  list_kind kind = list_kind::bucket;
  std::string argument{};  // the bucket, of which one trailing '/' is dropped; or the prefix
  list_options options{};
};

}  // namespace kahuna::client
