// A byte is flipped in a file of a stopped node, any file, anywhere: when it is started again it refuses, or makes it good and says so, or
// says of what it can't read that it is damaged. It never serves a wrong value, and never takes what was written for absent. Where
// everything is there the byte was in nothing that is read: a diagnostic file of RocksDB's, a version that nobody asks for.
//
// One node alone: nobody else can make up for it. KAHUNA_FULL: many more bytes of each file.
#define CAF_SUITE system_damaged_files
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "core/base/prng.hpp"
#include "persistence/journal_end.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/register_load.hpp"

using namespace kahuna;
using namespace kahuna::testing;
namespace fs = std::filesystem;

namespace {

constexpr int keys = 200;
constexpr int revisions = 4;
constexpr int large_keys = 16;

std::string key_of(int i) { return "bucket-" + std::to_string(i % 20) + "/key-" + std::to_string(i); }
std::string value_of(int i, int revision) { return "value " + std::to_string(i) + " of revision " + std::to_string(revision); }
std::string large_value(int i) { return std::string(64 << 10, static_cast<char>('a' + i)); }

void set_all(client::client& writer, const std::vector<kv::set_request>& requests) {
  for (const auto& answer : writer.set_many(requests)) CAF_REQUIRE(answer.has_value() && answer->is_set);
}

// Half of the revisions before the data is flushed, so that they are in its tables, half behind that, so that they are in the log alone.
void write_everything(cluster& nodes) {
  auto writer = connect_or_fail(nodes.endpoints(), milliseconds(20'000));
  for (int revision = 0; revision < revisions; ++revision) {
    std::vector<kv::set_request> some;
    for (int i = 0; i < keys; ++i) some.push_back(set_of(key_of(i), value_of(i, revision)));
    set_all(writer, some);
    if (revision != revisions / 2 - 1) continue;
    // More than what makes a node flush its data.
    for (int round = 0; round < 40; ++round) {
      std::vector<kv::set_request> large;
      for (int i = 0; i < large_keys; ++i) large.push_back(set_of("large-" + std::to_string(i), large_value(i)));
      set_all(writer, large);
    }
  }
}

struct answers {
  int right = 0;
  int damaged = 0;      // said to be
  int unavailable = 0;  // the node went away
  std::vector<std::string> wrong;
};

// Every revision of every key, and every bucket.
answers read_everything(client::client& reader) {
  answers seen;
  const auto judge = [&](const auto& answer, const std::string& what, const auto& is_right) {
    if (answer)
      is_right(*answer) ? void(++seen.right) : seen.wrong.push_back(what);
    else if (answer.error().code == errc::data_corrupted)
      ++seen.damaged;
    else if (answer.error().code == errc::unavailable || answer.error().code == errc::timeout)
      ++seen.unavailable;
    else
      seen.wrong.push_back(what + ": " + answer.error().message);
  };
  std::vector<kv::get_request> requests;
  std::vector<std::string> expected;
  const auto add = [&](const std::string& key, std::optional<std::int64_t> revision, std::string value) {
    auto request = get_of(key);
    request.at_revision = revision;
    requests.push_back(std::move(request));
    expected.push_back(std::move(value));
  };
  for (int i = 0; i < keys; ++i) {
    add(key_of(i), std::nullopt, value_of(i, revisions - 1));
    for (int revision = 0; revision < revisions; ++revision) add(key_of(i), revision, value_of(i, revision));
  }
  for (int i = 0; i < large_keys; ++i) add("large-" + std::to_string(i), std::nullopt, large_value(i));
  const auto answers = reader.get_many(requests);
  for (std::size_t i = 0; i < answers.size(); ++i)
    judge(answers[i], requests[i].key + " at " + std::to_string(requests[i].at_revision.value_or(-1)),
          [&](const kv::get_response& got) { return got.is_found && got.value.view() == expected[i]; });
  for (int bucket = 0; bucket < 20; ++bucket) {
    const auto name = "bucket-" + std::to_string(bucket);
    judge(reader.get_by_bucket(name), name, [&](const client::key_list& list) {
      return list.items.size() == keys / 20 && std::all_of(list.items.begin(), list.items.end(), [](const kv::listed_key& item) {
               return item.revision == revisions - 1 && item.value.str().ends_with("of revision " + std::to_string(revisions - 1));
             });
    });
  }
  return seen;
}

std::vector<fs::path> files_below(const fs::path& directory) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory))
    if (entry.is_regular_file() && entry.file_size() != 0) files.push_back(fs::relative(entry.path(), directory));
  std::sort(files.begin(), files.end());
  return files;
}

void flip_byte(const fs::path& path, std::uintmax_t offset, std::uint64_t with) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  const auto byte = static_cast<char>(static_cast<std::uint64_t>(file.get()) ^ with);
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(byte);
  file.close();
  CAF_REQUIRE(file.good());
}

