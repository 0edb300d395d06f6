#define CAF_SUITE command_language
#include "caf/test/unit_test.hpp"

#include "core/base/prng.hpp"
#include "core/kv/command_language.hpp"

using namespace kahuna;
using namespace kahuna::kv;
using kahuna::errc;
using kahuna::prng;

namespace {

using namespace std::string_literals;

constexpr auto ephemeral = durability::ephemeral;

struct good_line {
  std::string line;
  statement expected;
};

struct bad_line {
  std::string line;
  std::size_t column;
  std::string message;
};

statement on_key(std::string op_name, std::string key, command what) { return {std::move(op_name), std::move(key), std::move(what)}; }
statement on_list(std::string op_name, list_command what) { return {std::move(op_name), std::nullopt, std::move(what)}; }
statement about_transaction(std::string name, command what) { return {std::move(name), std::nullopt, std::move(what)}; }

void check(const std::vector<good_line>& table) {
  for (const auto& row : table) {
    const auto parsed = parse_line(row.line);
    if (const auto* e = std::get_if<syntax_error>(&parsed)) CAF_ERROR(row.line << " -> " << to_error(*e, 1).message);
    CAF_CHECK(std::holds_alternative<statement>(parsed));
    if (parsed != parsed_line{row.expected}) CAF_ERROR("not the expected statement: " << row.line);
  }
}

void check(const std::vector<bad_line>& table) {
  for (const auto& row : table) {
    const auto parsed = parse_line(row.line);
    const auto* e = std::get_if<syntax_error>(&parsed);
    if (!e) {
      CAF_ERROR("no error: " << row.line);
      continue;
    }
    CAF_CHECK_EQUAL(row.line + " -> " + std::to_string(e->column) + " " + e->message,
                    row.line + " -> " + std::to_string(row.column) + " " + row.message);
  }
}

// A text in quotes that the language reads back as `bytes`, with the choices that there are made at random.
std::string write_quoted(std::string_view bytes, prng& dice) {
  static constexpr std::string_view digits = "0123456789abcdefABCDEF";
  const char quote = "\"'`"[dice.below(3)];
  std::string text(1, quote);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == quote || c == '\\') {
      text += '\\';
      text += c;
    } else if (c == '\n' && dice.chance(1, 2)) {
      text += "\\n";
    } else if (dice.chance(1, 4)) {
      text += "\\x";
      text += digits[byte >> 4];
      text += digits[(byte & 15) >= 10 && dice.chance(1, 2) ? (byte & 15) + 6 : byte & 15];
    } else {
      text += c;
    }
  }
  return text + quote;
}

std::string draw_bytes(prng& dice, std::size_t bytes_max) {
  std::string bytes(dice.below(bytes_max + 1), '\0');
  for (auto& c : bytes) c = static_cast<char>(dice.below(256));
  return bytes;
}

std::string draw_case(std::string_view keyword, prng& dice) {
  std::string text(keyword);
  for (auto& c : text)
    if (c >= 'a' && c <= 'z' && dice.chance(1, 2)) c = static_cast<char>(c - 'a' + 'A');
  return text;
}

std::string blanks(prng& dice) { return std::array{" ", "  ", "\t", " \t "}[dice.below(4)]; }

}  // namespace

CAF_TEST(blank and comment lines are no statements) {
  for (const auto* line : {"", " ", "\t  \t", "#", "# set a 1", "   # set a", "\r", " \r", "#\r"})
    if (!std::holds_alternative<std::monostate>(parse_line(line))) CAF_ERROR("not blank: " << line);
}

