// One replica of one partition: evaluates operations where it leads, and applies what is committed everywhere.
//
// Owned by a partition actor (or a test, or a simulation). The log carries effects (docs/decisions/0001): the leader
// evaluates an operation once, against applied state overlaid with the writes that are in the log ahead of it.
//
// Invariants:
//   1. A reply leaves only when everything that it was computed from is committed and applied, and only while it was
//      certain that no other leader had acknowledged anything unknown here: by the commit of an entry of this term that was
//      proposed after it was evaluated, by the lease, or by a confirmed read.
//   2. The overlay holds the newest version of exactly the keys that proposals under way change.
//   3. Nothing is evaluated in a term before the leader's no-op of that term is applied: until then entries of older
//      terms, which are in no overlay, may be unapplied.
//   4. The k-th command entry of the current term that is committed is the k-th proposal of this term: only this core
//      proposes, in order, and Raft takes all proposals of a term or none that follow.
//   5. Commit timestamps rise from modification to modification.
//   6. Who is told that a key has expired is told so by all that come later, whoever leads then: the answer leaves only when
//      a stamp at or behind the expiry is in the applied log, and a leader's clock starts from there.
//   7. Ephemeral keys are there only while this replica leads, from the no-op of its term on: they are evaluated and
//      answered as reads are, and dropped with the leadership.
//   8. What a transaction has promised to write (prepared) nobody reads, and what it read or is to write nobody changes, until it
//      is resolved; a commit's entry leaves only if nothing that the transaction read has changed (docs/transactions.md).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/base/hlc.hpp"
#include "core/kv/bucket_watch.hpp"
#include "core/kv/ephemeral_store.hpp"
#include "core/kv/history_sweep.hpp"
#include "core/kv/operations/validation.hpp"
#include "core/kv/partition_input.hpp"
#include "core/kv/partition_store.hpp"
#include "core/kv/request_window.hpp"
#include "core/kv/upgrade_memory.hpp"
#include "core/kv/replicated_transactions.hpp"
#include "core/kv/version_cache.hpp"
#include "core/txn/lock_table.hpp"

namespace kahuna::kv {

struct partition_options {
  limits bounds;
  std::size_t cache_bytes_max = 8 << 20;
  // Requests that wait here for their entry, their read or the no-op, and the bytes in them; beyond it: overloaded. One
  // alone may be larger.
  std::size_t pending_requests_max = 16'384;
  std::size_t pending_bytes_max = 32 << 20;
  std::size_t batch_bytes_max = 1 << 20;    // of one log entry, unless one operation alone is larger
  std::size_t window_clients_max = 65'536;  // clients that the request window remembers
  std::size_t window_results_per_client_max = 4096;
  std::size_t window_results_max = 1 << 20;  // of all clients
  // Entries from one checkpoint to the next: how far was applied, and the request window, are given to the store then. A restart
  // applies at most as many again, beside what the store had not written out.
  std::uint32_t checkpoint_entries = 1024;
  history_limits history;
  // What ephemeral keys may take, shared with the node's other partitions.
  std::shared_ptr<memory_budget> ephemeral_budget = std::make_shared<local_memory_budget>(std::size_t{256} << 20, 1);
};

class partition_core {
 public:
  // Turns a log entry's payload back into the batch that it carries.
  using batch_decoder = std::function<result<write_batch>(std::string_view payload)>;

  // The store must outlive the core. What it holds is taken as applied.
  partition_core(partition_id id, partition_options options, partition_store& store, batch_decoder decode);

  void step(partition_input input, instant now);

  // Moves out everything owed so far.
  partition_ready take_ready();

  // Has the store write out how far was applied, so that a restart after its flush need apply nothing again.
  void checkpoint();

  // Damage that was met outside of operations: as if one of them had met it.
  void take_out_of_service(error damage) { fail(std::move(damage)); }

  // The highest stamp given out or applied: the node's clock must not fall behind it.
  timestamp last_stamp() const { return clock_.last(); }

  // Whether operations are evaluated here now.
  bool is_serving() const { return is_leader() && applied_index_ >= role_.no_op_index && !is_handing_over_ && !fault_; }
  log_index applied_index() const { return applied_index_; }
  // Whether a transaction holds something here, has promised something, or is recorded.
  bool holds_transactions() const {
    return !locks_.is_empty() || !transactions_.prepared().empty() || !transactions_.records().empty();
  }
  // What took this replica out of service: a damaged record. It answers nothing but this any more.
  const std::optional<error>& fault() const { return fault_; }

