#define CAF_SUITE cli_completion
#include "cli/completion.hpp"

#include "caf/test/unit_test.hpp"
#include "cli/command_table.hpp"
#include "cli/shell_language.hpp"

using namespace kahuna;
using namespace kahuna::cli;

namespace {

std::string offered(std::string_view line) {
  std::string text;
  for (const auto& word : completions(line)) text += (text.empty() ? "" : " ") + word;
  return text;
}

// An argument that the grammar takes where the table names one.
std::string example_of(std::string_view argument) {
  if (argument == "KEY" || argument == "BUCKET" || argument == "PREFIX") return "k";
  if (argument == "VALUE") return "\"v\"";
  if (argument == "NODE=HOST:PORT") return "n4=h:1";
  if (argument == "optimistic|pessimistic") return "optimistic";
  return "1";
}

}  // namespace

CAF_TEST(completion goes by position) {
  const std::vector<std::pair<std::string, std::string>> table{
      {"s", "scan set status"},
      {"SE", "set"},
      {"  cl", "clear cluster"},
      {"set", "set"},
      {"set ", ""},
      {"set k", ""},
      {"set k ", ""},
      {"set k \"v\"", ""},
      {"set k \"v", ""},
      {"set k 1", ""},
      {"set k 1 ", "cmp cmprev ex nx xx"},
      {"set `k` \"a b\\\" # c\" ", "cmp cmprev ex nx xx"},
      {"set k 1 c", "cmp cmprev"},
      {"SET k 1 NX ", "cmp cmprev ex"},
      {"set k 1 xx ", "cmp cmprev ex"},
      {"set k 1 cmp ", ""},
      {"set k 1 cmp 2 ", "cmprev ex nx xx"},
      {"set k 1 nx ex 10 ", "cmp cmprev"},
      {"set k 1 nx nx ", ""},
      {"set k 1 wrong ", ""},
      {"eset k 1 e", "ex"},
      {"get ", "by"},
      {"get b", "by"},
      {"get by ", "bucket prefix"},
      {"get by x ", ""},
      {"get by bucket ", ""},
      {"get by bucket b ", "after as limit"},
      {"eget by prefix b limit 5 ", "after as"},
      {"get k ", "as at"},
      {"get `by` ", "as at"},
      {"get k at 3 ", ""},
      {"get k as ", "of"},
      {"get k as of ", "now"},
      {"get k as of now ", ""},
      {"scan ", "by"},
      {"scan by ", "prefix"},
      {"exists k ", "as"},
      {"delete k # ", ""},
      {"begin ", "as locking=optimistic locking=pessimistic timeout="},
      {"begin locking=p", "locking=pessimistic"},
      {"begin locking=optimistic ", "as timeout="},
      {"describe ", "partition"},
      {"describe partition ", ""},
      {"help s", "scan set status"},
      {"help get ", "by"},
      {"help get by ", "bucket prefix"},
      {"help set ", ""},
      {"nonsense ", ""},
      {"# ", ""},
      {"\"", ""},
  };
  for (const auto& [line, expected] : table) {
    const auto found = offered(line);
    if (found != expected) CAF_ERROR("after [" << line << "]: [" << found << "], not [" << expected << "]");
  }
  CAF_CHECK(completions("").size() > 15);
}

CAF_TEST(everything in the table is understood) {
  for (const auto& row : all_commands()) {
    std::string line = row.name;
    for (const auto argument : row.arguments) line += " " + example_of(argument);
    CAF_MESSAGE(line);
    CAF_CHECK(!std::holds_alternative<kv::syntax_error>(parse_input(line)));
    for (const auto& option : row.options) {
      auto with_option = line + " " + std::string(option.words);
      if (!option.argument.empty()) with_option += (option.words.ends_with('=') ? "" : " ") + example_of(option.argument);
      CAF_MESSAGE(with_option);
      CAF_CHECK(!std::holds_alternative<kv::syntax_error>(parse_input(with_option)));
      // What is offered is an option of this position.
      CAF_CHECK(!completions(line + " " + std::string(option.words.substr(0, 1))).empty());
    }
    if (!row.example.empty()) CAF_CHECK(!std::holds_alternative<kv::syntax_error>(parse_input(row.example)));
  }
}

CAF_TEST(help tells of every command and option) {
  const auto overview = help_overview();
  for (const auto& row : command_table()) {
    CAF_CHECK(overview.find("  " + row.name) != std::string::npos);
    const auto text = help_on(row.name);
    CAF_CHECK(text.find(row.usage()) != std::string::npos);
    for (const auto& option : row.options) CAF_CHECK(text.find(option.summary) != std::string::npos);
  }
  const auto get = help_on("  GET ");
  CAF_CHECK(get.find("get KEY [at REVISION]") != std::string::npos);
  CAF_CHECK(get.find("get by bucket BUCKET") != std::string::npos);
  CAF_CHECK_EQUAL(help_on("eset"), help_on("set"));
  CAF_CHECK_EQUAL(help_on("nonsense"), "");
  CAF_CHECK_EQUAL(help_on(""), "");
}
