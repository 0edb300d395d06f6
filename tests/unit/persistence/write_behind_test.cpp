#define CAF_SUITE write_behind
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <vector>

#include "core/base/prng.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/write_behind.hpp"

using namespace kahuna;
using namespace kahuna::persistence;

namespace {

using contents = std::map<std::string, std::string>;

// A store in memory that notes what it is told to write, and can be made to fail.
class watched_store final : public ordered_store {
 public:
  struct batch final : store_batch {
    void put(family f, std::string_view key, std::string_view value) override {
      real->put(f, key, value);
      keys.emplace_back(f, std::string(key));
      bytes += key.size() + value.size();
    }
    void erase(family f, std::string_view key) override {
      real->erase(f, key);
      keys.emplace_back(f, std::string(key));
      bytes += key.size();
    }
    void erase_range(family, std::string_view, std::string_view) override { CAF_FAIL("nobody asked for that"); }

    std::unique_ptr<store_batch> real;
    std::vector<std::pair<family, std::string>> keys;
    std::size_t bytes = 0;
  };

  std::unique_ptr<store_batch> make_batch() override {
    auto made = std::make_unique<batch>();
    made->real = memory.make_batch();
    return made;
  }
  std::optional<error> write(store_batch& b, persistence::sync s) override {
    auto& written = static_cast<batch&>(b);
    if (is_broken) return error{errc::unavailable, "the disk is gone"};
    sizes.push_back(written.bytes);
    batches.push_back(written.keys);
    return memory.write(*written.real, s);
  }
  result<std::optional<std::string>> get(family f, std::string_view key) const override { return memory.get(f, key); }
  std::unique_ptr<store_cursor> cursor(family f, reading how) const override;
  std::optional<error> flush() override { return memory.flush(); }

  contents all_of(family f) const {
    contents all;
    const auto cursor = memory.cursor(f);
    for (cursor->seek(""); cursor->is_valid(); cursor->next()) all.emplace(cursor->key(), cursor->value());
    return all;
  }

  memory_store memory;
  std::vector<std::vector<std::pair<family, std::string>>> batches;
  std::vector<std::size_t> sizes;
  bool is_broken = false;
  std::string damaged_from = "~";  // no cursor gets there
};

class watched_cursor final : public store_cursor {
 public:
  watched_cursor(std::unique_ptr<store_cursor> real, std::string damaged_from) : real_(std::move(real)), damaged_from_(std::move(damaged_from)) {}
  void seek(std::string_view key) override { real_->seek(key); }
  void seek_back(std::string_view key) override { real_->seek_back(key); }
  void next() override { real_->next(); }
  bool is_valid() const override { return real_->is_valid() && real_->key() < damaged_from_; }
  std::string_view key() const override { return real_->key(); }
  std::string_view value() const override { return real_->value(); }
  std::optional<error> damage() const override {
    if (!real_->is_valid() || real_->key() < damaged_from_) return std::nullopt;
    return error{errc::data_corrupted, "a block is damaged"};
  }

 private:
  std::unique_ptr<store_cursor> real_;
  std::string damaged_from_;
};

std::unique_ptr<store_cursor> watched_store::cursor(family f, reading how) const {
  return std::make_unique<watched_cursor>(memory.cursor(f, how), damaged_from);
}

struct fixture {
  write_behind over_store(const write_behind_limits& limits) {
    return {store, limits, [](const error& e) { throw std::runtime_error(e.message); }};
  }

  std::shared_ptr<watched_store> store = std::make_shared<watched_store>();
};

contents walk(const write_behind& unwritten, family f, const std::string& from = "") {
  contents all;
  std::string last;
  const auto cursor = unwritten.cursor(f);
  for (cursor->seek(from); cursor->is_valid(); cursor->next()) {
    CAF_REQUIRE(all.empty() || last < cursor->key());
    last = cursor->key();
    all.emplace(cursor->key(), cursor->value());
  }
  CAF_REQUIRE(!cursor->damage());
  return all;
}

std::string padded(std::uint64_t number) { return std::string(4 - std::to_string(number).size(), '0') + std::to_string(number); }

}  // namespace

CAF_TEST_FIXTURE_SCOPE(write_behind_tests, fixture)

CAF_TEST(whoever reads through it sees what was put whatever of it is written) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    prng dice(seed);
    store = std::make_shared<watched_store>();
    auto unwritten = over_store({dice.between(1, 900), dice.between(1, 200)});
    std::map<family, contents> twin;
    const auto skipped = dice.below(4);
    for (int step = 0; step < 400; ++step) {
      const auto f = dice.chance(3, 4) ? family::main : family::transaction;
      const auto key = padded(dice.below(60));
      if (dice.chance(1, 3)) {
        unwritten.erase(f, key);
        twin[f].erase(key);
      } else {
        const std::string value(dice.below(30), static_cast<char>('a' + dice.below(26)));
        unwritten.put(f, key, value);
        twin[f][key] = value;
      }
      if (dice.chance(2, 3)) unwritten.keep_pace();
      if (dice.chance(1, 40)) unwritten.write_all();
      if (step % 50 < 12 * static_cast<int>(skipped)) continue;
      const auto asked = padded(dice.below(60));
      const auto found = unwritten.get(family::main, asked);
      const auto expected = twin[family::main].find(asked);
      CAF_REQUIRE(found.has_value());
      CAF_REQUIRE_EQUAL(found->has_value(), expected != twin[family::main].end());
      if (*found) CAF_REQUIRE_EQUAL(**found, expected->second);
      for (const auto which : {family::main, family::transaction}) {
        const contents behind(twin[which].lower_bound(asked), twin[which].end());
        CAF_REQUIRE(walk(unwritten, which, asked) == behind);
      }
    }
    unwritten.write_all();
    CAF_CHECK(store->all_of(family::main) == twin[family::main]);
    CAF_CHECK(store->all_of(family::transaction) == twin[family::transaction]);
    CAF_CHECK_EQUAL(unwritten.bytes(), 0u);
  }
}

