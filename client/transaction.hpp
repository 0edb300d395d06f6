// A transaction of a client: what is read and written in it takes effect as a whole at its commit, or not at all.
//
//   auto t = kahuna.begin();
//   if (!t) … t.error() …
//   auto account = t->get({.key = "accounts/a"});
//   t->set({.key = "accounts/a", .value = …});
//   auto committed = t->commit();
//
// The coordinator keeps what is written; the destructor rolls back. A transaction that lost a conflict, or ran past its deadline, is
// over: every call answers `aborted`, and it is to be begun again (client::run_transaction does that). One that was begun as of a
// moment only reads, holds up nobody and is never aborted.
//
// Each step is a round trip to the coordinator. What needs few of them reads all that it needs in one, and sends its writes with the
// commit, which are two:
//
//   auto both = t->get_many({{.key = "accounts/a"}, {.key = "accounts/b"}}, kv::lock_demand::exclusive);
//   t->set_at_commit({.key = "accounts/a", .value = …});
//   t->set_at_commit({.key = "accounts/b", .value = …});
//   auto committed = t->commit();
//
// One thread at a time, one call at a time. Copies nothing: movable only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/key_list.hpp"
#include "core/base/errc.hpp"
#include "core/kv/operation.hpp"

namespace kahuna::client {

struct transaction_options {
  kv::locking_mode locking = kv::locking_mode::pessimistic;
  std::chrono::milliseconds timeout{kv::transaction_timeout_ms_default};  // from its first step; then it is rolled back
  timestamp as_of{};       // not 0: only reads, as the keys were then
  bool is_as_of_now = false;  // only reads, of everything that was acknowledged before it began
  timestamp began_at{};       // of the attempt before, where it is begun again by hand: older ones go first. 0: now
};

// How the operations of one connection are asked: given to a transaction by the client that it is of.
class transaction_channel {
 public:
  virtual ~transaction_channel() = default;
  virtual void submit(kv::operation op, std::function<void(kv::operation_response)> done) = 0;
  virtual void submit_list(list_query query, std::function<void(result<key_list>)> done) = 0;
  virtual std::uint64_t client_id() const = 0;
  virtual std::uint32_t partitions() const = 0;
};

// What a commit says whose writes were refused: `aborted`, with the write in words.
error error_of(const kv::commit_refusal& refusal);

class transaction {
 public:
  using step_done = std::function<void(kv::operation_response)>;
  using list_done = std::function<void(result<key_list>)>;

  // `began_at` and `number` name it (txn::transaction_id). Of a read-only one `options.as_of` is the moment.
  transaction(std::shared_ptr<transaction_channel> channel, transaction_options options, timestamp began_at, std::uint64_t number);
  transaction(transaction&&) noexcept;
  transaction& operator=(transaction&&) noexcept;
  ~transaction();

  // For people and logs: "115596328968060933-1f-2".
  std::string id() const;
  // Its age, for an attempt that follows.
  timestamp began_at() const;
  // Of one that only reads: as of when. 0 of another.
  timestamp moment() const;
  // The keys that its steps have named, each with the lock that it takes; in no order, the first kv::locks_max of them.
  std::vector<kv::wanted_lock> touched() const;
  // Whether neither commit nor rollback has been called, nor anything has ended it.
  bool is_open() const;

  // Errors, besides those of the single operations: aborted; invalid_argument also for a call after the end, for a write as of a
  // moment, and for a step while another is under way: that code never ends the transaction.
  result<kv::set_response> set(kv::set_request request);
  result<kv::get_response> get(kv::get_request request);
  result<kv::exists_response> exists(kv::exists_request request);
  result<kv::delete_response> erase(kv::delete_request request);
  result<kv::extend_response> extend(kv::extend_request request);
  result<key_list> get_by_bucket(const std::string& bucket, list_options options = {});
  // Several keys in one step: an answer for each, in their order, or one error for all. `lock`: what they are locked for where the
  // transaction locks as it goes: exclusive those that will be written, which spares a wait for a stronger lock later. 1 to
  // kv::locks_max; what is found has at most a MiB above the largest value. Not for history.
  result<std::vector<kv::get_response>> get_many(std::vector<kv::get_request> requests,
                                                 kv::lock_demand lock = kv::lock_demand::shared);
  // Any operations in one step, 1 to kv::operations_max: done in their order, each seeing what those before it have written. An answer for
  // each; a condition that does not hold is an answer, and those behind it are done. An error is one for all: then none of them was done.
  result<std::vector<kv::step_answer>> run(std::vector<kv::step_operation> operations);

  // Writes this with the commit, in the same request, behind what was given so before. Nobody is asked, and nothing is checked, before the
  // commit; after this only the commit or a rollback may follow: other steps are refused (invalid_argument), because they would not see it.
  void set_at_commit(kv::set_request request);
  void erase_at_commit(kv::delete_request request);
  void extend_at_commit(kv::extend_request request);

  // Reads keys ahead, 1 to kv::locks_max, and locks them where it locks as it goes, in the order of their names: transactions that
  // begin with this never wait for each other in a circle, and what they read and write of these keys later is answered without
  // asking the keys' partitions. One that only reads locks nothing.
  std::optional<error> lock(std::vector<kv::wanted_lock> keys);
  // `timeout`: it is not known whether it was committed. `aborted` also where a write that was given to it is not done, because its
  // condition does not hold or there is nothing to extend: then nothing is committed, the transaction is over, and refusal() says which.
  result<kv::commit_response> commit();
  // Why the commit was refused, if it was: to begin again by the same code would end so again, until somebody changes the key.
  std::optional<kv::commit_refusal> refusal() const;
  std::optional<error> rollback();

  // The same without waiting: `done` runs once, on a thread of the client's or before this returns, and must not block. A commit_step takes
  // with it what was given to the commit, and may be answered with a commit_refusal.
  void submit(kv::transaction_step step, step_done done);
  void submit_list(const std::string& bucket, list_options options, list_done done);

 private:
  struct state;

  void submit_gathered(kv::several_step step, step_done done);

  explicit transaction(std::shared_ptr<state> shared) : state_(std::move(shared)) {}

  std::shared_ptr<state> state_;
};

}  // namespace kahuna::client
