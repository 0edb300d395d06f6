// Coordinates the transactions that are anchored at a partition, and finds out for the partition what became of others.
//
// Owned by the transaction manager that the partition hosts (or by a test, or a simulation). It works while its partition leads, in
// one term; what it has in hand is in memory and ends with the leadership: then the transactions that are not decided are aborted,
// and those that are go on by the records in the log (docs/transactions.md has the protocol and why it is correct).
//
// Invariants:
//   1. a transaction does one step at a time; a step is answered once to each who asked it, and again when it is repeated. What it writes
//      it writes as a whole, once all its keys are there, or not at all.
//   2. what is written is asked of the participants only in a commit; until then it is here alone.
//   3. a commit is proposed only after all other participants of this incarnation have promised, and after that it is not aborted.
//   4. that a transaction was aborted is told only once it is certain that this partition leads, and of a commit only once it is
//      certain that no other leader has committed it before (participant_lookup).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/prng.hpp"
#include "core/kv/partition_input.hpp"
#include "core/routing/partition_map.hpp"

namespace kahuna::kv {

struct manager_options {
  partition_id self;
  std::uint32_t partitions = 1;                        // of the cluster
  std::size_t transactions_max = 16'384;               // open at a time; beyond it: overloaded
  std::size_t keys_max = 10'000;                       // that one transaction reads or writes, and buckets
  std::size_t written_bytes_max = 2 << 20;             // of one transaction
  std::size_t answered_bytes_max = 2 << 20;            // to one step of several operations
  std::size_t read_bytes_max = 64 << 20;               // of one transaction: the keys that it reads are kept, with their values
  std::size_t kept_bytes_max = 128 << 20;              // that all have read and written, and lists that they were answered; beyond it none begins (overloaded), beyond twice as much none goes on
  std::size_t named_bytes_max = 1 << 20;               // the names of the keys that it touches: they travel with its commit
};

// --- inputs: manager_news of the partition (partition_input.hpp), and

// Answers to what was asked of other partitions; by the tokens of manager_ready.
struct remote_answers {
  std::vector<partition_reply> replies;
};

// Time has passed. Comes about every 50 ms.
struct manager_tick {};

using manager_input = std::variant<manager_news, remote_answers, manager_tick>;

// --- outputs

struct remote_request {
  std::uint64_t token = 0;  // comes back with the answer
  operation op;
  std::uint32_t budget_ms = 0;
};

struct manager_ready {
  std::vector<partition_request> own;    // of the partition that hosts this; origins have manager_origin set
  std::vector<remote_request> remote;    // of other partitions
  std::vector<partition_reply> replies;  // to whoever asked, as the requests' origins say

  bool is_empty() const { return own.empty() && remote.empty() && replies.empty(); }
};

class transaction_manager_core {
 public:
  transaction_manager_core(manager_options options, prng dice);

  // `stamp` is fresh from the node's clock.
  void step(manager_input input, timestamp stamp, instant now);
  manager_ready take_ready();

  std::size_t open_transactions() const { return transactions_.size(); }
  std::uint64_t committed() const { return committed_; }
  std::uint64_t aborted() const { return aborted_; }
  void check_invariants() const;
  std::string describe() const;

 private:
  using key_name = std::pair<durability, std::string>;

  // A decision is told until it is confirmed: the participant's group may be without a quorum for long.
  static constexpr duration telling_patience = std::chrono::hours(24 * 365);
  // What became of a transaction is known here for so long at least.
  static constexpr duration finished_kept = std::chrono::seconds(10);

  // A key as the transaction sees it: what was read, and what is to be written over it.
  struct working_key {
    partition_id partition;
    std::optional<version> base;
    bool was_live = false;
    lock_demand lock = lock_demand::none;
    std::optional<version> own;       // of this transaction; a tombstone where it deletes
    std::optional<version> last_set;  // what it set last, for which it takes one revision however often it sets
  };
  struct working_bucket {
    partition_id partition;
    timestamp seen;
    std::uint64_t valid_until_ms = 0;
    read_view view;  // of the first page: read again, it is read as of then
  };

  enum class phase : std::uint8_t { active, validating, preparing, committing };

