// Collects what all partitions want in the log and has it made durable, one batch and one sync at a time (group commit, design §5): what
// comes while a batch is on its way to the disk is the next one. Runs beside the partitions; the log_disk waits for the disk.
//
// Large writes take turns: a batch has a mebibyte of them, and what is small goes before the others, but never before an earlier write of its
// own partition. So what is small waits for a batch at most, whatever is written beside it, and what is large for those before it.
#pragma once

#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "actors/interfaces.hpp"
#include "actors/network_thread.hpp"
#include "actors/node_metrics.hpp"

namespace kahuna::actors {

struct log_writer_state {
  static inline const char* name = "log_writer";

  // Whom to tell what, once the batch is durable.
  using waiting_peers = std::map<caf::actor_addr, std::pair<raft_peer_handle, std::uint64_t>>;

  node_metrics* metrics = nullptr;  // first: CAF would try to make a handle of the actor's own pointer
  log_disk_handle disk;
  data_keeper_handle data_keeper;
  std::size_t bytes_to_flush = 0;
  std::size_t bytes_written = 0;  // since the data_keeper was told last
  struct waiting_write {
    append_to_log append;
    raft_peer_handle by;
    std::size_t bytes = 0;
  };
  std::vector<waiting_write> collected;  // in the order of arrival
  std::deque<waiting_peers> on_the_way;  // for each batch that the disk has; mostly one
  bool is_drain_sent = false;
};

// `metrics` outlives it. When `bytes_to_flush` of entries were written, `data_keeper` is told.
log_writer_handle::behavior_type log_writer_actor(placed_pointer<log_writer_handle, log_writer_state> self, log_disk_handle disk,
                                                  node_metrics* metrics, data_keeper_handle data_keeper, std::size_t bytes_to_flush);

}  // namespace kahuna::actors
