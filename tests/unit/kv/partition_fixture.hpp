// A partition core against a hand-driven Raft: what it proposes is committed when the test says so.
#pragma once

#include "caf/test/unit_test.hpp"

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/kv/partition_core.hpp"
#include "messages/codec/portable_archive.hpp"
#include "messages/protocol.hpp"
#include "persistence/data_store.hpp"
#include "persistence/memory_store.hpp"

namespace kahuna::testing {

using namespace kv;

inline constexpr std::uint64_t wall_ms = 1'700'000'000'000;

struct partition_fixture {
  partition_fixture() : disk(std::make_shared<persistence::memory_store>()) { open(); }

  // As after a restart: from what the store recorded last, with every entry behind it applied again.
  void open(partition_options with = {}) {
    with.checkpoint_entries = 5;
    core.reset();
    auto opened = persistence::data_store::open(disk, partition_id{0}, [](const error& e) { CAF_FAIL(e.message); }, {300, 100});
    store = std::move(*opened);
    core = std::make_unique<partition_core>(partition_id{0}, with, *store,
                                            [](std::string_view payload) { return messages::decode<write_batch>(payload); });
    committed_entries again;
    for (const auto& entry : log)
      if (entry.index > store->applied_index()) again.entries.push_back(entry);
    core->step(std::move(again), now);
    core->take_ready();
    replies.clear();
    reads.clear();
  }

  void step(partition_input input) {
    core->step(std::move(input), now);
    core->check_invariants();
    drain();
  }

  void drain() {
    auto ready = core->take_ready();
    core->check_invariants();
    for (const auto& batch : ready.proposals) {
      CAF_REQUIRE(ready.proposal_term == term);
      uncommitted.push_back({term, log_index{0}, raft::entry_kind::command, messages::encode(*batch)});
    }
    for (auto& reply : ready.replies) {
      CAF_REQUIRE(!replies.contains(reply.origin));
      replies.emplace(reply.origin, std::move(reply.response));
    }
    for (const auto& read : ready.reads) reads.push_back(read.read_id);
    for (const auto& question : ready.manager.questions) questions.push_back(question);
  }

  void lead(std::uint64_t new_term, bool with_lease = true) {
    term = term_id{new_term};
    uncommitted.push_back({term, log_index{0}, raft::entry_kind::no_op, {}});
    step(raft::role_change{raft::role_kind::leader, term, node_id{1}, last + uncommitted.size()});
    if (with_lease) step(raft::lease_grant{term, now + std::chrono::hours(1)});
  }

  void follow(std::uint64_t new_term) {
    term = term_id{new_term};
    step(raft::role_change{raft::role_kind::follower, term, node_id{2}, {}});
  }

  // The oldest `count` proposals are committed.
  void commit(std::size_t count = 1'000'000) {
    committed_entries entries;
    for (; count > 0 && !uncommitted.empty(); --count) {
      auto entry = uncommitted.front();
      uncommitted.pop_front();
      entry.index = ++last;
      entries.entries.push_back(entry);
      log.push_back(entry);
    }
    step(std::move(entries));
  }

  std::uint64_t ask(operation op, std::uint64_t client = 1, std::uint64_t sequence = 0, std::uint64_t floor = 0, std::uint32_t attempt = 1) {
    partition_request request;
    request.origin = ++origin;
    request.client = client;
    request.sequence = sequence != 0 ? sequence : ++next_sequence;
    request.floor = floor;
    request.attempt = attempt;
    request.issued_at = timestamp_at(wall);
    request.term = term;
    request.op = std::move(op);
    operations work;
    work.stamp = timestamp_at(wall);
    work.requests.push_back(std::move(request));
    step(std::move(work));
    return origin;
  }

  static operation set(const std::string& key, const std::string& value, bool nx = false) {
    set_request request;
    request.key = key;
    request.value = value;
    request.if_absent = nx;
    return request;
  }
  static operation expiring(const std::string& key, const std::string& value, std::int64_t expires_ms) {
    set_request request;
    request.key = key;
    request.value = value;
    request.expires_ms = expires_ms;
    return request;
  }
  static operation conditional(const std::string& key, const std::string& value, bool xx) {
    set_request request;
    request.key = key;
    request.value = value;
    request.if_present = xx;
    return request;
  }
  static operation ephemeral(operation op) {
    std::visit(
        [](auto& request) {
          if constexpr (requires { request.space; }) request.space = durability::ephemeral;
        },
        op);
    return op;
  }
  static operation get(const std::string& key) {
    get_request request;
    request.key = key;
    return request;
  }

  bool is_answered(std::uint64_t o) const { return replies.contains(o); }
  std::string answer(std::uint64_t o) {
    if (!is_answered(o)) return "none";
    const auto& response = replies.at(o);
    if (const auto* e = std::get_if<error>(&response)) return std::string(to_string(e->code));
    if (const auto* s = std::get_if<set_response>(&response)) return (s->is_set ? "set r" : "not set r") + std::to_string(s->revision);
    if (const auto* g = std::get_if<get_response>(&response)) return g->is_found ? g->value.str() + " r" + std::to_string(g->revision) : "not found";
    if (const auto* d = std::get_if<delete_response>(&response)) return (d->is_deleted ? "deleted r" : "not found r") + std::to_string(d->revision);
    return "other";
  }

  std::vector<raft::log_entry> log;  // committed
  std::shared_ptr<persistence::memory_store> disk;
  std::unique_ptr<persistence::data_store> store;
  std::unique_ptr<partition_core> core;
  instant now{std::chrono::seconds(100)};
  std::uint64_t wall = wall_ms;
  term_id term;
  log_index last;
  std::deque<raft::log_entry> uncommitted;
  std::map<std::uint64_t, operation_response> replies;
  std::vector<std::uint64_t> reads;
  std::vector<manager_news::question> questions;
  std::uint64_t origin = 0;
  std::uint64_t next_sequence = 100;
};

}  // namespace kahuna::testing
