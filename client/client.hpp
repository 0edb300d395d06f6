// The blocking client: what most C++ programs use. A facade on the client actor (client_actor.hpp).
//
//   auto c = kahuna::client::client::connect({.endpoints = {"127.0.0.1:4870"}});
//   if (!c) … c.error() …
//   auto answer = c->set({.key = "services/auth/i1", .value = "node1", .expires_ms = 10'000});
//
// Any node will do as an endpoint: the rest are learned from it. Requests are retried within their deadline under one
// request identity, so that a write is applied once. Thread safe: any number of threads may share one client.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/cluster_overview.hpp"
#include "client/key_list.hpp"
#include "client/transaction.hpp"
#include "core/base/errc.hpp"
#include "core/kv/operation.hpp"
#include "core/routing/membership_core.hpp"

namespace kahuna::client {

struct client_options {
  std::vector<std::string> endpoints = {"127.0.0.1:4870"};  // HOST:PORT; tried in turn until one answers
  std::chrono::milliseconds timeout{5000};                  // of each request, 1 ms to 60 s
  std::chrono::milliseconds connect_timeout{5000};          // until the first node must have answered
  // Calls from many threads travel over one connection a node; this many independent connections are opened to each
  // node instead, requests being spread over them.
  std::size_t connections = 1;
  // Hears when the first connection to any node is there, and when the last one is gone; on a thread of the client's, and
  // must not block. May be empty.
  std::function<void(bool is_connected)> connection_changed{};
};

// Errors of every call: invalid_argument, unavailable, overloaded (not applied); timeout, internal (unknown);
// data_corrupted. `not_leader`, `leadership_lost` and `view_lost` never get here.
class client {
 public:
  // Waits until one endpoint has answered. Errors: unavailable (none answered in time), invalid_argument (an endpoint
  // that is no HOST:PORT).
  static result<client> connect(client_options options);

  client(client&&) noexcept;
  client& operator=(client&&) noexcept;
  ~client();

  result<kv::set_response> set(kv::set_request request);
  result<kv::get_response> get(kv::get_request request);
  result<kv::exists_response> exists(kv::exists_request request);
  result<kv::delete_response> erase(kv::delete_request request);
  result<kv::extend_response> extend(kv::extend_request request);

  // Many at once, under way at the same time: an answer for each, in the order of the requests. Not a transaction: each
  // stands for itself, and two on one key may be done in either order.
  std::vector<result<kv::set_response>> set_many(std::vector<kv::set_request> requests);
  std::vector<result<kv::get_response>> get_many(std::vector<kv::get_request> requests);

  // Calls `visit` for every live key of the bucket in key order, a page at a time, so that memory holds one page whatever
  // the bucket's size; until it returns false. One consistent read, as get_by_bucket is. Errors, besides the others':
  // unavailable where the moment that is read can't be read any more (its versions were collected, or an ephemeral
  // bucket's leader is gone): what was visited is valid, begin again for the rest.
  std::optional<error> visit_bucket(const std::string& bucket, const std::function<bool(const kv::listed_key&)>& visit,
                                    kv::durability space = kv::durability::persistent);

  // Every live key of the bucket in key order, as one consistent read. One trailing '/' of `bucket` is dropped.
  result<key_list> get_by_bucket(const std::string& bucket, list_options options = {});

  // Every live key that starts with `prefix`, over all partitions, in key order; consistent within a partition only.
  result<key_list> scan_by_prefix(const std::string& prefix, list_options options = {});

  // Any single-key operation without waiting: `done` runs once, on a thread of the client's, and must not block.
  void submit(kv::operation op, std::function<void(kv::operation_response)> done);

  // A list likewise.
  void submit_list(list_query query, std::function<void(result<key_list>)> done);

  // Begins a transaction (client/transaction.hpp). Nobody is asked before its first step, but for one as of now: then all partitions
  // are asked for their clocks. Errors: invalid_argument (options), and those of asking.
  result<transaction> begin(transaction_options options = {});
  void submit_begin(transaction_options options, std::function<void(result<transaction>)> done);

  // Runs `body` in a transaction and commits it; where it was aborted, again, after a pause that is drawn and grows, until the
  // client's timeout has passed. What an attempt has touched the next one locks first, in the order of the keys' names, whatever
  // `options.locking` says (transaction_attempts.hpp). Where a write that the body has given to the commit was refused it is not begun
  // again: `aborted`, with the write in words. One as of now only reads, as of another moment in each attempt. `body` returns an error to roll back and be done, `aborted` to begin again, or nothing to
  // commit; it may run any number of times, and must not take what it read for granted before this returns.
  result<kv::commit_response> run_transaction(const std::function<std::optional<error>(transaction&)>& body,
                                              transaction_options options = {});

  // The same without waiting. `body` is called for each attempt, on a thread of the client's or before this returns, and must not
  // block: it submits steps to the transaction, which lives until the attempt has ended, and calls `ended` once, with what
  // run_transaction's body returns. `done` runs once, likewise.
  using attempt_ended = std::function<void(std::optional<error>)>;
  void submit_transaction(std::function<void(transaction&, attempt_ended)> body, transaction_options options,
                          std::function<void(result<kv::commit_response>)> done);

  // A moment at or behind everything that was acknowledged before: what a read as of it sees.
  result<timestamp> read_clock();

  // Where every node and every replica stands, for operators. Nodes that don't answer within the timeout, or within
  // 1.5 s where that is longer, are shown as down. `described`: a partition whose replicas are described in words too.
  // Errors: unavailable (no node answered).
  result<cluster_overview> inspect_cluster(std::optional<std::uint32_t> described = std::nullopt);
  void submit_inspection(std::optional<std::uint32_t> described, std::function<void(result<cluster_overview>)> done);

  // Has the node of that name lead a partition, and waits until it does, within the timeout. Errors: invalid_argument (no such
  // partition, node, or replica there), unavailable (that node does not answer), timeout (another one leads, or nobody).
  result<cluster_overview> transfer_leader(std::uint32_t partition, const std::string& to);
  void submit_transfer(std::uint32_t partition, std::string to, std::function<void(result<cluster_overview>)> done);

  // Has a member added, removed or replaced, and follows what comes of it until it is done, or until a node that was added is still to
  // be started, which its member's state `joining` says; the change goes on whether or not anybody follows it. `progress` hears each
  // time that there is less left to do. Asking again for what was asked for already does no harm. Errors: invalid_argument (there is
  // no such node, or a name or an address is taken), unavailable (a majority would be lost, or nobody could be asked), timeout (nobody
  // knows whether it was taken, or it was and nothing has moved for the timeout; the message says which).
  result<cluster_overview> change_members(routing::membership_command what);
  void submit_change(routing::membership_command what, std::function<void(const cluster_overview&)> progress,
                     std::function<void(result<cluster_overview>)> done);

 private:
  struct implementation;
  struct running_transaction;
  struct transfer;
  struct member_change;
  explicit client(std::shared_ptr<implementation> implementation);
  std::shared_ptr<implementation> implementation_;  // shared with its transactions
};

}  // namespace kahuna::client
