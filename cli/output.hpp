// How answers look: pure functions from an answer to text. The forms are the contract's (§5).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "client/cluster_overview.hpp"
#include "client/key_list.hpp"
#include "core/base/errc.hpp"
#include "core/kv/operation.hpp"

namespace kahuna::cli {

enum class output_format : std::uint8_t { console, json };

// Whether a list ends with a line of its count; console only.
enum class list_footer : std::uint8_t { shown, hidden };

struct output_style {
  output_format format = output_format::console;
  list_footer footer = list_footer::shown;
  // A person reads it: lists stand in columns. JSON is touched neither by this nor by colours.
  bool is_for_terminal = false;
  bool is_coloured = false;
  bool are_errors_coloured = false;  // they may go elsewhere
};

// What an operator's command came to.
struct cluster_answer {
  client::cluster_overview overview;
};
struct status_answer {
  client::cluster_overview overview;
};
struct partition_answer {
  client::partition_overview partition;
};

struct begun_answer {
  std::string transaction;  // its name
};
struct transfer_answer {
  std::uint32_t partition = 0;
  std::string leader;
};

// What became of a change of members.
struct change_answer {
  enum class state : std::uint8_t { done, waits_for_node };
  state what = state::done;
  bool is_removal = false;
  std::string node;              // that was added, removed or replaced
  std::string by{};              // what it was replaced by, where it was
  std::string start_command{};   // of waits_for_node: what to start there
};

// Text that the shell knows by itself.
struct help_answer {
  std::string text;  // lines
};

// Whoever asked did not wait for the answer.
struct abandoned {
  bool is_write = false;  // which may be applied all the same
};

using outcome = std::variant<error, kv::set_response, kv::get_response, kv::exists_response, kv::delete_response,
                             kv::extend_response, client::key_list, begun_answer, kv::commit_response, kv::rollback_response,
                             cluster_answer, status_answer, partition_answer, transfer_answer, change_answer, help_answer, abandoned>;

struct answer {
  std::string op_name;             // as in kv::statement; empty where the line was no statement
  std::optional<std::string> key;  // as in kv::statement
  outcome what;
  std::chrono::microseconds elapsed{0};

  bool is_error() const { return std::holds_alternative<error>(what); }
  // Answered, whatever the answer.
  bool is_answered() const { return !is_error() && !std::holds_alternative<abandoned>(what); }
};

// The answer's lines, each ended by a newline. JSON is always one line, and valid UTF-8 whatever bytes are in the answer.
std::string format_answer(const answer& a, const output_style& style);

// Points at a byte of a line: an excerpt of the line, and a line with a caret below it. `column` is from 1, and may be one
// past the end. Control characters are shown as escapes.
std::string format_caret(std::string_view line, std::size_t column);

// "1.9ms", "11ms": one decimal under 10 ms.
std::string format_elapsed(std::chrono::microseconds elapsed);

// Text that cannot move a terminal's cursor or break a line: control characters and whatever is not UTF-8 become the
// escapes of the command language (\n \t \r \xHH), and a backslash becomes two.
std::string escape_text(std::string_view bytes);

// Well-formed by Unicode's table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view bytes);

// RFC 4648 §4, padded.
std::string to_base64(std::string_view bytes);

}  // namespace kahuna::cli
