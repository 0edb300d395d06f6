// A Raft group of three voters: one core is measured, and what the others say is made up.
#include "bench/micro/microbench.hpp"

#include <utility>
#include <variant>

#include "core/raft/raft_core.hpp"
#include "messages/codec/portable_archive.hpp"

namespace kahuna::microbench {

namespace {

const node_id self{1}, second{2}, third{3};

// Nobody needs what is no longer in memory here.
class no_reader final : public raft::log_reader {
 public:
  std::vector<raft::log_entry> read(log_index, log_index, std::size_t) const override {
    KAHUNA_CHECK(false, "the log was read");
    return {};
  }
  term_id term_at(log_index) const override {
    KAHUNA_CHECK(false, "the log was read");
    return {};
  }
};

// What is reported of the driver's doing comes by itself: written, applied.
class replica {
 public:
  replica() : core_(self, {{self, second, third}, {}, {}}, {}, {}, reader_, prng(1), now_) {}

  void become_leader() {
    now_ = core_.election_deadline();
    step(raft::tick{});
    take_ready();
    const auto asked_for = core_.term() + 1;
    step(raft::receive{{second, raft::vote_response{asked_for, true, true}}});
    write_all();
    step(raft::receive{{second, raft::vote_response{asked_for, true, false}}});
    write_all();
    KAHUNA_CHECK(core_.role() == raft::role_kind::leader, core_.describe());
    // The probe with the no-op is answered: from here on appends are pipelined.
    for (const auto peer : {second, third}) answer(peer);
    take_applied(take_ready());
    KAHUNA_CHECK(core_.applied_index() == core_.last_index(), core_.describe());
  }

  void step(raft::raft_input input) { core_.step(std::move(input), now_); }
  raft::ready take_ready() {
    auto ready = core_.take_ready();
    if (ready.write) written_ = ready.write->number;
    return ready;
  }
  void report_written() { step(raft::persisted{written_}); }
  void write_all() {
    while (take_ready().write) report_written();
  }
  void take_applied(const raft::ready& ready) {
    if (!ready.committed.empty()) step(raft::applied{ready.committed.back().index});
  }
  // The follower has all that there is.
  void answer(node_id peer) { answer(peer, core_.last_index()); }
  void answer(node_id peer, log_index match) {
    raft::append_response response;
    response.term = core_.term();
    response.is_accepted = true;
    response.match_index = match;
    step(raft::receive{{peer, response}});
  }

  const raft::raft_core& core() const { return core_; }

