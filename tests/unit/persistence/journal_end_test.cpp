// The journals are RocksDB's own here: a test that makes records by itself would agree with a misreading of their format.
#define CAF_SUITE journal_end
#include "caf/test/unit_test.hpp"

#include <filesystem>
#include <fstream>

#include "core/base/prng.hpp"
#include "persistence/journal_end.hpp"
#include "persistence/journal_files.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/process.hpp"

using namespace kahuna;
using namespace kahuna::persistence;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t damaged_journal = ~std::size_t{0};

std::size_t end_of(std::string_view journal) { return end_of_journal(journal).value_or(damaged_journal); }

// A directory with one store, and its newest journal.
struct fixture {
  std::string path() const { return (directory.path() / "store").string(); }

  std::unique_ptr<ordered_store> open() {
    auto opened = open_rocksdb({.path = path(), .kept = journal::own, .may_create = true});
    CAF_REQUIRE(opened);
    return std::move(*opened);
  }

  void write(ordered_store& store, const std::string& key, const std::string& value) {
    const auto batch = store.make_batch();
    batch->put(family::main, key, value);
    CAF_REQUIRE(!store.write(*batch, sync::yes));
  }

  fs::path newest_journal() const {
    fs::path newest;
    for (const auto& entry : fs::directory_iterator(path()))
      if (entry.path().extension() == ".log" && entry.path() > newest) newest = entry.path();
    return newest;
  }

  std::string journal() const { return kahuna::testing::read_file(newest_journal().string()); }

  // The journal as it is while the store is open, so that nothing has been cut off, with where each of its batches ends.
  std::string written(const std::vector<std::string>& values, std::vector<std::size_t>& ends) {
    const auto store = open();
    for (std::size_t i = 0; i < values.size(); ++i) {
      write(*store, "key-" + std::to_string(i), values[i]);
      ends.push_back(end_of(journal()));
    }
    return journal();
  }

  // How many of the values that written() wrote a store with that journal has, the first ones; nothing: it refuses.
  std::optional<std::size_t> found_with(const std::string& bytes, const std::vector<std::string>& values) {
    fs::remove_all(path());
    open().reset();
    for (const auto& entry : fs::directory_iterator(path()))
      if (entry.path().extension() == ".log") std::ofstream(entry.path(), std::ios::binary) << bytes;
    auto opened = open_rocksdb({.path = path(), .kept = journal::own});
    if (!opened) return std::nullopt;
    std::size_t count = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto value = (*opened)->get(family::main, "key-" + std::to_string(i));
      CAF_REQUIRE(value);
      if (!*value) continue;
      CAF_CHECK(**value == values[i]);
      CAF_CHECK_EQUAL(i, count++);
    }
    return count;
  }

  kahuna::testing::temporary_directory directory;
};

