// Which partition an operation goes to.
#pragma once

#include <optional>

#include "core/kv/operation.hpp"
#include "core/routing/partition_map.hpp"

namespace kahuna::kv {

// Nothing where the operation names a partition that the cluster does not have.
std::optional<partition_id> partition_of(const routing::partition_map& map, const operation& op);

}  // namespace kahuna::kv
