// Load on a cluster that can be judged: clients that write registers and read each other's, and remember everything.
//
// Each client owns some keys and writes rising numbers to them, each write conditional on the revision that it last
// knew (see tests/checkers/register_checker.hpp for why); between its writes it reads any client's key. So a key's
// revisions hold rising numbers, and its whole history, which the store keeps, can be compared with what was answered.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "client/client.hpp"
#include "tests/checkers/register_checker.hpp"
#include "tests/support/eventually.hpp"

namespace kahuna::testing {

// Nanoseconds of the steady clock: the time of histories.
std::int64_t history_now();

// The number that a register's value stands for; absent_value for none. Ends the test where it is no such value.
std::int64_t register_value(const kv::get_response& response);

struct register_load_options {
  int clients = 8;
  int keys_per_client = 6;
  milliseconds timeout{5000};  // of each request
  std::string key_prefix = "register-";
  std::uint64_t seed = 1;
};

// How requests ended.
struct load_counts {
  std::uint64_t writes_acknowledged = 0;
  std::uint64_t writes_refused = 0;  // not applied, by the answer
  std::uint64_t writes_unknown = 0;
  std::uint64_t reads_answered = 0;
  std::uint64_t reads_failed = 0;
};

class register_load {
 public:
  // Client i tries the endpoints from the i-th on. Ends the test where a client cannot connect.
  register_load(std::vector<std::string> endpoints, register_load_options options = {});
  ~register_load();

  void start();
  void stop();  // waits for what is under way

  // How many requests have been answered so far; rises while the cluster serves.
  std::uint64_t answered() const { return answered_; }
  // Waits until so many more have been answered.
  bool wait_for_answers(std::uint64_t count, milliseconds patience) const;

  // After stop(). All keys, in the order of their owners.
  std::vector<std::string> keys() const;
  load_counts counts() const;
  // After stop(). What was done to a key.
  register_history history(const std::string& key) const;

  // After stop(): reads every key and every revision of it, and says everything that is wrong: reads that were not
  // linearizable, acknowledged writes that are missing, refused ones that are there, revisions out of order, and errors
  // that no client may see. `others` are reads of these keys that were made beside this load.
  using reads_by_key = std::map<std::string, std::vector<register_read>>;
  std::vector<std::string> violations(client::client& reader, const reads_by_key& others = {}) const;

 private:
  struct written_key {
    std::string name;
    std::int64_t revision = kv::no_revision;  // the last that the owner knows
    std::vector<register_write> writes;
    std::map<std::int64_t, std::int64_t> acknowledged;  // revision → number
  };
  struct worker {
    std::vector<written_key> keys;
    std::map<std::string, std::vector<register_read>> reads;
    std::vector<std::string> complaints;
    std::uint64_t reads_failed = 0;
    std::unique_ptr<client::client> connection;
    std::thread thread;
  };

  void work(worker& self, std::uint64_t seed);
  void write_once(worker& self, written_key& key);
  void read_once(worker& self, const std::string& key);
  void check_stored_history(client::client& reader, const written_key& key, std::vector<std::string>& found) const;

  register_load_options options_;
  std::vector<std::unique_ptr<worker>> workers_;
  std::vector<std::string> all_keys_;
  std::atomic<bool> should_stop_{false};
  std::atomic<std::uint64_t> answered_{0};
};

// Connects to a cluster, or ends the test.
client::client connect_or_fail(std::vector<std::string> endpoints, milliseconds timeout = milliseconds(5000));

// Requests of nothing but what is named.
kv::get_request get_of(const std::string& key);
kv::set_request set_of(const std::string& key, std::string value);

// A complaint a line, for a test's message.
std::string joined(const std::vector<std::string>& lines);

}  // namespace kahuna::testing