  // Of a client's request for a commit: under it the partition remembers the answer.
  struct request_identity {
    std::uint64_t client = 0;
    std::uint64_t sequence = 0;
    std::uint32_t attempt = 1;
    std::uint64_t floor = 0;
    timestamp issued_at;
  };

  struct transaction {
    transaction_header header;
    std::uint64_t deadline_ms = 0;  // Unix time
    instant deadline;
    phase in = phase::active;

    std::uint32_t step_number = 0;
    std::uint64_t told = 0;  // digest of the answers to all steps that are done
    transaction_step step;
    std::vector<std::uint64_t> origins;  // that asked it
    std::optional<operation_response> answer;
    request_identity commit_identity;

    // Keys that the step needs and that are not there yet. A line is asked for one after the other, all lines at the same time.
    std::vector<std::deque<wanted_lock>> lines;
    std::size_t missing = 0;  // in all lines, with those that are being asked for
    key_name last_wanted;     // the last of them all, in their order
    std::optional<commit_refusal> refusal;  // what the step's commit is to be answered, if what was read proves to be so
    std::set<std::uint64_t> calls;          // under way for it, by token; of those that end with it

    std::map<key_name, working_key> keys;
    std::map<key_name, working_bucket> buckets;
    std::set<partition_id> touched;  // that may hold something of it
    std::optional<key_name> last_locked;  // the last of the keys that it holds, in their order
    wait_order order = wait_order::first;  // of what it asks for now; of more than one, the lowest
    bool is_wanted = false;                // somebody who holds something waits for what it holds
    std::optional<instant> stuck_at;       // when it was last said to wait out of order for an older one
    bool must_not_wait = false;            // an older one does, for it
    std::optional<instant> wounded_at;     // when an older one wanted what it holds, for the first time
    instant answered_at;                   // its last step was
    std::size_t written_bytes = 0;
    std::size_t read_bytes = 0;
    std::size_t named_bytes = 0;
    std::size_t listed_bytes = 0;  // of the page that its last step was answered with, kept for those who ask again
    std::size_t kept_bytes() const { return written_bytes + read_bytes + listed_bytes; }
    std::set<partition_id> awaited;  // whose vote is not there yet
    timestamp voted;                 // the highest stamp of the votes
    std::uint64_t valid_until_ms = 0;
  };

  // Something asked of a partition and not answered yet; repeated until it is.
  enum class purpose : std::uint8_t { read, list, history, vote, commit, resolve, forget, lookup, question, hurry };
  struct call {
    purpose what = purpose::read;
    txn::transaction_id id;
    partition_id partition;
    operation op;
    std::optional<request_identity> identity;  // of a commit, and of a lookup for one
    std::uint64_t asked_by = 0;        // a lookup: the origin to be answered
    std::size_t line = 0;              // a read: that it is of
    std::string why;                   // of a lookup: what is said of a commit that is found to be aborted
    std::optional<operation_response> told;  // of a lookup: what is said instead
    std::optional<instant> repeat_at;  // it failed, and is to be asked again then
    instant ends;                      // given up then
    std::uint32_t failures = 0;
  };

  // What has become of a transaction that is no longer open.
  struct finished {
    transaction_state state = transaction_state::aborted;
    timestamp committed;
    std::string why;
    instant until;
    std::optional<operation_response> told = {};  // to its commit, where that was refused
  };

  void take_news(manager_news news);
  void begin_leadership(const manager_news::leadership& change);
  void end_leadership();
  void take_step(partition_request request);
  void take_step_of(transaction& t, partition_request& request);
  void take_query(const partition_request& request);
  void take_question(const manager_news::question& question);
  void hear_of(transaction& t, const transaction_query& news);
  void hurry(transaction& t, partition_id partition);
  void take_answer(std::uint64_t token, operation_response response);
  void on_tick();

