// How answers look: pure functions from an answer to text. The forms are the contract's (§5).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

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
};

using outcome = std::variant<error, kv::set_response, kv::get_response, kv::exists_response, kv::delete_response,
                             kv::extend_response, client::key_list>;

struct answer {
  std::string op_name;             // as in kv::statement; empty where the line was no statement
  std::optional<std::string> key;  // as in kv::statement
  outcome what;
  std::chrono::microseconds elapsed{0};

  bool is_error() const { return std::holds_alternative<error>(what); }
};

// The answer's lines, each ended by a newline. JSON is always one line, and valid UTF-8 whatever bytes are in the answer.
std::string format_answer(const answer& a, const output_style& style);

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
