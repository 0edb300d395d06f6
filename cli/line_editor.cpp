#include "cli/line_editor.hpp"

// readline's headers use FILE without including it.
#include <cstdio>

#include <readline/history.h>
#include <readline/readline.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <clocale>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "core/base/check.hpp"

namespace kahuna::cli {

struct line_editor::implementation {
  completer complete;
  bool is_editing = false;
  std::optional<progress> finished;
  std::string line;
  std::vector<std::string> candidates;
  termios before{};
  termios quiet{};

  // readline's callbacks have no argument of their own.
  static implementation* current;

  static void take_line(char* text) {
    // Here, before it returns to readline: else that would begin the next line by itself.
    rl_callback_handler_remove();
    current->is_editing = false;
    current->finished = text != nullptr ? progress::done : progress::ended;
    current->line = text != nullptr ? text : "";
    std::free(text);
  }

  // readline takes a terminal that did not echo before for one that shall not echo at all.
  static void prepare_terminal(int meta) {
    rl_prep_terminal(meta);
    rl_tty_set_echoing(1);
  }

  static char* next_candidate(const char*, int state) {
    static std::size_t next = 0;
    if (state == 0) next = 0;
    return next < current->candidates.size() ? ::strdup(current->candidates[next++].c_str()) : nullptr;
  }

  static char** complete_word(const char* text, int, int) {
    rl_attempted_completion_over = 1;  // never the names of files
    const std::string_view typed(rl_line_buffer, static_cast<std::size_t>(rl_point));
    current->candidates = current->complete(typed.substr(typed.rfind('\n') + 1));
    const bool is_open = current->candidates.size() == 1 && current->candidates.front().ends_with('=');
    rl_completion_append_character = is_open ? '\0' : ' ';
    return current->candidates.empty() ? nullptr : rl_completion_matches(text, next_candidate);
  }
};

line_editor::implementation* line_editor::implementation::current = nullptr;

line_editor::line_editor(completer complete) : implementation_(std::make_unique<implementation>()) {
  auto& impl = *implementation_;
  KAHUNA_CHECK(implementation::current == nullptr);
  implementation::current = &impl;
  impl.complete = std::move(complete);
  // Without a locale of its own a machine still has terminals that speak UTF-8.
  std::setlocale(LC_CTYPE, "");
  if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
  rl_readline_name = "kahuna-cli";
  rl_catch_signals = 0;
  rl_catch_sigwinch = 0;
  rl_prep_term_function = implementation::prepare_terminal;
  rl_attempted_completion_function = implementation::complete_word;
  static const char blanks[] = " \t\n";
  rl_completer_word_break_characters = blanks;
  rl_completer_quote_characters = nullptr;
  rl_basic_quote_characters = "";
  using_history();

  ::tcgetattr(STDIN_FILENO, &impl.before);
  impl.quiet = impl.before;
  impl.quiet.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  impl.quiet.c_cc[VMIN] = 1;
  impl.quiet.c_cc[VTIME] = 0;
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &impl.quiet);
}

line_editor::~line_editor() {
  if (implementation_->is_editing) {
    rl_callback_handler_remove();
    std::fputc('\n', stdout);
    std::fflush(stdout);
  }
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &implementation_->before);
  implementation::current = nullptr;
}

void line_editor::remember(const std::string& line) {
  const auto* last = history_length > 0 ? history_get(history_base + history_length - 1) : nullptr;
  if (last == nullptr || line != last->line) add_history(line.c_str());
}

void line_editor::begin(const std::string& prompt) {
  auto& impl = *implementation_;
  KAHUNA_CHECK(!impl.is_editing);
  impl.is_editing = true;
  impl.finished.reset();
  rl_callback_handler_install(prompt.c_str(), implementation::take_line);
}

line_editor::progress line_editor::take_input(std::string& text) {
  auto& impl = *implementation_;
  KAHUNA_CHECK(impl.is_editing);
  rl_callback_read_char();
  if (!impl.finished) return progress::typing;
  text = std::move(impl.line);
  if (*impl.finished == progress::ended) {
    std::fputc('\n', stdout);  // the shell that comes next begins on a line of its own
    std::fflush(stdout);
  }
  return *impl.finished;
}

void line_editor::abandon_line() {
  if (!implementation_->is_editing) return;
  rl_callback_sigcleanup();  // of a search or a completion under way
  rl_free_line_state();
  std::fputs("^C", rl_outstream);
  rl_crlf();
  rl_replace_line("", 1);
  rl_point = rl_mark = 0;
  rl_on_new_line();
  rl_redisplay();
}

void line_editor::print(std::string_view lines) {
  const bool is_editing = implementation_->is_editing;
  if (is_editing) rl_clear_visible_line();
  std::fwrite(lines.data(), 1, lines.size(), stdout);
  std::fflush(stdout);
  if (!is_editing) return;
  rl_on_new_line();
  rl_redisplay();
}

void line_editor::take_new_size() { rl_resize_terminal(); }

void line_editor::suspend() {
  auto& impl = *implementation_;
  if (impl.is_editing) rl_deprep_terminal();
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &impl.before);
  ::kill(::getpid(), SIGSTOP);
  // Whoever ran meanwhile may have left the terminal otherwise.
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &impl.quiet);
  if (!impl.is_editing) return;
  implementation::prepare_terminal(1);
  rl_on_new_line();
  rl_forced_update_display();
}

}  // namespace kahuna::cli
