// What is said of transactions: by clients to the partition that anchors one, and between the partitions that it touches.
//
//   client → anchor              transaction_request: one step at a time, of one operation or several, the last one a commit or a rollback
//   anchor → participants        participant_request: read (and lock), list, validate, prepare, resolve
//   anchor → itself              the same, and commit, lookup, forget
//   participant → anchor         transaction_query: what has become of it?
//
// The anchor of a transaction is the partition of the first key that it names; its transaction manager coordinates, and the
// entry that its Raft group commits is the commit point (docs/transactions.md). Every partition_request and answer may be lost
// or doubled: each can be repeated without harm, and says below why.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/kv/key_operation.hpp"
#include "core/kv/version.hpp"
#include "core/txn/transaction_id.hpp"

namespace kahuna::kv {

// The numbers are on the wire: never change or reuse one.
enum class locking_mode : std::uint8_t { pessimistic = 0, optimistic = 1 };

inline constexpr std::uint32_t transaction_timeout_ms_default = 5'000;
inline constexpr std::uint32_t transaction_timeout_ms_max = 600'000;

// A number as users give it: below 2^52 it is Unix time in milliseconds, of which the last stamp is meant; else a commit timestamp.
constexpr timestamp moment_of(std::uint64_t number) {
  return timestamp{number < (std::uint64_t{1} << 52) ? (number << 16) | 0xFFFF : number};
}

// --- client and anchor --------------------------------------------------------------------------------------------

struct transaction_header {
  txn::transaction_id id;
  partition_id anchor;
  locking_mode locking = locking_mode::pessimistic;
  std::uint32_t timeout_ms = transaction_timeout_ms_default;  // from the first step; then it is rolled back

  friend bool operator==(const transaction_header&, const transaction_header&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& id& anchor& locking& timeout_ms;
  }
};

// The numbers are on the wire: never change or reuse one.
enum class lock_demand : std::uint8_t { none = 0, shared = 1, exclusive = 2 };

struct wanted_lock {
  durability space = durability::persistent;
  std::string key{};
  lock_demand lock = lock_demand::exclusive;  // shared to read it, exclusive to write it

  friend bool operator==(const wanted_lock&, const wanted_lock&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& space& key& lock;
  }
};

// Reads keys that the transaction is going to need, and locks them if it locks as it goes: one after the other in the order of their
// names, so that transactions that begin with this never wait for each other in a circle.
struct lock_step {
  std::vector<wanted_lock> locks;  // 1 to locks_max

  friend bool operator==(const lock_step&, const lock_step&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& locks;
  }
};

inline constexpr std::size_t locks_max = 256;

// What a step of several holds. The order is on the wire: append only.
using step_operation = std::variant<set_request, get_request, exists_request, delete_request, extend_request, wanted_lock>;

// Operations that are asked in one request: done one after the other, each seeing what those before it have written, once all their keys
// are read, and locked if the transaction locks as it goes. Keys of different partitions are asked for at the same time. An error is that
// of the whole step, and then nothing of it was done; a condition that does not hold is an answer, behind which the others go on.
struct several_step {
  std::vector<step_operation> operations;  // 1 to operations_max; reads are of now

  friend bool operator==(const several_step&, const several_step&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& operations;
  }
};

inline constexpr std::size_t operations_max = 512;

// The order is on the wire: append only.
using write_request = std::variant<set_request, delete_request, extend_request>;

// Writes, and then commits. Where one of them is not done, nothing is committed (commit_refusal).
struct write_and_commit_step {
  std::vector<write_request> writes;  // 1 to operations_max

  friend bool operator==(const write_and_commit_step&, const write_and_commit_step&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& writes;
  }
};

struct commit_step {
  friend bool operator==(const commit_step&, const commit_step&) = default;

  template <class Archive>
  void serialize(Archive&, unsigned) {}
};

struct rollback_step {
  friend bool operator==(const rollback_step&, const rollback_step&) = default;

