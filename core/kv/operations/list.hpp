// `get by bucket` and `scan by prefix`: one page of live keys in key order. Contract §2.
#pragma once

#include "core/kv/partition_store.hpp"

namespace kahuna::kv {

// A request whose view is not chosen yet gets one: what is applied now, expiry judged at `now_ms`. Errors:
// data_corrupted; unavailable where the view lies ahead of what this replica has applied.
result<list_response> evaluate(const get_by_bucket_request& request, const partition_store& store, std::uint64_t now_ms);
result<list_response> evaluate(const scan_by_prefix_request& request, const partition_store& store, std::uint64_t now_ms);

}  // namespace kahuna::kv