CAF_TEST(set and its conditions) {
  check(std::vector<good_line>{
      {"set a 1", on_key("set", "a", set_request{.key = "a", .value = "1"})},
      {"SET a 1", on_key("set", "a", set_request{.key = "a", .value = "1"})},
      {"eSet a 1", on_key("eset", "a", set_request{.key = "a", .value = "1", .space = ephemeral})},
      {"\tset\ta\t1\t\r", on_key("set", "a", set_request{.key = "a", .value = "1"})},
      {"set a 1 # two", on_key("set", "a", set_request{.key = "a", .value = "1"})},
      {"set a 1# two", on_key("set", "a", set_request{.key = "a", .value = "1"})},
      {"set a '#'", on_key("set", "a", set_request{.key = "a", .value = "#"})},
      {"set a '' nx", on_key("set", "a", set_request{.key = "a", .value = "", .if_absent = true})},
      {"set a '1' XX", on_key("set", "a", set_request{.key = "a", .value = "1", .if_present = true})},
      {"set a 1 nx xx", on_key("set", "a", set_request{.key = "a", .value = "1", .if_absent = true, .if_present = true})},
      {"set a 1 cmp 'x y'", on_key("set", "a", set_request{.key = "a", .value = "1", .if_value = "x y"})},
      {"set a 1 cmp ''", on_key("set", "a", set_request{.key = "a", .value = "1", .if_value = ""})},
      {"set a 1 cmprev -1", on_key("set", "a", set_request{.key = "a", .value = "1", .if_revision = -1})},
      {"set a 1 ex 10000", on_key("set", "a", set_request{.key = "a", .value = "1", .expires_ms = 10'000})},
      {"set a 1 ex -5", on_key("set", "a", set_request{.key = "a", .value = "1", .expires_ms = -5})},
      {"set a 1 ex 9 cmprev 0 cmp 2 xx",
       on_key("set", "a",
              set_request{.key = "a", .value = "1", .if_present = true, .if_value = "2", .if_revision = 0, .expires_ms = 9})},
      {"set a 1 cmprev 9223372036854775807",
       on_key("set", "a", set_request{.key = "a", .value = "1", .if_revision = INT64_MAX})},
      {"set a 1 cmprev -9223372036854775808",
       on_key("set", "a", set_request{.key = "a", .value = "1", .if_revision = INT64_MIN})},
  });
}

CAF_TEST(values are quoted or kept as typed) {
  for (const auto* value : {"0", "-0", "007", "-12", "3.14", "1e9", "1.50E-3", "true", "TRUE", "False",
                            "99999999999999999999999999"})
    check(std::vector<good_line>{{"set a "s + value, on_key("set", "a", set_request{.key = "a", .value = value})}});
  check(std::vector<bad_line>{
      {"set a hello", 7, "expected a value, found hello; text must be quoted"},
      {"set a nx", 7, "expected a value, found nx; text must be quoted"},
      {"set a 1.", 7, "expected a value, found 1.; text must be quoted"},
      {"set a .5", 7, "expected a value, found .5; text must be quoted"},
      {"set a 1e", 7, "expected a value, found 1e; text must be quoted"},
      {"set a -", 7, "expected a value, found -; text must be quoted"},
      {"set a 0x10", 7, "expected a value, found 0x10; text must be quoted"},
      {"set a +1", 7, "unexpected character +; a key or value with it must be quoted"},
  });
}

CAF_TEST(keys are quoted or bare) {
  for (const auto* key : {"a", "A-b_c.d/e:f@g", "10.0.0.7:8080", "-", "12", "true", "set", "nx", "at", "limit"})
    check(std::vector<good_line>{{"get "s + key, on_key("get", key, get_request{.key = key})}});
  check(std::vector<good_line>{
      {"get `a b`", on_key("get", "a b", get_request{.key = "a b"})},
      {"get \"a'b`\"", on_key("get", "a'b`", get_request{.key = "a'b`"})},
      {"get 'по-русски'", on_key("get", "по-русски", get_request{.key = "по-русски"})},
      {"get ''", on_key("get", "", get_request{})},
      {"get \"by\"", on_key("get", "by", get_request{.key = "by"})},
      {"get `by` at 1", on_key("get", "by", get_request{.key = "by", .at_revision = 1})},
      {"exists by", on_key("exists", "by", exists_request{.key = "by"})},
      {R"(get "\n\t\r\\\"\x41\xfF")", on_key("get", "\n\t\r\\\"A\xff", get_request{.key = "\n\t\r\\\"A\xff"})},
      {R"(get '\'')", on_key("get", "'", get_request{.key = "'"})},
      {R"(get `\``)", on_key("get", "`", get_request{.key = "`"})},
      {R"(get "a\x00b")", on_key("get", "a\0b"s, get_request{.key = "a\0b"s})},
  });
}

CAF_TEST(reads deletions and extensions) {
  check(std::vector<good_line>{
      {"get a", on_key("get", "a", get_request{.key = "a"})},
      {"eget a at 0", on_key("eget", "a", get_request{.key = "a", .space = ephemeral, .at_revision = 0})},
      {"get a AT -1", on_key("get", "a", get_request{.key = "a", .at_revision = -1})},
      {"get at at 3", on_key("get", "at", get_request{.key = "at", .at_revision = 3})},
      {"exists a", on_key("exists", "a", exists_request{.key = "a"})},
      {"EEXISTS a", on_key("eexists", "a", exists_request{.key = "a", .space = ephemeral})},
      {"delete a", on_key("delete", "a", delete_request{.key = "a"})},
      {"edelete a", on_key("edelete", "a", delete_request{.key = "a", .space = ephemeral})},
      {"extend a 0", on_key("extend", "a", extend_request{.key = "a"})},
      {"eextend a 5000", on_key("eextend", "a", extend_request{.key = "a", .space = ephemeral, .expires_ms = 5000})},
  });
}

CAF_TEST(lists and their pages) {
  check(std::vector<good_line>{
      {"get by bucket services/auth", on_list("get by bucket", {.prefix_or_bucket = "services/auth"})},
      {"Get  BY\tPrefix services/auth", on_list("get by prefix", {.prefix_or_bucket = "services/auth"})},
      {"eget by bucket b", on_list("eget by bucket", {.prefix_or_bucket = "b", .space = ephemeral})},
      {"eget by prefix 'b'", on_list("eget by prefix", {.prefix_or_bucket = "b", .space = ephemeral})},
      {"scan by prefix p", on_list("scan by prefix", {.is_scan = true, .prefix_or_bucket = "p"})},
      {"escan by prefix p", on_list("escan by prefix", {.is_scan = true, .prefix_or_bucket = "p", .space = ephemeral})},
      {"scan by prefix ''", on_list("scan by prefix", {.is_scan = true})},
      {"get by bucket by", on_list("get by bucket", {.prefix_or_bucket = "by"})},
      {"get by bucket limit limit 1", on_list("get by bucket", {.prefix_or_bucket = "limit", .limit = 1})},
      {"get by bucket b limit 2 after 'b/x y'", on_list("get by bucket", {.prefix_or_bucket = "b", .limit = 2, .after = "b/x y"})},
      {"scan by prefix p AFTER p1 LIMIT 4294967295",
       on_list("scan by prefix", {.is_scan = true, .prefix_or_bucket = "p", .limit = 4294967295, .after = "p1"})},
  });
}

CAF_TEST(transactions are known words) {
  check(std::vector<good_line>{
      {"begin", about_transaction("begin", begin_command{})},
      {"BEGIN locking=optimistic timeout = 500 as of now", about_transaction("begin", begin_command{locking_mode::optimistic, 500, {}, true})},
      {"begin locking=pessimistic", about_transaction("begin", begin_command{})},
      {"begin as of 115596328968060933", about_transaction("begin", begin_command{.as_of = timestamp{115596328968060933}})},
      {"commit", about_transaction("commit", commit_step{})},
      {"rollback", about_transaction("rollback", rollback_step{})},
      {"get a as of now", on_key("get", "a", get_request{.key = "a"})},
      {"eget a AS OF 1763860000123", on_key("eget", "a",
              get_request{.key = "a", .space = durability::ephemeral, .as_of = timestamp{(std::uint64_t{1763860000123} << 16) | 0xFFFF}})},
      {"exists a as of 5", on_key("exists", "a", exists_request{.key = "a", .as_of = timestamp{(5 << 16) | 0xFFFF}})},
      {"get by bucket b as of 115596328968060933 limit 2",
       statement{"get by bucket", std::nullopt,
                 list_command{.prefix_or_bucket = "b", .limit = 2, .as_of = timestamp{115596328968060933}}}},
  });
  check(std::vector<bad_line>{
      {"begin locking", 14, "expected =, found end of line"},
      {"begin locking=often", 15, "expected optimistic or pessimistic, found often"},
      {"begin timeout=0", 15, "number 0 is out of range; it must be 1 to 600000"},
      {"begin timeout=1 timeout=2", 17, "timeout is given twice"},
      {"begin again", 7, "expected locking, timeout, as of or end of line, found again"},
      {"commit now", 8, "expected end of line, found now"},
      {"rollback =", 10, "expected end of line, found ="},
      {"get a as", 9, "expected of, found end of line"},
      {"get a as of", 12, "expected a timestamp or now, found end of line"},
      {"get a as of -1", 13, "number -1 is out of range; it must be 0 to 9223372036854775807"},
      {"get a as of now as of now", 17, "as is given twice"},
      {"get a at 1 as of now", 12, "at and as of contradict each other; give one of them"},
      {"get a as of now at 1", 17, "at and as of contradict each other; give one of them"},
  });
}

CAF_TEST(what is missing or too much is pointed at) {
  check(std::vector<bad_line>{
      {"frobnicate a", 1, "unknown command frobnicate"},
      {"  sett a 1", 3, "unknown command sett"},
      {"'set' a 1", 1, "expected a command, found quoted text"},
      {"= a", 1, "expected a command, found ="},
      {"very-long-word-that-goes-on-and-on-for-more-than-forty-bytes", 1,
       "unknown command very-long-word-that-goes-on-and-on-for-m…"},
      {"set", 4, "expected a key, found end of line"},
      {"set key1", 9, "expected a value, found end of line"},
      {"set key ", 9, "expected a value, found end of line"},
      {"set key\r", 8, "expected a value, found end of line"},
      {"set key # 1", 9, "expected a value, found end of line"},
      {"set = 1", 5, "expected a key, found ="},
      {"set a = 1", 7, "expected a value, found ="},
      {"set a 1 2", 9, "expected nx, xx, cmp, cmprev, ex or end of line, found 2"},
      {"set a 1 'nx'", 9, "expected nx, xx, cmp, cmprev, ex or end of line, found quoted text"},
      {"set a 1 cmp", 12, "expected a value, found end of line"},
      {"set a 1 cmp x", 13, "expected a value, found x; text must be quoted"},
      {"set a 1 cmprev", 15, "expected a revision, found end of line"},
      {"set a 1 cmprev '1'", 16, "expected a revision, found quoted text"},
      {"set a 1 ex 1.5", 12, "expected an expiry in milliseconds, found 1.5"},
      {"set a 1 ex soon", 12, "expected an expiry in milliseconds, found soon"},
      {"set a 1 nx nx", 12, "nx is given twice"},
      {"set a 1 xx ex 1 XX", 17, "xx is given twice"},
      {"set a 1 cmp 1 cmp 1", 15, "cmp is given twice"},
      {"set a 1 cmprev 1 cmprev 1", 18, "cmprev is given twice"},
      {"set a 1 ex 1 ex 1", 14, "ex is given twice"},
      {"get", 4, "expected a key, found end of line"},
      {"get a b", 7, "expected at, as of or end of line, found b"},
      {"get a at", 9, "expected a revision, found end of line"},
      {"get a at one", 10, "expected a revision, found one"},
      {"get a at 1 at 1", 12, "at is given twice"},
      {"get by", 5, "expected bucket or prefix after by; a key named by must be quoted"},
      {"GET BY at 1", 5, "expected bucket or prefix after by; a key named by must be quoted"},
      {"get by buckets b", 5, "expected bucket or prefix after by; a key named by must be quoted"},
      {"get by \"", 8, "the quote \" has no end"},
      {"get by bucket", 14, "expected a bucket, found end of line"},
      {"get by prefix", 14, "expected a prefix, found end of line"},
      {"get by bucket b c", 17, "expected limit, after, as of or end of line, found c"},
      {"get by bucket b limit", 22, "expected a limit, found end of line"},
      {"get by bucket b limit 0", 23, "number 0 is out of range; it must be 1 to 4294967295"},
      {"get by bucket b limit 4294967296", 23, "number 4294967296 is out of range; it must be 1 to 4294967295"},
      {"get by bucket b limit 1 limit 1", 25, "limit is given twice"},
      {"get by bucket b after", 22, "expected a key, found end of line"},
      {"get by bucket b after a after b", 25, "after is given twice"},
      {"scan", 5, "expected by prefix, found end of line"},
      {"scan prefix p", 6, "expected by prefix, found prefix"},
      {"scan by bucket b", 9, "expected prefix, found bucket"},
      {"scan by prefix", 15, "expected a prefix, found end of line"},
      {"exists", 7, "expected a key, found end of line"},
      {"exists a b", 10, "expected as of or end of line, found b"},
      {"delete a at 1", 10, "expected end of line, found at"},
      {"extend a", 9, "expected an expiry in milliseconds, found end of line"},
      {"extend a 1 2", 12, "expected end of line, found 2"},
  });
}

CAF_TEST(numbers have 64 bits) {
  const std::string range = " is out of range; it must be -9223372036854775808 to 9223372036854775807";
  check(std::vector<bad_line>{
      {"set a 1 cmprev 9223372036854775808", 16, "number 9223372036854775808" + range},
      {"set a 1 cmprev -9223372036854775809", 16, "number -9223372036854775809" + range},
      {"get a at 99999999999999999999", 10, "number 99999999999999999999" + range},
      {"extend a 99999999999999999999x", 10, "expected an expiry in milliseconds, found 99999999999999999999x"},
      {"extend a --1", 10, "expected an expiry in milliseconds, found --1"},
      {"extend a 0x1", 10, "expected an expiry in milliseconds, found 0x1"},
  });
}

CAF_TEST(what is wrong in a token is pointed at) {
  check(std::vector<bad_line>{
      {"get \"abc", 5, "the quote \" has no end"},
      {"get 'abc\\'", 5, "the quote ' has no end"},
      {"get `abc\\", 5, "the quote ` has no end"},
      {"get \"abc\r", 5, "the quote \" has no end"},
      {R"(get "a\qb")", 7, R"(unknown escape \q; there are \n, \t, \r, \\, \xHH and \")"},
      {R"(get "a\'b")", 7, R"(unknown escape \'; there are \n, \t, \r, \\, \xHH and \")"},
      {R"(get "\N")", 6, R"(unknown escape \N; there are \n, \t, \r, \\, \xHH and \")"},
      {"get '\\\x01'", 6, R"(unknown escape \\x01; there are \n, \t, \r, \\, \xHH and \')"},
      {R"(get "\x4")", 6, R"(expected two hexadecimal digits after \x)"},
      {R"(get "\xg0")", 6, R"(expected two hexadecimal digits after \x)"},
      {R"(get "\x)", 6, R"(expected two hexadecimal digits after \x)"},
      {"get a%b", 6, "unexpected character %; a key or value with it must be quoted"},
      {"get caf\xc3\xa9", 8, "unexpected character \\xc3; a key or value with it must be quoted"},
      {"get a\0b"s, 6, "unexpected character \\x00; a key or value with it must be quoted"},
      {"get a\rb", 6, "unexpected character \\x0d; a key or value with it must be quoted"},
      {"get a\r\r", 6, "unexpected character \\x0d; a key or value with it must be quoted"},
      {"get 'a'b", 8, "expected a blank after the closing quote"},
      {"get 'a''b'", 8, "expected a blank after the closing quote"},
      {"get a'b'", 6, "expected a blank before the quote"},
      // The leftmost mistake is the one that is told.
      {"foo 'abc", 1, "unknown command foo"},
      {"get a b 'abc", 7, "expected at, as of or end of line, found b"},
  });
}

CAF_TEST(an error is told with its line and column) {
  const auto e = to_error({9, "expected a value, found end of line"}, 3);
  CAF_CHECK(e.code == errc::invalid_argument);
  CAF_CHECK_EQUAL(e.message, "line 3, column 9: expected a value, found end of line");
}

CAF_TEST(statements written at random are read back) {
  constexpr std::uint64_t seed = 20'240'611;
  CAF_MESSAGE("seed " << seed);
  prng dice(seed);
  for (int round = 0; round < 5000; ++round) {
    set_request request{.key = draw_bytes(dice, 12), .value = draw_bytes(dice, 40)};
    std::vector<std::string> options;
    if (dice.chance(1, 3)) {
      request.if_absent = true;
      options.push_back(draw_case("nx", dice));
    }
    if (dice.chance(1, 3)) {
      request.if_value = draw_bytes(dice, 8);
      options.push_back(draw_case("cmp", dice) + blanks(dice) + write_quoted(request.if_value->view(), dice));
    }
    if (dice.chance(1, 3)) {
      request.if_revision = static_cast<std::int64_t>(dice.next());
      options.push_back(draw_case("cmprev", dice) + blanks(dice) + std::to_string(*request.if_revision));
    }
    if (dice.chance(1, 3)) {
      request.expires_ms = static_cast<std::int64_t>(dice.below(1'000'000));
      options.push_back(draw_case("ex", dice) + blanks(dice) + std::to_string(request.expires_ms));
    }
    std::string line = draw_case("set", dice) + blanks(dice) + write_quoted(request.key, dice) + blanks(dice) +
                       write_quoted(request.value.view(), dice);
    while (!options.empty()) {
      const auto next = options.begin() + static_cast<std::ptrdiff_t>(dice.below(options.size()));
      line += blanks(dice) + *next;
      options.erase(next);
    }
    if (dice.chance(1, 4)) line += " # the rest is said to people";
    if (dice.chance(1, 4)) line += '\r';
    const auto expected = on_key("set", request.key, request);
    if (parse_line(line) != parsed_line{expected}) CAF_FAIL("round " << round << ": " << line);
  }
}

CAF_TEST(no line whatever does harm) {
  constexpr std::uint64_t seed = 7'421'903;
  CAF_MESSAGE("seed " << seed);
  prng dice(seed);
  const std::vector<std::string> pieces{"set",    "eset", "get", "eget",  "exists", "delete", "extend", "scan", "by",      "bucket",
                                        "prefix", "at",   "as",  "of",    "now",    "nx",     "xx",     "cmp",  "cmprev",  "ex",
                                        "limit",  "after", "begin", "locking", "=",  "commit", "k",      "1",    "-1",      "true",
                                        "\"",     "'",    "`",   "\\",    "\\n",    "\\x4",   "\\x41",  "#",    "\r",      "\t",
                                        "99999999999999999999"};
  std::size_t statements = 0;
  for (int round = 0; round < 50'000; ++round) {
    std::string line;
    for (auto n = dice.below(9); n > 0; --n) {
      line += dice.chance(1, 20) ? draw_bytes(dice, 3) : pieces[dice.below(pieces.size())];
      if (dice.chance(4, 5)) line += ' ';
    }
    const auto parsed = parse_line(line);
    if (const auto* e = std::get_if<syntax_error>(&parsed)) {
      if (e->column < 1 || e->column > line.size() + 1 || e->message.empty() || e->message.size() > 200)
        CAF_FAIL("round " << round << ": " << line << " -> " << to_error(*e, 1).message);
    } else if (std::holds_alternative<statement>(parsed)) {
      ++statements;
    }
    CAF_CHECK(parsed == parse_line(line));
  }
  // Else the pieces would no longer reach past the first mistake.
  CAF_CHECK(statements > 500);
}
