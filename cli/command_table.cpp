#include "cli/command_table.hpp"

#include <algorithm>
#include <array>

namespace kahuna::cli {

namespace {

using group = command_group;

const std::vector<command_option>& page_options() {
  static const std::vector<command_option> options{{"limit", "N", "at most N keys; a list that has more says so"},
                                                   {"after", "KEY", "only keys behind this one"}};
  return options;
}

std::vector<command_option> bucket_options(const command_option& as_of) {
  auto options = page_options();
  options.push_back(as_of);
  return options;
}

std::vector<command_row> make_table() {
  const command_option as_of{"as of", "TIMESTAMP", "what was so then: a commit timestamp, Unix ms, or now", {}, {"now"}};
  const command_option version_as_of{
      "as of", "TIMESTAMP", "the version that was current then: a commit timestamp, Unix ms, or now", {"at"}, {"now"}};
  return {
      {"set",
       group::keys,
       {"KEY", "VALUE"},
       {{"nx", "", "only if the key is absent", {"xx"}},
        {"xx", "", "only if the key is present", {"nx"}},
        {"cmp", "VALUE", "only if the value is VALUE"},
        {"cmprev", "REVISION", "only if the revision is REVISION; -1 = absent"},
        {"ex", "MS", "the key expires MS milliseconds from now; without it, never"}},
       "set a key; all conditions given must hold",
       "set `my-config` \"my-value\" nx ex 10000",
       true},
      {"get",
       group::keys,
       {"KEY"},
       {{"at", "REVISION", "this revision, from the history", {"as of"}}, version_as_of},
       "print the value of a key",
       "get `my-config` at 0",
       true},
      {"exists", group::keys, {"KEY"}, {as_of}, "tell whether a key is there", "exists `my-config`", true},
      {"delete", group::keys, {"KEY"}, {}, "delete a key; its history is kept", "delete `my-config`", true},
      {"extend",
       group::keys,
       {"KEY", "MS"},
       {},
       "let a key expire MS milliseconds from now; 0 = never",
       "extend `my-config` 30000",
       true},
      {"get by bucket",
       group::lists,
       {"BUCKET"},
       bucket_options(as_of),
       "list the keys of a bucket, as one consistent read",
       "get by bucket services/auth limit 100",
       true},
      {"get by prefix", group::lists, {"BUCKET"}, bucket_options(as_of), "the same", "get by prefix services/auth", true},
      {"scan by prefix",
       group::lists,
       {"PREFIX"},
       page_options(),
       "list the keys that start with PREFIX, consistent within a partition only",
       "scan by prefix services/",
       true},
      {"begin",
       group::transactions,
       {},
       {{"locking=", "optimistic|pessimistic", "how conflicts are met (pessimistic)", {}, {"optimistic", "pessimistic"}},
        {"timeout=", "MS", "its deadline (5000)"},
        {"as of", "TIMESTAMP", "read only, as the keys were then: a commit timestamp, Unix ms, or now", {}, {"now"}}},
       "begin a transaction",
       "begin locking=optimistic"},
      {"commit", group::transactions, {}, {}, "commit the transaction"},
      {"rollback", group::transactions, {}, {}, "give the transaction up"},
      {"cluster", group::operators, {}, {}, "members and partitions: who is alive, who leads, how far replicas lag"},
      {"cluster transfer-leader", group::operators, {"N", "NODE"}, {}, "have a node lead a partition of which it has a replica", "cluster transfer-leader 3 n2"},
      {"cluster add", group::operators, {"NODE=HOST:PORT"}, {}, "let a node join, which is then started with --join", "cluster add n4=10.0.0.4:4870"},
      {"cluster remove", group::operators, {"NODE"}, {}, "move what a node holds to the others, and let it go", "cluster remove n2"},
      {"cluster replace",
       group::operators,
       {"NODE", "NODE=HOST:PORT"},
       {},
       "let a node join in the place of another, which goes once it is there",
       "cluster replace n2 n4=10.0.0.4:4870"},
      {"status", group::operators, {}, {}, "in a few lines: does the cluster serve?"},
      {"describe partition", group::operators, {"N"}, {}, "where every replica of a partition stands", "describe partition 3"},
      {"help", group::shell, {}, {}, "this list; help COMMAND tells all about one", "help set"},
      {"clear", group::shell, {}, {}, "clear the screen"},
      {"exit", group::shell, {}, {}, "end the shell, as Ctrl-D does"},
      {"quit", group::shell, {}, {}, "the same"},
  };
}

constexpr std::array<std::pair<group, std::string_view>, 5> group_titles{{{group::keys, "Keys"},
                                                                          {group::lists, "Lists"},
                                                                          {group::transactions, "Transactions"},
                                                                          {group::operators, "Operators"},
                                                                          {group::shell, "Shell"}}};

constexpr std::size_t indent = 2;

// `left` and `right` in columns; where `left` is too long, `right` goes to the next line.
std::string columns(std::string_view left, std::string_view right, std::size_t width) {
  std::string line(indent, ' ');
  line += left;
  if (left.size() > width)
    line += '\n' + std::string(indent + width + 2, ' ');
  else
    line += std::string(width - left.size() + 2, ' ');
  return line + std::string(right) + '\n';
}

std::string option_text(const command_option& option) {
  std::string text(option.words);
  if (!option.argument.empty()) text += (option.words.ends_with('=') ? "" : " ") + std::string(option.argument);
  return text;
}

std::string help_of(const command_row& row) {
  std::string text = row.usage() + "\n" + std::string(indent, ' ') + std::string(row.summary) + "\n";
  std::size_t width = 0;
  for (const auto& option : row.options) width = std::max(width, option_text(option).size());
  for (const auto& option : row.options) text += std::string(indent, ' ') + columns(option_text(option), option.summary, width);
  if (row.has_ephemeral_twin) text += "  e" + row.name + " does the same with ephemeral keys.\n";
  if (!row.example.empty()) text += "  Example: " + std::string(row.example) + "\n";
  return text;
}

std::string normalized(std::string_view topic) {
  std::string words;
  for (const char c : topic) {
    if (c == ' ' || c == '\t') {
      if (!words.empty() && words.back() != ' ') words += ' ';
    } else {
      words += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  if (words.ends_with(' ')) words.pop_back();
  return words;
}

}  // namespace

std::string command_row::usage() const {
  std::string text = name;
  for (const auto argument : arguments) text += " " + std::string(argument);
  for (const auto& option : options) text += " [" + option_text(option) + "]";
  return text;
}

const std::vector<command_row>& command_table() {
  static const auto table = make_table();
  return table;
}

const std::vector<command_row>& all_commands() {
  static const auto all = [] {
    auto rows = command_table();
    for (const auto& row : command_table()) {
      if (!row.has_ephemeral_twin) continue;
      rows.push_back(row);
      rows.back().name.insert(0, 1, 'e');
    }
    return rows;
  }();
  return all;
}

std::string help_overview() {
  constexpr std::size_t width = 24;
  std::string text;
  for (const auto& [which, title] : group_titles) {
    text += std::string(title) + "\n";
    for (const auto& row : command_table()) {
      if (row.group != which) continue;
      std::string form = row.name;
      for (const auto argument : row.arguments) form += " " + std::string(argument);
      text += columns(form + (row.options.empty() ? "" : " …"), row.summary, row.options.empty() ? width : width + 2);
    }
  }
  return text +
         "Commands of keys and lists have ephemeral twins: eset, eget, eexists, edelete, eextend, eget by …, escan by prefix.\n"
         "A key is a bare word or quoted in `…`, \"…\" or '…'; a value is quoted, a number, true or false; # starts a "
         "comment.\n"
         "In quotes there are \\n \\t \\r \\\\ \\xHH. Keywords may be written in any case.\n";
}

std::string help_on(std::string_view topic) {
  const auto wanted = normalized(topic);
  std::string text;
  if (wanted.empty()) return text;
  const auto matches = [&](const std::string& name) { return name == wanted || name.starts_with(wanted + " "); };
  for (const auto& row : command_table())
    if (matches(row.name) || (row.has_ephemeral_twin && matches("e" + row.name)))
      text += (text.empty() ? "" : "\n") + help_of(row);
  return text;
}

}  // namespace kahuna::cli