CAF_TEST(slices are small and in the order of keys and nothing piles up) {
  prng dice(5);
  auto unwritten = over_store({1'000, 100});
  std::size_t held_max = 0;
  for (int i = 0; i < 2'000; ++i) {
    unwritten.put(family::main, padded(dice.below(5'000)), std::string(16, 'v'));
    const auto batches_before = store->batches.size();
    unwritten.keep_pace();
    CAF_REQUIRE_LESS_OR_EQUAL(store->batches.size() - batches_before, 1u);
    held_max = std::max(held_max, unwritten.bytes());
  }
  CAF_CHECK_LESS_OR_EQUAL(held_max, 2'100u);
  CAF_CHECK_GREATER_OR_EQUAL(held_max, 1'000u);
  CAF_REQUIRE_GREATER(store->batches.size(), 300u);
  std::size_t steps_back = 0;
  for (std::size_t i = 0; i < store->batches.size(); ++i) {
    const auto& keys = store->batches[i];
    CAF_CHECK(std::is_sorted(keys.begin(), keys.end()));
    CAF_CHECK_LESS(store->sizes[i], 120u);
    if (i != 0 && keys.front() < store->batches[i - 1].back()) ++steps_back;
  }
  // Once for each time that 50 records of 20 bytes had gathered.
  CAF_CHECK_LESS_OR_EQUAL(steps_back, 40u);
}

CAF_TEST(what stands for what came before it is never written sooner) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    prng dice(seed);
    store = std::make_shared<watched_store>();
    auto unwritten = over_store({dice.between(1, 700), dice.between(1, 150)});
    std::uint64_t accounts = 0;
    for (std::uint64_t i = 1; i <= 300; ++i) {
      unwritten.put(family::main, padded(dice.below(1'000)) + padded(i), "v");
      unwritten.put(family::transaction, padded(i), "t");
      if (dice.chance(1, 5)) {
        unwritten.put(family::window, "w", padded(i));
        unwritten.put(family::meta, "m", padded(i));
      }
      unwritten.keep_pace();
      const auto meta = store->all_of(family::meta);
      const auto window = store->all_of(family::window);
      CAF_REQUIRE_EQUAL(meta.size(), window.size());
      // The second is always of a whole beginning.
      const auto transactions = store->all_of(family::transaction);
      if (!transactions.empty()) CAF_REQUIRE_EQUAL(padded(transactions.size()), transactions.rbegin()->first);
      if (meta.empty()) continue;
      ++accounts;
      CAF_REQUIRE_EQUAL(meta.begin()->second, window.begin()->second);
      std::size_t there = 0;
      for (const auto& [key, value] : store->all_of(family::main)) there += key.substr(4) <= meta.begin()->second;
      CAF_REQUIRE_EQUAL(padded(there), meta.begin()->second);
      CAF_REQUIRE_GREATER_OR_EQUAL(transactions.rbegin()->first, meta.begin()->second);
    }
    CAF_CHECK_GREATER(accounts, 0u);
  }
}

CAF_TEST(a walk ends where the store is damaged and says so) {
  auto unwritten = over_store({1 << 20, 1 << 20});
  for (const auto* key : {"a", "c", "e"}) unwritten.put(family::main, key, "stored");
  unwritten.write_all();
  for (const auto* key : {"b", "d", "f"}) unwritten.put(family::main, key, "new");
  store->damaged_from = "c";
  const auto cursor = unwritten.cursor(family::main);
  std::string seen;
  for (cursor->seek(""); cursor->is_valid(); cursor->next()) seen += cursor->key();
  CAF_CHECK_EQUAL(seen, "a");
  const auto damage = cursor->damage();
  CAF_REQUIRE(damage.has_value());
  CAF_CHECK_EQUAL(damage->message, "a block is damaged");
}

CAF_TEST(a write that fails is fatal) {
  auto unwritten = over_store({1 << 20, 1 << 20});
  unwritten.put(family::main, "a", "1");
  store->is_broken = true;
  std::string said;
  try {
    unwritten.write_all();
  } catch (const std::runtime_error& e) {
    said = e.what();
  }
  CAF_CHECK_EQUAL(said, "the disk is gone");
}

CAF_TEST_FIXTURE_SCOPE_END()