  // For whoever watches: counts since the start, and what is held now.
  struct figures {
    std::uint64_t cache_hits = 0;
    std::uint64_t cache_misses = 0;
    std::uint64_t versions_collected = 0;
    std::uint64_t ephemeral_evictions = 0;
    std::size_t ephemeral_keys = 0;
    std::size_t ephemeral_bytes = 0;
    std::size_t cache_bytes = 0;
    std::size_t pending_requests = 0;
    std::size_t window_clients = 0;
    std::size_t promises = 0;      // of transactions that are prepared here and not decided
    std::size_t lock_holders = 0;  // transactions that hold locks or have promised
    std::size_t lock_waiters = 0;  // transactions and single writes that wait for one of them
  };
  figures look() const;

  void check_invariants() const;
  std::string describe() const;

 private:
  // A proposal's place in the order of this term, from 1.
  using proposal_number = std::uint64_t;

  struct overlay_version {
    version newest;
    proposal_number proposal = 0;
    // Not above the Unix time at which the oldest modification of the key that is under way was judged.
    std::uint64_t judged_ms = 0;
  };

  struct pending_reply {
    partition_reply reply;
    std::size_t bytes = 0;  // what it holds while it waits
    bool is_write = false;  // its effect may come to be applied whatever becomes of this leader
    // It rests on an entry that was proposed before it was evaluated: that this is committed says nothing of who led since.
    bool is_to_be_confirmed = false;
  };

  // The parts of a transaction's commit that are in no log: what becomes of ephemeral keys when the entry is applied.
  struct committing {
    txn::transaction_id id;
    timestamp committed;
    std::vector<intended_write> ephemeral_writes;
  };

  struct proposal_under_way {
    std::shared_ptr<const write_batch> batch;
    std::vector<pending_reply> waiting;
    std::vector<committing> commits;
  };

  // A request that waits for a transaction, or for a proposal, before it can be evaluated.
  struct parked_request {
    partition_request request;
    std::size_t bytes = 0;
    instant since;
    std::optional<txn::transaction_id> owner;  // as which it waits in the lock table
  };

  // A promise or a resolution that is in the log ahead and not applied.
  struct change_under_way {
    proposal_number proposal = 0;
    vote promised;        // of a promise
    timestamp committed;  // of a resolution: 0 = aborted
  };

  // Whom to ask about a transaction that holds something here, and when.
  struct known_transaction {
    term_id term;
    partition_id anchor;
    std::uint64_t deadline_ms = 0;
    instant since{};
    instant asked_at{};  // when its anchor was last asked
    std::set<std::string> read_for_writing{};  // resources that it wanted to read only, and holds exclusively (upgrade_memory.hpp)
  };

  // What evaluation found, and on what it rests.
  struct current_version {
    std::optional<version> newest;
    proposal_number rests_on = 0;  // 0: on applied state
  };

  bool is_leader() const { return role_.role == raft::role_kind::leader; }
  bool has_lease(instant now) const;

  void take_operations(operations input, instant now);
  void take_committed(const committed_entries& input, instant now);
  void take_role(const raft::role_change& change, instant now);
  void take_handover(const raft::handover& change);
  void evaluate_waiting(instant now);
  void take_read_answers(const std::vector<raft::read_answer>& answers);

  // `waited_as`: the name under which it has waited in the lock table.
  void evaluate(partition_request request, instant now, const std::optional<txn::transaction_id>& waited_as = std::nullopt);
  void evaluate_single(partition_request request, instant now);
  void evaluate_ephemeral(partition_request request, instant now);
  template <class Request>
  void evaluate_ephemeral_write(const partition_request& request, const Request& op, instant now);
  operation_response evaluate_ephemeral_read(const operation& op);
  template <class Request>
  operation_response list_ephemeral(const Request& request);
  void sweep(timestamp stamp);
  void evaluate_write(partition_request request, instant now);
  template <class Request>
  void evaluate_write(const partition_request& request, const Request& op, instant now);
  operation_response evaluate_read(const operation& op);
  template <class Request>
  operation_response list(const Request& request);
  // Remembers where the version is found to have expired by then.
  void note_verdict(const std::optional<version>& newest, std::uint64_t now_ms);
  // The Unix time at which a read of applied state judges expiry: of a key, and of the keys that a list may show.
  std::uint64_t judging_ms(const std::string& key) const;
  std::uint64_t judging_ms_of(std::string_view prefix) const;
  // Answers a repeated write from the window, or makes it wait for the proposal that carries it; false: it is fresh.
  bool answer_repeated(const partition_request& request);

