#define CAF_SUITE raft_log_store
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "persistence/journal_end.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/raft_log_store.hpp"
#include "persistence/record.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/process.hpp"

using namespace kahuna;
using namespace kahuna::persistence;

namespace {

const partition_id p{3};

raft::log_entry entry(std::uint64_t term, std::uint64_t index) {
  return {term_id{term}, log_index{index}, raft::entry_kind::command, "payload " + std::to_string(index)};
}

struct fixture {
  fixture() { reopen(); }

  void reopen() {
    auto opened = raft_log_store::open(disk, nullptr, [this](const error& e) { fatal = e.message; });
    CAF_REQUIRE(opened.has_value());
    log = std::move(*opened);
  }

  void write(std::optional<raft::hard_state> state, std::vector<raft::log_entry> entries, std::optional<std::uint64_t> truncate_from = {}) {
    raft::log_write w;
    w.state = state;
    w.entries = std::move(entries);
    if (truncate_from) w.truncate_from = log_index{*truncate_from};
    log->add(p, w);
    CAF_REQUIRE(!log->commit());
  }

  std::string key(std::uint64_t index) {
    std::string k;
    append_be32(k, p.value);
    k.push_back('E');
    append_be64(k, index);
    return k;
  }

  static std::string slot(std::uint32_t number) {
    std::string k;
    append_be32(k, 0xFFFFFFFF);
    k.push_back('N');
    append_be32(k, number);
    return k;
  }

  bool opens() {
    return raft_log_store::open(disk, nullptr, [](const error&) {}).has_value();
  }

  void tamper(const std::string& k, std::optional<std::string> value) {
    auto batch = disk->make_batch();
    if (value)
      batch->put(family::main, k, *value);
    else
      batch->erase(family::main, k);
    CAF_REQUIRE(!disk->write(*batch, sync::yes));
  }

  std::shared_ptr<memory_store> disk = std::make_shared<memory_store>();
  std::unique_ptr<raft_log_store> log;
  std::string fatal;
};

}  // namespace

CAF_TEST_FIXTURE_SCOPE(raft_log_store_tests, fixture)

CAF_TEST(an empty log is empty) {
  const auto found = log->load(p, {});
  CAF_REQUIRE(found.has_value());
  CAF_CHECK(found->last_index == log_index{0});
  CAF_CHECK(found->state == raft::hard_state{});
  CAF_CHECK(log->reader(p)->term_at(log_index{1}) == term_id{0});
}

CAF_TEST(what was committed is found and what was only added is not) {
  write(raft::hard_state{term_id{2}, node_id{1}}, {entry(1, 1), entry(2, 2)});
  raft::log_write more;
  more.entries = {entry(2, 3)};
  log->add(p, more);
  reopen();
  const auto found = log->load(p, {});
  CAF_CHECK(found->last_index == log_index{2});
  CAF_CHECK((found->state == raft::hard_state{term_id{2}, node_id{1}}));
}

CAF_TEST(a truncation goes with what replaces it and leaves other partitions alone) {
  write(raft::hard_state{term_id{3}, no_node}, {entry(1, 1), entry(1, 2), entry(1, 3)});
  raft::log_write other;
  other.state = raft::hard_state{term_id{1}, no_node};
  other.entries = {entry(1, 1), entry(1, 2), entry(1, 3)};
  log->add(partition_id{4}, other);
  CAF_REQUIRE(!log->commit());
  write({}, {entry(3, 2)}, 2);
  CAF_CHECK(log->load(p, {})->last_index == log_index{2});
  CAF_CHECK(log->reader(p)->term_at(log_index{2}) == term_id{3});
  CAF_CHECK(log->load(partition_id{4}, {})->last_index == log_index{3});
  CAF_CHECK(log->load(partition_id{2}, {})->last_index == log_index{0});
}

