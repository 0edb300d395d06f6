// Appending to the log on disk.
#include "bench/micro/microbench.hpp"

#include <utility>

#include "messages/codec/portable_archive.hpp"
#include "persistence/raft_log_store.hpp"
#include "persistence/rocksdb_store.hpp"

namespace kahuna::microbench {

namespace {

constexpr std::uint32_t partition_count = 16;

// One batch and one sync for entries of one set each, of as many partitions as a cluster has by default.
void log_append(benchmark::State& state) {
  const auto entries_of_a_batch = static_cast<std::size_t>(state.range(0));
  scratch_directory directory;
  auto store = persistence::open_rocksdb({.path = directory.path("log"), .may_create = true, .nearby = persistence::raft_log_writes});
  if (!store) return fail(store.error());
  auto mark = persistence::synced_mark::open(directory.path("log.synced"), true);
  if (!mark) return fail(mark.error());
  auto opened = persistence::raft_log_store::open(std::move(*store), std::move(*mark), fail);
  if (!opened) return fail(opened.error());
  auto& log = **opened;

  const shared_bytes payload = messages::encode(batch_of_sets(1));
  raft::log_write term_written;
  term_written.state = raft::hard_state{term_id{1}, node_id{1}};
  std::vector<raft::log_write> writes(partition_count);
  for (std::uint32_t partition = 0; partition < partition_count; ++partition) {
    log.add(partition_id{partition}, term_written);
    writes[partition].entries.push_back({term_id{1}, log_index{0}, raft::entry_kind::command, payload});
  }
  if (const auto failure = log.commit()) return fail(*failure);

  stopwatch watch;
  std::uint64_t appended = 0;
  watch.start();
  for (auto _ : state) {
    for (std::size_t i = 0; i < entries_of_a_batch; ++i) {
      const auto partition = static_cast<std::uint32_t>(appended++ % partition_count);
      ++writes[partition].entries.front().index;
      log.add(partition_id{partition}, writes[partition]);
    }
    if (const auto failure = log.commit()) return fail(*failure);
  }
  watch.stop();
  for (std::uint32_t partition = 0; partition < partition_count; ++partition) {
    const auto found = log.load(partition_id{partition}, {});
    KAHUNA_CHECK(found && found->last_index == writes[partition].entries.front().index, partition);
  }
  report_per_operation(state, appended);
  // Without the waiting for the disk.
  state.counters["cpu_per_op"] = benchmark::Counter(watch.take_seconds() / static_cast<double>(appended));
}

BENCHMARK(log_append)->UseRealTime()->ArgName("entries")->Arg(1)->Arg(16)->Arg(64);

}  // namespace

}  // namespace kahuna::microbench

BENCHMARK_MAIN();
