#include "core/kv/operation_routing.hpp"

#include <type_traits>

namespace kahuna::kv {

namespace {

std::optional<partition_id> existing(const routing::partition_map& map, partition_id named) {
  return named.value < map.partitions ? std::optional(named) : std::nullopt;
}

}  // namespace

std::optional<partition_id> partition_of(const routing::partition_map& map, const operation& op) {
  return std::visit(
      [&](const auto& request) -> std::optional<partition_id> {
        using request_type = std::decay_t<decltype(request)>;
        if constexpr (std::is_same_v<request_type, get_by_bucket_request>)
          return routing::partition_of_bucket(map, request.bucket);
        else if constexpr (std::is_same_v<request_type, scan_by_prefix_request> ||
                           std::is_same_v<request_type, read_clock_request> ||
                           std::is_same_v<request_type, participant_request>)
          return existing(map, request.partition);
        else if constexpr (std::is_same_v<request_type, transaction_request>)
          return existing(map, request.transaction.anchor);
        else
          return routing::partition_of_key(map, request.key);
      },
      op);
}

}  // namespace kahuna::kv