// RocksDB would end the process where an erased range begins with a key whose place it remembers.
CAF_TEST(ends and beginnings go also where the store remembers where it wrote last) {
  const kahuna::testing::temporary_directory directory;
  const auto reopen_on_disk = [&](bool is_new) {
    log.reset();
    auto store = open_rocksdb({.path = directory.path() / "log", .may_create = is_new, .nearby = raft_log_writes});
    CAF_REQUIRE(store.has_value());
    auto opened = raft_log_store::open(std::move(*store), nullptr, [this](const error& e) { fatal = e.message; });
    CAF_REQUIRE(opened.has_value());
    log = std::move(*opened);
  };
  reopen_on_disk(true);
  write(raft::hard_state{term_id{3}, no_node}, {entry(1, 1), entry(1, 2), entry(1, 3), entry(1, 4)});
  write(std::nullopt, {entry(2, 3), entry(2, 4), entry(2, 5)}, 3);
  write(std::nullopt, {entry(3, 1), entry(3, 2), entry(3, 3), entry(3, 4), entry(3, 5)}, 1);
  raft::log_write shorter;
  shorter.start = raft::log_start{{log_index{2}, term_id{3}}, {}};
  log->add(p, shorter);
  CAF_REQUIRE(!log->commit());
  reopen_on_disk(false);
  const auto found = log->load(p, log_index{3});
  if (!found) CAF_FAIL(found.error().message);
  CAF_CHECK(found->start.index == log_index{2});
  CAF_CHECK(found->last_index == log_index{5});
  CAF_REQUIRE(!log->record_replica(p, false));
  reopen_on_disk(false);
  CAF_CHECK(log->load(p, {})->last_index == log_index{});
  CAF_CHECK_EQUAL(fatal, "");
}

CAF_TEST(a log begins where it was told to) {
  std::vector<raft::log_entry> entries;
  for (std::uint64_t i = 1; i <= 6; ++i) entries.push_back(entry(1, i));
  write(raft::hard_state{term_id{2}, no_node}, entries);
  raft::log_write shorter;
  shorter.start = raft::log_start{{log_index{4}, term_id{1}}, {{node_id{1}, node_id{2}}, {node_id{1}}, {node_id{3}}}};
  shorter.entries = {entry(2, 7)};
  log->add(p, shorter);
  CAF_REQUIRE(!log->commit());
  reopen();
  const auto found = log->load(p, log_index{5});
  CAF_REQUIRE(found.has_value());
  CAF_CHECK((found->start == raft::log_position{log_index{4}, term_id{1}}));
  CAF_CHECK(found->members == shorter.start->members);
  CAF_CHECK(found->last_index == log_index{7});
  CAF_CHECK(found->log_bytes > 0 && !found->is_log_obsolete);
  CAF_CHECK(log->reader(p)->read(log_index{4}, log_index{8}, 1 << 20).empty());
  CAF_CHECK_EQUAL(log->reader(p)->read(log_index{5}, log_index{8}, 1 << 20).size(), 3u);
  // What is gone was applied, or something is lost.
  CAF_CHECK(log->load(p, log_index{4}).has_value());
  const auto lost = log->load(p, log_index{3});
  CAF_REQUIRE(!lost);
  CAF_CHECK(lost.error().code == errc::data_corrupted);
}

CAF_TEST(after a snapshot nothing of another log counts) {
  write(raft::hard_state{term_id{3}, no_node}, {entry(1, 1), entry(1, 2), entry(2, 3)});
  const auto load = [&](std::uint64_t index, std::uint64_t term) {
    return log->load(p, log_index{index}, raft::log_start{{log_index{index}, term_id{term}}, {{node_id{2}}, {}, {}}});
  };
  // The log leads there: it stays.
  CAF_CHECK(!load(2, 1)->is_log_obsolete);
  CAF_CHECK(load(2, 1)->last_index == log_index{3});
  // It ends before, or has another entry there.
  for (const auto& [index, term] : {std::pair(9, 3), std::pair(3, 3)}) {
    const auto found = load(static_cast<std::uint64_t>(index), static_cast<std::uint64_t>(term));
    CAF_REQUIRE(found.has_value());
    CAF_CHECK(found->is_log_obsolete);
    CAF_CHECK(found->last_index.value == static_cast<std::uint64_t>(index));
    CAF_CHECK(found->start.index == found->last_index);
    CAF_CHECK(found->members.is_voter(node_id{2}));
  }
  raft::log_write all;
  all.start = raft::log_start{{log_index{3}, term_id{3}}, {{node_id{1}}, {}, {}}};
  all.truncate_from = log_index{4};
  log->add(p, all);
  CAF_REQUIRE(!log->commit());
  CAF_CHECK(!load(3, 3)->is_log_obsolete);
  CAF_CHECK(load(3, 3)->last_index == log_index{3});
}

CAF_TEST(a reader stops at its bounds) {
  std::vector<raft::log_entry> entries;
  for (std::uint64_t i = 1; i <= 10; ++i) entries.push_back(entry(1, i));
  write(raft::hard_state{term_id{1}, no_node}, entries);
  const auto reader = log->reader(p);
  CAF_CHECK_EQUAL(reader->read(log_index{3}, log_index{6}, 1 << 20).size(), 3u);
  CAF_CHECK_EQUAL(reader->read(log_index{3}, log_index{6}, 1).size(), 1u);
  CAF_CHECK_EQUAL(reader->read(log_index{9}, log_index{99}, 1 << 20).size(), 2u);
  CAF_CHECK(reader->read(log_index{11}, log_index{12}, 1 << 20).empty());
  CAF_CHECK(reader->read(log_index{4}, log_index{5}, 1)[0] == entry(1, 4));
  CAF_CHECK(fatal.empty());
}

