// The load itself: workers that keep the client library busy, and what they measured.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "bench/bench_options.hpp"
#include "bench/history_file.hpp"
#include "bench/latency_histogram.hpp"
#include "client/client.hpp"

namespace kahuna::bench {

struct operation_report {
  latency_histogram latency;             // of operations that were answered, "not found" included
  std::map<errc, std::uint64_t> errors;  // by code
  std::uint64_t retries = 0;             // of transactions: attempts that were aborted, and begun again
};

struct load_report {
  std::map<std::string, operation_report> operations;  // by name: "set", "get", "get by bucket", "cas", "transfer"
  std::chrono::microseconds measured{0};
  double cpu_cores = 0;  // what this process itself used of the machine, in cores, from the first operation to the last
};

// Writes every key of the key space once, so that reads find something. `history` may be null.
result<std::uint64_t> fill(client::client& client, const bench_options& options, history_file* history);

// Runs warm-up and measurement. `progress` comes about once a second with the operations answered in the last one. `history` may be null.
load_report run_load(client::client& client, const bench_options& options, history_file* history,
                     const std::function<void(std::chrono::seconds, std::uint64_t)>& progress);

}  // namespace kahuna::bench
