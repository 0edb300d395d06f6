// The only actor that waits for data/ to be flushed, so that no partition does. Runs detached, on a thread of its own.
//
// The log is shortened behind what is flushed, so flushing keeps it bounded: when so much of it was written, every partition writes
// down how far it has applied, and then all of it is flushed at once. How far the data is durable is known exactly: up to where a
// partition had written it down before it asked.
//
// A failed flush ends the process at once: after it nothing on that disk may be trusted (design §10).
#pragma once

#include <memory>
#include <vector>

#include "actors/interfaces.hpp"
#include "persistence/ordered_store.hpp"

namespace kahuna::actors {

struct data_keeper_state {
  static inline const char* name = "data_keeper";

  std::shared_ptr<persistence::ordered_store> data;
  std::vector<partition_handle> partitions;
  std::size_t preparing = 0;  // partitions that were asked to prepare and have not asked for their flush
  std::vector<partition_handle> waiting;
  bool is_drain_sent = false;
};

data_keeper_handle::behavior_type data_keeper_actor(data_keeper_handle::stateful_pointer<data_keeper_state> self,
                                                    std::shared_ptr<persistence::ordered_store> data);

}  // namespace kahuna::actors
