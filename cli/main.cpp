// kahuna-cli: reads options, connects, and runs commands from options or standard input.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

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

int run_one_shot(client::client& connection, cli::session& session, const cli::options& chosen) {
  auto statement = *chosen.one_shot;
  if (chosen.is_value_from_input) {
    auto value = cli::read_all(std::cin, cli::input_bytes_max);
    if (!value) {
      session.print({statement.op_name, statement.key, value.error()});
      return had_error;
    }
    std::get<kv::set_request>(statement.what).value = shared_bytes(std::move(*value));
  }
  session.print(cli::run_command(connection, statement));
  return session.has_failed() ? had_error : answered;
}

int run_session(cli::session& session, const cli::options& chosen) {
  if (!chosen.commands.empty()) {
    std::size_t number = 0;
    for (const auto& command : chosen.commands) session.run_line(command, ++number);
  } else {
    session.run_lines(std::cin, isatty(STDIN_FILENO) == 1 ? "kahuna> " : "");
  }
  return session.has_failed() ? had_error : answered;
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

  auto connection =
      client::client::connect({.endpoints = chosen.endpoints, .timeout = chosen.timeout, .connect_timeout = chosen.timeout});
  if (!connection) {
    // An endpoint that is none is a mistake in the options; all else means that nobody answered.
    const bool is_usage = connection.error().code == errc::invalid_argument;
    return complain(std::string(to_string(connection.error().code)) + ": " + connection.error().message,
                    is_usage ? bad_usage : nobody_reached);
  }
  const auto run = [&](const kv::statement& statement) { return cli::run_command(*connection, statement); };
  // One-shot console errors leave standard output to answers, so that `v=$(kahuna-cli --get k)` never holds a complaint.
  const bool is_one_shot = chosen.one_shot.has_value();
  auto& error_output = is_one_shot && chosen.format == cli::output_format::console ? std::cerr : std::cout;
  cli::session session(run, {chosen.format, is_one_shot ? cli::list_footer::hidden : cli::list_footer::shown}, std::cout,
                       error_output);
  return is_one_shot ? run_one_shot(*connection, session, chosen) : run_session(session, chosen);
}
