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
  // Whom to tell what, once the batch is durable.
  std::map<caf::actor_addr, std::pair<raft_peer_handle, std::uint64_t>> waiting;
  bool is_drain_sent = false;
};

log_writer_handle::behavior_type log_writer_actor(log_writer_handle::stateful_pointer<log_writer_state> self,
                                                  std::shared_ptr<persistence::log_device> device,
                                                  node_metrics* metrics);  // which outlives it

}  // namespace kahuna::actors
