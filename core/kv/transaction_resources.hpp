// The names under which keys and buckets of both spaces stand in a partition's lock table and among its watched buckets.
#pragma once

#include <string>
#include <string_view>

#include "core/kv/key_operation.hpp"
#include "core/routing/partition_map.hpp"

namespace kahuna::kv {

inline std::string resource_of_key(durability space, std::string_view key) {
  return std::string(1, space == durability::persistent ? 'k' : 'K').append(key);
}

inline std::string resource_of_bucket(durability space, std::string_view bucket) {
  return std::string(1, space == durability::persistent ? 'b' : 'B').append(bucket);
}

// Of the bucket that a key is in; empty where it is in none.
inline std::string resource_of_bucket_of(durability space, std::string_view key) {
  const auto bucket = routing::bucket_of(key);
  return bucket.empty() ? std::string() : resource_of_bucket(space, bucket);
}

}  // namespace kahuna::kv
