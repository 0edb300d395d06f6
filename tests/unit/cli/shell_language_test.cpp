#define CAF_SUITE cli_shell_language
#include "cli/shell_language.hpp"

#include "caf/test/unit_test.hpp"

using namespace kahuna;
using namespace kahuna::cli;

namespace {

void check_wrong(std::string_view line, std::size_t column, const std::string& message) {
  const auto parsed = parse_input(line);
  CAF_MESSAGE(std::string(line));
  CAF_REQUIRE(std::holds_alternative<kv::syntax_error>(parsed));
  const auto& wrong = std::get<kv::syntax_error>(parsed);
  CAF_CHECK_EQUAL(wrong.column, column);
  CAF_CHECK_EQUAL(wrong.message, message);
}

operator_command asked(std::string_view line) {
  const auto parsed = parse_input(line);
  CAF_REQUIRE(std::holds_alternative<request>(parsed));
  const auto& what = std::get<request>(parsed);
  CAF_REQUIRE(std::holds_alternative<operator_command>(what));
  return std::get<operator_command>(what);
}

shell_command own(std::string_view line) {
  const auto parsed = parse_input(line);
  CAF_REQUIRE(std::holds_alternative<shell_command>(parsed));
  return std::get<shell_command>(parsed);
}

}  // namespace

CAF_TEST(operators commands) {
  CAF_CHECK(asked("cluster").what == inspection::cluster);
  CAF_CHECK(asked("Cluster TRANSFER-leader 3 N2 # x").what == inspection::transfer_leader);
  CAF_CHECK_EQUAL(asked("cluster transfer-leader 3 N2").node, "N2");
  CAF_CHECK_EQUAL(asked("cluster transfer-leader 3 N2").partition, 3u);
  const auto added = asked("cluster ADD N4=10.0.0.4:4870");
  CAF_CHECK(added.what == inspection::add);
  CAF_CHECK_EQUAL(added.node, "N4");
  CAF_CHECK_EQUAL(added.address, "10.0.0.4:4870");
  CAF_CHECK_EQUAL(added.op_name, "cluster add");
  CAF_CHECK(asked("cluster remove n2").what == inspection::remove);
  CAF_CHECK_EQUAL(asked("cluster remove n2").node, "n2");
  const auto replaced = asked("cluster replace n2 n4=[::1]:4870 # now");
  CAF_CHECK(replaced.what == inspection::replace);
  CAF_CHECK_EQUAL(replaced.node, "n2");
  CAF_CHECK_EQUAL(replaced.by, "n4");
  CAF_CHECK_EQUAL(replaced.address, "[::1]:4870");
  CAF_CHECK(asked("  STATUS\t# well?\r").what == inspection::status);
  const auto described = asked("describe Partition 4294967295");
  CAF_CHECK(described.what == inspection::partition);
  CAF_CHECK_EQUAL(described.partition, 4294967295u);
  CAF_CHECK_EQUAL(described.op_name, "describe partition");
}

CAF_TEST(commands of the shell) {
  CAF_CHECK(own("exit").action == shell_action::exit);
  CAF_CHECK(own("quit # now").action == shell_action::exit);
  CAF_CHECK(own("clear").action == shell_action::clear);
  const auto help = own("help  GET   by");
  CAF_CHECK(help.action == shell_action::help);
  CAF_CHECK_EQUAL(help.topic, "get by");
  const auto all = own("Help");
  CAF_CHECK_EQUAL(all.topic, "");
}

CAF_TEST(everything else is the command language) {
  CAF_CHECK(std::holds_alternative<std::monostate>(parse_input("")));
  CAF_CHECK(std::holds_alternative<std::monostate>(parse_input(" # cluster")));
  const auto parsed = parse_input("set cluster \"status\" # exit");
  CAF_REQUIRE(std::holds_alternative<request>(parsed));
  const auto& what = std::get<request>(parsed);
  CAF_REQUIRE(std::holds_alternative<kv::statement>(what));
  const auto& statement = std::get<kv::statement>(what);
  CAF_CHECK_EQUAL(statement.key.value_or(""), "cluster");
  // The letter of the contract: a comment begins at the number sign, and the word ends before it.
  const auto cut = parse_input("delete foo#bar");
  CAF_REQUIRE(std::holds_alternative<request>(cut));
  const auto& cut_statement = std::get<kv::statement>(std::get<request>(cut));
  CAF_CHECK_EQUAL(cut_statement.key.value_or(""), "foo");
}

CAF_TEST(mistakes are told with their place) {
  check_wrong("cluster now", 9, "expected end of line, found now");
  check_wrong("cluster transfer-leader x n2", 25, "expected the number of a partition, found x");
  check_wrong("cluster transfer-leader 3", 26, "expected the name of a node, found end of line");
  check_wrong("cluster add", 12, "expected NODE=HOST:PORT, found end of line");
  check_wrong("cluster add n4", 13, "expected NODE=HOST:PORT, found n4");
  check_wrong("cluster add =h:1", 13, "expected NODE=HOST:PORT, found =h:1");
  check_wrong("cluster add n4=h", 13, "expected NODE=HOST:PORT, found n4=h");
  check_wrong("cluster add n4=h:0", 13, "expected a port from 1 to 65535 in n4=h:0");
  check_wrong("cluster add n4=h:65536", 13, "expected a port from 1 to 65535 in n4=h:65536");
  check_wrong("cluster add n/4=h:1", 13, "a node's name is 1 to 64 letters, digits, '-', '_' or '.', not n/4");
  check_wrong("cluster add n4=h:1 n5=h:2", 20, "expected end of line, found n5=h:2");
  check_wrong("cluster remove", 15, "expected the name of a node, found end of line");
  check_wrong("cluster replace n2", 19, "expected NODE=HOST:PORT, found end of line");
  check_wrong("describe", 9, "expected partition, found end of line");
  check_wrong("describe key", 10, "expected partition, found key");
  check_wrong("describe partition", 19, "expected the number of a partition, found end of line");
  check_wrong("describe partition x", 20, "expected the number of a partition, found x");
  check_wrong("describe partition -1", 20, "expected the number of a partition, found -1");
  check_wrong("describe partition 4294967296", 20, "number 4294967296 is out of range");
  check_wrong("describe partition 1 2", 22, "expected end of line, found 2");
  check_wrong("help nonsense", 6, "there is no command nonsense; help lists all");
  check_wrong("help \x1b[2J", 6, "there is no command \\x1b[2j; help lists all");
  check_wrong("clusters", 1, "unknown command clusters");
  check_wrong("exit now", 6, "expected end of line, found now");
}
