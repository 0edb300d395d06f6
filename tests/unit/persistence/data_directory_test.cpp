#define CAF_SUITE data_directory
#include "caf/test/unit_test.hpp"

#include <filesystem>
#include <fstream>

#include "persistence/data_directory.hpp"
#include "persistence/journal_end.hpp"
#include "persistence/record.hpp"
#include "tests/support/process.hpp"

using namespace kahuna;
using namespace kahuna::persistence;
namespace fs = std::filesystem;

namespace {

struct fixture {
  fixture() {
    id.node = node_id{1};
    id.incarnation = 42;
    id.map = routing::form_cluster({{"n1", "h:1"}, {"n2", "h:2"}}, 16, 2);
    id.newest = id.map;
  }

  std::string path() const { return (directory.path() / "data").string(); }

  open_result<std::unique_ptr<data_directory>> open() {
    return data_directory::open(path(), id, [](const error& e) { CAF_FAIL(e.message); });
  }
  std::unique_ptr<data_directory> opened() {
    auto result = open();
    if (const auto* failure = std::get_if<open_failure>(&result)) CAF_FAIL(failure->message);
    return std::move(std::get<std::unique_ptr<data_directory>>(result));
  }

  // "new", "known", "usage: …" or "damage: …"
  std::string look() const {
    const auto result = data_directory::inspect(path());
    if (const auto* failure = std::get_if<open_failure>(&result)) return (failure->is_damage ? "damage: " : "usage: ") + failure->message;
    return std::get<std::optional<identity>>(result) ? "known" : "new";
  }

  void write_file(const std::string& name, const std::string& bytes) { std::ofstream(path() + '/' + name, std::ios::binary) << bytes; }

  kahuna::testing::temporary_directory directory;
  identity id;
};

}  // namespace

CAF_TEST_FIXTURE_SCOPE(data_directory_tests, fixture)

CAF_TEST(looking writes nothing) {
  CAF_CHECK_EQUAL(look(), "new");
  CAF_CHECK(!fs::exists(path()));
  fs::create_directory(path());
  CAF_CHECK_EQUAL(look(), "new");
  CAF_CHECK(fs::is_empty(path()));
}

CAF_TEST(the newest map is kept beside the one of the start) {
  auto newest = id.map;
  ++newest.version;
  newest.members[1].state = routing::member_state::leaving;
  {
    const auto made = opened();
    CAF_REQUIRE(!made->remember(newest));
  }
  const auto found = std::get<std::optional<identity>>(data_directory::inspect(path()));
  CAF_REQUIRE(found.has_value());
  CAF_CHECK(found->map == id.map);
  CAF_CHECK(found->newest == newest);
  CAF_CHECK(found->is_founder);
  // What is given at a later start does not take its place.
  {
    const auto again = opened();
    ++newest.version;
    CAF_REQUIRE(!again->remember(newest));
  }
  CAF_CHECK(std::get<std::optional<identity>>(data_directory::inspect(path()))->newest == newest);
}

CAF_TEST(an identity of before there were changes is read) {
  fs::create_directory(path());
  // Class versions 0 throughout: node 1, incarnation 42, and a map of two members and two partitions.
  const std::string old("\x00\x01\x01\x2a\x00\x09\x02\x02\x02\x00\x01\x02n1\x03h:1\x00\x02\x02n2\x03h:2\x01", 28);
  auto record = old;
  seal("identity", record);
  write_file("identity", record);
  const auto looked = data_directory::inspect(path());
  if (const auto* failure = std::get_if<open_failure>(&looked)) CAF_FAIL(failure->message);
  const auto& found = std::get<std::optional<identity>>(looked);
  CAF_REQUIRE(found.has_value());
  CAF_CHECK_EQUAL(found->incarnation, 42u);
  CAF_CHECK(found->is_founder);
  CAF_CHECK(found->map == found->newest);
  CAF_CHECK(found->map.placements[1].voters == (std::vector{node_id{1}, node_id{2}}));
}

CAF_TEST(what was made is known and keeps what was written) {
  {
    const auto made = opened();
    raft::log_write write;
    write.state = raft::hard_state{term_id{5}, node_id{2}};
    made->log()->add(partition_id{0}, write);
    CAF_REQUIRE(!made->log()->commit());
  }
  CAF_CHECK_EQUAL(look(), "known");
  const auto found = std::get<std::optional<identity>>(data_directory::inspect(path()));
  CAF_REQUIRE(found.has_value());
  CAF_CHECK_EQUAL(found->incarnation, 42u);
  CAF_CHECK(found->map == id.map);
  const auto again = opened();
  CAF_CHECK((again->log()->load(partition_id{0}, {})->state == raft::hard_state{term_id{5}, node_id{2}}));
}

