// Clients of a simulated cluster. Each does one thing after another: asks, asks again under the same identity until it is
// answered or its patience ends, and records what came of it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/hlc.hpp"
#include "tests/checkers/append_history.hpp"
#include "tests/support/cluster_simulation/exchange.hpp"
#include "tests/support/cluster_simulation/history.hpp"

namespace kahuna::testing {

// How an operation ended for the client that asked it.
struct outcome {
  std::optional<kv::operation_response> response;  // nothing: unknown
  term_id era;          // of the leadership that answered
  term_id meant_for;    // of an ephemeral write: the leadership that it was sent to
};

class client {
 public:
  client(exchange& board, std::uint64_t id) : board_(board), id_(id) {}
  virtual ~client() = default;

  virtual void begin_work() = 0;
  // Ends with what it is at.
  void stop() { is_working_ = false; }
  void learn(std::shared_ptr<const routing::partition_map> map);
  bool is_idle() const { return is_idle_; }

  using outcome_handler = std::function<void(const outcome&)>;
  void ask(kv::operation op, std::int64_t patience_us, outcome_handler done);

 protected:
  void rest();
  std::uint64_t wall_ms() const;

  exchange& board_;
  const std::uint64_t id_;
  hlc clock_;  // the highest stamp that it has heard of
  bool is_working_ = true;
  bool is_idle_ = true;

 private:
  struct under_way {
    partition_id partition;
    kv::partition_request request;
    std::int64_t deadline;
    bool may_be_applied = false;
    outcome_handler done;
  };
  void attempt(std::shared_ptr<under_way> r);

  struct known_leader {
    node_id node;
    term_id term;
  };
  int draw_node();

  std::map<partition_id, known_leader> leaders_;
  std::shared_ptr<const routing::partition_map> map_;  // the newest that it has heard of, where members change
  std::uint64_t next_sequence_ = 1;
};

// Sets, deletes and reads single keys, conditionally or not, of both durabilities.
class register_client final : public client {
 public:
  register_client(exchange& board, std::uint64_t id, history& h) : client(board, id), history_(h) {}
  void begin_work() override;

  static std::string key_name(int number);

 private:
  history& history_;
  struct last_seen {
    std::int64_t revision = -1;
    std::int64_t value = 0;
  };
  std::map<std::pair<std::string, bool>, last_seen> seen_;
};

// Transactions over lists of numbers: reads lists, and appends to what it has read.
class append_client final : public client {
 public:
  append_client(exchange& board, std::uint64_t id, history& h) : client(board, id), history_(h) {}
  void begin_work() override;

  static constexpr int buckets = 2;
  static constexpr int keys_per_bucket = 3;
  static std::string key_name(int bucket, int key) { return "t" + std::to_string(bucket) + "/k" + std::to_string(key); }
  static std::vector<std::uint64_t> parse(std::string_view text);

 private:
  void next_step();
  kv::transaction_step draw_step();
  kv::transaction_step draw_commit();
  void append(const std::string& key);
  void take_read(const std::string& key, const kv::get_response& got);
  void end_work(append_transaction::outcome as);

  history& history_;
  append_transaction work_;
  std::map<std::string, std::vector<std::uint64_t>> lists_;  // as the transaction sees them
  kv::transaction_header header_;
  std::uint64_t next_transaction_ = 1;
  std::uint32_t number_ = 0;
  std::uint64_t heard_ = 0;
  std::vector<std::string> keys_;  // still to be touched
  std::optional<std::string> reading_;
  std::vector<kv::step_operation> several_;  // that are under way, in one step
  std::int64_t deadline_ = 0;
};

}  // namespace kahuna::testing