  template <class Archive>
  void serialize(Archive&, unsigned) {}
};

// The order is on the wire: append only.
using transaction_step = std::variant<set_request, get_request, exists_request, delete_request, extend_request,
                                      get_by_bucket_request, commit_step, rollback_step, lock_step, several_step, write_and_commit_step>;

inline bool is_commit(const transaction_step& step) {
  return std::holds_alternative<commit_step>(step) || std::holds_alternative<write_and_commit_step>(step);
}

// What an operation of a step locks its key for, where the transaction locks as it goes.
template <class Request>
lock_demand demand_of([[maybe_unused]] const Request& request) {
  if constexpr (requires { request.as_of; })
    return lock_demand::shared;
  else if constexpr (requires { request.lock; })
    return request.lock;
  else
    return lock_demand::exclusive;
}

// Calls `visit` with each of the step's operations that names a key, in their order.
template <class Visit>
void for_each_keyed(const transaction_step& step, Visit visit) {
  std::visit(
      [&](const auto& s) {
        if constexpr (requires { s.locks; })
          for (const auto& lock : s.locks) visit(lock);
        else if constexpr (requires { s.operations; })
          for (const auto& operation : s.operations) std::visit(visit, operation);
        else if constexpr (requires { s.writes; })
          for (const auto& write : s.writes) std::visit(visit, write);
        else if constexpr (requires { s.key; })
          visit(s);
      },
      step);
}

// A step of a transaction. The first one (number 1) begins it; a step that is repeated is answered as before. Answers are those of the
// operation, several_response, commit_response, commit_refusal, rollback_response, lock_response, or an error; `aborted` where the
// transaction is over.
struct transaction_request {
  transaction_header transaction;
  std::uint32_t number = 1;  // rises by one from step to step
  std::uint64_t heard = 0;   // digest of the answers to all earlier steps (answer_digest.hpp): who else gave them can't go on
  transaction_step step;

  friend bool operator==(const transaction_request&, const transaction_request&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& transaction& number& heard& step;
  }
};

struct commit_response {
  timestamp modified;  // the commit timestamp; of a transaction without writes a moment at which all that it read was so

  friend bool operator==(const commit_response&, const commit_response&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& modified;
  }
};

struct lock_response {
  friend bool operator==(const lock_response&, const lock_response&) = default;

  template <class Archive>
  void serialize(Archive&, unsigned) {}
};

// An answer of each kind of step_operation. The order is on the wire: append only.
using step_answer = std::variant<set_response, get_response, exists_response, delete_response, extend_response, lock_response>;

struct several_response {
  std::vector<step_answer> answers;  // one for each operation, in their order

  friend bool operator==(const several_response&, const several_response&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& answers;
  }
};

// To a commit with writes of which one was not done: a set whose condition does not hold, or an extension of a key that is not there.
// (To delete what is not there is as good as done.) Nothing is committed, and the transaction is over.
struct commit_refusal {
  std::uint32_t write = 0;  // its place among them, from 0
  step_answer answer;

  friend bool operator==(const commit_refusal&, const commit_refusal&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& write& answer;
  }
};

struct rollback_response {
  friend bool operator==(const rollback_response&, const rollback_response&) = default;

  template <class Archive>
  void serialize(Archive&, unsigned) {}
};

// Asks a partition's leader for its clock: everything that was acknowledged there before has a stamp at or below the answer.
struct read_clock_request {
  partition_id partition;

  friend bool operator==(const read_clock_request&, const read_clock_request&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& partition;
  }
};

struct clock_response {
  timestamp now;

  friend bool operator==(const clock_response&, const clock_response&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& now;
  }
};

// --- anchor and participants --------------------------------------------------------------------------------------

// What a transaction has read of a key: its newest version then, whether live or not.
struct observed_key {
  durability space = durability::persistent;
  std::string key;
  bool is_known = false;  // the key had a version; the fields below name it
  std::int64_t revision = no_revision;
  bool is_tombstone = false;
  timestamp modified;
  bool is_live = false;

