// Every command of the shell, in one table: what help prints and what completion offers are both read from it.
//
// The grammar itself is core/kv/command_language.hpp; a test holds that each command of this table is one of it or of the
// shell's own (shell_language.hpp).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kahuna::cli {

struct command_option {
  std::string_view words;     // "as of", or "locking=" where the argument follows without a blank
  std::string_view argument;  // "REVISION"; empty where it takes none
  std::string_view summary;
  std::vector<std::string_view> excludes{};        // the words of options that contradict it
  std::vector<std::string_view> argument_words{};  // what may stand for the argument as a keyword
};

enum class command_group { keys, lists, transactions, operators, shell };

struct command_row {
  std::string name;  // without arguments, in lower case: "get by bucket"
  command_group group = command_group::keys;
  std::vector<std::string_view> arguments;  // that must be given, in their order
  std::vector<command_option> options;      // in any order
  std::string_view summary;
  std::string_view example{};
  bool has_ephemeral_twin = false;  // under the same name with an e before it

  // The whole form: "set KEY VALUE [nx] …".
  std::string usage() const;
};

const std::vector<command_row>& command_table();

// The table with the ephemeral twins as rows of their own, for whoever matches names.
const std::vector<command_row>& all_commands();

// A line for each command, by groups.
std::string help_overview();

// Everything about the commands whose name is `topic` or begins with it, in any case; empty where there is none.
std::string help_on(std::string_view topic);

}  // namespace kahuna::cli
