#include "config/node_options.hpp"

#include <boost/program_options.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <set>
#include <sstream>

#include "config/version.hpp"
#include "core/routing/partition_map.hpp"

namespace kahuna::config {

namespace {

namespace po = boost::program_options;

error wrong(std::string message) { return {errc::invalid_argument, std::move(message)}; }

// Every option is read as text and parsed here, so that all sources are checked alike and errors say where they come from.
po::options_description describe_options() {
  po::options_description options("kahuna-node [options]");
  const auto text = [] { return po::value<std::vector<std::string>>()->composing(); };
  options.add_options()
      ("node-id", text(), "this node's name (n1)")
      ("listen", text(), "HOST:PORT for the cluster and clients (127.0.0.1:4870)")
      ("http", text(), "HOST:PORT for /health, /ready, /v1/cluster; off to disable (127.0.0.1:4871)")
      ("data-dir", text(), "where this node keeps its data (./kahuna-data)")
      ("initial-cluster", text(), "n1=HOST:PORT,n2=HOST:PORT,...: the founding members, the same on each (itself)")
      ("partitions", text(), "1 to 4096, fixed when the cluster is formed (16)")
      ("replication-factor", text(), "replicas of each partition (3, or the number of members where fewer)")
      ("heartbeat-interval", text(), "milliseconds (50)")
      ("election-timeout", text(), "milliseconds, at least 3 heartbeat intervals (300)")
      ("read-mode", text(), "lease or read-index (lease)")
      ("max-value-size", text(), "bytes, 1 to 16777216, the same on every node (1048576)")
      ("history-max-revisions", text(), "revisions kept of a key, 0 = all (0)")
      ("history-max-age", text(), "milliseconds that revisions are kept, 0 = for ever (0)")
      ("ephemeral-max-bytes", text(), "memory for ephemeral keys, in bytes or with KiB, MiB, GiB (256MiB)")
      ("partition-threads", text(), "threads that partitions run on, 0 to 256, 0 = the network's (half of 4 or more cores, else 0)")
      ("join", text(), "HOST:PORT of a member of the cluster to join; kahuna-cli's 'cluster add' comes first")
      ("zone", text(), "where this node is: replicas of a partition are kept in different zones")
      ("rejoin", "this node's data was lost: join again with an empty directory")
      ("log-level", text(), "trace, debug, info, warn, error or off (info)")
      ("log-format", text(), "text or json, to standard error (text)")
      ("config", text(), "a file of 'name = value' lines")
      ("version", "print the version")
      ("help", "print this");
  return options;
}

const std::set<std::string>& option_names() {
  static const std::set<std::string> names = [] {
    const auto described = describe_options();
    std::set<std::string> all;
    for (const auto& option : described.options()) all.insert(option->long_name());
    return all;
  }();
  return names;
}

// What was given, and where, for error messages.
struct setting {
  std::string value;
  std::string origin;  // "--listen", "KAHUNA_LISTEN", "line 3 of FILE"
};
using settings = std::map<std::string, setting>;

std::string trim(const std::string& s) {
  const auto begin = s.find_first_not_of(" \t\r");
  return begin == std::string::npos ? std::string() : s.substr(begin, s.find_last_not_of(" \t\r") - begin + 1);
}

result<settings> read_command_line(int argc, const char* const* argv) {
  // Not left to Boost, whose error puts the argument into itself for ever where it holds `%original_token%`. A value
  // that begins with two dashes has to stand behind an equals sign.
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with("--") || argument == "--") continue;
    const std::string name(argument.substr(2, argument.find('=') - 2));
    if (!option_names().contains(name)) return wrong("unrecognised option '--" + name + "'; see --help");
  }
  const auto described = describe_options();
  po::variables_map values;
  try {
    using style = po::command_line_style::style_t;
    po::store(po::command_line_parser(argc, argv)
                  .options(described)
                  .positional(po::positional_options_description())
                  .style(style::allow_long | style::long_allow_next | style::long_allow_adjacent)
                  .run(),
              values);
  } catch (const po::too_many_positional_options_error&) {
    return wrong("there are arguments that belong to no option; see --help");
  } catch (const po::error& e) {
    return wrong(std::string(e.what()) + "; see --help");
  }
  settings given;
  for (const auto& [name, value] : values) {
    const auto* texts = boost::any_cast<std::vector<std::string>>(&value.value());
    if (texts != nullptr && texts->size() > 1) return wrong("--" + name + " is given " + std::to_string(texts->size()) + " times; give it once");
    given[name] = {texts != nullptr ? texts->front() : "true", "--" + name};
  }
  return given;
}

