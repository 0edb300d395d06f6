#include "cli/options.hpp"

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <charconv>
#include <cstdint>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

#include "cli/command_table.hpp"

namespace kahuna::cli {

namespace {

namespace po = boost::program_options;

// Leaves parse_options() as a usage_error; nothing else throws or catches it.
struct usage_failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

po::options_description describe_general() {
  po::options_description general("Options");
  auto add = general.add_options();
  add("connect,c", po::value<std::string>()->value_name("HOST:PORT[,...]"), "nodes to ask, tried in turn (127.0.0.1:4870)");
  add("format", po::value<std::string>()->value_name("console|json"), "how answers look (console)");
  add("timeout", po::value<std::string>()->value_name("MS"), "deadline of each command, 1 to 60000 (5000)");
  add("execute,e", po::value<std::vector<std::string>>()->value_name("COMMAND"), "run this command; may be repeated");
  add("help,h", "print this");
  add("version", "print the version");
  return general;
}

po::options_description describe_one_shot() {
  po::options_description one_shot("One operation, instead of commands");
  auto add = one_shot.add_options();
  const auto text = [](const char* name) { return po::value<std::string>()->value_name(name); };
  add("set", text("KEY"), "set KEY to the value of --value");
  add("get", text("KEY"), "print the value of KEY");
  add("exists", text("KEY"), "tell whether KEY is there");
  add("delete", text("KEY"), "delete KEY");
  add("extend", text("KEY"), "give KEY the new expiry of --expires");
  add("get-by-bucket", text("BUCKET"), "list the keys of BUCKET");
  add("get-by-prefix", text("BUCKET"), "the same");
  add("scan-by-prefix", text("PREFIX"), "list the keys that start with PREFIX");
  add("cluster", "show members, leaders and lag");
  add("status", "tell whether the cluster serves");
  add("describe-partition", text("N"), "show where every replica of partition N stands");
  add("value", text("VALUE"), "with --set; - reads standard input");
  add("expires", text("MS"), "with --set and --extend; 0 = never");
  add("nx", "with --set: only if the key is absent");
  add("xx", "with --set: only if the key is present");
  add("cmp", text("VALUE"), "with --set: only if the value is VALUE");
  add("cmprev", text("REVISION"), "with --set: only if the revision is REVISION; -1 = absent");
  add("at", text("REVISION"), "with --get: this revision, from the history");
  add("ephemeral", "on ephemeral keys");
  return one_shot;
}

// Takes one option and its value off the front. Ours instead of Boost's, which would take neither `--value=` nor a
// value that looks like an option, and would guess at names that are cut short.
std::vector<po::option> take_option(const po::options_description& known, std::vector<std::string>& tokens) {
  const std::string token = tokens.front();
  // Whatever follows is the command.
  if (token == "cluster" || token == "status" || token == "describe") {
    po::option command("execute", {});
    command.original_tokens = tokens;
    std::string line;
    for (const auto& word : tokens) line += (line.empty() ? "" : " ") + word;
    command.value.push_back(std::move(line));
    tokens.clear();
    return {command};
  }
  if (token.size() < 2 || token[0] != '-') throw usage_failure("unexpected argument " + escape_text(token));
  std::string name = token;
  std::optional<std::string> value;
  if (token.starts_with("--")) {
    const auto equals = std::min(token.find('='), token.size());
    name = token.substr(2, equals - 2);
    if (equals < token.size()) value = token.substr(equals + 1);
  } else if (token.size() > 2) {
    name = token.substr(0, 2);
    value = token.substr(2);
  }
  // A long name that starts with a dash would find a short one ("---c").
  const bool is_name = !name.empty() && (!token.starts_with("--") || name[0] != '-');
  const auto* description = is_name ? known.find_nothrow(name, false) : nullptr;
  if (!description) throw usage_failure("unknown option " + escape_text(token));
  const auto shown_name = "--" + description->long_name();
  tokens.erase(tokens.begin());

  po::option found(description->long_name(), {});
  found.original_tokens.push_back(token);
  if (description->semantic()->max_tokens() == 0) {
    if (value) throw usage_failure(shown_name + " takes no value");
    return {found};
  }
  if (!value) {
    if (tokens.empty()) throw usage_failure(shown_name + " needs a value");
    value = std::move(tokens.front());
    tokens.erase(tokens.begin());
  }
  found.value.push_back(std::move(*value));
  return {found};
}

struct one_shot_option {
  std::string_view name;
  std::string_view command;  // of the language, for persistent keys
  std::vector<std::string_view> details;  // the options that may stand with it
};

const std::array<one_shot_option, 11>& one_shot_options() {
  static const std::array<one_shot_option, 11> table{{
      {"set", "set", {"value", "expires", "nx", "xx", "cmp", "cmprev", "ephemeral"}},
      {"get", "get", {"at", "ephemeral"}},
      {"exists", "exists", {"ephemeral"}},
      {"delete", "delete", {"ephemeral"}},
      {"extend", "extend", {"expires", "ephemeral"}},
      {"get-by-bucket", "get by bucket", {"ephemeral"}},
      {"get-by-prefix", "get by prefix", {"ephemeral"}},
      {"scan-by-prefix", "scan by prefix", {"ephemeral"}},
      {"cluster", "cluster", {}},
      {"status", "status", {}},
      {"describe-partition", "describe partition", {}},
  }};
  return table;
}

constexpr std::array<std::string_view, 8> detail_names{"value", "expires", "nx", "xx", "cmp", "cmprev", "at", "ephemeral"};

class reader {
 public:
  explicit reader(const po::variables_map& given) : given_(given) {}

