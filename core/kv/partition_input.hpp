// What goes into a partition core and what comes out: the contract between the core and whoever drives it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "core/base/time.hpp"
#include "core/kv/operation.hpp"
#include "core/kv/write_batch.hpp"
#include "core/raft/raft_input.hpp"

namespace kahuna::kv {

// --- inputs -------------------------------------------------------------------------------------------------------

// A client's operation as it reaches the replica that should lead its partition.
struct partition_request {
  std::uint64_t origin = 0;  // whoever asked; comes back with the reply. See is_from_manager()
  std::uint64_t client = 0;  // with `sequence` the request's identity
  std::uint64_t sequence = 0;
  std::uint32_t attempt = 1;  // how often the client has sent it, this time included
  std::uint64_t floor = 0;    // the client has heard the answers of all its writes here below
  timestamp issued_at;        // when the client first sent it, by its estimate of the cluster's clock
  term_id term;               // of an ephemeral write: of the leadership that it is meant for; no other takes it
  operation op;
  bool is_internal = false;  // the system's own: may touch reserved names
  instant deadline{};        // whoever asked does not wait any longer then; instant{}: nobody has said
};

// What the partition's own transaction manager asks has this bit in its origin; what the gateway asks does not.
inline constexpr std::uint64_t manager_origin = std::uint64_t{1} << 63;
constexpr bool is_from_manager(std::uint64_t origin) { return (origin & manager_origin) != 0; }

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

// What the partition's transaction manager is told and asked, in this order.
struct manager_news {
  // This replica serves its partition in this term from now on, with these decisions to be told to their participants; or, with
  // no term, it does not any more, and nothing that was coordinated here goes on.
  struct leadership {
    term_id term;
    std::vector<transaction_record> records;
  };
  std::vector<leadership> changes;
  // Steps of transactions that are anchored here, and questions about such transactions: to be answered by the manager.
  std::vector<partition_request> requests;
  // Transactions of which somebody waits to know the outcome; those that an older one waits for are to end soon.
  struct question {
    txn::transaction_id id;
    term_id term;
    partition_id anchor;
    transaction_query what;
  };
  std::vector<question> questions;
  // To what the manager has asked of this partition.
  std::vector<partition_reply> replies;

  bool is_empty() const { return changes.empty() && requests.empty() && questions.empty() && replies.empty(); }
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
  manager_news manager;

  bool is_empty() const { return proposals.empty() && reads.empty() && !applied && replies.empty() && manager.is_empty(); }
};

}  // namespace kahuna::kv