 private:
  no_reader reader_;
  instant now_{std::chrono::seconds(100)};
  raft::raft_core core_;
  std::uint64_t written_ = 0;
};

shared_bytes payload() {
  static const shared_bytes bytes = messages::encode(batch_of_sets(1));
  return bytes;
}

// The leader's step: proposed → to be written, and sent to both others.
void propose(benchmark::State& state) {
  const auto entries_of_a_step = static_cast<std::size_t>(state.range(0));
  replica leader;
  leader.become_leader();
  stopwatch watch;
  std::uint64_t proposed = 0;
  for (auto _ : state) {
    std::vector<raft::propose> work(steps_of_a_round, {leader.core().term(), std::vector(entries_of_a_step, payload())});
    std::vector<raft::ready> done;
    done.reserve(work.size());
    watch.start();
    for (auto& step : work) {
      leader.step(std::move(step));
      done.push_back(leader.take_ready());
    }
    watch.stop();
    for (const auto& ready : done) {
      KAHUNA_CHECK(ready.write && ready.write->entries.size() == entries_of_a_step && ready.messages.size() == 2);
      for (const auto& message : ready.messages)
        KAHUNA_CHECK(std::get<raft::append_request>(message.body).entries.size() == entries_of_a_step);
      proposed += entries_of_a_step;
    }
    leader.report_written();
    for (const auto peer : {second, third}) leader.answer(peer);
    leader.take_applied(leader.take_ready());
    KAHUNA_CHECK(leader.core().applied_index() == leader.core().last_index(), leader.core().describe());
    state.SetIterationTime(watch.take_seconds());
  }
  report_per_operation(state, proposed);
}

// The leader's steps when its own write is done and the first answer comes: committed, handed out and applied; and the second answer.
void commit(benchmark::State& state) {
  const auto entries_of_a_step = static_cast<std::size_t>(state.range(0));
  replica leader;
  leader.become_leader();
  stopwatch watch;
  std::uint64_t committed = 0;
  for (auto _ : state) {
    std::vector<std::pair<std::uint64_t, log_index>> proposals;
    for (std::size_t i = 0; i < steps_of_a_round; ++i) {
      leader.step(raft::propose{leader.core().term(), std::vector(entries_of_a_step, payload())});
      const auto ready = leader.take_ready();
      proposals.emplace_back(ready.write->number, leader.core().last_index());
    }
    std::size_t handed_out = 0;
    watch.start();
    for (const auto& [write_number, index] : proposals) {
      leader.step(raft::persisted{write_number});
      leader.answer(second, index);
      const auto ready = leader.take_ready();
      handed_out += ready.committed.size();
      leader.take_applied(ready);
      leader.answer(third, index);
    }
    watch.stop();
    KAHUNA_CHECK(handed_out == steps_of_a_round * entries_of_a_step && leader.core().commit_index() == leader.core().last_index(),
                 leader.core().describe());
    committed += handed_out;
    state.SetIterationTime(watch.take_seconds());
  }
  report_per_operation(state, committed);
}

// A follower's steps: an append request → to be written; written → its acknowledgement; and what the request says is committed is handed
// out and applied.
void follow(benchmark::State& state) {
  const auto entries_of_a_step = static_cast<std::size_t>(state.range(0));
  replica follower;
  const term_id term{1};
  log_index last;
  stopwatch watch;
  std::uint64_t appended = 0;
  for (auto _ : state) {
    std::vector<raft::receive> work;
    for (std::size_t i = 0; i < steps_of_a_round; ++i) {
      raft::append_request request{term, last, last == log_index{} ? term_id{} : term, last, 1, {}};
      for (std::size_t entry = 0; entry < entries_of_a_step; ++entry)
        request.entries.push_back({term, ++last, raft::entry_kind::command, payload()});
      work.push_back({{second, std::move(request)}});
    }
    const auto applied_before = follower.core().applied_index();
    std::vector<raft::ready> writes, acknowledgements;
    writes.reserve(work.size());
    acknowledgements.reserve(work.size());
    watch.start();
    for (auto& step : work) {
      follower.step(std::move(step));
      writes.push_back(follower.take_ready());
      follower.take_applied(writes.back());
      follower.report_written();
      acknowledgements.push_back(follower.take_ready());
    }
    watch.stop();
    for (std::size_t i = 0; i < writes.size(); ++i) {
      KAHUNA_CHECK(writes[i].write && writes[i].write->entries.size() == entries_of_a_step && writes[i].messages.empty());
      KAHUNA_CHECK(acknowledgements[i].messages.size() == 1);
      KAHUNA_CHECK(std::get<raft::append_response>(acknowledgements[i].messages.front().body).is_accepted);
      appended += entries_of_a_step;
    }
    KAHUNA_CHECK(follower.core().applied_index() > applied_before, follower.core().describe());
    state.SetIterationTime(watch.take_seconds());
  }
  report_per_operation(state, appended);
}

BENCHMARK(propose)->Name("raft_propose_to_append_requests")->UseManualTime()->ArgName("entries")->Arg(1)->Arg(16)->Arg(64);
BENCHMARK(commit)->Name("raft_append_response_to_commit")->UseManualTime()->ArgName("entries")->Arg(1)->Arg(16)->Arg(64);
BENCHMARK(follow)->Name("raft_append_request_to_response")->UseManualTime()->ArgName("entries")->Arg(1)->Arg(16)->Arg(64);

}  // namespace

}  // namespace kahuna::microbench
