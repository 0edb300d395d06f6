// The only actor that writes the log and syncs it: one batch and one sync for everything that is waiting, over all
// partitions (group commit, design §5). Runs detached, on a thread of its own, because it blocks in the sync.
//
// A failed write or sync ends the process at once: after it nothing on that disk may be trusted (design §10).
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "actors/interfaces.hpp"
#include "actors/node_metrics.hpp"
#include "persistence/log_device.hpp"

namespace kahuna::actors {

struct log_writer_state {
  static inline const char* name = "log_writer";

  std::shared_ptr<persistence::log_device> device;
  node_metrics* metrics = nullptr;
  data_keeper_handle data_keeper;
  std::size_t bytes_to_flush = 0;
  std::size_t bytes_written = 0;  // since the data_keeper was told last
  // Whom to tell what, once the batch is durable.
  std::map<caf::actor_addr, std::pair<raft_peer_handle, std::uint64_t>> waiting;
  bool is_drain_sent = false;
};

// `metrics` outlives it. When `bytes_to_flush` of entries were written, `data_keeper` is told.
log_writer_handle::behavior_type log_writer_actor(log_writer_handle::stateful_pointer<log_writer_state> self,
                                                  std::shared_ptr<persistence::log_device> device, node_metrics* metrics,
                                                  data_keeper_handle data_keeper, std::size_t bytes_to_flush);

}  // namespace kahuna::actors
