// A partition's transaction manager as an actor: coordinates the transactions that are anchored at the partition. A thin shell:
// message → input → step → drain.
//
// Spawned by its partition, and lives as long as it does. Talks to its own partition directly and to all others by the gateway, so
// that it never knows where one is led.
#pragma once

#include <memory>

#include "actors/interfaces.hpp"
#include "actors/network_thread.hpp"
#include "actors/node_clock.hpp"
#include "actors/node_metrics.hpp"
#include "core/kv/transaction_manager_core.hpp"

namespace kahuna::actors {

struct transaction_manager_settings {
  kv::manager_options options;
  std::uint64_t seed = 1;
  node_clock* clock = nullptr;                // outlives the actor
  node_metrics* metrics = &silent_metrics();  // outlives the actor
};

struct transaction_manager_state {
  static inline const char* name = "transaction_manager";

  transaction_manager_settings settings;
  std::unique_ptr<kv::transaction_manager_core> core;
  partition_handle partition;
  gateway_handle gateway;
  bool is_drain_sent = false;
  std::uint64_t committed_reported = 0;
  std::uint64_t aborted_reported = 0;
};

transaction_manager_handle::behavior_type transaction_manager_actor(
    placed_pointer<transaction_manager_handle, transaction_manager_state> self, transaction_manager_settings settings,
    partition_handle partition, gateway_handle gateway);

}  // namespace kahuna::actors
