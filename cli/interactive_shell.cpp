#include "cli/interactive_shell.hpp"

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

#include "cli/cluster_report.hpp"
#include "cli/completion.hpp"
#include "cli/run_command.hpp"
#include "cli/session.hpp"

namespace kahuna::cli {

namespace {

const std::string prompt = "kahuna> ";
const std::string transaction_prompt = "kahuna*> ";  // a transaction is open

// Where the client's thread leaves an answer; kept by it alone once nobody waits any more.
struct mailbox {
  std::mutex mutex;
  std::optional<outcome> what;
};

}  // namespace

interactive_shell::interactive_shell(starter start, std::function<bool()> has_transaction, shell_events& events, history_file history, bool is_coloured)
    : start_(std::move(start)),
      has_transaction_(std::move(has_transaction)),
      events_(events),
      history_(std::move(history)),
      is_coloured_(is_coloured),
      editor_(completions),
      signals_({SIGINT, SIGTSTP, SIGWINCH, SIGTERM, SIGHUP, SIGQUIT}) {
  for (const auto& line : history_.load()) editor_.remember(line);
}

std::optional<int> interactive_shell::run(session& lines) {
  while (!lines.has_ended() && !ended_by_) {
    const auto text = read_text();
    if (!text) break;
    run_text(lines, *text);
  }
  return ended_by_;
}

// Nothing: the input is at its end, or a signal has ended the shell.
std::optional<std::string> interactive_shell::read_text() {
  editor_.begin(has_transaction_() ? transaction_prompt : prompt);
  for (;;) {
    wait(STDIN_FILENO);
    if (ended_by_) return std::nullopt;
    if (std::exchange(is_interrupted_, false)) {
      editor_.abandon_line();
      continue;
    }
    std::string text;
    switch (editor_.take_input(text)) {
      case line_editor::progress::typing:
        break;
      case line_editor::progress::done:
        return text;
      case line_editor::progress::ended:
        return std::nullopt;
    }
  }
}

// What was pasted at once is run in its order, unless somebody stops it.
void interactive_shell::run_text(session& lines, const std::string& text) {
  std::vector<std::string> commands;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    commands.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  for (const auto& command : commands) {
    if (command.find_first_not_of(" \t\r") == std::string::npos) continue;
    editor_.remember(command);
    history_.append(command);
  }
  is_interrupted_ = false;
  for (std::size_t i = 0; i < commands.size() && !lines.has_ended() && !ended_by_; ++i) {
    if (is_interrupted_) {
      editor_.print("-- " + std::to_string(commands.size() - i) + (commands.size() - i == 1 ? " line" : " lines") +
                    " not run\n");
      break;
    }
    lines.run_line(commands[i], i + 1);
    take_signals();
  }
  is_interrupted_ = false;
}

answer interactive_shell::run_request(const request& asked) {
  const auto began = std::chrono::steady_clock::now();
  const auto box = std::make_shared<mailbox>();
  start_(asked, [box, &events = events_](outcome what) {
    {
      const std::lock_guard guard(box->mutex);
      box->what = std::move(what);
    }
    events.ring();
  });
  for (;;) {
    {
      const std::lock_guard guard(box->mutex);
      if (box->what) return to_answer(asked, std::move(*box->what), began);
    }
    if (is_interrupted_ || ended_by_) return to_answer(asked, abandoned{is_write(asked)}, began);
    wait(-1);
  }
}

void interactive_shell::wait(int descriptor) {
  for (;;) {
    pollfd waiting[] = {{descriptor, POLLIN, 0}, {signals_.descriptor(), POLLIN, 0}, {events_.descriptor(), POLLIN, 0}};
    if (::poll(waiting, 3, -1) < 0) continue;  // a signal came, and is in its pipe
    if (waiting[1].revents != 0) take_signals();
    if (waiting[2].revents != 0) {
      events_.clear();
      take_connection_changes();
      if (descriptor < 0) return;  // perhaps it was the answer
    }
    if (is_interrupted_ || ended_by_ || waiting[0].revents != 0) return;
  }
}

void interactive_shell::take_signals() {
  while (const auto signal = signals_.take()) {
    switch (*signal) {
      case SIGINT:
        is_interrupted_ = true;
        break;
      case SIGTSTP:
        editor_.suspend();
        break;
      case SIGWINCH:
        editor_.take_new_size();
        break;
      default:
        ended_by_ = signal;
        break;
    }
  }
}

void interactive_shell::take_connection_changes() {
  while (const auto is_connected = events_.take_connection_change()) {
    // The first connection is no news.
    if (*is_connected != is_connection_lost_) continue;
    is_connection_lost_ = !*is_connected;
    editor_.print(toned(is_connection_lost_ ? "-- connection lost, reconnecting" : "-- connected again",
                        is_connection_lost_ ? tone::warning : tone::good, is_coloured_) +
                  "\n");
  }
}

}  // namespace kahuna::cli
