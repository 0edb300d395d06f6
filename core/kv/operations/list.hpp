// `get by bucket` and `scan by prefix`: one page of live keys in key order. Contract §2.
#pragma once

#include "core/kv/version_reader.hpp"

namespace kahuna::kv {

struct list_page {
  list_response response;
  std::uint64_t expired_ms = 0;  // the latest expiry (Unix time) of the keys that are left out because they expired; 0: none
};

// The view must be chosen. A page is cut after so many keys, or bytes of keys and values, were looked at, however few of them
// are live, so that no list holds up a partition for long. Errors: data_corrupted.
inline constexpr std::size_t page_keys_examined_max = 10'000;
inline constexpr std::size_t page_bytes_examined_max = 4 << 20;
result<list_page> evaluate(const get_by_bucket_request& request, const version_reader& keys, const read_view& view);
result<list_page> evaluate(const scan_by_prefix_request& request, const version_reader& keys, const read_view& view);

// What the keys of a request's answer start with.
std::string prefix_of(const get_by_bucket_request& request);
std::string prefix_of(const scan_by_prefix_request& request);

}  // namespace kahuna::kv
