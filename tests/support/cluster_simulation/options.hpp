// What a simulated cluster is like and what befalls it; all of it drawn from the seed.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/prng.hpp"
#include "core/raft/raft_core.hpp"

namespace kahuna::testing {

struct cluster_options {
  std::uint64_t seed = 1;
  int nodes = 3;
  int partitions = 2;
  raft::read_mode reads = raft::read_mode::lease;
  int tick_ms = 25;
  bool has_small_bounds = true;  // of Raft: a few entries in a message, a short log
  int checkpoint_entries = 16;
  int unwritten_bytes = 500;  // that gather before they go to the store, in slices of a fifth of it

  // --- clients
  int register_clients = 4;
  int append_clients = 2;
  int keys = 4;
  int ephemeral_percent = 15;  // of the operations on single keys
  int optimistic_percent = 50;
  int think_ms_max = 30;
  int attempt_ms = 300;  // that a client waits before it asks again
  int forget_percent = 0;  // of the operations are asked by a client as if it had just connected, and had heard of no leader

  // --- network
  int delay_ms_max = 3;
  int loss_percent = 0;
  int double_percent = 0;
  int late_percent = 0;     // comes up to one and a half seconds later than it should
  int slow_interval_ms = 0; // a link becomes slow about so often; 0: never. So with every interval
  int cut_interval_ms = 0;

  // --- disks
  int disk_ms_max = 3;
  int stall_percent = 0;          // of the syncs, which take up to half a second
  int sync_error_per_10k = 0;     // of the syncs fail, which ends the node
  int flush_interval_ms = 0;      // of the data, with the log shortened behind it

  // --- clocks
  int drift_percent = 0;
  int skew_ms_max = 0;
  int jump_interval_ms = 0;       // of the wall clock

  // --- nodes
  int crash_interval_ms = 0;
  int pause_interval_ms = 0;
  int transfer_interval_ms = 0;
  int strike_percent = 0;         // of new leaders are struck within the next moments: crashed, cut off or stopped

  bool dies_at_points = false;    // nodes die just before or after what they do becomes durable

  // --- members
  int replication = 0;         // replicas of a partition, which is what `nodes` are the first members for; 0: one on every node, for ever
  int member_interval_ms = 0;  // somebody joins, leaves, is replaced or loses its disk about so often
  int zone_interval_ms = 0;    // a member is in another zone about so often, and replicas follow
  int silence_ms = 0;          // that the driver of members bears with a node that is to get a replica

  bool has_members() const { return replication != 0; }

  static cluster_options drawn_from(std::uint64_t seed);
  std::string describe() const;

 private:
  void draw_members(prng& dice);
};

}  // namespace kahuna::testing