CAF_TEST(damage is found at the start and named) {
  write(raft::hard_state{term_id{2}, no_node}, {entry(1, 1), entry(1, 2), entry(2, 3), entry(2, 4)});
  const auto whole = **disk->get(family::main, key(3));
  const auto says = [&](log_index applied, const std::string& text) {
    const auto found = log->load(p, applied);
    CAF_REQUIRE(!found);
    CAF_CHECK(found.error().code == errc::data_corrupted);
    CAF_CHECK(found.error().message.find(text) != std::string::npos);
  };
  tamper(key(3), std::nullopt);
  says({}, "entry 3");
  auto flipped = whole;
  flipped[2] = static_cast<char>(flipped[2] ^ 4);
  tamper(key(3), flipped);
  says({}, "entry 3");
  // What was applied is not read any more.
  CAF_CHECK(log->load(p, log_index{4}).has_value());
  // Another entry's record, whole, in its place.
  tamper(key(3), **disk->get(family::main, key(2)));
  says({}, "entry 3");
  tamper(key(3), encode_record(key(3), entry(9, 3)));
  says({}, "out of order");
  tamper(key(3), whole);
  CAF_CHECK(log->load(p, {}).has_value());
  says(log_index{5}, "applied up to entry 5");
}

CAF_TEST(damage that is met later is fatal) {
  write(raft::hard_state{term_id{1}, no_node}, {entry(1, 1), entry(1, 2)});
  tamper(key(2), "rubbish");
  CAF_CHECK_EQUAL(log->reader(p)->read(log_index{1}, log_index{3}, 1 << 20).size(), 1u);
  CAF_CHECK(fatal.find("entry 2") != std::string::npos);
}

CAF_TEST(peers are remembered) {
  CAF_CHECK_EQUAL(log->incarnation_of(node_id{2}), 0u);
  CAF_REQUIRE(!log->remember_peer(node_id{2}, 77));
  disk->lose_unsynced();
  reopen();
  CAF_CHECK_EQUAL(log->incarnation_of(node_id{2}), 77u);
  CAF_CHECK_EQUAL(log->incarnation_of(node_id{3}), 0u);
}

CAF_TEST(a dropped replica leaves only what it had promised) {
  CAF_CHECK(!log->is_hosted(p)->has_value());
  CAF_REQUIRE(!log->record_replica(p, true));
  write(raft::hard_state{term_id{7}, node_id{2}}, {entry(1, 1), entry(1, 2)});
  raft::log_write other;
  other.number = 1;
  other.state = raft::hard_state{term_id{3}, no_node};
  other.entries = {entry(1, 1)};
  const partition_id neighbour{p.value + 1};
  log->add(neighbour, other);
  // What was added before goes with it.
  CAF_REQUIRE(!log->record_replica(p, false));
  disk->lose_unsynced();
  reopen();
  CAF_CHECK(log->is_hosted(p)->has_value() && !**log->is_hosted(p));
  const auto found = log->load(p, {});
  CAF_REQUIRE(found.has_value());
  CAF_CHECK((found->state == raft::hard_state{term_id{7}, node_id{2}}));
  CAF_CHECK(found->last_index == log_index{});
  CAF_CHECK(found->start.index == log_index{});
  CAF_CHECK((found->dropped == raft::log_position{log_index{2}, term_id{1}}));
  CAF_CHECK(log->load(neighbour, {})->last_index == log_index{1});
  CAF_CHECK(log->load(neighbour, {})->dropped == raft::log_position{});
  CAF_REQUIRE(!log->record_replica(p, true));
  CAF_CHECK(**log->is_hosted(p));
}

