// What a node is told when it starts. A line of the input that begins with a dash is an argument, one that begins with
// KAHUNA_ a variable of the environment, and the others are the lines of the file.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <variant>

#include "config/node_options.hpp"
#include "core/base/check.hpp"
#include "tests/fuzz/allocation_meter.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace kahuna::fuzz {

namespace {

// The constant is the table of options, which is made anew for each reading, with its texts.
constexpr allocation_bound options_bound{128, 512 * 1024};

// Names a file of the machine, which is nobody's to read here.
bool names_a_file(std::string line) {
  std::transform(line.begin(), line.end(), line.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return line.find("config") != std::string::npos;
}

void fuzz_node_options(std::string_view input) {
  std::vector<std::string> arguments{"kahuna-node"};
  std::vector<std::string> variables;
  std::string text;
  for (auto rest = input; !rest.empty();) {
    const std::string line(rest.substr(0, rest.find('\n')));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.starts_with('-')) {
      if (!names_a_file(line)) arguments.push_back(line);
    } else if (line.starts_with("KAHUNA_")) {
      if (!names_a_file(line)) variables.push_back(line);
    } else {
      text += line + '\n';
    }
  }
  const int file = ::memfd_create("fuzz", MFD_CLOEXEC);
  KAHUNA_CHECK(file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  variables.push_back("KAHUNA_CONFIG=/proc/self/fd/" + std::to_string(file));

  std::vector<const char*> argv;
  for (const auto& argument : arguments) argv.push_back(argument.c_str());
  std::vector<const char*> environment;
  for (const auto& variable : variables) environment.push_back(variable.c_str());
  environment.push_back(nullptr);
  const auto loaded = read_within(options_bound, input.size(), [&] {
    return config::load_node_options(static_cast<int>(argv.size()), argv.data(), environment.data());
  });
  ::close(file);
  if (!loaded) {
    KAHUNA_CHECK(loaded.error().code == errc::invalid_argument && !loaded.error().message.empty());
    KAHUNA_CHECK(loaded.error().message.find('\n') == std::string::npos, loaded.error().message);
    return;
  }
  const auto* options = std::get_if<config::node_options>(&*loaded);
  if (options == nullptr) return;
  KAHUNA_CHECK(options->partitions >= 1 && options->partitions <= 4096, options->partitions);
  KAHUNA_CHECK(options->election_timeout_ms >= 3 * options->heartbeat_interval_ms, options->election_timeout_ms);
  KAHUNA_CHECK(options->replication_factor <= options->initial_members.size(), options->replication_factor);
  KAHUNA_CHECK(config::parse_endpoint(options->listen.text()).has_value(), options->listen.text());
  for (const auto& [name, address] : options->initial_members)
    KAHUNA_CHECK(config::parse_endpoint(address).has_value(), address);
}

std::vector<std::string> node_option_seeds() {
  return {
      "--node-id=n2\n--listen=[::1]:4880\n--http=off\n--initial-cluster=n1=h:4870,n2=h:4880\n--partitions=8\n--rejoin\n",
      "KAHUNA_DATA_DIR=/data\nKAHUNA_PARTITIONS=4\nKAHUNA_EPHEMERAL_MAX_BYTES=64 MiB\nKAHUNA_READ_MODE=read-index\n",
      "# a file\nnode-id = n1\nlisten = 127.0.0.1:1\r\nhttp = 127.0.0.1:2\nreplication-factor = 1\nheartbeat-interval = 10\n"
      "election-timeout = 100\nmax-value-size = 16777216\nhistory-max-revisions = 3\nhistory-max-age = 9\nlog-level = warn\n"
      "log-format = json\nrejoin = false\n",
      "--no%original_token%\n--rejoin=%original_token%\n--=%original_token%\n",
      "--help\n",
      "--version\n"};
}

}  // namespace

std::vector<fuzz_target> option_targets() { return {{"node_options", fuzz_node_options, node_option_seeds}}; }

}  // namespace kahuna::fuzz
