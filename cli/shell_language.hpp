// A line of the shell: a statement of the command language, or one of the few words that only the shell knows.
//
//   line = statement (core/kv/command_language.hpp)
//        | "cluster" | "status" | "describe" "partition" number      asked of the nodes, for operators
//        | "cluster" "transfer-leader" number node
//        | "cluster" "add" node "=" address | "cluster" "remove" node | "cluster" "replace" node node "=" address
//        | "help" { word } | "clear" | "exit" | "quit"               done by the shell itself
//
// Blanks, comments and the case of keywords are as in the command language.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "core/kv/command_language.hpp"

namespace kahuna::cli {

enum class inspection : std::uint8_t { cluster, status, partition, transfer_leader, add, remove, replace };

struct operator_command {
  std::string op_name;  // as in kv::statement
  inspection what = inspection::cluster;
  std::uint32_t partition = 0;  // of inspection::partition and transfer_leader
  std::string node{};           // of transfer_leader, add, remove and replace
  std::string by{};             // of replace
  std::string address{};        // of add and replace: HOST:PORT
};

enum class shell_action : std::uint8_t { help, clear, exit };

struct shell_command {
  shell_action action = shell_action::help;
  std::string topic{};  // of help, in lower case with one blank between words; empty = everything
};

// What is asked of the cluster.
using request = std::variant<kv::statement, operator_command>;

using parsed_input = std::variant<std::monostate, request, shell_command, kv::syntax_error>;

// `line` is one line without its newline.
parsed_input parse_input(std::string_view line);

}  // namespace kahuna::cli