// Its journal alone can't tell it from one that was torn before its sync.
CAF_TEST(a damaged last batch is refused where it was synced) {
  const auto batch = [](data_directory& here, std::uint64_t term) {
    raft::log_write write;
    write.state = raft::hard_state{term_id{term}, node_id{2}};
    here.log()->add(partition_id{0}, write);
    CAF_REQUIRE(!here.log()->commit());
  };
  const auto crashed = directory.path() / "crashed";
  for (const bool is_noted : {true, false}) {
    {
      const auto running = opened();
      batch(*running, 5);
      running->log()->note_commit();
      batch(*running, 6);
      if (is_noted) running->log()->note_commit();
      fs::remove_all(crashed);
      fs::copy(path(), crashed, fs::copy_options::recursive);
    }
    fs::remove_all(path());
    fs::rename(crashed, path());
    for (const auto& file : fs::directory_iterator(path() + "/log")) {
      if (file.path().extension() != ".log") continue;
      auto bytes = kahuna::testing::read_file(file.path().string());
      const auto end = end_of_journal(bytes).value_or(0);
      if (end == 0) continue;
      bytes[end - 1] = static_cast<char>(bytes[end - 1] ^ 1);
      std::ofstream(file.path(), std::ios::binary) << bytes;
    }
    const auto again = open();
    CAF_CHECK_EQUAL(std::holds_alternative<open_failure>(again), is_noted);
    if (is_noted)
      CAF_CHECK(std::get<open_failure>(again).is_damage);
    else
      CAF_CHECK((std::get<std::unique_ptr<data_directory>>(again)->log()->load(partition_id{0}, {})->state == raft::hard_state{term_id{5}, node_id{2}}));
    fs::remove_all(path());
  }
}

CAF_TEST(one node at a time) {
  const auto first = opened();
  const auto second = open();
  const auto* refused = std::get_if<open_failure>(&second);
  CAF_REQUIRE(refused != nullptr);
  CAF_CHECK(!refused->is_damage);
  CAF_CHECK(refused->message.find("another node runs") != std::string::npos);
}

CAF_TEST(foreign directories and files are refused and left alone) {
  fs::create_directory(path());
  write_file("thesis.txt", "precious");
  CAF_CHECK(look().find("usage: ") == 0);
  CAF_CHECK(std::holds_alternative<open_failure>(open()));
  CAF_CHECK_EQUAL(kahuna::testing::read_file(path() + "/thesis.txt"), "precious");
  fs::remove_all(path());
  std::ofstream(path()) << "a file";
  CAF_CHECK(look().find("usage: ") == 0);
}

CAF_TEST(a directory whose making was cut off is made anew) {
  fs::create_directory(path());
  auto half = id;
  half.is_complete = false;
  write_file("identity", encode_record("identity", half));
  fs::create_directory(path() + "/log");
  write_file("log/CURRENT", "half written");
  CAF_CHECK_EQUAL(look(), "new");
  opened().reset();
  CAF_CHECK_EQUAL(look(), "known");
}

CAF_TEST(a missing or damaged identity beside data is damage) {
  opened().reset();
  const auto bytes = kahuna::testing::read_file(path() + "/identity");
  fs::remove(path() + "/identity");
  CAF_CHECK(look().find("damage: ") == 0);
  auto flipped = bytes;
  flipped[3] = static_cast<char>(flipped[3] ^ 16);
  write_file("identity", flipped);
  CAF_CHECK(look().find("damage: ") == 0);
  auto newer = id;
  newer.is_complete = true;
  newer.format_version = identity::format_version_now + 1;
  write_file("identity", encode_record("identity", newer));
  CAF_CHECK(look().find("usage: ") == 0);
  CAF_CHECK(look().find("newer") != std::string::npos);
}

CAF_TEST(a part that is gone is damage) {
  for (const std::string part : {"log", "data", "log.synced"}) {
    CAF_MESSAGE(part);
    fs::remove_all(path());
    opened().reset();
    fs::remove_all(path() + '/' + part);
    const auto result = open();
    const auto* failure = std::get_if<open_failure>(&result);
    CAF_REQUIRE(failure != nullptr);
    CAF_CHECK(failure->is_damage);
    CAF_CHECK(failure->message.find(part) != std::string::npos);
  }
}

CAF_TEST_FIXTURE_SCOPE_END()
