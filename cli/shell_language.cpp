#include "cli/shell_language.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/command_table.hpp"
#include "cli/output.hpp"

namespace kahuna::cli {

namespace {

std::string to_lower(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lowered;
}

struct word {
  std::string text;  // in lower case
  std::size_t column;
  std::string written;  // as it stands there
};

struct split_line {
  std::vector<word> words;
  std::size_t end_column;  // where something missing would stand
};

split_line split(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  split_line found;
  std::size_t at = 0;
  for (;;) {
    while (at < line.size() && (line[at] == ' ' || line[at] == '\t')) ++at;
    if (at == line.size() || line[at] == '#') break;
    const auto first = at;
    at = std::min(line.find_first_of(" \t#", at), line.size());
    const auto written = line.substr(first, at - first);
    found.words.push_back({to_lower(written), first + 1, std::string(written)});
  }
  found.end_column = at + 1;
  return found;
}

// Looked at alone: lines with values may be long.
std::string_view first_word(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  return line.substr(0, line.find_first_of(" \t#\r"));
}

bool is_own_word(std::string_view text) {
  static constexpr std::array<std::string_view, 7> own{"cluster", "status", "describe", "help", "clear", "exit", "quit"};
  const auto lowered = to_lower(text.substr(0, 16));
  return text.size() < 16 && std::find(own.begin(), own.end(), lowered) != own.end();
}

std::string shown(const std::string& text) {
  constexpr std::size_t shown_bytes_max = 40;
  return text.size() <= shown_bytes_max ? escape_text(text)
                                        : escape_text(std::string_view(text).substr(0, shown_bytes_max)) + "…";
}

class parser {
 public:
  explicit parser(split_line line) : words_(std::move(line.words)), end_column_(line.end_column) {}

  // Requires that the line begins with a word of the shell's.
  parsed_input run() {
    const auto& command = words_[0].text;
    if (command == "cluster" && words_.size() > 1 && words_[1].text == "transfer-leader") return transfer_leader();
    if (command == "cluster" && words_.size() > 1) {
      if (words_[1].text == "add") return add();
      if (words_[1].text == "remove") return remove();
      if (words_[1].text == "replace") return replace();
    }
    if (command == "cluster") return alone(request(operator_command{command, inspection::cluster}));
    if (command == "status") return alone(request(operator_command{command, inspection::status}));
    if (command == "describe") return describe();
    if (command == "help") return help();
    return alone(shell_command{command == "clear" ? shell_action::clear : shell_action::exit});
  }

 private:
  parsed_input expected(std::size_t place, std::string_view what) const {
    if (place < words_.size())
      return kv::syntax_error{words_[place].column, "expected " + std::string(what) + ", found " + shown(words_[place].text)};
    return kv::syntax_error{end_column_, "expected " + std::string(what) + ", found end of line"};
  }

  parsed_input alone(parsed_input parsed, std::size_t length = 1) const {
    return words_.size() > length ? expected(length, "end of line") : std::move(parsed);
  }

  // The third word; nothing where it is one.
  std::optional<parsed_input> read_partition(operator_command& command) const {
    if (words_.size() < 3) return expected(2, "the number of a partition");
    const auto& digits = words_[2].text;
    const auto [stop, code] = std::from_chars(digits.data(), digits.data() + digits.size(), command.partition);
    if (stop != digits.data() + digits.size() || code == std::errc::invalid_argument)
      return expected(2, "the number of a partition");
    if (code != std::errc{}) return kv::syntax_error{words_[2].column, "number " + shown(digits) + " is out of range"};
    return std::nullopt;
  }

  parsed_input describe() const {
    if (words_.size() < 2 || words_[1].text != "partition") return expected(1, "partition");
    operator_command command{"describe partition", inspection::partition};
    if (auto wrong = read_partition(command)) return *wrong;
    return alone(request(std::move(command)), 3);
  }

  parsed_input transfer_leader() const {
    operator_command command{"cluster transfer-leader", inspection::transfer_leader};
    if (auto wrong = read_partition(command)) return *wrong;
    if (words_.size() < 4) return expected(3, "the name of a node");
    command.node = words_[3].written;
    return alone(request(std::move(command)), 4);
  }

  // NODE=HOST:PORT at that place; nothing where it is one. What is wrong with the address the cluster or the connection would say too
  // late.
  std::optional<parsed_input> read_member(std::size_t place, std::string& node, std::string& address) const {
    constexpr std::string_view form = "NODE=HOST:PORT";
    if (words_.size() <= place) return expected(place, form);
    const auto& word = words_[place].written;
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0) return expected(place, form);
    node = word.substr(0, equals);
    address = word.substr(equals + 1);
    const auto colon = address.rfind(':');
    unsigned port = 0;
    if (colon == std::string::npos || colon == 0) return expected(place, form);
    const auto* end = address.data() + address.size();
    const auto [stop, code] = std::from_chars(address.data() + colon + 1, end, port);
    if (stop != end || code != std::errc{} || port == 0 || port > 65535)
      return kv::syntax_error{words_[place].column, "expected a port from 1 to 65535 in " + shown(word)};
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    if (node.size() > 64 || node.find_first_not_of(letters) != std::string::npos)
      return kv::syntax_error{words_[place].column, "a node's name is 1 to 64 letters, digits, '-', '_' or '.', not " + shown(node)};
    return std::nullopt;
  }

  parsed_input add() const {
    operator_command command{"cluster add", inspection::add};
    if (auto wrong = read_member(2, command.node, command.address)) return *wrong;
    return alone(request(std::move(command)), 3);
  }

  parsed_input remove() const {
    operator_command command{"cluster remove", inspection::remove};
    if (words_.size() < 3) return expected(2, "the name of a node");
    command.node = words_[2].written;
    return alone(request(std::move(command)), 3);
  }

  parsed_input replace() const {
    operator_command command{"cluster replace", inspection::replace};
    if (words_.size() < 3) return expected(2, "the name of a node");
    command.node = words_[2].written;
    if (auto wrong = read_member(3, command.by, command.address)) return *wrong;
    return alone(request(std::move(command)), 4);
  }

  parsed_input help() const {
    shell_command command{shell_action::help};
    for (std::size_t i = 1; i < words_.size(); ++i) command.topic += (i > 1 ? " " : "") + words_[i].text;
    if (!command.topic.empty() && help_on(command.topic).empty())
      return kv::syntax_error{words_[1].column, "there is no command " + shown(command.topic) + "; help lists all"};
    return command;
  }

  std::vector<word> words_;
  std::size_t end_column_;
};

}  // namespace

parsed_input parse_input(std::string_view line) {
  if (is_own_word(first_word(line))) return parser(split(line)).run();
  auto parsed = kv::parse_line(line);
  if (auto* statement = std::get_if<kv::statement>(&parsed)) return request(std::move(*statement));
  if (auto* wrong = std::get_if<kv::syntax_error>(&parsed)) return std::move(*wrong);
  return std::monostate{};
}

}  // namespace kahuna::cli
