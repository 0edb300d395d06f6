// A command of the shell, asked of the cluster; in the transaction that is open, where one is.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "cli/output.hpp"
#include "cli/shell_language.hpp"
#include "client/client.hpp"

namespace kahuna::cli {

// Owned by whoever runs a shell's commands, one at a time. At its end it rolls an open transaction back, and waits for that.
class command_runner {
 public:
  // The connection must outlive this. `notice` hears how far a command is that takes its time, on a thread of the client's; it must not
  // block, and may be empty.
  explicit command_runner(client::client& connection, std::function<void(const std::string&)> notice = nullptr)
      : connection_(connection), notice_(std::move(notice)) {}
  ~command_runner();
  command_runner(const command_runner&) = delete;
  command_runner& operator=(const command_runner&) = delete;

  // Asks without waiting. `done` runs once, on a thread of the client's or before this returns, and must not block.
  void start(const request& asked, std::function<void(outcome)> done);

  // Blocks until the answer or an error is there; the time of that is in the answer.
  answer run(const request& asked);

  // Whether one was begun and neither committed nor rolled back, also one that was aborted.
  bool has_transaction() const;

 private:
  void start_statement(const kv::statement& statement, std::function<void(outcome)> done);
  void begin(const kv::begin_command& command, std::function<void(outcome)> done);
  void end(kv::transaction_step step, std::function<void(outcome)> done);

  client::client& connection_;
  std::function<void(const std::string&)> notice_;
  // Shared with answers on their way, which come on the client's threads.
  struct open_transaction {
    std::mutex mutex;
    std::shared_ptr<client::transaction> what;

    std::shared_ptr<client::transaction> get() {
      const std::lock_guard guard(mutex);
      return what;
    }
    void set(std::shared_ptr<client::transaction> next) {
      const std::lock_guard guard(mutex);
      what.swap(next);
    }
  };
  std::shared_ptr<open_transaction> open_ = std::make_shared<open_transaction>();
};

// Whether the cluster may be another after it.
bool is_write(const request& asked);

// An answer to what was asked, for `what` and its time.
answer to_answer(const request& asked, outcome what, std::chrono::steady_clock::time_point began);

}  // namespace kahuna::cli
