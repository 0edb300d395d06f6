// The shell at a terminal: lines with editing, history and completion; answers; Ctrl-C that abandons what is under way and
// nothing more; and a word when the cluster is lost and found again.
//
// One thread, one poll(): keys, signals, and what the client's threads have to tell.
#pragma once

#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "cli/history_file.hpp"
#include "cli/line_editor.hpp"
#include "cli/output.hpp"
#include "cli/shell_events.hpp"
#include "cli/shell_language.hpp"
#include "cli/signal_watch.hpp"

namespace kahuna::cli {

class session;

class interactive_shell {
 public:
  // Asks without waiting: as command_runner::start().
  using starter = std::function<void(const request&, std::function<void(outcome)>)>;

  // `events` hears of connections already; it outlives the starter's client.
  interactive_shell(starter start, std::function<bool()> has_transaction, shell_events& events, history_file history, bool is_coloured);

  // For the session: waits for the answer, or for a Ctrl-C.
  answer run_request(const request& asked);

  // Reads and runs lines until the input or the session ends. The signal that ended it, if one did.
  std::optional<int> run(session& lines);

 private:
  std::optional<std::string> read_text();
  void run_text(session& lines, const std::string& text);
  // Returns when the descriptor that is waited for has something, or a signal has changed what is waited for.
  void wait(int descriptor);
  void take_signals();
  void take_connection_changes();

  starter start_;
  std::function<bool()> has_transaction_;  // the prompt shows it
  shell_events& events_;
  history_file history_;
  bool is_coloured_;
  line_editor editor_;
  signal_watch signals_;
  bool is_interrupted_ = false;  // by Ctrl-C, since this was cleared
  std::optional<int> ended_by_;
  bool is_connection_lost_ = false;  // and said so
};

}  // namespace kahuna::cli
