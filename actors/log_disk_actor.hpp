// The only actor that touches the log on disk: writes what the log_writer hands it and syncs it. Runs detached, on a thread of its own,
// because it waits for the disk.
//
// A failed write or sync ends the process at once: after it nothing on that disk may be trusted (design §10).
#pragma once

#include <memory>

#include "actors/interfaces.hpp"
#include "actors/node_metrics.hpp"
#include "persistence/log_device.hpp"

namespace kahuna::actors {

struct log_disk_state {
  static inline const char* name = "log_disk";

  std::shared_ptr<persistence::log_device> device;
  node_metrics* metrics = nullptr;
};

// `metrics` outlives it.
log_disk_handle::behavior_type log_disk_actor(log_disk_handle::stateful_pointer<log_disk_state> self,
                                              std::shared_ptr<persistence::log_device> device, node_metrics* metrics);

}  // namespace kahuna::actors