  friend bool operator==(const observed_key&, const observed_key&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& space& key& is_known& revision& is_tombstone& modified& is_live;
  }
};

// A bucket as it was read: whole, whatever part of it was asked for.
struct observed_bucket {
  durability space = durability::persistent;
  std::string bucket;
  timestamp seen;                    // every modification of its keys up to this stamp was seen, and no later one
  std::uint64_t valid_until_ms = 0;  // the first expiry (Unix time) among what was seen; 0: none

  friend bool operator==(const observed_bucket&, const observed_bucket&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& space& bucket& seen& valid_until_ms;
  }
};

struct observation {
  std::vector<observed_key> keys;
  std::vector<observed_bucket> buckets;

  friend bool operator==(const observation&, const observation&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& keys& buckets;
  }
};

// A version that the transaction will write. The commit timestamp takes the place of the stamps in it.
struct intended_write {
  durability space = durability::persistent;
  std::string key;
  kv::version version;
  bool keeps_created = false;  // it only extends a version that is there

  friend bool operator==(const intended_write&, const intended_write&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& space& key& version& keeps_created;
  }
};

// How what a transaction asks for stands to what it holds, here and elsewhere. The numbers are on the wire: never change or reuse one.
enum class wait_order : std::uint8_t {
  out_of_order = 0,
  in_order = 1,  // it holds keys alone, whose names come before this one's
  first = 2,     // it holds nothing: nobody waits for it
};

// The newest version of a key, once the transaction holds the lock. Repeated: the same lock, maybe a newer version.
struct participant_read {
  durability space = durability::persistent;
  std::string key;
  lock_demand lock = lock_demand::none;
  wait_order order = wait_order::out_of_order;

  friend bool operator==(const participant_read&, const participant_read&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& space& key& lock& order;
  }
};

// A page of a bucket, once the transaction holds the bucket's lock.
struct participant_list {
  get_by_bucket_request list;
  lock_demand lock = lock_demand::none;

  friend bool operator==(const participant_list&, const participant_list&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& list& lock;
  }
};

// Whether what was read is still so. For transactions without writes: where every partition says yes after all was read, all
// of it was so at one moment, that between the last read and the first answer. Holds nothing.
struct participant_validate {
  observation seen;

  friend bool operator==(const participant_validate&, const participant_validate&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& seen;
  }
};

// Whether what was read is still so; where it is, it stays so, and nobody writes what is to be written, until the transaction
// is resolved: the promise is replicated before the answer. Repeated: the same vote.
struct participant_prepare {
  observation seen;
  std::vector<intended_write> writes;

  friend bool operator==(const participant_prepare&, const participant_prepare&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& seen& writes;
  }
};

// The anchor's own part, and the decision: one entry that validates, writes, and records. Taken only in the term in which it was
// coordinated: a coordinator does not outlive its leadership. Repeated: by the request's identity, as any write.
struct participant_commit {
  observation seen;
  std::vector<intended_write> writes;
  timestamp prepared;                      // the highest stamp of the others' votes; 0: there are none
  std::uint64_t valid_until_ms = 0;        // the lowest of the others' votes; 0: none
  std::vector<partition_id> participants;  // the others, to be told of the decision

  friend bool operator==(const participant_commit&, const participant_commit&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& seen& writes& prepared& valid_until_ms& participants;
  }
};

// The outcome: what is prepared is written or dropped, what is locked is let go. Repeated: there is nothing left to do.
struct participant_resolve {
  timestamp committed;  // the commit timestamp; 0: aborted

