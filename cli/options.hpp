// The command line of kahuna-cli (contract §5), read and checked without doing anything yet.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cli/output.hpp"
#include "cli/shell_language.hpp"

namespace kahuna::cli {

struct options {
  std::vector<std::string> endpoints{"127.0.0.1:4870"};
  output_format format = output_format::console;
  std::chrono::milliseconds timeout{5000};
  std::vector<std::string> commands{};        // of -e, in their order; empty where there is a one-shot
  std::optional<request> one_shot{};          // named as its command is: --set with --ephemeral is "eset"
  bool is_value_from_input = false;           // the one-shot set's value is still to be read from standard input
};

struct help_request {};
struct version_request {};

struct usage_error {
  std::string message;  // one line
};

using parsed_options = std::variant<options, help_request, version_request, usage_error>;

// `arguments` without the program's name. What is a number of 64 bits but of no sense for the operation passes: that is
// answered like the same mistake in a command.
parsed_options parse_options(const std::vector<std::string>& arguments);

std::string help_text();

}  // namespace kahuna::cli
