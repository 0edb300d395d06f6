// Transactions on a cluster that can be judged: clients that read lists and append to them, and remember everything
// (tests/checkers/append_history.hpp).
//
// Each transaction touches a few of some hundred keys, which lie in all partitions; a part of them only reads, as of now. Lists
// that have grown long are left for new keys, so that a run may be as long as it likes.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "client/client.hpp"
#include "tests/checkers/append_history.hpp"
#include "tests/support/eventually.hpp"

namespace kahuna::testing {

enum class locking_choice : std::uint8_t { pessimistic, optimistic, mixed };

struct append_load_options {
  int clients = 8;
  int keys = 12;               // at a time: the fewer, the more conflicts
  int appends_per_key = 40;    // then another key takes its place
  locking_choice locking = locking_choice::mixed;
  milliseconds timeout{2000};  // of each request
  std::string key_prefix = "list-";
  std::uint64_t seed = 1;
};

struct append_counts {
  std::uint64_t committed = 0;
  std::uint64_t aborted = 0;
  std::uint64_t unknown = 0;
  std::uint64_t snapshots = 0;
};

class append_load {
 public:
  // Client i tries the endpoints from the i-th on. Ends the test where a client cannot connect.
  append_load(std::vector<std::string> endpoints, append_load_options options = {});
  ~append_load();

  void start();
  void stop();  // waits for what is under way

  // How many transactions were committed so far; rises while the cluster serves.
  std::uint64_t committed() const { return committed_; }
  // Waits until so many more were committed.
  bool wait_for_commits(std::uint64_t count, milliseconds patience) const;

  // After stop().
  append_counts counts() const;
  std::string summary() const;  // the same in words

  // After stop(): reads every list, and says what is wrong; empty where nothing is. Reads through `reader`.
  std::string violation(client::client& reader) const;

 private:
  struct worker {
    std::vector<append_transaction> done;
    std::vector<std::string> complaints;
    std::unique_ptr<client::client> connection;
    std::thread thread;
  };

  void work(worker& self, std::uint64_t seed);
  std::string key_of(std::uint64_t number);

  append_load_options options_;
  std::vector<std::unique_ptr<worker>> workers_;
  std::atomic<bool> should_stop_{false};
  std::atomic<std::uint64_t> committed_{0};
  std::atomic<std::uint64_t> next_value_{1};
};

}  // namespace kahuna::testing