// One anywhere or near the end, where the last writes are; or both ends and many. The journal of the Raft log goes on with zeros.
std::vector<std::uintmax_t> offsets_of(const fs::path& file, prng& dice) {
  std::uintmax_t size = fs::file_size(file);
  if (file.extension() == ".log") size = std::max<std::uintmax_t>(1, persistence::end_of_journal(read_file(file.string())).value_or(size));
  const auto anywhere = [&] { return dice.below(size); };
  const auto near_the_end = [&] { return size - 1 - dice.below(std::min<std::uintmax_t>(size, 4'096)); };
  if (!is_full()) return {dice.chance(1, 2) ? anywhere() : near_the_end()};
  std::vector<std::uintmax_t> offsets{0, size - 1};
  for (int i = 0; i < 20; ++i) {
    offsets.push_back(anywhere());
    offsets.push_back(near_the_end());
  }
  return offsets;
}

// Kinds of outcomes, for the summary.
struct tally {
  std::map<std::string, std::map<std::string, int>> by_file;
  void note(const fs::path& file, const std::string& outcome) { ++by_file[file.string()][outcome]; }
};

// What becomes of a node that is started on a damaged directory.
std::string outcome_of(cluster& nodes, const std::string& what) {
  constexpr milliseconds patience(60'000);
  const auto log_bytes = nodes.log(1).size();
  const auto said = [&] { return nodes.log(1).substr(log_bytes); };
  nodes.start(1);
  // A damaged partition falls silent, and the node is not ready then.
  const auto is_out_of_service = [&] { return said().find("partition out of service") != std::string::npos; };
  if (!eventually(patience, [&] { return !nodes.is_running(1) || nodes.is_ready(1) || is_out_of_service(); }, milliseconds(10))) {
    CAF_ERROR(what << ": neither ready nor refused; it said: " << said());
    nodes.kill(1);
    return "hangs";
  }
  if (!nodes.is_running(1)) {
    CAF_CHECK_EQUAL(what + ": status " + std::to_string(nodes.wait_for_end(1, milliseconds(0))->status), what + ": status 4");
    CAF_CHECK(said().find(nodes.data_directory(1).string()) != std::string::npos);
    return "refused";
  }
  // Nobody leads what is out of service: then there is nothing to wait for.
  const milliseconds timeout(is_out_of_service() ? 200 : 5'000);
  auto connected = client::client::connect({.endpoints = nodes.endpoints(), .timeout = timeout});
  answers seen;
  if (connected) seen = read_everything(*connected);
  for (const auto& wrong : seen.wrong) CAF_ERROR(what << ": " << wrong);
  if (!nodes.is_running(1)) {
    const auto status = nodes.wait_for_end(1, milliseconds(0))->status;
    CAF_MESSAGE(what << ": ended with status " << status << ": " << said());
    CAF_CHECK(status == 3 || status == 4);
    return "stopped when it met the damage";
  }
  nodes.kill(1);
  if (is_out_of_service()) {
    CAF_CHECK(seen.damaged + seen.unavailable > 0);
    return "a partition out of service, and said so";
  }
  CAF_CHECK_EQUAL(seen.unavailable, 0);
  if (seen.damaged != 0) return "said of some that it is damaged";
  return said().find("data directory repaired") != std::string::npos ? "repaired, and said so" : "all there";
}

void damage_every_file(bool is_stopped_in_order) {
  cluster nodes({.nodes = 1, .node_arguments = {"--partitions", "4"}});
  nodes.start_all_and_wait();
  write_everything(nodes);
  {
    auto reader = connect_or_fail(nodes.endpoints());
    const auto seen = read_everything(reader);
    CAF_REQUIRE_EQUAL(joined(seen.wrong), "");
    CAF_REQUIRE_EQUAL(seen.damaged + seen.unavailable, 0);
  }
  if (is_stopped_in_order)
    CAF_REQUIRE(nodes.stop(1).has_value());
  else
    nodes.kill(1);
  const temporary_directory kept;
  const auto whole = kept.path() / "whole";
  fs::copy(nodes.data_directory(1), whole, fs::copy_options::recursive);

  prng dice(is_stopped_in_order ? 1 : 2);
  tally seen;
  int flips = 0;
  for (const auto& file : files_below(whole))
    for (const auto offset : offsets_of(whole / file, dice)) {
      fs::remove_all(nodes.data_directory(1));
      fs::copy(whole, nodes.data_directory(1), fs::copy_options::recursive);
      flip_byte(nodes.data_directory(1) / file, offset, 1 + dice.below(255));
      seen.note(file, outcome_of(nodes, file.string() + " at " + std::to_string(offset)));
      ++flips;
    }
  std::string summary;
  for (const auto& [file, outcomes] : seen.by_file) {
    summary += "\n  " + file + " (" + std::to_string(fs::file_size(whole / file)) + " B):";
    for (const auto& [outcome, count] : outcomes) summary += ' ' + std::to_string(count) + " " + outcome + ';';
  }
  CAF_MESSAGE(flips << " bytes flipped, one at a time:" << summary);

  // The undamaged copy is as it was: it is the damage that the node met.
  fs::remove_all(nodes.data_directory(1));
  fs::copy(whole, nodes.data_directory(1), fs::copy_options::recursive);
  CAF_CHECK_EQUAL(outcome_of(nodes, "undamaged"), "all there");
}

}  // namespace

CAF_TEST(a flipped byte in any file of a node that was killed gives no wrong value) { damage_every_file(false); }

CAF_TEST(a flipped byte in any file of a node that was stopped gives no wrong value) { damage_every_file(true); }