  result<current_version> current_of(const std::string& key);
  std::optional<error> admit(const partition_request& request) const;
  std::optional<error> admit_to_window(const request_window& window, const partition_request& request) const;
  // Without an effect, only the answer goes into the log.
  void propose(const partition_request& request, const std::string& key, std::optional<version> effect,
               const write_result& result, pending_reply reply);
  // The parts of a proposal: what the window is to remember, and a version to be written.
  void note_result(const partition_request& request, const write_result& result);
  void note_effect(const std::string& key, version effect);
  void open_batch();
  // What is put in next has so many bytes: it must not make an entry out of a full batch that no frame takes.
  void make_room(std::size_t bytes);
  void close_batch();

  static pending_reply waiting_reply(std::uint64_t origin, operation_response response, bool is_write,
                                     std::size_t request_bytes = 0);
  void reply_now(std::uint64_t origin, operation_response response);
  // The reply rests on the proposal (0: on applied state) and on what was found to have expired.
  void reply_when_certain(proposal_number rests_on, pending_reply reply, instant now);
  // The reply was computed from applied state: it leaves under the lease, or once a read confirms the leadership.
  void reply_when_read_is_safe(pending_reply reply, instant now);
  void reply_when_applied(proposal_number proposal, pending_reply reply);
  void deliver(partition_reply reply);
  void release(pending_reply& reply);
  void refuse(pending_reply& reply);

  // --- partition_transactions.cpp and partition_participant.cpp
  void begin_serving(instant now);
  void evaluate_participant(const partition_request& request, instant now);
  template <class Body>
  void evaluate_body(const partition_request& request, const participant_request& asked, const Body& body, instant now);
  void answer_participant(const partition_request& request, participant_response response, proposal_number rests_on, instant now);
  // False: the request was parked.
  bool pass_transactions(const partition_request& request, std::optional<txn::transaction_id>& owner, instant now);
  bool acquire(const partition_request& request, const txn::transaction_id& owner, const std::string& resource, txn::lock_mode mode,
               instant now);
  bool acquire_for_write(const partition_request& request, const txn::transaction_id& owner, durability space,
                         const std::string& key, instant now);
  bool try_acquire_all(const txn::transaction_id& id, const observation& seen, const std::vector<intended_write>& writes, instant now);
  // Who else has promised to write something of it, if anybody.
  std::optional<txn::transaction_id> writer_of(const operation& op) const;
  std::optional<txn::transaction_id> writer_within(durability space, std::string_view prefix, const txn::transaction_id& reader,
                                                   timestamp as_of) const;
  template <class Predicate>
  std::optional<txn::transaction_id> first_promise(Predicate&& is_meant) const;
  template <class Predicate>
  std::optional<txn::transaction_id> first_promise_past_expiry(Predicate&& is_meant);
  std::optional<txn::transaction_id> reader_past_expiry(const operation& op);
  std::optional<txn::transaction_id> reader_past_expiry(const std::string& key, const txn::transaction_id& reader);
  std::optional<txn::transaction_id> reader_past_expiry_within(std::string_view prefix, const txn::transaction_id& reader);
  kv::wait_order order_of_wait(const operation& op, const txn::transaction_id& owner) const;
  // What has changed of what was read, in words, judged at `stamp`; nothing where all is as it was.
  result<std::optional<std::string>> find_change(const observation& seen, timestamp stamp, vote& out, proposal_number& rests_on);
  result<current_version> current_of(durability space, const std::string& key);
  void note_modified(durability space, const std::string& key, timestamp stamp);
  void evaluate_as_of(partition_request request, timestamp moment, instant now);
  result<operation_response> answer_as_of(const operation& op, timestamp moment) const;
  static std::vector<mutation> mutations_of(const std::vector<intended_write>& writes, timestamp committed);
  void write_ephemeral(const committing& commit);
  void note_applied(const proposal_under_way& proposal);
  void park_for_outcome(const txn::transaction_id& writer, const partition_request& request, instant now);
  void park_for_proposal(proposal_number proposal, const partition_request& request, instant now);
  parked_request park(const partition_request& request, const std::optional<txn::transaction_id>& owner, instant now);
  partition_request unpark(parked_request& parked);
  void refuse_parked(parked_request& parked, error why);
  // What waited for the transaction's outcome is due, and what it held is free.
  void transaction_ended(const txn::transaction_id& id);
  // Evaluates what waited for what has ended now.
  void wake(instant now);
  void sweep_transactions(instant now);
  void tell(const txn::transaction_id& id, transaction_query what);
  void ask_about(const txn::transaction_id& id, transaction_query what, instant now);
  void drop_transactions();