settings read_environment(const char* const* environment) {
  settings given;
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string entry = *environment;
    const auto equals = entry.find('=');
    if (equals == std::string::npos || !entry.starts_with("KAHUNA_")) continue;
    auto name = entry.substr(7, equals - 7);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
      return c == '_' ? '-' : static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    });
    if (!option_names().contains(name) || name == "help" || name == "version") continue;
    given[name] = {entry.substr(equals + 1), entry.substr(0, equals)};
  }
  return given;
}

result<settings> read_file(const std::string& path) {
  std::ifstream in(path);
  if (!in) return wrong(path + ": can't be read: " + std::strerror(errno) + "; give another --config");
  settings given;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    const auto origin = "line " + std::to_string(number) + " of " + path;
    const auto text = trim(line);
    if (text.empty() || text.front() == '#') continue;
    const auto equals = text.find('=');
    if (equals == std::string::npos) return wrong(origin + ": '" + text + "' is no 'name = value'");
    const auto name = trim(text.substr(0, equals));
    if (!option_names().contains(name) || name == "config" || name == "help" || name == "version")
      return wrong(origin + ": there is no option '" + name + "'; see --help");
    if (given.contains(name)) return wrong(origin + ": '" + name + "' stands there twice; keep one");
    given[name] = {trim(text.substr(equals + 1)), origin};
  }
  if (in.bad()) return wrong(path + ": can't be read; give another --config");
  return given;
}

