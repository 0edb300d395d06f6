// A partition: evaluating writes, applying what is committed, reading.
#include "bench/micro/microbench.hpp"

#include <utility>

#include "core/base/prng.hpp"
#include "core/kv/partition_core.hpp"
#include "messages/codec/portable_archive.hpp"
#include "persistence/data_store.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/rocksdb_store.hpp"

namespace kahuna::microbench {

namespace {

// As many as kahuna-bench has, each with one write outstanding.
constexpr std::uint64_t client_count = 64;
// Every write leaves a version in the history, so there is an end to how many a run may make.
constexpr std::size_t writes_of_a_run = 400'000;
constexpr std::size_t reads_of_a_step = 16;
constexpr std::size_t keys_read = 10'000;  // the cache holds them all, where there is one

enum class place : std::uint8_t { memory, rocksdb };

// A partition that leads, or follows, with `key_count` keys in its store.
class partition {
 public:
  partition(place where, kv::partition_options options) : disk_(open(where)), clients_(client_count) {
    auto opened = persistence::data_store::open(disk_, partition_id{3}, fail);
    KAHUNA_CHECK(opened.has_value());
    store_ = std::move(*opened);
    core_ = std::make_unique<kv::partition_core>(
        partition_id{3}, options, *store_, [](std::string_view payload) { return messages::decode<kv::write_batch>(payload); });
    lead();
    constexpr std::uint64_t keys_of_an_entry = 100;
    for (std::uint64_t number = 0; number < key_count;) {
      kv::operations work{{}, timestamp_at(wall_ms)};
      for (std::uint64_t i = 0; i < keys_of_an_entry; ++i) {
        kv::set_request set;
        set.key = key_of(number++);
        set.value = any_value();
        work.requests.push_back(request_of(std::move(set)));
      }
      core_->step(std::move(work), now_);
      take_proposals();
      KAHUNA_CHECK(commit() == keys_of_an_entry);
    }
    core_->checkpoint();
    if (const auto failure = disk_->flush()) fail(*failure);
  }

  void lead() {
    entry_of({}, raft::entry_kind::no_op);
    core_->step(raft::role_change{raft::role_kind::leader, term_, node_id{1}, last_}, now_);
    core_->step(raft::lease_grant{term_, now_ + std::chrono::hours(1)}, now_);
    commit();
    KAHUNA_CHECK(core_->is_serving(), core_->describe());
  }

  void follow() { core_->step(raft::role_change{raft::role_kind::follower, term_, node_id{2}, {}}, now_); }

  kv::partition_request request_of(kv::operation op) {
    const auto number = ++last_request_;
    auto& sequence = clients_[number % client_count];
    ++sequence;
    kv::partition_request request;
    request.origin = number;
    request.client = 0x1234'5678'9ABC'0000 + number % client_count;
    request.sequence = request.floor = sequence;
    request.issued_at = timestamp_at(wall_ms);
    request.op = std::move(op);
    return request;
  }

  // What an entry carries comes to the end of the log, to be committed.
  void entry_of(shared_bytes payload, raft::entry_kind kind = raft::entry_kind::command) {
    uncommitted_.push_back({term_, ++last_, kind, std::move(payload)});
  }

  // Encodes what is owed to the log; how many entries that were.
  std::size_t take_proposals() {
    auto ready = core_->take_ready();
    for (const auto& batch : ready.proposals) entry_of(messages::encode(*batch));
    return ready.proposals.size();
  }

  // Applies all that is in the log; how many replies came of it.
  std::size_t commit() {
    std::size_t replies = 0;
    for (auto& entry : std::exchange(uncommitted_, {})) {
      kv::committed_entries committed;
      committed.entries.push_back(std::move(entry));
      core_->step(std::move(committed), now_);
      replies += core_->take_ready().replies.size();
    }
    KAHUNA_CHECK(!core_->fault() && core_->applied_index() == last_, core_->describe());
    return replies;
  }

  kv::partition_core& core() { return *core_; }
  instant now() const { return now_; }
  log_index last_index() const { return last_; }

 private:
  std::shared_ptr<persistence::ordered_store> open(place where) {
    if (where == place::memory) return std::make_shared<persistence::memory_store>();
    auto opened = persistence::open_rocksdb({.path = directory_.path("data"), .kept = persistence::journal::none, .may_create = true, .nearby = persistence::data_store_writes});
    if (!opened) fail(opened.error());
    return std::move(*opened);
  }