  void begin_step(transaction& t, partition_request& request);
  bool line_up(transaction& t);
  void ask_next(transaction& t, std::size_t line);
  wait_order order_of(const transaction& t, const key_name& name) const;
  void drop_reads(transaction& t);
  static void note_locked(transaction& t, const key_name& name);
  void run(transaction& t);
  template <class Step>
  void run_step(transaction& t, const Step& step);
  void run_several(transaction& t, const several_step& step);
  void run_last_writes(transaction& t, const write_and_commit_step& step);
  void run_list(transaction& t, const get_by_bucket_request& request);
  template <class Request>
  void run_read(transaction& t, const Request& request);
  // Of one operation, whose key is there.
  template <class Request>
  result<step_answer> evaluate_in(transaction& t, const Request& request);
  template <class Request>
  result<step_answer> write_in(transaction& t, const Request& request);
  // Whether so many more keys and buckets may be touched; where not, the step was answered.
  bool has_room(transaction& t, std::size_t more, std::size_t more_named_bytes);
  // What a step has written is taken back where the step can't be done.
  struct written_before {
    std::size_t written_bytes = 0;
    std::vector<std::pair<working_key*, working_key>> keys;
  };
  template <class Operations>
  written_before remember(transaction& t, const Operations& operations);
  void take_back(transaction& t, written_before before);
  std::optional<version> current(const working_key& entry) const;
  void took_read(transaction& t, const call& asked, read_answer answer);
  void took_list(transaction& t, const call& asked, list_answer answer);
  bool may_keep(transaction& t, std::size_t bytes);
  bool keep_read(transaction& t, std::size_t bytes);
  const std::string* find_contradiction(const transaction& t, const get_by_bucket_request& request, const list_response& page) const;
  void lay_over(const transaction& t, const get_by_bucket_request& request, list_response& page) const;

  void start_commit(transaction& t);
  void took_vote(transaction& t, const call& asked, const vote& verdict);
  void send_commit(transaction& t);
  void took_decision(transaction& t, const transaction_status& status);
  void finish_committed(transaction& t, timestamp committed, const std::vector<partition_id>& to_tell);
  void refuse(transaction& t);
  // `told`: what a commit is answered instead of `aborted`.
  void abort(transaction& t, const std::string& why, bool is_asked_for = false, std::optional<operation_response> told = {});
  void forget_transaction(const transaction& t, finished outcome);
  observation observed_at(const transaction& t, partition_id partition) const;
  std::vector<intended_write> written_at(const transaction& t, partition_id partition) const;
  std::set<partition_id> participants_of(const transaction& t) const;

  void answer(transaction& t, operation_response response);
  static request_identity identity_of(const partition_request& request);
  void reply(std::uint64_t origin, operation_response response);
  participant_request about(const transaction& t, partition_id partition, participant_body body) const;
  void send(call c);
  void keep(std::uint64_t token, call c);
  void hand_out(std::uint64_t token, const call& c);
  void resolve(const txn::transaction_id& id, term_id term, partition_id partition, timestamp committed, duration patience);
  bool repeat_later(std::uint64_t token, const call& c, const error& why);
  void look_up(const txn::transaction_id& id, term_id term, std::uint64_t origin,
               std::optional<request_identity> commit, std::string why = {}, std::optional<operation_response> told = {});

  manager_options options_;
  prng dice_;
  std::optional<term_id> term_;  // of the leadership; nothing: there is none
  timestamp stamp_;
  instant now_;

  std::map<txn::transaction_id, transaction> transactions_;
  std::map<txn::transaction_id, finished> finished_;
  std::deque<std::pair<instant, txn::transaction_id>> finished_until_;
  std::unordered_map<std::uint64_t, call> calls_;  // by token
  // Decided, and not every participant has confirmed it: how many are missing, and the term of its coordinator.
  struct to_be_told {
    term_id term;
    std::size_t missing = 0;
  };
  std::map<txn::transaction_id, to_be_told> telling_;
  std::set<txn::transaction_id> questions_under_way_;
  std::size_t kept_bytes_ = 0;  // of all transactions
  // Begins anywhere: an answer to whoever coordinated here before, of a replica that this node has dropped since, is none to this one.
  std::uint64_t next_token_;
  std::uint64_t committed_ = 0;
  std::uint64_t aborted_ = 0;
  manager_ready ready_;
};

}  // namespace kahuna::kv