  friend bool operator==(const participant_resolve&, const participant_resolve&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& committed;
  }
};

// Whether the commit with this request's identity, or the transaction itself, is recorded; asked of the anchor by its own
// manager, which has nothing of it in hand. What is not recorded here never will be: whoever coordinated it is gone, and that a commit
// that was sent more than once is aborted is recorded itself, lest an earlier attempt come late, with all its steps.
struct participant_lookup {
  friend bool operator==(const participant_lookup&, const participant_lookup&) = default;

  template <class Archive>
  void serialize(Archive&, unsigned) {}
};

// Every participant has heard of the commit: its record is not needed any longer.
struct participant_forget {
  friend bool operator==(const participant_forget&, const participant_forget&) = default;

  template <class Archive>
  void serialize(Archive&, unsigned) {}
};

// Asked of the anchor's manager by whoever meets what the transaction holds.
struct transaction_query {
  bool is_wanted = false;  // another transaction, or a single operation, waits for what it holds
  bool is_wound = false;   // that one is older: this one must end soon
  wait_order order = wait_order::first;  // of that one
  bool is_stuck = false;   // this one waits out of order itself, for an older one

  friend bool operator==(const transaction_query&, const transaction_query&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& is_wanted& is_wound& order& is_stuck;
  }
};

// If the transaction waits for a lock here, it does so no longer: what waits is answered `aborted`. Where it comes before that which
// would wait, whoever wants the transaction out of the way asks again. Repeated: there is nothing left to do.
struct participant_stop_waiting {
  friend bool operator==(const participant_stop_waiting&, const participant_stop_waiting&) = default;

  template <class Archive>
  void serialize(Archive&, unsigned) {}
};

// The order is on the wire: append only.
using participant_body =
    std::variant<participant_read, participant_list, participant_validate, participant_prepare, participant_commit,
                 participant_resolve, participant_lookup, participant_forget, transaction_query, participant_stop_waiting>;

// Only nodes may say it.
struct participant_request {
  partition_id partition;  // whom it is for
  txn::transaction_id id;
  // Of the anchor's leadership that coordinates. A first step that is repeated at another leader begins the transaction again, under
  // the same id: what one coordinator says of its own must not touch what another was promised.
  term_id term;
  partition_id anchor;
  std::uint64_t deadline_ms = 0;  // Unix time at which the transaction is rolled back, if it is not committing
  participant_body body;

  friend bool operator==(const participant_request&, const participant_request&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& partition& id& term& anchor& deadline_ms& body;
  }
};

struct read_answer {
  std::optional<kv::version> newest;
  std::uint64_t judged_ms = 0;  // the Unix time against which expiry is to be judged
  lock_demand lock = lock_demand::none;  // what is held now; may be more than was asked for

  friend bool operator==(const read_answer&, const read_answer&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& newest& judged_ms& lock;
  }
};

struct list_answer {
  list_response page;
  timestamp seen;  // as in observed_bucket

  friend bool operator==(const list_answer&, const list_answer&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& page& seen;
  }
};

// To validate and to prepare.
struct vote {
  bool is_yes = false;
  std::string why;                   // of a no, for people
  timestamp prepared;                // commits of this transaction must not be below it
  std::uint64_t valid_until_ms = 0;  // nor at or behind this Unix time; 0: no bound

  friend bool operator==(const vote&, const vote&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& is_yes& why& prepared& valid_until_ms;
  }
};

// The numbers are on the wire: never change or reuse one.
enum class transaction_state : std::uint8_t { pending = 0, committed = 1, aborted = 2 };

// To commit, lookup and query; to resolve and forget, where there is nothing more to say, with the state asked for.
struct transaction_status {
  transaction_state state = transaction_state::pending;
  timestamp committed;
  std::string why;  // of an abort, for people
  bool is_repeated = false;  // to a commit: it was committed before, by an earlier request

  friend bool operator==(const transaction_status&, const transaction_status&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& state& committed& why& is_repeated;
  }
};

// The order is on the wire: append only.
using participant_response = std::variant<read_answer, list_answer, vote, transaction_status>;

}  // namespace kahuna::kv