  scratch_directory directory_;
  std::shared_ptr<persistence::ordered_store> disk_;
  std::unique_ptr<persistence::data_store> store_;
  std::unique_ptr<kv::partition_core> core_;
  instant now_{std::chrono::seconds(100)};
  term_id term_{1};
  log_index last_;
  std::vector<raft::log_entry> uncommitted_;
  std::uint64_t last_request_ = 0;
  std::vector<std::uint64_t> clients_;  // the sequence of each one's last request
};

place place_of(const benchmark::State& state) { return state.range(1) == 0 ? place::memory : place::rocksdb; }

// --- writing ------------------------------------------------------------------------------------------------------

std::vector<kv::operations> rounds_work(partition& led, std::size_t sets_of_an_entry) {
  std::vector<kv::operations> work(steps_of_a_round);
  for (auto& step : work) {
    step.stamp = timestamp_at(wall_ms);
    for (std::size_t i = 0; i < sets_of_an_entry; ++i) step.requests.push_back(led.request_of(any_set()));
  }
  return work;
}

// Operations → write batch → bytes for the log, at the leader; what `is_evaluating` says is measured, or else applying them and answering.
void write_as_leader(benchmark::State& state, bool is_evaluating) {
  const auto sets_of_an_entry = static_cast<std::size_t>(state.range(0));
  partition led(place_of(state), {});
  stopwatch watch;
  std::uint64_t written = 0;
  for (auto _ : state) {
    auto work = rounds_work(led, sets_of_an_entry);
    std::size_t entries = 0;
    if (is_evaluating) watch.start();
    for (auto& step : work) {
      led.core().step(std::move(step), led.now());
      entries += led.take_proposals();
    }
    is_evaluating ? watch.stop() : watch.start();
    const auto replies = led.commit();
    if (!is_evaluating) watch.stop();
    KAHUNA_CHECK(entries == steps_of_a_round && replies == entries * sets_of_an_entry, entries, replies);
    written += replies;
    state.SetIterationTime(watch.take_seconds());
  }
  report_per_operation(state, written);
}

void evaluate_and_encode_sets(benchmark::State& state) { write_as_leader(state, true); }
void apply_as_leader(benchmark::State& state) { write_as_leader(state, false); }

// Bytes of the log → write batch → store.
void decode_and_apply_as_follower(benchmark::State& state) {
  const auto sets_of_an_entry = static_cast<std::size_t>(state.range(0));
  partition following(place_of(state), {});
  following.follow();
  stopwatch watch;
  std::uint64_t applied = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < steps_of_a_round; ++i) following.entry_of(messages::encode(batch_of_sets(sets_of_an_entry)));
    const auto before = following.core().applied_index();
    watch.start();
    following.commit();
    watch.stop();
    KAHUNA_CHECK(following.core().applied_index() == before + steps_of_a_round);
    applied += steps_of_a_round * sets_of_an_entry;
    state.SetIterationTime(watch.take_seconds());
  }
  report_per_operation(state, applied);
}

// --- reading ------------------------------------------------------------------------------------------------------

enum class reading : std::uint8_t { cached, stored, absent };

void read(benchmark::State& state, reading what) {
  kv::partition_options options;
  if (what != reading::cached) options.cache_bytes_max = 0;
  partition led(place::rocksdb, options);
  const auto key_read = [&](std::uint64_t number) { return what == reading::absent ? key_of(number) + "?" : key_of(number); };
  prng dice(1);
  const auto step_of = [&](auto&& next_number) {
    kv::operations work{{}, timestamp_at(wall_ms)};
    for (std::size_t i = 0; i < reads_of_a_step; ++i) {
      kv::get_request get;
      get.key = key_read(next_number());
      work.requests.push_back(led.request_of(std::move(get)));
    }
    return work;
  };
  // Whatever is to be cached, in the store's own cache too, is then.
  for (std::uint64_t number = 0; number < keys_read;) {
    led.core().step(step_of([&] { return number++; }), led.now());
    led.core().take_ready();
  }
  const auto before = led.core().look();
  stopwatch watch;
  std::uint64_t done = 0;
  for (auto _ : state) {
    std::vector<kv::operations> work;
    for (std::size_t i = 0; i < steps_of_a_round; ++i) work.push_back(step_of([&] { return dice.below(keys_read); }));
    std::vector<kv::partition_ready> answers;
    answers.reserve(work.size());
    watch.start();
    for (auto& step : work) {
      led.core().step(std::move(step), led.now());
      answers.push_back(led.core().take_ready());
    }
    watch.stop();
    for (const auto& ready : answers) {
      KAHUNA_CHECK(ready.replies.size() == reads_of_a_step);
      for (const auto& reply : ready.replies) {
        const auto& found = std::get<kv::get_response>(reply.response);
        KAHUNA_CHECK(found.is_found == (what != reading::absent) && found.value.size() == (found.is_found ? value_bytes : 0));
      }
      done += ready.replies.size();
    }
    state.SetIterationTime(watch.take_seconds());
  }
  const auto after = led.core().look();
  const auto expected_hits = what == reading::cached ? done : 0;
  KAHUNA_CHECK(after.cache_hits - before.cache_hits == expected_hits && after.cache_misses - before.cache_misses == done - expected_hits);
  report_per_operation(state, done);
}

void lookup_cached(benchmark::State& state) { read(state, reading::cached); }
void lookup_stored(benchmark::State& state) { read(state, reading::stored); }
void lookup_absent(benchmark::State& state) { read(state, reading::absent); }

BENCHMARK(lookup_cached)->UseManualTime();
BENCHMARK(lookup_stored)->UseManualTime();
BENCHMARK(lookup_absent)->UseManualTime();

// A run ends after so many writes, whatever --benchmark_min_time says.
const auto writing = [] {
  const auto add = [](const char* name, void (*function)(benchmark::State&), bool has_place) {
    for (const int sets : {1, 16, 64})
      for (const int where : {0, 1})
        if (has_place || where == 0)
          benchmark::RegisterBenchmark(name, function)
              ->UseManualTime()
              ->ArgNames({"sets", "rocksdb"})
              ->Args({sets, where})
              ->Iterations(writes_of_a_run / steps_of_a_round / static_cast<std::size_t>(sets));
  };
  add("evaluate_and_encode_sets", evaluate_and_encode_sets, false);
  add("apply_as_leader", apply_as_leader, true);
  add("decode_and_apply_as_follower", decode_and_apply_as_follower, true);
  return true;
}();

}  // namespace

}  // namespace kahuna::microbench
