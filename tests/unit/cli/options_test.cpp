#define CAF_SUITE cli_options
#include "cli/options.hpp"

#include "caf/test/unit_test.hpp"

using namespace kahuna;
using namespace kahuna::cli;

namespace {

using arguments = std::vector<std::string>;

std::string joined(const arguments& given) {
  std::string text;
  for (const auto& a : given) text += "[" + a + "]";
  return text;
}

options good(const arguments& given) {
  const auto parsed = parse_options(given);
  if (const auto* e = std::get_if<usage_error>(&parsed)) CAF_FAIL(joined(given) << ": " << e->message);
  CAF_REQUIRE(std::holds_alternative<options>(parsed));
  return std::get<options>(parsed);
}

void check_one_shot(const arguments& given, const kv::statement& expected) {
  const auto chosen = good(given);
  CAF_REQUIRE(chosen.one_shot.has_value());
  if (std::get<kv::statement>(*chosen.one_shot) != expected) CAF_ERROR("not the expected statement: " << joined(given));
}

}  // namespace

CAF_TEST(defaults) {
  const auto chosen = good({});
  CAF_CHECK_EQUAL(joined(chosen.endpoints), "[127.0.0.1:4870]");
  CAF_CHECK(chosen.format == output_format::console);
  CAF_CHECK_EQUAL(chosen.timeout.count(), 5000);
  CAF_CHECK(chosen.commands.empty());
  CAF_CHECK(!chosen.one_shot);
}

