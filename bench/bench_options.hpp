// What kahuna-bench is told (contract §7).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "core/base/errc.hpp"
#include "core/kv/operation.hpp"

namespace kahuna::bench {

// cas: compare-revision-and-swap of keys that each worker has for itself. eset and eget are set and get of ephemeral keys.
// rmw and transfer are transactions: they read one key, or two accounts, for writing, and write them with the commit: two round trips.
enum class workload : unsigned char { set, get, mixed, bucket, cas, rmw, transfer };
enum class output_format : unsigned char { console, json };

struct bench_options {
  std::vector<std::string> endpoints = {"127.0.0.1:4870"};
  bench::workload workload = bench::workload::mixed;
  std::uint32_t concurrency = 16;       // workers, each with one operation outstanding
  std::chrono::milliseconds duration{10'000};
  std::chrono::milliseconds warmup{1'000};
  std::uint64_t key_space = 100'000;
  std::uint32_t value_bytes = 100;
  std::uint32_t read_percent = 50;      // of the mixed workload
  kv::durability durability = kv::durability::persistent;
  std::int64_t expires_ms = 0;          // of what is set; 0: never
  std::uint32_t rate = 0;               // operations a second, at fixed times (open loop); 0: closed loop
  std::uint32_t connections = 1;        // to each node
  kv::locking_mode locking = kv::locking_mode::pessimistic;  // of transactions
  bool is_filled_first = true;          // all keys are written before anything is measured; of set and cas none are
  bool is_same_bucket = false;          // of transfer: both accounts in one bucket, so in one partition
  std::string history;                  // a file that every operation is written to (bench/history_file.hpp); empty: none
  output_format format = output_format::console;
  std::uint64_t seed = 1;
};

struct information {
  std::string text;
};

// Error: invalid_argument, one line.
result<std::variant<information, bench_options>> parse_bench_options(int argc, const char* const* argv);

}  // namespace kahuna::bench
