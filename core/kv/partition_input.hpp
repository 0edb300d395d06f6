// What goes into a partition core and what comes out: the contract between the core and whoever drives it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "core/base/time.hpp"
#include "core/kv/write_batch.hpp"
#include "core/raft/raft_input.hpp"

namespace kahuna::kv {

// --- inputs -------------------------------------------------------------------------------------------------------

// A client's operation as it reaches the replica that should lead its partition.
struct partition_request {
  std::uint64_t origin = 0;  // whoever asked; comes back with the reply
  std::uint64_t client = 0;  // with `sequence` the request's identity
  std::uint64_t sequence = 0;
  std::uint32_t attempt = 1;  // how often the client has sent it, this time included
  std::uint64_t floor = 0;    // the client has heard the answers of all its writes here below
  timestamp issued_at;        // when the client first sent it, by its estimate of the cluster's clock
  term_id term;               // of an ephemeral write: of the leadership that it is meant for; 0: any
  operation op;
  bool is_internal = false;  // the system's own: may touch reserved names
};

// Operations to evaluate, in their order. `stamp` is fresh from the node's clock.
struct operations {
  std::vector<partition_request> requests;
  timestamp stamp;
};

// Entries that the Raft group committed, to be applied in order.
struct committed_entries {
  std::vector<raft::log_entry> entries;
};

// Time for what is done in the background, a bounded piece each time: forgetting what is expired, evicting, collecting old
// versions. To be given a few times a second.
struct sweep {
  timestamp stamp;
};

using partition_input =
    std::variant<operations, committed_entries, sweep, raft::role_change, raft::lease_grant, raft::handover, std::vector<raft::read_answer>>;

// --- outputs ------------------------------------------------------------------------------------------------------

struct partition_reply {
  std::uint64_t origin = 0;
  operation_response response;
};

struct partition_ready {
  // To be encoded, one entry each, and proposed in this term, in this order.
  term_id proposal_term;
  std::vector<std::shared_ptr<const write_batch>> proposals;
  // To be asked of Raft.
  std::vector<raft::read> reads;
  // To be reported to Raft, where anything was applied.
  std::optional<log_index> applied;
  // May be sent at once: everything that they were computed from is committed and applied.
  std::vector<partition_reply> replies;

  bool is_empty() const { return proposals.empty() && reads.empty() && !applied && replies.empty(); }
};

}  // namespace kahuna::kv
