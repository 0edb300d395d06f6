// The transaction manager by hand: the test is the client, its own partition and all others.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "core/kv/answer_digest.hpp"
#include "core/kv/transaction_manager_core.hpp"
#include "core/routing/partition_map.hpp"

namespace kahuna::testing {

using namespace kahuna::kv;

inline constexpr std::uint64_t wall_ms = 1'700'000'000'000;
inline constexpr std::uint32_t partitions = 4;

struct transaction_manager_fixture {
  explicit transaction_manager_fixture(std::uint64_t seed = 1)
      : manager({.self = partition_id{0}, .partitions = partitions, .read_bytes_max = 4 << 20, .kept_bytes_max = 2 << 20}, prng(seed)) {
    header.id = {timestamp_at(wall_ms), 7, 1};
    header.anchor = partition_id{0};
    header.locking = locking_mode::optimistic;
    header.timeout_ms = 5'000;
    lead(1);
  }

  void lead(std::uint64_t term) {
    manager_news news;
    news.changes.push_back({term_id{term}, {}});
    step(std::move(news));
  }

  void step(manager_input input) {
    manager.step(std::move(input), timestamp_at(wall_ms), now);
    manager.check_invariants();
    auto ready = manager.take_ready();
    for (auto& request : ready.own) own[request.origin] = std::move(request);
    for (auto& request : ready.remote) remote[request.token] = std::move(request);
    for (auto& reply : ready.replies) replies.emplace(reply.origin, std::move(reply.response));
  }

  // The next step of the transaction; its origin.
  std::uint64_t ask(transaction_step what, std::uint32_t attempt = 1) {
    partition_request request;
    request.origin = ++origin;
    request.client = 7;
    request.attempt = attempt;
    if (is_commit(what)) request.sequence = 1;
    request.op = transaction_request{header, ++number, heard, std::move(what)};
    return send(std::move(request));
  }
  std::uint64_t send(partition_request request) {
    asked[request.origin] = request;
    manager_news news;
    news.requests.push_back(request);
    step(std::move(news));
    hear();
    return request.origin;
  }
  std::uint64_t repeat(std::uint64_t o) {
    auto request = asked.at(o);
    request.origin = ++origin;
    ++request.attempt;
    manager_news news;
    news.requests.push_back(request);
    step(std::move(news));
    return origin;
  }

  // What is asked of the partition that hosts it, or of another: the only one of its kind.
  template <class Body>
  std::pair<std::uint64_t, const Body*> asked_of_own() const {
    for (const auto& [token, request] : own)
      if (const auto* body = std::get_if<Body>(&std::get<participant_request>(request.op).body)) return {token, body};
    return {0, nullptr};
  }
  template <class Body>
  std::uint64_t asked_of_others() const {
    for (const auto& [token, request] : remote)
      if (std::holds_alternative<Body>(std::get<participant_request>(request.op).body)) return token;
    return 0;
  }

  void answer_own(std::uint64_t token, operation_response response) {
    own.erase(token);
    manager_news news;
    news.replies.push_back({token, std::move(response)});
    step(std::move(news));
    hear();
  }
  void answer_remote(std::uint64_t token, operation_response response) {
    remote.erase(token);
    remote_answers answers;
    answers.replies.push_back({token, std::move(response)});
    step(std::move(answers));
    hear();
  }
  void hear() {
    if (const auto reply = replies.find(origin); reply != replies.end() && !is_heard.contains(origin)) {
      heard = digest_of(heard, reply->second);
      is_heard.insert(origin);
    }
  }

  // A key of this partition.
  static std::string key_of(std::uint32_t partition) {
    for (int i = 0;; ++i)
      if (auto key = "key-" + std::to_string(i); routing::partition_of_key(partitions, key).value == partition) return key;
  }

  std::string outcome(std::uint64_t o) const {
    const auto found = replies.find(o);
    if (found == replies.end()) return "none";
    if (const auto* failure = std::get_if<error>(&found->second)) return std::string(to_string(failure->code));
    if (std::holds_alternative<commit_response>(found->second)) return "committed";
    return "done";
  }

  // Locks were asked for, and are granted.
  void grant_own() { answer_own(asked_of_own<participant_read>().first, participant_response(read_answer{std::nullopt, wall_ms})); }
  void grant_remote() { answer_remote(asked_of_others<participant_read>(), participant_response(read_answer{std::nullopt, wall_ms})); }

  // What a participant says of the transaction, and of one that waits for it.
  void tell(transaction_query what) {
    partition_request request;
    request.origin = 1'000'000 + ++queries;
    request.op = participant_request{partition_id{0}, header.id, term_id{1}, partition_id{0}, 0, what};
    manager_news news;
    news.requests.push_back(std::move(request));
    step(std::move(news));
  }
  void want(bool is_wound, wait_order order) { tell({true, is_wound, order, false}); }
  void stick() { tell({false, false, wait_order::out_of_order, true}); }

  // Asks for a key of partition 1, in the order of names or not.
  std::uint64_t ask_there(bool is_in_order) {
    get_request get;
    get.key = is_in_order ? "z" : "a";
    while (routing::partition_of_key(partitions, get.key).value != 1) get.key += '+';
    return ask(get);
  }

  // Sets a key here and one of partition 1.
  void set_both() {
    for (const std::uint32_t partition : {0u, 1u}) {
      set_request set;
      set.key = key_of(partition);
      set.value = "v";
      const auto o = ask(set);
      const participant_response absent = read_answer{std::nullopt, wall_ms};
      if (partition == 0)
        answer_own(asked_of_own<participant_read>().first, absent);
      else
        answer_remote(asked_of_others<participant_read>(), absent);
      CAF_REQUIRE_EQUAL(outcome(o), "done");
    }
  }

  transaction_manager_core manager;
  transaction_header header;
  instant now{std::chrono::seconds(100)};
  std::uint64_t origin = 0;
  std::uint64_t queries = 0;
  std::uint32_t number = 0;
  std::uint64_t heard = 0;
  std::set<std::uint64_t> is_heard;
  std::map<std::uint64_t, partition_request> asked;
  std::map<std::uint64_t, partition_request> own;
  std::map<std::uint64_t, remote_request> remote;
  std::map<std::uint64_t, operation_response> replies;
};

}  // namespace kahuna::testing
