// Reserved keys of partition 0, the system partition.
#pragma once

namespace kahuna::actors {

// The newest routing::partition_map, by the codec.
inline constexpr const char* partition_map_key = "__kahuna:partition_map";

}  // namespace kahuna::actors