CAF_TEST(where a dropped log ended is known until a later one has got further) {
  const auto dropped = [this] { return log->load(p, {})->dropped; };
  write(raft::hard_state{term_id{3}, no_node}, {entry(1, 1), entry(3, 2), entry(3, 3)});
  CAF_REQUIRE(!log->record_replica(p, false));
  CAF_CHECK((dropped() == raft::log_position{log_index{3}, term_id{3}}));
  // It had learned more entries, of older terms: that is less.
  CAF_REQUIRE(!log->record_replica(p, true));
  write({}, {entry(1, 1), entry(2, 2), entry(2, 3), entry(2, 4)});
  CAF_REQUIRE(!log->record_replica(p, false));
  CAF_CHECK((dropped() == raft::log_position{log_index{3}, term_id{3}}));
  // Of an empty log it is its start that counts.
  CAF_REQUIRE(!log->record_replica(p, true));
  raft::log_write snapshot;
  snapshot.number = 9;
  snapshot.start = raft::log_start{{log_index{8}, term_id{3}}, {{node_id{1}}, {}, {}}};
  log->add(p, snapshot);
  CAF_REQUIRE(!log->commit());
  CAF_REQUIRE(!log->record_replica(p, false));
  CAF_CHECK((dropped() == raft::log_position{log_index{8}, term_id{3}}));
}

CAF_TEST(a log that lost its synced end is refused) {
  const kahuna::testing::temporary_directory directory;
  const auto path = (directory.path() / "log.synced").string();
  const auto fails = [](const error&) {};
  {
    auto mark = synced_mark::open(path, true);
    auto opened = raft_log_store::open(disk, std::move(*mark), fails);
    for (std::uint64_t i = 1; i <= 3; ++i) {
      raft::log_write w;
      w.entries = {entry(1, i)};
      (*opened)->add(p, w);
      CAF_REQUIRE(!(*opened)->commit());
      (*opened)->note_commit();
    }
  }
  CAF_CHECK(raft_log_store::open(disk, *synced_mark::open(path, false), fails).has_value());
  // The file may lag: it is written after the sync.
  auto lagging = synced_mark::open(path, false);
  (*lagging)->set(2);
  // One torn slot is spared by the other.
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(2);
    file.put('x');
  }
  const auto torn = synced_mark::open(path, false);
  CAF_REQUIRE(torn.has_value());
  CAF_CHECK_EQUAL((*torn)->number(), 3u);
  CAF_CHECK((*torn)->is_half_damaged() && !(*lagging)->is_half_damaged());
  auto shortened = std::make_shared<memory_store>();
  const auto refused = raft_log_store::open(shortened, *synced_mark::open(path, false), fails);
  CAF_REQUIRE(!refused);
  CAF_CHECK(refused.error().code == errc::data_corrupted);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(14);
    file.put('x');
  }
  CAF_CHECK(!synced_mark::open(path, false));
  CAF_CHECK(!synced_mark::open(path + ".missing", false));
}

CAF_TEST(what a start finds is not lost without notice afterwards) {
  const kahuna::testing::temporary_directory directory;
  const auto path = (directory.path() / "log.synced").string();
  const auto fails = [](const error&) {};
  for (std::uint64_t i = 1; i <= 3; ++i) write({}, {entry(1, i)});
  // Nobody had noted how far it was synced.
  CAF_CHECK(raft_log_store::open(disk, *synced_mark::open(path, true), fails).has_value());
  CAF_CHECK_EQUAL((*synced_mark::open(path, false))->number(), 3u);
}

// RocksDB forgives a torn end, also that of a journal behind which it has begun another one: there it is damage.
CAF_TEST(a damaged end of an older journal is refused) {
  const kahuna::testing::temporary_directory directory;
  const auto original = directory.path() / "log";
  const auto copy = directory.path() / "copy";
  const auto journals_of = [](const std::filesystem::path& path) {
    std::vector<std::filesystem::path> found;
    for (const auto& file : std::filesystem::directory_iterator(path))
      if (file.path().extension() == ".log" && file.file_size() != 0) found.push_back(file.path());
    std::sort(found.begin(), found.end());
    return found;
  };
  const auto settings_of = [](const std::filesystem::path& path) {
    rocksdb_settings settings{path.string(), journal::own, true};
    settings.write_buffer_bytes = 64 << 10;
    return settings;
  };
  const auto fails = [](const error&) {};
  const auto is_opened = [&](const std::filesystem::path& path) {
    auto store = open_rocksdb(settings_of(path));
    return store && raft_log_store::open(std::move(*store), nullptr, fails);
  };
  const auto damaged = directory.path() / "damaged";
  const auto anew = [&] {
    std::filesystem::remove_all(damaged);
    std::filesystem::copy(copy, damaged);
  };
  {
    auto opened = raft_log_store::open(std::move(*open_rocksdb(settings_of(original))), nullptr, fails);
    // There are two until the older one's memtable is written out, which takes a moment. What is copied meanwhile may be in two minds.
    bool are_two = false;
    for (std::uint64_t i = 1; i <= 20'000 && !are_two; ++i) {
      raft::log_write w;
      w.state = raft::hard_state{term_id{i}, node_id{1}};
      w.entries = {raft::log_entry{term_id{i}, log_index{i}, raft::entry_kind::command, shared_bytes(std::string(100, 'x'))}};
      (*opened)->add(p, w);
      CAF_REQUIRE(!(*opened)->commit());
      if (journals_of(original).size() < 2) continue;
      std::error_code gone_meanwhile;
      std::filesystem::remove_all(copy);
      std::filesystem::copy(original, copy, gone_meanwhile);
      if (gone_meanwhile || journals_of(copy).size() != 2) continue;
      anew();
      if (!is_opened(damaged)) continue;
      // And the older one may have been written out, and only not be gone: then nobody misses it.
      anew();
      std::filesystem::resize_file(journals_of(damaged).front(), 0);
      are_two = !is_opened(damaged);
    }
    CAF_REQUIRE(are_two);
  }
  const auto length = end_of_journal(kahuna::testing::read_file(journals_of(copy).front().string())).value_or(0);
  // In its last record RocksDB finds nothing to complain of.
  for (std::uint64_t from_end = 1; from_end < 300; from_end += 23) {
    anew();
    std::fstream file(journals_of(damaged).front(), std::ios::in | std::ios::out | std::ios::binary);
    const auto place = static_cast<std::streamoff>(length - from_end);
    file.seekg(place);
    const auto byte = static_cast<char>(file.get() ^ 0x80);
    file.seekp(place);
    file.put(byte);
    file.close();
    CAF_CHECK_EQUAL(is_opened(damaged) ? from_end : 0, 0u);
  }
}

