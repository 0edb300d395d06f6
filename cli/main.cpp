// kahuna-cli: reads options, connects, and runs commands from options, a terminal or standard input.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cli/interactive_shell.hpp"
#include "cli/options.hpp"
#include "cli/run_command.hpp"
#include "cli/session.hpp"
#include "client/client.hpp"

namespace {

using namespace kahuna;

// Exit statuses, of which scripts depend on each (contract §5).
enum exit_status : int { answered = 0, had_error = 1, bad_usage = 2, nobody_reached = 3 };

int complain(const std::string& message, exit_status status) {
  std::cerr << "kahuna-cli: " << message << std::endl;
  return status;
}

// Beside the answers, of which there is one for each command.
void tell_progress(const std::string& text) { std::cerr << text << std::endl; }

int run_one_shot(cli::command_runner& runner, cli::session& session, const cli::options& chosen) {
  auto asked = *chosen.one_shot;
  if (chosen.is_value_from_input) {
    auto& statement = std::get<kv::statement>(asked);
    auto value = cli::read_all(std::cin, cli::input_bytes_max);
    if (!value) {
      session.print({statement.op_name, statement.key, value.error()});
      return had_error;
    }
    std::get<kv::set_request>(statement.what).value = shared_bytes(std::move(*value));
  }
  session.print(runner.run(asked));
  return session.has_failed() ? had_error : answered;
}

int run_session(cli::session& session, const cli::options& chosen) {
  if (!chosen.commands.empty()) {
    std::size_t number = 0;
    for (const auto& command : chosen.commands)
      if (!session.has_ended()) session.run_line(command, ++number);
  } else {
    session.run_lines(std::cin);
  }
  return session.has_failed() ? had_error : answered;
}

bool is_terminal(int descriptor) { return isatty(descriptor) == 1; }

// https://no-color.org: any value but an empty one.
bool wants_colours() {
  const char* refused = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return (refused == nullptr || refused[0] == '\0') && (terminal == nullptr || std::string_view(terminal) != "dumb");
}

cli::output_style style_for(const cli::options& chosen, int error_descriptor) {
  cli::output_style style{chosen.format, chosen.one_shot ? cli::list_footer::hidden : cli::list_footer::shown};
  style.is_for_terminal = chosen.format == cli::output_format::console && is_terminal(STDOUT_FILENO);
  style.is_coloured = style.is_for_terminal && wants_colours();
  style.are_errors_coloured = chosen.format == cli::output_format::console && is_terminal(error_descriptor) && wants_colours();
  return style;
}

int run_interactive(client::client& connection, cli::shell_events& events, const cli::options& chosen) {
  const auto style = style_for(chosen, STDOUT_FILENO);
  cli::command_runner runner(connection, tell_progress);
  const auto start = [&](const cli::request& asked, std::function<void(cli::outcome)> done) { runner.start(asked, std::move(done)); };
  std::optional<int> ended_by;
  bool has_failed = false;
  {
    cli::interactive_shell shell(start, [&] { return runner.has_transaction(); }, events, cli::history_file(cli::history_path(std::getenv)), style.is_coloured);
    cli::session session([&](const cli::request& asked) { return shell.run_request(asked); }, style, std::cout, std::cout,
                         chosen.format == cli::output_format::console ? &std::cout : nullptr);
    ended_by = shell.run(session);
    has_failed = session.has_failed();
  }
  // The terminal is as it was: now whoever waits for this process may see what ended it.
  if (ended_by) ::raise(*ended_by);
  return has_failed ? had_error : answered;
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);  // else standard input is read byte by byte
  const auto parsed = cli::parse_options(std::vector<std::string>(argv + 1, argv + argc));
  if (const auto* e = std::get_if<cli::usage_error>(&parsed)) return complain(e->message + " (--help tells more)", bad_usage);
  if (std::holds_alternative<cli::help_request>(parsed)) {
    std::cout << cli::help_text() << std::flush;
    return answered;
  }
  if (std::holds_alternative<cli::version_request>(parsed)) {
    std::cout << "kahuna-cli " << KAHUNA_VERSION << std::endl;
    return answered;
  }
  const auto& chosen = std::get<cli::options>(parsed);

  const bool is_interactive =
      !chosen.one_shot && chosen.commands.empty() && is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO);
  cli::shell_events events;  // outlives the client, whose threads ring it
  client::client_options connect_options{.endpoints = chosen.endpoints, .timeout = chosen.timeout, .connect_timeout = chosen.timeout};
  if (is_interactive) connect_options.connection_changed = [&events](bool is_connected) { events.connection_changed(is_connected); };
  auto connection = client::client::connect(std::move(connect_options));
  if (!connection) {
    // An endpoint that is none is a mistake in the options; all else means that nobody answered.
    const bool is_usage = connection.error().code == errc::invalid_argument;
    return complain(std::string(to_string(connection.error().code)) + ": " + connection.error().message,
                    is_usage ? bad_usage : nobody_reached);
  }
  if (is_interactive) return run_interactive(*connection, events, chosen);
  cli::command_runner runner(*connection, tell_progress);
  const auto run = [&](const cli::request& asked) { return runner.run(asked); };
  // One-shot console errors leave standard output to answers, so that `v=$(kahuna-cli --get k)` never holds a complaint.
  const bool is_one_shot = chosen.one_shot.has_value();
  const bool is_console = chosen.format == cli::output_format::console;
  auto& error_output = is_one_shot && is_console ? std::cerr : std::cout;
  // Carets go beside the answers, of which there is one line for each command.
  const auto style = style_for(chosen, &error_output == &std::cerr ? STDERR_FILENO : STDOUT_FILENO);
  cli::session session(run, style, std::cout, error_output, is_console ? &std::cerr : nullptr);
  return is_one_shot ? run_one_shot(runner, session, chosen) : run_session(session, chosen);
}
