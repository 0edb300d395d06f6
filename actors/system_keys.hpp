// Reserved keys of partition 0, the system partition.
#pragma once

namespace kahuna::actors {

// The routing::partition_map that the cluster was formed with, by the codec.
inline constexpr const char* partition_map_key = "__kahuna:partition_map";

}  // namespace kahuna::actors