// Some end with zeros, some go over a block's end, some over several.
std::vector<std::string> some_values() {
  std::vector<std::string> values;
  prng dice(7);
  for (int i = 0; i < 60; ++i) {
    std::string value(dice.chance(1, 8) ? 20'000 + dice.below(60'000) : dice.below(3'000), 'v');
    for (auto& byte : value) byte = static_cast<char>(dice.below(256));
    if (dice.chance(1, 3)) value.append(dice.below(5'000), '\0');
    values.push_back(std::move(value));
  }
  return values;
}

}  // namespace

CAF_TEST_FIXTURE_SCOPE(journal_end_tests, fixture)

CAF_TEST(a journal is written over zeros and ends where it should when it is closed) {
  auto store = open();
  write(*store, "a", "1");
  const auto after_one = journal();
  CAF_CHECK_EQUAL(after_one.size(), std::size_t{256} << 10);
  const auto end = end_of(after_one);
  CAF_CHECK_LESS(end, 100u);
  CAF_CHECK_EQUAL(after_one.find_first_not_of('\0', end), std::string::npos);
  for (int i = 0; i < 100; ++i) write(*store, "b", std::string(100, 'b'));
  CAF_CHECK_EQUAL(journal().size(), after_one.size());
  // The next piece begins when this one is used up, and what is large is not written twice.
  for (int i = 0; i < 12; ++i) write(*store, "c", std::string(30'000, 'c'));
  CAF_CHECK_EQUAL(journal().size() % 4'096, 0u);
  CAF_CHECK_LESS(after_one.size(), journal().size());
  for (int i = 0; i < 8; ++i) write(*store, "d", std::string(100'000, 'd'));
  write(*store, "d", std::string(1 << 20, 'd'));
  const auto size = journal().size();
  CAF_CHECK_EQUAL(end_of(journal()), size);
  const auto path = newest_journal();
  write(*store, "e", "5");
  CAF_CHECK_LESS(size + 200'000, fs::file_size(path));
  store.reset();
  CAF_CHECK_LESS(fs::file_size(path), size + 100);
}

CAF_TEST(it ends behind the last batch that is whole) {
  const auto values = some_values();
  std::vector<std::size_t> ends;
  const auto bytes = written(values, ends);
  for (std::size_t i = 1; i < ends.size(); ++i) CAF_REQUIRE(ends[i - 1] < ends[i]);
  CAF_CHECK_EQUAL(end_of(bytes), ends.back());
  CAF_CHECK_EQUAL(end_of(std::string_view(bytes).substr(0, ends.back())), ends.back());
  CAF_CHECK_EQUAL(end_of(""), 0u);
  CAF_CHECK_EQUAL(end_of(std::string(100'000, '\0')), 0u);
}

CAF_TEST(whatever part of the last batch reached the disk the ones before it are there) {
  const auto values = some_values();
  std::vector<std::size_t> ends;
  const auto bytes = written(values, ends);
  prng dice(3);
  int torn_over_blocks = 0;
  for (int round = 0; round < 120; ++round) {
    // What was written of batch `torn` when the crash came: up to a byte, or some of its pages, or sectors.
    const auto torn = dice.below(values.size());
    const auto begin = torn == 0 ? 0 : ends[torn - 1], end = ends[torn];
    auto crashed = bytes.substr(0, end);
    if (dice.chance(1, 2)) {
      const auto upto = begin + dice.below(end - begin);
      std::fill(crashed.begin() + static_cast<std::ptrdiff_t>(upto), crashed.end(), '\0');
    } else {
      const std::size_t unit = dice.chance(1, 2) ? 4'096 : 512;
      for (auto at = begin; at < end; at = (at / unit + 1) * unit)
        if (dice.chance(1, 2)) std::fill_n(crashed.begin() + static_cast<std::ptrdiff_t>(at), std::min(end, (at / unit + 1) * unit) - at, '\0');
    }
    const bool is_whole = crashed == bytes.substr(0, end);
    torn_over_blocks += !is_whole && begin / 32'768 != end / 32'768;
    // It ended over zeros, or was what made the file grow.
    if (dice.chance(2, 3))
      crashed.append(100'000, '\0');
    else if (dice.chance(1, 2))
      crashed.resize(begin + dice.below(end - begin + 1));
    const auto found = found_with(crashed, values);
    CAF_REQUIRE_EQUAL(found.value_or(9'999), torn + (is_whole && crashed.size() >= end ? 1 : 0));
  }
  CAF_CHECK(torn_over_blocks > 10);
}

// A copy of another journal is a value like others: what is torn there looks like many batches, but has other numbers.
CAF_TEST(records within a value are no batches) {
  std::string value;
  {
    const auto other = open();
    const auto batch = other->make_batch();
    for (int i = 0; i < 200'000; ++i) batch->put(family::main, "k", "");
    CAF_REQUIRE(!other->write(*batch, sync::yes));
    const auto begin = end_of(journal());
    for (int i = 0; i < 1'000; ++i) write(*other, "key", std::string(100, 'v'));
    value = journal().substr(begin, end_of(journal()) - begin);
  }
  CAF_REQUIRE(value.size() > 120'000);
  // Of a journal's first batch there is nothing to tell it from.
  for (const std::size_t before : {1u, 200u}) {
    fs::remove_all(path());
    std::vector<std::string> values(before, "v");
    values.push_back(value);
    std::vector<std::size_t> ends;
    const auto bytes = written(values, ends);
    for (const std::size_t cut : {50'000u, 8'192u, 100u}) {
      auto torn = bytes;
      std::fill(torn.begin() + static_cast<std::ptrdiff_t>(ends.back() - cut), torn.end(), '\0');
      CAF_CHECK_EQUAL(found_with(torn, values).value_or(9'999), before);
    }
  }
}

CAF_TEST(what is damaged before the last batch is refused) {
  const auto values = some_values();
  std::vector<std::size_t> ends;
  const auto bytes = written(values, ends);
  prng dice(5);
  const auto flip = [&](std::string& damaged) {
    const auto at = dice.below(ends[ends.size() - 2]);
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << dice.below(8)));
  };
  for (int round = 0; round < 300; ++round) {
    auto damaged = bytes;
    if (round % 3 == 0) {
      // A piece of garbage, over a block's end now and then.
      const auto at = dice.below(ends[ends.size() - 2]);
      for (auto i = at; i < std::min(at + 8'192, ends[ends.size() - 2]); ++i) damaged[i] = static_cast<char>(dice.below(256));
    }
    for (std::uint64_t i = 0; i <= dice.below(3); ++i) flip(damaged);
    CAF_REQUIRE(!end_of_journal(damaged));
    if (round % 10 == 0) CAF_CHECK(!found_with(damaged, values));
  }
}

CAF_TEST(of a damaged last batch nothing is kept and none before it is lost) {
  const auto values = some_values();
  std::vector<std::size_t> ends;
  const auto bytes = written(values, ends);
  prng dice(6);
  const auto begin = ends[ends.size() - 2], end = ends.back();
  for (int round = 0; round < 100; ++round) {
    auto damaged = bytes;
    const auto at = begin + dice.below(end - begin);
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << dice.below(8)));
    const auto kept = end_of(damaged);
    CAF_REQUIRE(kept >= begin);
    CAF_REQUIRE(kept < end);
    if (round % 10 == 0) CAF_CHECK_EQUAL(found_with(damaged, values).value_or(9'999), values.size() - 1);
  }
}

CAF_TEST(a journal that is none is said to be) {
  open().reset();
  CAF_CHECK(!cut_journals(path()));
  CAF_CHECK(!cut_journals(path() + "/is/not/there"));
  fs::create_directory(path() + "/000099.log");
  CAF_CHECK(cut_journals(path()).has_value());
}

CAF_TEST_FIXTURE_SCOPE_END()