  void apply(const raft::log_entry& entry, instant now);
  void note_checkpoint();
  void apply_batch(log_index index, const write_batch& batch);
  void drop_overlay();
  void fail(error damage);

  partition_id id_;
  partition_options options_;
  partition_store& store_;
  batch_decoder decode_;

  raft::role_change role_;
  std::optional<raft::lease_grant> lease_;
  bool is_handing_over_ = false;  // what comes waits: this leadership ends, or goes on, in a moment
  log_index applied_index_;
  hlc clock_;
  timestamp stamp_;               // of the operations being evaluated
  std::uint64_t expired_ms_ = 0;  // the latest expiry that evaluating the operation at hand found to have passed; 0: none
  std::optional<error> fault_;

  version_cache cache_;
  request_window window_;
  std::uint64_t cache_hits_ = 0;
  std::uint64_t cache_misses_ = 0;

  ephemeral_store ephemeral_;
  request_window ephemeral_window_;  // of this leadership, as the keys that it is about

  replicated_transactions transactions_;
  // Of the leader, from the moment at which it serves.
  bool has_begun_serving_ = false;
  txn::lock_table locks_;
  bucket_watch watched_buckets_;
  upgrade_memory upgraded_;
  std::uint64_t earliest_promise_expiry_ms_ = 0;  // a lower bound of what the open promises' reads are valid until
  std::map<txn::transaction_id, known_transaction> known_transactions_;  // that hold something here
  std::map<txn::transaction_id, std::vector<intended_write>> promised_ephemeral_writes_;
  std::map<txn::transaction_id, change_under_way> promises_under_way_;
  std::map<txn::transaction_id, change_under_way> resolutions_under_way_;
  std::map<txn::transaction_id, proposal_number> commits_under_way_;
  std::map<txn::transaction_id, parked_request> waiting_for_lock_;                  // by their name in the lock table
  std::map<txn::transaction_id, std::vector<parked_request>> waiting_for_outcome_;  // by the transaction
  std::map<proposal_number, std::vector<parked_request>> waiting_for_proposal_;
  std::vector<parked_request> due_;  // what they waited for has ended

  history_sweep history_;
  proposal_number sweep_under_way_ = 0;  // what the last sweep found, until it is applied
  std::uint64_t versions_collected_ = 0;

  std::deque<std::pair<partition_request, std::size_t>> waiting_for_no_op_;  // or for the end of a handover
  std::unordered_map<std::string, overlay_version> overlay_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::pair<proposal_number, write_result>> window_overlay_;

  std::unordered_set<std::uint64_t> clients_under_way_;  // with a first write that is not applied yet

  // Proposals of this term that are not applied: the first has number applied_proposals_ + 1. The last may be the open
  // batch, which is not handed out yet.
  std::deque<proposal_under_way> proposals_;
  proposal_number applied_proposals_ = 0;
  std::uint32_t entries_since_checkpoint_ = 0;
  std::shared_ptr<write_batch> open_batch_;
  std::size_t open_batch_bytes_ = 0;

  std::map<std::uint64_t, std::vector<pending_reply>> reads_under_way_;  // by read id
  std::uint64_t next_read_id_ = 1;
  std::vector<pending_reply> unconfirmed_;  // collected for the next read

  std::size_t pending_requests_ = 0;
  std::size_t pending_bytes_ = 0;
  partition_ready ready_;
};

}  // namespace kahuna::kv