// --- values -------------------------------------------------------------------------------------------------------

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> parse_bytes(std::string text) {
  std::uint64_t unit = 1;
  for (const auto& [suffix, bytes] : {std::pair{"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}})
    if (text.ends_with(suffix)) {
      unit = bytes;
      text = trim(text.substr(0, text.size() - 3));
    }
  const auto number = parse_number(text);
  if (!number || *number > std::numeric_limits<std::uint64_t>::max() / unit) return std::nullopt;
  return *number * unit;
}

bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == std::string::npos;
}

// Reads one option after the other out of what was given; the first thing that is wrong stays.
class reader {
 public:
  explicit reader(const settings& given) : given_(given) {}

  const std::optional<error>& failure() const { return failure_; }
  bool has(const std::string& name) const { return given_.contains(name); }

  template <class Take>
  void text(const std::string& name, Take take) {
    const auto found = given_.find(name);
    if (found == given_.end() || failure_) return;
    if (const auto complaint = take(found->second.value)) fail(found->second, *complaint);
  }

  // `into`: a number, or an optional one.
  template <class Number>
  void number(const std::string& name, Number& into, std::uint64_t least, std::uint64_t most) {
    text(name, [&](const std::string& value) -> std::optional<std::string> {
      const auto parsed = parse_number(value);
      if (!parsed || *parsed < least || *parsed > most)
        return "is no whole number from " + std::to_string(least) + " to " + std::to_string(most);
      if constexpr (requires { into.value(); })
        into = static_cast<typename Number::value_type>(*parsed);
      else
        into = static_cast<Number>(*parsed);
      return std::nullopt;
    });
  }

  template <class T>
  void choice(const std::string& name, T& into, const std::vector<std::pair<std::string, T>>& choices) {
    text(name, [&](const std::string& value) -> std::optional<std::string> {
      std::string all;
      for (const auto& [word, meaning] : choices) {
        if (word == value) {
          into = meaning;
          return std::nullopt;
        }
        all += (all.empty() ? "" : ", ") + word;
      }
      return "is none of " + all;
    });
  }

 private:
  void fail(const setting& given, const std::string& complaint) {
    failure_ = wrong(given.origin + ": '" + given.value + "' " + complaint);
  }

  const settings& given_;
  std::optional<error> failure_;
};

std::optional<std::string> take_members(const std::string& value, node_options& options) {
  std::set<std::string> names;
  std::set<std::string> addresses;
  std::istringstream in(value);
  std::string entry;
  while (std::getline(in, entry, ',')) {
    entry = trim(entry);
    const auto equals = entry.find('=');
    if (equals == std::string::npos) return "has '" + entry + "', which is no NAME=HOST:PORT";
    const auto name = entry.substr(0, equals);
    if (!is_name(name)) return "names a member '" + name + "'; a name is 1 to 64 letters, digits, '-', '_' or '.'";
    const auto address = parse_endpoint(entry.substr(equals + 1));
    if (!address) return "has " + address.error().message;
    if (!names.insert(name).second) return "names the member '" + name + "' twice";
    if (!addresses.insert(address->text()).second) return "gives the address " + address->text() + " twice";
    options.initial_members.emplace_back(name, address->text());
  }
  if (value.empty() || value.back() == ',') return "is no list of NAME=HOST:PORT";
  options.is_initial_cluster_given = true;
  return std::nullopt;
}

std::optional<std::string> take_endpoint(const std::string& value, endpoint& into) {
  auto parsed = parse_endpoint(value);
  if (!parsed) return "is no HOST:PORT, with a port from 1 to 65535";
  into = std::move(*parsed);
  return std::nullopt;
}

// What must fit together.
std::optional<error> check_together(node_options& options) {
  if (options.election_timeout_ms < 3 * options.heartbeat_interval_ms)
    return wrong("--election-timeout " + std::to_string(options.election_timeout_ms) + " is less than 3 times --heartbeat-interval " +
                 std::to_string(options.heartbeat_interval_ms) + "; raise the one or lower the other");
  if (options.join && options.is_initial_cluster_given)
    return wrong("--join and --initial-cluster are both given: a node either joins a cluster or forms one; give one of them");
  if (options.join && *options.join == options.listen)
    return wrong("--join and --listen are both " + options.listen.text() + "; give --join the address of another member");
  if (!options.is_initial_cluster_given) options.initial_members = {{options.node_id, options.listen.text()}};
  const auto self = std::find_if(options.initial_members.begin(), options.initial_members.end(),
                                 [&](const auto& member) { return member.first == options.node_id; });
  if (self == options.initial_members.end())
    return wrong("--initial-cluster does not name this node, '" + options.node_id + "'; add it, or give another --node-id");
  if (const auto address = parse_endpoint(self->second); address && address->port != options.listen.port)
    return wrong("--initial-cluster says that " + options.node_id + " is at " + self->second + ", but --listen is " + options.listen.text() +
                 "; give both the same port");
  if (options.replication_factor > options.initial_members.size())
    return wrong("--replication-factor " + std::to_string(options.replication_factor) + " is more than the cluster's " +
                 std::to_string(options.initial_members.size()) + (options.initial_members.size() == 1 ? " member" : " members") +
                 "; lower it");
  if (options.http && *options.http == options.listen)
    return wrong("--http and --listen are both " + options.listen.text() + "; give them different ports");
  return std::nullopt;
}

result<node_options> parse(const settings& given) {
  node_options options;
  reader read(given);
  read.text("node-id", [&](const std::string& value) -> std::optional<std::string> {
    if (!is_name(value)) return "is no name of 1 to 64 letters, digits, '-', '_' or '.'";
    options.node_id = value;
    return std::nullopt;
  });
  read.text("listen", [&](const std::string& value) { return take_endpoint(value, options.listen); });
  read.text("http", [&](const std::string& value) -> std::optional<std::string> {
    if (value != "off") return take_endpoint(value, options.http.emplace());
    options.http.reset();
    return std::nullopt;
  });
  read.text("data-dir", [&](const std::string& value) -> std::optional<std::string> {
    if (value.empty()) return "is no directory";
    options.data_dir = value;
    return std::nullopt;
  });
  read.text("initial-cluster", [&](const std::string& value) { return take_members(value, options); });
  constexpr std::uint64_t many = std::numeric_limits<std::int64_t>::max();
  read.number("partitions", options.partitions, 1, routing::partitions_max);
  read.number("replication-factor", options.replication_factor, 1, 9);
  read.number("heartbeat-interval", options.heartbeat_interval_ms, 1, 10'000);
  read.number("election-timeout", options.election_timeout_ms, 10, 60'000);
  read.choice<config::read_mode>("read-mode", options.read_mode, {{"lease", config::read_mode::lease}, {"read-index", config::read_mode::read_index}});
  read.number("max-value-size", options.max_value_size, 1, 16u << 20);
  read.number("history-max-revisions", options.history_max_revisions, 0, many);
  read.number("history-max-age", options.history_max_age_ms, 0, many);
  read.text("ephemeral-max-bytes", [&](const std::string& value) -> std::optional<std::string> {
    const auto bytes = parse_bytes(value);
    if (!bytes || *bytes == 0 || *bytes > many) return "is no number of bytes, e.g. 268435456 or 256MiB";
    options.ephemeral_max_bytes = *bytes;
    return std::nullopt;
  });
  read.number("partition-threads", options.partition_threads, 0, 256);
  read.text("join", [&](const std::string& value) { return take_endpoint(value, options.join.emplace()); });
  read.text("zone", [&](const std::string& value) -> std::optional<std::string> {
    if (!is_name(value)) return "is no name of 1 to 64 letters, digits, '-', '_' or '.'";
    options.zone = value;
    return std::nullopt;
  });
  read.choice<bool>("rejoin", options.rejoin, {{"true", true}, {"false", false}});
  std::vector<std::pair<std::string, std::string>> levels;
  for (const auto* level : {"trace", "debug", "info", "warn", "error", "off"}) levels.emplace_back(level, level);
  read.choice<std::string>("log-level", options.log_level, levels);
  read.choice<config::log_format>("log-format", options.log_format, {{"text", config::log_format::text}, {"json", config::log_format::json}});
  if (read.failure()) return *read.failure();
  if (auto failure = check_together(options)) return std::move(*failure);
  return options;
}

}  // namespace

std::string endpoint::text() const {
  return (host.find(':') != std::string::npos ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

result<endpoint> parse_endpoint(std::string_view text) {
  const auto no_endpoint = wrong("'" + std::string(text) + "', which is no HOST:PORT with a port from 1 to 65535");
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return no_endpoint;
  auto host = text.substr(0, colon);
  const auto port = parse_number(text.substr(colon + 1));
  if (!port || *port == 0 || *port > 65535) return no_endpoint;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find_first_of(":[]") != std::string_view::npos)
    return no_endpoint;
  if (host.empty() || host.find_first_of(" \t=,/") != std::string_view::npos) return no_endpoint;
  return endpoint{std::string(host), static_cast<std::uint16_t>(*port)};
}

result<std::variant<information, node_options>> load_node_options(int argc, const char* const* argv, const char* const* environment) {
  using outcome = std::variant<information, node_options>;
  auto merged = read_command_line(argc, argv);
  if (!merged) return merged.error();
  if (merged->contains("help")) {
    std::ostringstream text;
    text << "One node of a Kahuna cluster. Every option can also stand in the environment (KAHUNA_DATA_DIR) and in a file (--config).\n\n"
         << describe_options();
    return outcome(information{text.str()});
  }
  if (merged->contains("version")) return outcome(information{std::string("kahuna-node ") + version + '\n'});
  // What is there already wins over what comes later.
  merged->merge(read_environment(environment));
  if (const auto file = merged->find("config"); file != merged->end()) {
    auto from_file = read_file(file->second.value);
    if (!from_file) return from_file.error();
    merged->merge(std::move(*from_file));
  }
  auto options = parse(*merged);
  if (!options) return options.error();
  return outcome(std::move(*options));
}

}  // namespace kahuna::config