CAF_TEST(general options in every spelling) {
  CAF_CHECK_EQUAL(joined(good({"-c", "a:1,b:2"}).endpoints), "[a:1][b:2]");
  CAF_CHECK_EQUAL(joined(good({"-ca:1"}).endpoints), "[a:1]");
  CAF_CHECK_EQUAL(joined(good({"--connect", "a:1"}).endpoints), "[a:1]");
  CAF_CHECK_EQUAL(joined(good({"--connect=a:1"}).endpoints), "[a:1]");
  CAF_CHECK(good({"--format", "json"}).format == output_format::json);
  CAF_CHECK(good({"--format=console"}).format == output_format::console);
  CAF_CHECK_EQUAL(good({"--timeout", "1"}).timeout.count(), 1);
  CAF_CHECK_EQUAL(good({"--timeout", "60000"}).timeout.count(), 60'000);
  CAF_CHECK_EQUAL(joined(good({"-e", "get a", "--timeout", "9", "-e", "# b"}).commands), "[get a][# b]");
  CAF_CHECK(std::holds_alternative<help_request>(parse_options({"--get", "a", "--help"})));
  CAF_CHECK(std::holds_alternative<version_request>(parse_options({"--version"})));
}

CAF_TEST(one shot operations) {
  const auto ephemeral = kv::durability::ephemeral;
  check_one_shot({"--set", "k", "--value", "v"}, {"set", "k", kv::set_request{.key = "k", .value = "v"}});
  check_one_shot({"--value", "v", "--ephemeral", "--set", "k"},
                 {"eset", "k", kv::set_request{.key = "k", .value = "v", .space = ephemeral}});
  check_one_shot({"--set", "k", "--value", "v", "--expires", "10000", "--nx", "--xx", "--cmp", "", "--cmprev", "-1"},
                 {"set", "k",
                  kv::set_request{.key = "k",
                                  .value = "v",
                                  .if_absent = true,
                                  .if_present = true,
                                  .if_value = shared_bytes(),
                                  .if_revision = -1,
                                  .expires_ms = 10'000}});
  check_one_shot({"--get", "k"}, {"get", "k", kv::get_request{.key = "k"}});
  check_one_shot({"--get", "k", "--at", "-5"}, {"get", "k", kv::get_request{.key = "k", .at_revision = -5}});
  check_one_shot({"--exists", "k", "--ephemeral"}, {"eexists", "k", kv::exists_request{.key = "k", .space = ephemeral}});
  check_one_shot({"--delete", "k"}, {"delete", "k", kv::delete_request{.key = "k"}});
  check_one_shot({"--extend", "k", "--expires", "0"}, {"extend", "k", kv::extend_request{.key = "k"}});
  check_one_shot({"--get-by-bucket", "b"}, {"get by bucket", {}, kv::list_command{.prefix_or_bucket = "b"}});
  check_one_shot({"--get-by-prefix", "b"}, {"get by prefix", {}, kv::list_command{.prefix_or_bucket = "b"}});
  check_one_shot({"--scan-by-prefix", "p", "--ephemeral"},
                 {"escan by prefix", {}, kv::list_command{.is_scan = true, .prefix_or_bucket = "p", .space = ephemeral}});
}

CAF_TEST(operators options) {
  const auto asked = [](const arguments& given) { return std::get<operator_command>(good(given).one_shot.value()); };
  CAF_CHECK(asked({"--cluster"}).what == inspection::cluster);
  CAF_CHECK(asked({"--status", "--format", "json"}).what == inspection::status);
  const auto described = asked({"--describe-partition", "7"});
  CAF_CHECK(described.what == inspection::partition);
  CAF_CHECK_EQUAL(described.partition, 7u);
  const std::vector<std::pair<arguments, std::string>> wrong{
      {{"--describe-partition", "x"}, "--describe-partition must be a whole number of 64 bits, not x"},
      {{"--describe-partition", "-1"}, "--describe-partition must be the number of a partition"},
      {{"--describe-partition", "4294967296"}, "--describe-partition must be the number of a partition"},
      {{"--describe-partition"}, "--describe-partition needs a value"},
      {{"--cluster", "--status"}, "--cluster and --status exclude each other"},
      {{"--cluster", "--ephemeral"}, "--ephemeral does not go with --cluster"},
      {{"--status=1"}, "--status takes no value"},
  };
  for (const auto& [given, message] : wrong) {
    const auto parsed = parse_options(given);
    CAF_REQUIRE(std::holds_alternative<usage_error>(parsed));
    CAF_CHECK_EQUAL(std::get<usage_error>(parsed).message, message);
  }
}

CAF_TEST(an operators command may stand behind the options) {
  const auto given = good({"-c", "h:1", "--format", "json", "cluster", "add", "n4=h:4"});
  CAF_CHECK(given.commands == std::vector<std::string>{"cluster add n4=h:4"});
  CAF_CHECK(good({"status"}).commands == std::vector<std::string>{"status"});
  CAF_CHECK(good({"-e", "set a 1", "describe", "partition", "3"}).commands == (std::vector<std::string>{"set a 1", "describe partition 3"}));
}

CAF_TEST(values are taken as they are) {
  for (const std::string value : {"", "-5", "--get", "-e", "--", "a=b", "two words", "\xff"}) {
    check_one_shot({"--set", "k", "--value", value}, {"set", "k", kv::set_request{.key = "k", .value = value}});
    check_one_shot({"--set", "k", "--value=" + value}, {"set", "k", kv::set_request{.key = "k", .value = value}});
  }
  CAF_CHECK(good({"--set", "k", "--value", "-"}).is_value_from_input);
  CAF_CHECK(!good({"--set", "k", "--value", "--"}).is_value_from_input);
}

CAF_TEST(wrong usage is told in one line) {
  const std::vector<std::pair<arguments, std::string>> table{
      {{"--frobnicate"}, "unknown option --frobnicate"},
      {{"--time", "5"}, "unknown option --time"},
      {{"-x"}, "unknown option -x"},
      {{"--"}, "unknown option --"},
      {{"---c", "a:1"}, "unknown option ---c"},
      {{"--=1"}, "unknown option --=1"},
      {{"get"}, "unexpected argument get"},
      {{"a\nb"}, "unexpected argument a\\nb"},
      {{""}, "unexpected argument "},
      {{"-"}, "unexpected argument -"},
      {{"--get"}, "--get needs a value"},
      {{"-e"}, "--execute needs a value"},
      {{"--set", "k", "--value", "v", "--nx=1"}, "--nx takes no value"},
      {{"--get", "a", "--get", "b"}, "--get is given twice"},
      {{"--set", "k", "--value", "v", "--nx", "--nx"}, "--nx is given twice"},
      {{"--get", "a", "--exists", "a"}, "--get and --exists exclude each other"},
      {{"--get", "a", "-e", "get a"}, "--get and -e exclude each other"},
      {{"--set", "k"}, "--set needs --value"},
      {{"--extend", "k"}, "--extend needs --expires"},
      {{"--value", "v"}, "--value needs an operation that it belongs to, such as --set"},
      {{"--ephemeral", "-e", "get a"}, "--ephemeral needs an operation that it belongs to, such as --set"},
      {{"--get", "k", "--nx"}, "--nx does not go with --get"},
      {{"--set", "k", "--value", "v", "--at", "1"}, "--at does not go with --set"},
      {{"--get", "k", "--at", "x"}, "--at must be a whole number of 64 bits, not x"},
      {{"--get", "k", "--at", " 1"}, "--at must be a whole number of 64 bits, not  1"},
      {{"--get", "k", "--at", "+1"}, "--at must be a whole number of 64 bits, not +1"},
      {{"--get", "k", "--at", "1 "}, "--at must be a whole number of 64 bits, not 1 "},
      {{"--get", "k", "--at", ""}, "--at must be a whole number of 64 bits, not nothing"},
      {{"--extend", "k", "--expires", "9223372036854775808"},
       "--expires must be a whole number of 64 bits, not 9223372036854775808"},
      {{"--timeout", "0"}, "--timeout must be 1 to 60000"},
      {{"--timeout", "60001"}, "--timeout must be 1 to 60000"},
      {{"--timeout", "5s"}, "--timeout must be a whole number of 64 bits, not 5s"},
      {{"--format", "xml"}, "--format must be console or json, not xml"},
      {{"--connect", ""}, "--connect needs HOST:PORT, or several with commas between them"},
      {{"--connect", "a:1,"}, "--connect needs HOST:PORT, or several with commas between them"},
      {{"--connect", "a:1,,b:2"}, "--connect needs HOST:PORT, or several with commas between them"},
  };
  for (const auto& [given, message] : table) {
    const auto parsed = parse_options(given);
    const auto* e = std::get_if<usage_error>(&parsed);
    CAF_CHECK_EQUAL(joined(given) + ": " + (e ? e->message : "no error"), joined(given) + ": " + message);
  }
}

CAF_TEST(the help names every option) {
  const auto text = help_text();
  for (const auto* name : {"--connect", "--format", "--timeout", "-e", "--set", "--value", "--expires", "--nx", "--xx", "--cmp", "--cmprev",
                           "--get", "--at", "--exists", "--delete", "--extend", "--get-by-prefix", "--get-by-bucket", "--scan-by-prefix",
                           "--ephemeral", "--version"})
    CAF_CHECK(text.find(name) != std::string::npos);
}
