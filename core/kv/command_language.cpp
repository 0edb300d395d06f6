#include "core/kv/command_language.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <system_error>
#include <utility>
#include <vector>

namespace kahuna::kv {

namespace {

// Classification by hand: the functions of <cctype> ask the locale.
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }
constexpr bool is_quote(char c) { return c == '"' || c == '\'' || c == '`'; }
constexpr bool is_bare(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '.' || c == '/' || c == ':' || c == '@' || c == '-';
}
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

constexpr int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string to_lower(std::string_view text) {
  std::string lowered(text);
  std::transform(lowered.begin(), lowered.end(), lowered.begin(), lower);
  return lowered;
}

// A byte of the line as a message can show it.
std::string shown(char c) {
  if (c > ' ' && c <= '~') return {c};
  constexpr std::string_view digits = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  return {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
}

// A word of the line as a message can show it: one of megabytes would bury what is said about it.
std::string shown(std::string_view word) {
  constexpr std::size_t shown_bytes_max = 40;
  if (word.size() <= shown_bytes_max) return std::string(word);
  return std::string(word.substr(0, shown_bytes_max)) + "…";
}

enum class token_kind { word, quoted, equals, end, bad };

struct token {
  token_kind kind = token_kind::end;
  std::string text;        // word: as typed; quoted: what it stands for; bad: what is wrong with it
  std::size_t column = 1;  // of its first byte; bad: of the byte that is wrong
};

// Cuts the line into tokens, of which the last is `end` or `bad`. One at a time, when the grammar asks for it: so users
// hear of the leftmost mistake, and a long line of short tokens takes no more memory than a short one.
class lexer {
 public:
  explicit lexer(std::string_view line) : line_(line) {
    if (line_.ends_with('\r')) line_.remove_suffix(1);
  }

  // Requires that the one before was not the last.
  token next() {
    while (!is_at_end() && is_blank(line_[at_])) ++at_;
    if (is_at_end() || line_[at_] == '#') return {token_kind::end, "", at_ + 1};
    const char c = line_[at_];
    if (c == '=') return {token_kind::equals, "", ++at_};
    if (!is_bare(c) && !is_quote(c)) return bad(at_, "unexpected character " + shown(c) + "; a key or value with it must be quoted");
    // `"a"b` and `a"b"` would be two arguments to us and one to whoever typed it.
    if (at_ > 0 && is_quote(line_[at_ - 1])) return bad(at_, "expected a blank after the closing quote");
    if (at_ > 0 && is_bare(line_[at_ - 1])) return bad(at_, "expected a blank before the quote");
    return is_quote(c) ? quoted() : word();
  }

 private:
  bool is_at_end() const { return at_ == line_.size(); }

  static token bad(std::size_t at, std::string message) { return {token_kind::bad, std::move(message), at + 1}; }

  token word() {
    const auto first = at_;
    while (!is_at_end() && is_bare(line_[at_])) ++at_;
    return {token_kind::word, std::string(line_.substr(first, at_ - first)), first + 1};
  }

  token quoted() {
    const auto first = at_;
    const char quote = line_[at_++];
    token found{token_kind::quoted, "", first + 1};
    for (;;) {
      // Bytes that mean themselves are copied in runs: values may be long.
      const auto run = at_;
      while (!is_at_end() && line_[at_] != quote && line_[at_] != '\\') ++at_;
      found.text.append(line_.substr(run, at_ - run));
      if (is_at_end()) return bad(first, std::string("the quote ") + quote + " has no end");
      if (line_[at_] == quote) {
        ++at_;
        return found;
      }
      const auto rest = line_.substr(at_ + 1);
      if (rest.empty()) return bad(first, std::string("the quote ") + quote + " has no end");
      const char c = rest[0];
      std::size_t length = 2;
      if (c == 'n') {
        found.text += '\n';
      } else if (c == 't') {
        found.text += '\t';
      } else if (c == 'r') {
        found.text += '\r';
      } else if (c == '\\' || c == quote) {
        found.text += c;
      } else if (c == 'x') {
        if (rest.size() < 3 || hex_digit(rest[1]) < 0 || hex_digit(rest[2]) < 0)
          return bad(at_, "expected two hexadecimal digits after \\x");
        found.text += static_cast<char>(hex_digit(rest[1]) * 16 + hex_digit(rest[2]));
        length = 4;
      } else {
        return bad(at_, "unknown escape \\" + shown(c) + "; there are \\n, \\t, \\r, \\\\, \\xHH and \\" + quote);
      }
      at_ += length;
    }
  }

  std::string_view line_;
  std::size_t at_ = 0;
};

bool is_decimal(std::string_view text) {
  const auto skip_digits = [&text] {
    const auto length = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(length);
    return length > 0;
  };
  const auto skip = [&text](char c) {
    if (text.empty() || lower(text[0]) != c) return false;
    text.remove_prefix(1);
    return true;
  };
  skip('-');
  if (!skip_digits()) return false;
  if (skip('.') && !skip_digits()) return false;
  if (skip('e')) {
    skip('-');
    if (!skip_digits()) return false;
  }
  return text.empty();
}

enum class verb { set, get, exists, erase, extend, scan, begin, commit, rollback };

struct verb_row {
  std::string_view word;
  verb meaning;
  durability space = durability::persistent;
};

constexpr std::array<verb_row, 15> verbs{{
    {"set", verb::set},
    {"eset", verb::set, durability::ephemeral},
    {"get", verb::get},
    {"eget", verb::get, durability::ephemeral},
    {"exists", verb::exists},
    {"eexists", verb::exists, durability::ephemeral},
    {"delete", verb::erase},
    {"edelete", verb::erase, durability::ephemeral},
    {"extend", verb::extend},
    {"eextend", verb::extend, durability::ephemeral},
    {"scan", verb::scan},
    {"escan", verb::scan, durability::ephemeral},
    {"begin", verb::begin},
    {"commit", verb::commit},
    {"rollback", verb::rollback},
}};

// Recursive descent over the tokens. Each step returns whether it went well; the first that did not left `failure_`.
class parser {
 public:
  explicit parser(std::string_view line) : lexer_(line), here_(lexer_.next()) {}

  parsed_line run() {
    if (here().kind == token_kind::end) return std::monostate{};
    if (parse_command()) return std::move(statement_);
    return std::move(failure_);
  }

 private:
  token& here() { return here_; }
  const token& here() const { return here_; }
  // The last token is never passed: nothing takes an end or a bad token.
  void advance() { here_ = lexer_.next(); }

  bool fail(std::size_t column, std::string message) {
    failure_ = {column, std::move(message)};
    return false;
  }

  bool fail_expecting(std::string_view what, std::string_view hint = {}) {
    const token& found = here();
    if (found.kind == token_kind::bad) return fail(found.column, found.text);
    std::string message = "expected " + std::string(what) + ", found ";
    switch (found.kind) {
      case token_kind::word: message += shown(found.text); break;
      case token_kind::quoted: message += "quoted text"; break;
      case token_kind::equals: message += "="; break;
      default: message += "end of line"; break;
    }
    if (found.kind == token_kind::word) message += hint;
    return fail(found.column, std::move(message));
  }

  bool is_keyword(std::string_view keyword) const {
    return here().kind == token_kind::word && here().text.size() == keyword.size() && to_lower(here().text) == keyword;
  }

  bool skip(std::string_view keyword) {
    if (!is_keyword(keyword)) return false;
    advance();
    return true;
  }

  bool take_name(std::string_view what, std::string& name) {
    if (here().kind != token_kind::word && here().kind != token_kind::quoted) return fail_expecting(what);
    name = std::move(here().text);
    advance();
    return true;
  }

  bool take_key(std::string& key) {
    if (!take_name("a key", key)) return false;
    statement_.key = key;
    return true;
  }

  bool take_value(shared_bytes& value) {
    const bool is_value = here().kind == token_kind::quoted || is_keyword("true") || is_keyword("false") ||
                          (here().kind == token_kind::word && is_decimal(here().text));
    if (!is_value) return fail_expecting("a value", "; text must be quoted");
    value = shared_bytes(std::move(here().text));
    advance();
    return true;
  }

  bool take_number(std::string_view what, std::int64_t& number, std::int64_t low = std::numeric_limits<std::int64_t>::min(),
                   std::int64_t high = std::numeric_limits<std::int64_t>::max()) {
    if (here().kind != token_kind::word) return fail_expecting(what);
    const std::string& text = here().text;
    const auto* end = text.data() + text.size();
    const auto [stop, code] = std::from_chars(text.data(), end, number);
    if (stop != end || code == std::errc::invalid_argument) return fail_expecting(what);
    if (code == std::errc::result_out_of_range || number < low || number > high)
      return fail(here().column, "number " + shown(text) + " is out of range; it must be " + std::to_string(low) + " to " +
                                     std::to_string(high));
    advance();
    return true;
  }

  // Requires that the option's keyword is here; steps over it unless it was given before.
  bool enter_option(std::string_view keyword) {
    if (std::find(given_.begin(), given_.end(), keyword) != given_.end())
      return fail(here().column, std::string(keyword) + " is given twice");
    given_.push_back(keyword);
    advance();
    return true;
  }

  bool parse_command() {
    if (here().kind != token_kind::word) return fail_expecting("a command");
    statement_.op_name = to_lower(here().text);
    const auto* row = std::find_if(verbs.begin(), verbs.end(), [this](const auto& v) { return v.word == statement_.op_name; });
    if (row == verbs.end()) return fail(here().column, "unknown command " + shown(here().text));
    advance();
    const auto space = row->space;
    switch (row->meaning) {
      case verb::set: return parse_set(space);
      case verb::get: return is_keyword("by") ? parse_get_by(space) : parse_get(space);
      case verb::exists: return parse_exists(space);
      case verb::erase: return parse_key_alone<delete_request>(space);
      case verb::extend: return parse_extend(space);
      case verb::scan: return parse_scan(space);
      case verb::begin: return parse_begin();
      case verb::commit: statement_.what = commit_step{}; return parse_end("end of line");
      case verb::rollback: statement_.what = rollback_step{}; return parse_end("end of line");
    }
    return fail(1, "unknown command");
  }

  // `expected` lists what else could have stood here.
  bool parse_end(std::string_view expected) { return here().kind == token_kind::end || fail_expecting(expected); }

  bool parse_set(durability space) {
    set_request request{.space = space};
    if (!take_key(request.key) || !take_value(request.value)) return false;
    while (here().kind != token_kind::end) {
      if (is_keyword("nx")) {
        if (!enter_option("nx")) return false;
        request.if_absent = true;
      } else if (is_keyword("xx")) {
        if (!enter_option("xx")) return false;
        request.if_present = true;
      } else if (is_keyword("cmp")) {
        if (!enter_option("cmp") || !take_value(request.if_value.emplace())) return false;
      } else if (is_keyword("cmprev")) {
        if (!enter_option("cmprev") || !take_number("a revision", request.if_revision.emplace())) return false;
      } else if (is_keyword("ex")) {
        if (!enter_option("ex") || !take_number("an expiry in milliseconds", request.expires_ms)) return false;
      } else {
        return fail_expecting("nx, xx, cmp, cmprev, ex or end of line");
      }
    }
    statement_.what = std::move(request);
    return true;
  }

  bool parse_get(durability space) {
    get_request request{.space = space};
    if (!take_key(request.key)) return false;
    bool is_as_of = false;
    moment when;
    while (here().kind != token_kind::end) {
      const bool is_at = is_keyword("at");
      if (!is_at && !is_keyword("as")) return fail_expecting("at, as of or end of line");
      if (is_at ? is_as_of : request.at_revision.has_value())
        return fail(here().column, "at and as of contradict each other; give one of them");
      if (is_at) {
        if (!enter_option("at") || !take_number("a revision", request.at_revision.emplace())) return false;
      } else {
        if (!parse_as_of(when)) return false;
        is_as_of = true;
      }
    }
    request.as_of = when.stamp;
    statement_.what = std::move(request);
    return true;
  }

  // As of now is how everything is read that names no moment.
  struct moment {
    timestamp stamp;
    bool is_now = false;
  };

  // Requires that `as` is here.
  bool parse_as_of(moment& when) {
    if (!enter_option("as")) return false;
    if (!skip("of")) return fail_expecting("of");
    when.is_now = skip("now");
    if (when.is_now) return true;
    std::int64_t number = 0;
    if (!take_number("a timestamp or now", number, 0)) return false;
    when.stamp = moment_of(static_cast<std::uint64_t>(number));
    return true;
  }

  bool parse_exists(durability space) {
    exists_request request{.space = space};
    if (!take_key(request.key)) return false;
    moment when;
    if (is_keyword("as") && !parse_as_of(when)) return false;
    request.as_of = when.stamp;
    statement_.what = std::move(request);
    return parse_end("as of or end of line");
  }

  template <class Request>
  bool parse_key_alone(durability space) {
    Request request{.space = space};
    if (!take_key(request.key)) return false;
    statement_.what = std::move(request);
    return parse_end("end of line");
  }

  bool parse_extend(durability space) {
    extend_request request{.space = space};
    if (!take_key(request.key) || !take_number("an expiry in milliseconds", request.expires_ms)) return false;
    statement_.what = std::move(request);
    return parse_end("end of line");
  }

  // Requires that `by` is here.
  bool parse_get_by(durability space) {
    const auto by_column = here().column;
    advance();
    const bool is_bucket = is_keyword("bucket");
    if (!is_bucket && !is_keyword("prefix")) {
      if (here().kind == token_kind::bad) return fail_expecting("bucket or prefix");
      return fail(by_column, "expected bucket or prefix after by; a key named by must be quoted");
    }
    advance();
    statement_.op_name += is_bucket ? " by bucket" : " by prefix";
    list_command list{.space = space};
    return take_name(is_bucket ? "a bucket" : "a prefix", list.prefix_or_bucket) && parse_page(std::move(list));
  }

  bool parse_scan(durability space) {
    if (!skip("by")) return fail_expecting("by prefix");
    if (!skip("prefix")) return fail_expecting("prefix");
    statement_.op_name += " by prefix";
    list_command list{.is_scan = true, .space = space};
    return take_name("a prefix", list.prefix_or_bucket) && parse_page(std::move(list));
  }

  bool parse_page(list_command list) {
    while (here().kind != token_kind::end) {
      if (is_keyword("limit")) {
        std::int64_t limit = 0;
        if (!enter_option("limit") || !take_number("a limit", limit, 1, std::numeric_limits<std::uint32_t>::max())) return false;
        list.limit = static_cast<std::uint32_t>(limit);
      } else if (is_keyword("after")) {
        if (!enter_option("after") || !take_name("a key", list.after)) return false;
      } else if (is_keyword("as") && !list.is_scan) {
        moment when;
        if (!parse_as_of(when)) return false;
        list.as_of = when.stamp;
      } else {
        return fail_expecting(list.is_scan ? "limit, after or end of line" : "limit, after, as of or end of line");
      }
    }
    statement_.what = std::move(list);
    return true;
  }

  bool parse_begin() {
    begin_command begin;
    while (here().kind != token_kind::end) {
      if (is_keyword("locking")) {
        if (!enter_option("locking") || !take_equals()) return false;
        const bool is_optimistic = skip("optimistic");
        if (!is_optimistic && !skip("pessimistic")) return fail_expecting("optimistic or pessimistic");
        begin.locking = is_optimistic ? locking_mode::optimistic : locking_mode::pessimistic;
      } else if (is_keyword("timeout")) {
        std::int64_t timeout_ms = 0;
        if (!enter_option("timeout") || !take_equals() || !take_number("a time in milliseconds", timeout_ms, 1, transaction_timeout_ms_max))
          return false;
        begin.timeout_ms = static_cast<std::uint32_t>(timeout_ms);
      } else if (is_keyword("as")) {
        moment when;
        if (!parse_as_of(when)) return false;
        begin.as_of = when.stamp;
        begin.is_as_of_now = when.is_now;
      } else {
        return fail_expecting("locking, timeout, as of or end of line");
      }
    }
    statement_.what = begin;
    return true;
  }

  bool take_equals() {
    if (here().kind != token_kind::equals) return fail_expecting("=");
    advance();
    return true;
  }

  lexer lexer_;
  token here_;
  std::vector<std::string_view> given_;  // the options met so far
  statement statement_;
  syntax_error failure_;
};

}  // namespace

parsed_line parse_line(std::string_view line) { return parser(line).run(); }

error to_error(const syntax_error& e, std::size_t line_number) {
  return {errc::invalid_argument,
          "line " + std::to_string(line_number) + ", column " + std::to_string(e.column) + ": " + e.message};
}

}  // namespace kahuna::kv