CAF_TEST(a batch that is missing before the last is noticed) {
  for (std::uint64_t i = 1; i <= 5; ++i) write({}, {entry(1, i)});
  CAF_CHECK(opens());
  const auto third = **disk->get(family::main, slot(3));
  tamper(slot(3), std::nullopt);
  CAF_CHECK(!opens());
  tamper(slot(3), third);
  CAF_CHECK(opens());
  tamper(slot(1), std::nullopt);
  CAF_CHECK(!opens());
  // As if an older build had written that one, whose count goes on.
  std::string before_slots;
  append_be32(before_slots, 0xFFFFFFFF);
  before_slots.push_back('B');
  tamper(before_slots, encode_record(before_slots, std::uint64_t{1}));
  CAF_CHECK(opens());
  // The end may be torn.
  tamper(slot(5), std::nullopt);
  CAF_CHECK(opens());
}

// From then on a batch that is missing leaves in its slot the one that was there before.
CAF_TEST(a batch that is missing is noticed when all slots are in use) {
  constexpr std::uint64_t slots = 16'384;
  constexpr std::uint64_t last = 3 * slots + 5;
  const auto record_of = [](std::uint64_t number) {
    return encode_record(slot(static_cast<std::uint32_t>(number % slots)), number);
  };
  auto written = disk->make_batch();
  for (auto number = last - slots + 1; number <= last; ++number)
    written->put(family::main, slot(static_cast<std::uint32_t>(number % slots)), record_of(number));
  CAF_REQUIRE(!disk->write(*written, sync::yes));
  CAF_CHECK(opens());
  tamper(slot(3), record_of(last - 2 - slots));
  CAF_CHECK(!opens());
  tamper(slot(3), record_of(last - 2));
  CAF_CHECK(opens());
  // The one before the end too, and the oldest of all.
  tamper(slot(4), record_of(last - 1 - slots));
  CAF_CHECK(!opens());
  tamper(slot(4), record_of(last - 1));
  tamper(slot(6), record_of(last + 1 - 2 * slots));
  CAF_CHECK(!opens());
  tamper(slot(6), std::nullopt);
  CAF_CHECK(!opens());
  tamper(slot(6), record_of(last + 1 - slots));
  // A number in another's slot would hide that one.
  tamper(slot(2), encode_record(slot(2), last - 2));
  CAF_CHECK(!opens());
  tamper(slot(2), record_of(last - 3));
  CAF_CHECK(opens());
  // The next ones take the places of the oldest, and the end may be torn there as well.
  reopen();
  for (std::uint64_t i = 1; i <= 3; ++i) write({}, {entry(1, i)});
  CAF_CHECK(opens());
  tamper(slot(8), record_of(last + 3 - slots));
  CAF_CHECK(opens());
  tamper(slot(7), record_of(last + 2 - slots));
  CAF_CHECK(opens());
  tamper(slot(8), record_of(last + 3));
  CAF_CHECK(!opens());
}

CAF_TEST_FIXTURE_SCOPE_END()
