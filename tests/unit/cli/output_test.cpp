#define CAF_SUITE cli_output
#include "cli/output.hpp"

#include <chrono>
#include <nlohmann/json.hpp>

#include "caf/test/unit_test.hpp"
#include "core/base/prng.hpp"

using namespace kahuna;
using namespace kahuna::cli;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

constexpr timestamp stamp{115596328968060933};

std::string console(const answer& a, list_footer footer = list_footer::shown) {
  return format_answer(a, {output_format::console, footer});
}
std::string json_line(const answer& a) { return format_answer(a, {output_format::json, list_footer::shown}); }

answer answered(std::string op_name, outcome what, std::chrono::microseconds elapsed = 12ms) {
  return {std::move(op_name), "k", std::move(what), elapsed};
}

client::key_list two_keys() {
  return {.items = {{.key = "services/auth/instance-1", .value = "node1", .revision = 0, .expires_at_ms = 7, .modified = stamp},
                    {.key = "services/auth/\xff", .value = "no\nde2\\", .revision = 4, .expires_at_ms = 0, .modified = stamp}},
          .has_more = false};
}

}  // namespace

CAF_TEST(times have a decimal under ten milliseconds) {
  const std::vector<std::pair<std::chrono::microseconds, std::string>> table{
      {0us, "0.0ms"},     {49us, "0.0ms"},    {50us, "0.1ms"},     {1900us, "1.9ms"},    {9949us, "9.9ms"},
      {9950us, "10ms"},   {10'000us, "10ms"}, {10'499us, "10ms"},  {10'500us, "11ms"},   {11ms, "11ms"},
      {999'999us, "1000ms"}, {5000ms, "5000ms"}};
  for (const auto& [elapsed, expected] : table) CAF_CHECK_EQUAL(format_elapsed(elapsed), expected);
}

CAF_TEST(console lines of one key) {
  CAF_CHECK_EQUAL(console(answered("set", kv::set_response{true, 3, stamp}, 11ms)), "r3 set 11ms\n");
  CAF_CHECK_EQUAL(console(answered("set", kv::set_response{false, 3, {}})), "r3 not set 12ms\n");
  CAF_CHECK_EQUAL(console(answered("set", kv::set_response{false, -1, {}})), "r-1 not set 12ms\n");
  CAF_CHECK_EQUAL(console(answered("get", kv::get_response{true, 0, "my-value", 0, stamp}, 13ms)), "r0 my-value 13ms\n");
  CAF_CHECK_EQUAL(console(answered("get", kv::get_response{})), "r-1 not found 12ms\n");
  CAF_CHECK_EQUAL(console(answered("exists", kv::exists_response{true, 0, 0, stamp}, 13ms)), "r0 exists 13ms\n");
  CAF_CHECK_EQUAL(console(answered("exists", kv::exists_response{})), "r-1 not found 12ms\n");
  CAF_CHECK_EQUAL(console(answered("delete", kv::delete_response{true, 0, stamp}, 8ms)), "r0 deleted 8.0ms\n");
  CAF_CHECK_EQUAL(console(answered("delete", kv::delete_response{})), "r-1 not found 12ms\n");
  CAF_CHECK_EQUAL(console(answered("extend", kv::extend_response{true, 0, stamp}, 13ms)), "r0 extended 13ms\n");
  CAF_CHECK_EQUAL(console(answered("extend", kv::extend_response{})), "r-1 not found 12ms\n");
  CAF_CHECK_EQUAL(console(answered("set", error{errc::timeout, "no\nanswer from C:\\node"})),
                  "error: timeout: no\\nanswer from C:\\node\n");
}

CAF_TEST(console lists) {
  const std::string lines = "r0 services/auth/instance-1 node1\nr4 services/auth/\\xff no\\nde2\\\\\n";
  const auto list = [](client::key_list keys) { return answer{"get by bucket", std::nullopt, std::move(keys), 12ms}; };
  CAF_CHECK_EQUAL(console(list(two_keys())), lines + "2 keys 12ms\n");
  CAF_CHECK_EQUAL(console(list(two_keys()), list_footer::hidden), lines);
  CAF_CHECK_EQUAL(console(list({})), "0 keys 12ms\n");
  CAF_CHECK_EQUAL(console(list({}), list_footer::hidden), "");
  auto cut = two_keys();
  cut.items.pop_back();
  cut.has_more = true;
  CAF_CHECK_EQUAL(console(list(cut)), "r0 services/auth/instance-1 node1\n1 key 12ms more\n");
}

CAF_TEST(what a terminal could obey is escaped) {
  const std::vector<std::pair<std::string, std::string>> table{
      {"", ""},
      {"plain text", "plain text"},
      {"a\nb\tc\rd\\e", R"(a\nb\tc\rd\\e)"},
      {"\x1b[2J\x07\x7f\0"s, R"(\x1b[2J\x07\x7f\x00)"},
      {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
      {"\xc2\x9b", R"(\xc2\x9b)"},           // U+009B is another way to say ESC [
      {"\xc2\xa0", "\xc2\xa0"},
      {"\xff\xfe", R"(\xff\xfe)"},
      {"\xe2\x82", R"(\xe2\x82)"},           // cut short
      {"\xc0\xaf", R"(\xc0\xaf)"},           // overlong
      {"\"'`", "\"'`"},
  };
  for (const auto& [bytes, expected] : table) CAF_CHECK_EQUAL(escape_text(bytes), expected);
}

CAF_TEST(well formed utf8 is told from other bytes) {
  for (const auto* good : {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
                           "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    CAF_CHECK(is_utf8(good));
  for (const auto* bad : {"\x80", "\xbf", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xef\xbf", "\xf0\x8f\xbf\xbf",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "a\xff", "\xe2\x82\x41", "\xf0\x9f\x98\x41"})
    CAF_CHECK(!is_utf8(bad));
}

CAF_TEST(base64 as in the test vectors of RFC 4648) {
  const std::vector<std::pair<std::string, std::string>> table{{"", ""},           {"f", "Zg=="},        {"fo", "Zm8="},
                                                               {"foo", "Zm9v"},    {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
                                                               {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfb", "//77"}};
  for (const auto& [bytes, expected] : table) CAF_CHECK_EQUAL(to_base64(bytes), expected);
}

CAF_TEST(json of one key) {
  CAF_CHECK_EQUAL(json_line(answered("set", kv::set_response{true, 3, stamp}, 1900us)),
                  R"({"op":"set","key":"k","status":"set","revision":3,"modified":"115596328968060933","elapsed_ms":1.9})"
                  "\n");
  CAF_CHECK_EQUAL(json_line(answered("eset", kv::set_response{false, 3, {}}, 1200us)),
                  R"({"op":"eset","key":"k","status":"not set","revision":3,"elapsed_ms":1.2})"
                  "\n");
  CAF_CHECK_EQUAL(json_line(answered("get", kv::get_response{true, 3, "v", 1763860000123, timestamp{65}}, 800us)),
                  R"({"op":"get","key":"k","status":"found","value":"v","revision":3,"expires":1763860000123,)"
                  R"("modified":"65","elapsed_ms":0.8})"
                  "\n");
  CAF_CHECK_EQUAL(json_line(answered("get", kv::get_response{true, 3, "", 0, timestamp{65}}, 800us)),
                  R"({"op":"get","key":"k","status":"found","value":"","revision":3,"modified":"65","elapsed_ms":0.8})"
                  "\n");
  CAF_CHECK_EQUAL(json_line(answered("get", kv::get_response{}, 800us)),
                  R"({"op":"get","key":"k","status":"not found","revision":-1,"elapsed_ms":0.8})"
                  "\n");
  CAF_CHECK_EQUAL(json_line(answered("exists", kv::exists_response{true, 2, 0, stamp}, 12ms)),
                  R"({"op":"exists","key":"k","status":"exists","revision":2,"elapsed_ms":12.0})"
                  "\n");
  CAF_CHECK_EQUAL(json_line(answered("delete", kv::delete_response{true, 2, timestamp{65}})),
                  R"({"op":"delete","key":"k","status":"deleted","revision":2,"modified":"65","elapsed_ms":12.0})"
                  "\n");
  CAF_CHECK_EQUAL(json_line(answered("delete", kv::delete_response{})),
                  R"({"op":"delete","key":"k","status":"not found","revision":-1,"elapsed_ms":12.0})"
                  "\n");
  CAF_CHECK_EQUAL(json_line(answered("extend", kv::extend_response{true, 2, timestamp{65}})),
                  R"({"op":"extend","key":"k","status":"extended","revision":2,"modified":"65","elapsed_ms":12.0})"
                  "\n");
}

CAF_TEST(json of errors) {
  CAF_CHECK_EQUAL(json_line(answered("set", error{errc::timeout, "late"}, 5000300us)),
                  R"({"op":"set","key":"k","status":"error","code":"timeout","applied":"unknown","message":"late","elapsed_ms":5000.3})"
                  "\n");
  CAF_CHECK_EQUAL(json_line({{}, {}, error{errc::invalid_argument, "line 1, column 1: unknown \"\\\n\xff"}, 0us}),
                  R"({"status":"error","code":"invalid_argument","applied":"no","message":"line 1, column 1: unknown \"\\\n)"
                  "\xef\xbf\xbd"
                  R"(","elapsed_ms":0.0})"
                  "\n");
  for (const auto code : {errc::unavailable, errc::overloaded, errc::aborted, errc::permission_denied, errc::data_corrupted})
    CAF_CHECK(json_line(answered("set", error{code, ""})).find(R"("applied":"no")") != std::string::npos);
  CAF_CHECK(json_line(answered("set", error{errc::internal, ""})).find(R"("applied":"unknown")") != std::string::npos);
}

CAF_TEST(json lists) {
  CAF_CHECK_EQUAL(json_line({"get by bucket", std::nullopt, two_keys(), 1ms}),
                  R"({"op":"get by bucket","status":"found","count":2,"items":[)"
                  R"({"key":"services/auth/instance-1","value":"node1","revision":0,"expires":7,"modified":"115596328968060933"},)"
                  R"({"key_base64":"c2VydmljZXMvYXV0aC//","value":"no\nde2\\","revision":4,"modified":"115596328968060933"}],)"
                  R"("elapsed_ms":1.0})"
                  "\n");
  CAF_CHECK_EQUAL(json_line({"scan by prefix", std::nullopt, client::key_list{}, 1ms}),
                  R"({"op":"scan by prefix","status":"found","count":0,"items":[],"elapsed_ms":1.0})"
                  "\n");
  CAF_CHECK_EQUAL(json_line({"scan by prefix", std::nullopt, client::key_list{{}, true}, 1ms}),
                  R"({"op":"scan by prefix","status":"found","count":0,"items":[],"more":true,"elapsed_ms":1.0})"
                  "\n");
}

CAF_TEST(any bytes give one line of json that reads back) {
  constexpr std::uint64_t seed = 99'120;
  CAF_MESSAGE("seed " << seed);
  prng dice(seed);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes(dice.below(9), '\0');
    for (auto& c : bytes) c = static_cast<char>(dice.chance(1, 2) ? dice.below(256) : dice.below(128));
    const auto line = json_line({"get", bytes, kv::get_response{true, 0, bytes, 0, stamp}, 0us});
    CAF_REQUIRE_EQUAL(line.find('\n'), line.size() - 1);
    const auto parsed = nlohmann::json::parse(line);
    if (is_utf8(bytes)) {
      CAF_REQUIRE_EQUAL(parsed.value("key", "none"), bytes);
      CAF_REQUIRE_EQUAL(parsed.value("value", "none"), bytes);
    } else {
      CAF_REQUIRE_EQUAL(parsed.value("key_base64", "none"), to_base64(bytes));
      CAF_REQUIRE_EQUAL(parsed.value("value_base64", "none"), to_base64(bytes));
    }
    const auto text = console({"get", bytes, kv::get_response{true, 0, bytes, 0, stamp}, 0us});
    CAF_REQUIRE_EQUAL(text.find('\n'), text.size() - 1);
  }
}
