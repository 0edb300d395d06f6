// Clients of a simulated cluster that read lists and append to them: in transactions of both kinds, in single operations, and as of a
// moment; and remember everything (tests/checkers/append_history.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/hlc.hpp"
#include "core/base/prng.hpp"
#include "core/kv/partition_input.hpp"
#include "tests/checkers/append_history.hpp"
#include "tests/support/virtual_time.hpp"

namespace kahuna::testing {

struct transaction_workload_options {
  int partitions = 3;
  int clients = 6;
  int keys_per_bucket = 3;
  int buckets = 4;
  int optimistic_percent = 50;
  int snapshot_percent = 15;
  int single_percent = 25;
  int several_percent = 40;  // a step of several operations; a commit with writes
  int swap_percent = 10;     // of transactions: nothing but a commit with writes, on conditions
  int echo_percent = 0;     // a transaction of which every request comes a second time, equally late
  int give_up_percent = 0;  // a client goes away in the middle

  std::string describe() const;
};

class transaction_workload {
 public:
  using response_handler = std::function<void(const kv::operation_response&)>;
  // Sends a request on its way; an answer by its budget, be it an error. `clock`: of whoever asks; messages carry clocks both ways, as
  // between nodes and clients. `echo_us`, if not 0: the request comes once more so much later, as an earlier attempt.
  using ask_function = std::function<void(partition_id partition, const kv::partition_request& request, std::chrono::milliseconds budget,
                                          hlc& clock, response_handler done, std::int64_t echo_us)>;

  transaction_workload(transaction_workload_options options, std::uint64_t seed, virtual_time& time, ask_function ask);
  ~transaction_workload();

  void start();
  // Nobody gives up and nothing is echoed any more; with `is_over`, nothing new is begun either.
  void calm_down(bool is_over);
  // Whether no client is in the middle of anything.
  bool is_idle() const { return busy_ == 0; }
  // After everything has ended: reads every list. What can't be read, in words.
  std::string read_final_lists();
  // What can't be of what the clients saw; empty where all can.
  std::string check() const { return history_.check(final_lists_); }

  std::size_t committed() const { return committed_; }
  std::size_t aborted() const { return aborted_; }
  std::size_t unknown() const { return unknown_; }
  // Of those that were aborted: refused, because of a write of their commit.
  std::size_t refused() const { return refused_; }
  // Steps of several operations that were done, and commits with writes.
  std::size_t several() const { return several_; }
  std::size_t written_and_committed() const { return written_and_committed_; }
  // Of who ended how and when.
  std::uint64_t digest() const { return digest_; }

 private:
  struct client;

  void begin_work(client& c);
  void ask_again(client& c, kv::partition_request request, instant deadline, response_handler done);
  void run_single(client& c);
  void run_snapshot(client& c);
  void run_transaction(client& c);
  void run_swap(client& c);
  void begin_transaction(client& c);
  void next_step(client& c);
  void ask_step(client& c, kv::transaction_step step);
  void append(client& c, const std::string& key);
  kv::several_step draw_several(client& c);
  kv::transaction_step draw_commit(client& c);
  void take_step_answer(client& c, const kv::operation_response& response);
  void end_work(client& c);
  std::string random_key();
  void note(const std::string& what);

  transaction_workload_options options_;
  prng dice_;
  virtual_time& time_;
  ask_function ask_;
  std::vector<std::unique_ptr<client>> clients_;
  std::uint64_t next_value_ = 1;
  bool is_faulty_ = true;
  bool is_working_ = true;
  std::size_t busy_ = 0;

  append_history history_;
  std::map<std::string, std::vector<std::uint64_t>> final_lists_;
  std::size_t committed_ = 0;
  std::size_t aborted_ = 0;
  std::size_t unknown_ = 0;
  std::size_t refused_ = 0;
  std::size_t several_ = 0;
  std::size_t written_and_committed_ = 0;
  std::uint64_t digest_ = 14695981039346656037ull;
};

}  // namespace kahuna::testing
