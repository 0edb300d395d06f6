// The command language of the shell: one line of text becomes one statement, or an error that points at a column.
//
//   line    = [ command ] [ "#" anything ]
//   command = ( "set" | "eset" ) key value { "nx" | "xx" | "cmp" value | "cmprev" number | "ex" number }
//           | ( "get" | "eget" ) key [ "at" number | "as" "of" ( number | "now" ) ]
//           | ( "exists" | "eexists" ) key [ "as" "of" ( number | "now" ) ]
//           | ( "delete" | "edelete" ) key
//           | ( "extend" | "eextend" ) key number
//           | ( "get" | "eget" ) "by" ( "bucket" | "prefix" ) key { page }
//           | ( "scan" | "escan" ) "by" "prefix" key { page }
//           | "begin" { "locking" "=" ( "optimistic" | "pessimistic" ) | "timeout" "=" number
//                     | "as" "of" ( number | "now" ) }
//           | "commit" | "rollback"
//   page    = "limit" number | "after" key | "as" "of" ( number | "now" )        no "as of" in a scan
//   key     = quoted | bare
//   value   = quoted | decimal | "true" | "false"        a decimal, true and false are kept as typed
//   quoted  = text in "…", '…' or `…`, with the escapes \n \t \r \\ \xHH and the enclosing quote after a backslash
//   bare    = one or more of A-Z a-z 0-9 _ . / : @ -
//   number  = [ "-" ] digits, of 64 bits
//   decimal = [ "-" ] digits [ "." digits ] [ "e" [ "-" ] digits ]
//
// 1. Keywords are known in any case and only where the grammar asks for one, so most of them may name a key as they are.
//    The exception is `by` after get, where it starts a list: a key of that name must be quoted.
// 2. Options come in any order, each at most once.
// 3. Tokens are separated by blanks or tabs; one carriage return at the end of the line is dropped.
// 4. What a request means is not judged here (nx with xx, a NUL byte in a key, ranges of an expiry): validate() does that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "core/base/errc.hpp"
#include "core/kv/operation.hpp"

namespace kahuna::kv {

// A list as users ask for it: joined from pages, so it is no operation itself.
struct list_command {
  bool is_scan = false;
  std::string prefix_or_bucket{};
  durability space = durability::persistent;
  std::uint32_t limit = 0;  // 0 = all; never written so
  std::string after{};      // only keys greater than this; empty = from the start
  timestamp as_of{};        // 0 = now

  friend bool operator==(const list_command&, const list_command&) = default;
};

struct begin_command {
  locking_mode locking = locking_mode::pessimistic;
  std::uint32_t timeout_ms = transaction_timeout_ms_default;
  timestamp as_of{};           // not 0: as the keys were then
  bool is_as_of_now = false;

  friend bool operator==(const begin_command&, const begin_command&) = default;
};

using command = std::variant<set_request, get_request, exists_request, delete_request, extend_request, list_command, begin_command,
                             commit_step, rollback_step>;

struct statement {
  std::string op_name;             // the command without its arguments, in lower case: "eset", "get by prefix"
  std::optional<std::string> key;  // none for lists, begin, commit and rollback
  command what;

  friend bool operator==(const statement&, const statement&) = default;
};

struct syntax_error {
  std::size_t column = 1;  // in bytes from 1; one past the last byte where something is missing at the end
  std::string message;

  friend bool operator==(const syntax_error&, const syntax_error&) = default;
};

// Nothing (a blank or comment line), a statement, or why it is none.
using parsed_line = std::variant<std::monostate, statement, syntax_error>;

// `line` is one line without its newline.
parsed_line parse_line(std::string_view line);

// `invalid_argument` with the place in front: "line 3, column 9: expected a value, found end of line".
error to_error(const syntax_error& e, std::size_t line_number);

}  // namespace kahuna::kv
