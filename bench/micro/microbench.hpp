// What the micro benchmarks share: the keys and values that kahuna-bench uses too, a stopwatch, and a place for stores.
//
// Most of what is measured changes the state that it works on, so a benchmark goes in rounds of which only a part is timed: a round is
// prepared, then measured, then the state is brought to where the next round can begin. Every round checks that what was measured has
// done what it is named for.
#pragma once

#include <benchmark/benchmark.h>

#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/base/check.hpp"
#include "core/base/ids.hpp"
#include "core/base/shared_bytes.hpp"
#include "core/kv/partition_input.hpp"
#include "core/kv/write_batch.hpp"
#include "persistence/ordered_store.hpp"

namespace kahuna::microbench {

inline constexpr std::uint64_t key_count = 100'000;
inline constexpr std::size_t value_bytes = 100;
// So many steps are measured at a time: reading the clock costs as much as a small step. No more than a leader has on its way to a
// follower (raft_options::inflight_appends_max).
inline constexpr std::size_t steps_of_a_round = 32;
inline constexpr std::uint64_t wall_ms = 1'700'000'000'000;

// 12 bytes.
std::string key_of(std::uint64_t number);
// 100 printable bytes. One of some hundred: drawing them is not what is measured.
const shared_bytes& any_value();

kv::set_request any_set();
// What one entry of the log carries that sets `count` keys, each for another client, as encoded.
kv::write_batch batch_of_sets(std::size_t count);

// Measures the time that this thread has used of the processor, so that other programs, and threads of a store, are not in it.
class stopwatch {
 public:
  void start() { began_ = now(); }
  void stop() { seconds_ += now() - began_; }
  // What was measured since this was called last.
  double take_seconds() { return std::exchange(seconds_, 0.0); }

 private:
  static double now() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }

  double began_ = 0;
  double seconds_ = 0;
};

// Reports the measured time of one operation, besides that of an iteration. Requires UseManualTime(), or UseRealTime().
void report_per_operation(benchmark::State& state, std::uint64_t operations);

// A directory of its own under that for temporary files (TMPDIR); gone with this.
class scratch_directory {
 public:
  scratch_directory();
  ~scratch_directory();
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;

  std::string path(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// A store that can't be written is no measurement.
void fail(const error& what);

}  // namespace kahuna::microbench