  options read() const {
    options chosen;
    if (has("connect")) chosen.endpoints = read_endpoints();
    if (has("format")) chosen.format = read_format();
    if (has("timeout")) {
      const auto timeout_ms = number("timeout");
      if (timeout_ms < 1 || timeout_ms > 60'000) throw usage_failure("--timeout must be 1 to 60000");
      chosen.timeout = std::chrono::milliseconds(timeout_ms);
    }
    if (has("execute")) chosen.commands = given_["execute"].as<std::vector<std::string>>();
    read_one_shot(chosen);
    return chosen;
  }

 private:
  bool has(std::string_view name) const { return given_.count(std::string(name)) > 0; }
  const std::string& text(std::string_view name) const { return given_[std::string(name)].as<std::string>(); }

  std::int64_t number(std::string_view name) const {
    const auto& digits = text(name);
    const auto* end = digits.data() + digits.size();
    std::int64_t value = 0;
    const auto [stop, code] = std::from_chars(digits.data(), end, value);
    if (code != std::errc{} || stop != end)
      throw usage_failure("--" + std::string(name) + " must be a whole number of 64 bits, not " +
                          (digits.empty() ? "nothing" : escape_text(digits)));
    return value;
  }

  std::vector<std::string> read_endpoints() const {
    std::vector<std::string> endpoints;
    std::string_view rest = text("connect");
    for (;;) {
      const auto comma = std::min(rest.find(','), rest.size());
      if (comma == 0) throw usage_failure("--connect needs HOST:PORT, or several with commas between them");
      endpoints.emplace_back(rest.substr(0, comma));
      if (comma == rest.size()) return endpoints;
      rest.remove_prefix(comma + 1);
    }
  }

  output_format read_format() const {
    if (text("format") == "console") return output_format::console;
    if (text("format") == "json") return output_format::json;
    throw usage_failure("--format must be console or json, not " + escape_text(text("format")));
  }

  void read_one_shot(options& chosen) const {
    const one_shot_option* found = nullptr;
    for (const auto& candidate : one_shot_options()) {
      if (!has(candidate.name)) continue;
      if (found) throw usage_failure("--" + std::string(found->name) + " and --" + std::string(candidate.name) + " exclude each other");
      found = &candidate;
    }
    if (found && has("execute")) throw usage_failure("--" + std::string(found->name) + " and -e exclude each other");
    for (const auto detail : detail_names) {
      if (!has(detail)) continue;
      if (!found) throw usage_failure("--" + std::string(detail) + " needs an operation that it belongs to, such as --set");
      if (std::find(found->details.begin(), found->details.end(), detail) == found->details.end())
        throw usage_failure("--" + std::string(detail) + " does not go with --" + std::string(found->name));
    }
    if (!found) return;

    if (found->name == "cluster") {
      chosen.one_shot = operator_command{"cluster", inspection::cluster};
      return;
    }
    if (found->name == "status") {
      chosen.one_shot = operator_command{"status", inspection::status};
      return;
    }
    if (found->name == "describe-partition") {
      const auto partition = number("describe-partition");
      if (partition < 0 || partition > std::numeric_limits<std::uint32_t>::max())
        throw usage_failure("--describe-partition must be the number of a partition");
      chosen.one_shot = operator_command{"describe partition", inspection::partition, static_cast<std::uint32_t>(partition)};
      return;
    }

    const bool is_ephemeral = has("ephemeral");
    kv::statement statement{.op_name = (is_ephemeral ? "e" : "") + std::string(found->command), .key = text(found->name), .what = {}};
    const auto space = is_ephemeral ? kv::durability::ephemeral : kv::durability::persistent;
    if (found->name == "set") {
      if (!has("value")) throw usage_failure("--set needs --value");
      statement.what = read_set(space);
      chosen.is_value_from_input = text("value") == "-";
    } else if (found->name == "get") {
      kv::get_request request{.key = text("get"), .space = space};
      if (has("at")) request.at_revision = number("at");
      statement.what = std::move(request);
    } else if (found->name == "exists") {
      statement.what = kv::exists_request{.key = text("exists"), .space = space};
    } else if (found->name == "delete") {
      statement.what = kv::delete_request{.key = text("delete"), .space = space};
    } else if (found->name == "extend") {
      if (!has("expires")) throw usage_failure("--extend needs --expires");
      statement.what = kv::extend_request{.key = text("extend"), .space = space, .expires_ms = number("expires")};
    } else {
      statement.key.reset();
      statement.what =
          kv::list_command{.is_scan = found->name == "scan-by-prefix", .prefix_or_bucket = text(found->name), .space = space};
    }
    chosen.one_shot = std::move(statement);
  }

  kv::set_request read_set(kv::durability space) const {
    kv::set_request request{.key = text("set"), .space = space, .if_absent = has("nx"), .if_present = has("xx")};
    if (text("value") != "-") request.value = shared_bytes(text("value"));
    if (has("cmp")) request.if_value = shared_bytes(text("cmp"));
    if (has("cmprev")) request.if_revision = number("cmprev");
    if (has("expires")) request.expires_ms = number("expires");
    return request;
  }

  const po::variables_map& given_;
};

}  // namespace

parsed_options parse_options(const std::vector<std::string>& arguments) {
  try {
    po::options_description known;
    known.add(describe_general()).add(describe_one_shot());
    po::variables_map given;
    po::store(po::command_line_parser(arguments)
                  .options(known)
                  .extra_style_parser([&known](std::vector<std::string>& tokens) { return take_option(known, tokens); })
                  .run(),
              given);
    if (given.count("help")) return help_request{};
    if (given.count("version")) return version_request{};
    return reader(given).read();
  } catch (const usage_failure& e) {
    return usage_error{e.what()};
  } catch (const po::multiple_occurrences& e) {
    return usage_error{e.get_option_name() + " is given twice"};
  } catch (const po::error& e) {
    return usage_error{e.what()};
  }
}

std::string help_text() {
  std::ostringstream text;
  text << "Usage: kahuna-cli [options]                  reads commands from standard input\n"
          "       kahuna-cli [options] -e COMMAND...    runs these commands\n"
          "       kahuna-cli [options] cluster...       runs this command of an operator\n"
          "       kahuna-cli [options] --set KEY --value VALUE, --get KEY, ...\n\n"
       << describe_general() << '\n'
       << describe_one_shot()
       << "\nCommands:\n"
       << help_overview() << "\nExit status: 0 all answered, 1 a command had an error, 2 wrong usage, 3 no node could be reached.\n";
  return text.str();
}

}  // namespace kahuna::cli
