#include "cli/completion.hpp"

#include <algorithm>
#include <optional>
#include <set>

#include "cli/command_table.hpp"

namespace kahuna::cli {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_quote(char c) { return c == '"' || c == '\'' || c == '`'; }

std::string to_lower(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lowered;
}

struct typed_line {
  std::vector<std::string> words;  // complete ones, in lower case; a quoted one is a single quote character
  std::string partial;             // the one before the cursor, in lower case; may be empty
};

// Coarser than the lexer of the language: what it would refuse matches no command here. None: inside of quotes or a comment.
std::optional<typed_line> split(std::string_view line) {
  typed_line found;
  std::size_t at = 0;
  for (;;) {
    while (at < line.size() && is_blank(line[at])) ++at;
    if (at == line.size()) return found;
    if (line[at] == '#') return std::nullopt;
    if (is_quote(line[at])) {
      const char quote = line[at++];
      while (at < line.size() && line[at] != quote) at += line[at] == '\\' ? 2 : 1;
      if (at >= line.size()) return std::nullopt;
      ++at;
      if (at == line.size()) return std::nullopt;  // nothing follows a closing quote but a blank
      found.words.emplace_back("\"");
      continue;
    }
    const auto first = at;
    while (at < line.size() && !is_blank(line[at]) && !is_quote(line[at]) && line[at] != '#') ++at;
    auto word = to_lower(line.substr(first, at - first));
    if (at == line.size()) {
      found.partial = std::move(word);
      return found;
    }
    found.words.push_back(std::move(word));
  }
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find(' ', at), text.size());
    words.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

using candidates = std::set<std::string>;

// The keywords in `expected` that come after `words`, where those are their beginning.
void offer_next_word(const std::vector<std::string>& expected, const std::vector<std::string>& words, candidates& found) {
  if (words.size() < expected.size() && std::equal(words.begin(), words.end(), expected.begin()))
    found.insert(expected[words.size()]);
}

// Walks over the options that are there; what could come then is offered.
void offer_options(const command_row& row, const std::vector<std::string>& words, std::size_t at, candidates& found) {
  std::set<std::string_view> shut;  // given, or contradicted by what is given
  for (;;) {
    if (at == words.size()) {
      for (const auto& option : row.options) {
        if (shut.contains(option.words)) continue;
        if (!option.words.ends_with('=')) {
          found.insert(words_of(option.words).front());
        } else if (option.argument_words.empty()) {
          found.insert(std::string(option.words));
        } else {
          for (const auto word : option.argument_words) found.insert(std::string(option.words) + std::string(word));
        }
      }
      return;
    }
    const auto option = std::find_if(row.options.begin(), row.options.end(), [&](const command_option& o) {
      return o.words.ends_with('=') ? words[at].starts_with(o.words) : words_of(o.words).front() == words[at];
    });
    if (option == row.options.end() || shut.contains(option->words)) return;
    shut.insert(option->words);
    shut.insert(option->excludes.begin(), option->excludes.end());
    const auto keywords = words_of(option->words);
    if (option->words.ends_with('=')) {
      ++at;
      continue;
    }
    for (const auto& keyword : keywords) {
      if (at == words.size()) {
        found.insert(keyword);
        return;
      }
      if (words[at] != keyword) return;
      ++at;
    }
    if (option->argument.empty()) continue;
    if (at == words.size()) {
      for (const auto word : option->argument_words) found.insert(std::string(word));
      return;
    }
    ++at;
  }
}

void offer_for(const command_row& row, const std::vector<std::string>& words, candidates& found) {
  const auto name = words_of(row.name);
  if (words.size() < name.size()) return offer_next_word(name, words, found);
  if (!std::equal(name.begin(), name.end(), words.begin())) return;
  // `get by` is a list, whatever `get KEY` could make of it.
  const bool is_longer_name =
      words.size() > name.size() && std::any_of(all_commands().begin(), all_commands().end(), [&](const auto& other) {
        return other.name.starts_with(row.name + " " + words[name.size()] + " ");
      });
  if (is_longer_name) return;
  const auto behind_arguments = name.size() + row.arguments.size();
  if (words.size() >= behind_arguments) offer_options(row, words, behind_arguments, found);
}

}  // namespace

std::vector<std::string> completions(std::string_view line) {
  const auto typed = split(line);
  if (!typed) return {};
  candidates found;
  auto words = typed->words;
  for (const auto& row : all_commands()) offer_for(row, words, found);
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    for (const auto& row : all_commands()) offer_next_word(words_of(row.name), words, found);
  }
  std::erase_if(found, [&](const std::string& word) { return !word.starts_with(typed->partial); });
  return {found.begin(), found.end()};
}

}  // namespace kahuna::cli
