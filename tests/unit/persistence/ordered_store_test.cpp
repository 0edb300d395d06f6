// One table of tests for all stores behind the interface, and the store on disk beside the one in memory.
#define CAF_SUITE ordered_store
#include "caf/test/unit_test.hpp"

#include "core/base/prng.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/process.hpp"

using namespace kahuna;
using namespace kahuna::persistence;

namespace {

struct fixture {
  std::vector<std::pair<std::string, std::shared_ptr<ordered_store>>> stores() {
    std::vector<std::pair<std::string, std::shared_ptr<ordered_store>>> all;
    all.emplace_back("memory", std::make_shared<memory_store>());
    for (const auto kept : {journal::own, journal::none}) {
      const std::string name = kept == journal::own ? "own" : "none";
      auto opened = open_rocksdb({(directory.path() / name).string(), kept, true});
      CAF_REQUIRE(opened.has_value());
      all.emplace_back("rocksdb " + name, std::move(*opened));
    }
    return all;
  }

  kahuna::testing::temporary_directory directory;
};

std::string contents(const ordered_store& store) {
  std::string all;
  const auto cursor = store.cursor(family::main);
  for (cursor->seek(""); cursor->is_valid(); cursor->next()) all.append(cursor->key()).append("=").append(cursor->value()).append(" ");
  CAF_REQUIRE(!cursor->damage());
  return all;
}

std::string at(const store_cursor& cursor) { return cursor.is_valid() ? std::string(cursor.key()) : "end"; }

// Two changed alike. Erased ranges begin with keys that `nearby` does not concern.
void check_beside_twin(ordered_store& store, std::optional<nearby_writes> nearby) {
  prng dice(77);
  memory_store twin;
  const auto any_key = [&] { return std::to_string(dice.below(nearby ? 2'000 : 60)); };
  for (int round = 0; round < 300; ++round) {
    const auto one = store.make_batch();
    const auto other = twin.make_batch();
    for (auto changes = dice.between(1, 5); changes > 0; --changes) {
      const auto key = any_key();
      const auto to = any_key();
      switch (dice.below(5)) {
        case 0:
          one->erase(family::main, key);
          other->erase(family::main, key);
          break;
        case 1:
          if (key < to && !(nearby && nearby->concern(key.size()))) {
            one->erase_range(family::main, key, to);
            other->erase_range(family::main, key, to);
          }
          break;
        default:
          one->put(family::main, key, to);
          other->put(family::main, key, to);
      }
    }
    CAF_REQUIRE(!store.write(*one, persistence::sync::no));
    CAF_REQUIRE(!twin.write(*other, persistence::sync::no));
    CAF_REQUIRE_EQUAL(contents(store), contents(twin));
    const auto a = store.cursor(family::main);
    const auto b = twin.cursor(family::main);
    const auto key = any_key();
    a->seek_back(key);
    b->seek_back(key);
    CAF_REQUIRE_EQUAL(at(*a), at(*b));
  }
}

}  // namespace

CAF_TEST_FIXTURE_SCOPE(ordered_store_tests, fixture)

CAF_TEST(a batch is applied in its order and cursors find their place) {
  for (const auto& [name, store] : stores()) {
    CAF_MESSAGE(name);
    auto batch = store->make_batch();
    for (const auto* key : {"b", "d", "f", "h"}) batch->put(family::main, key, key);
    batch->erase(family::main, "d");
    batch->put(family::main, "b", "2");
    CAF_REQUIRE(!store->write(*batch, persistence::sync::no));
    CAF_CHECK_EQUAL(contents(*store), "b=2 f=f h=h ");
    const auto cursor = store->cursor(family::main);
    cursor->seek("c");
    CAF_CHECK_EQUAL(at(*cursor), "f");
    cursor->seek("f");
    CAF_CHECK_EQUAL(at(*cursor), "f");
    cursor->seek("i");
    CAF_CHECK_EQUAL(at(*cursor), "end");
    cursor->seek_back("g");
    CAF_CHECK_EQUAL(at(*cursor), "f");
    cursor->seek_back("z");
    CAF_CHECK_EQUAL(at(*cursor), "h");
    cursor->seek_back("a");
    CAF_CHECK_EQUAL(at(*cursor), "end");
    batch = store->make_batch();
    batch->erase_range(family::main, "b", "h");
    CAF_REQUIRE(!store->write(*batch, persistence::sync::no));
    CAF_CHECK_EQUAL(contents(*store), "h=h ");
    CAF_CHECK(!store->get(family::main, "b")->has_value());
    const auto left = store->get(family::main, "h");
    CAF_REQUIRE(left && left->has_value());
    CAF_CHECK_EQUAL(std::string(**left), "h");
  }
}

CAF_TEST(the store on disk does what the one in memory does) {
  auto opened = open_rocksdb({(directory.path() / "twin").string(), journal::own, true});
  check_beside_twin(**opened, std::nullopt);
}

CAF_TEST(so it does where a place is looked for beside the last one) {
  const nearby_writes nearby{1, 3};
  for (const auto kept : {journal::own, journal::none}) {
    auto opened = open_rocksdb({.path = (directory.path() / (kept == journal::own ? "own" : "none")).string(), .kept = kept, .may_create = true, .nearby = nearby});
    check_beside_twin(**opened, nearby);
  }
}

CAF_TEST(what is on disk is found again and a store that is missing is not made) {
  const auto path = (directory.path() / "again").string();
  CAF_CHECK(open_rocksdb({path, journal::own, false}).error().code == errc::data_corrupted);
  {
    auto opened = open_rocksdb({path, journal::own, true});
    auto batch = (*opened)->make_batch();
    batch->put(family::main, "k", "v");
    CAF_REQUIRE(!(*opened)->write(*batch, persistence::sync::yes));
  }
  auto opened = open_rocksdb({path, journal::own, false});
  CAF_REQUIRE(opened.has_value());
  CAF_CHECK_EQUAL(contents(**opened), "k=v ");
}

CAF_TEST(the memory plays a disk that forgets) {
  memory_store store;
  const auto put = [&](const char* key, persistence::sync s) {
    auto batch = store.make_batch();
    batch->put(family::main, key, "v");
    CAF_REQUIRE(!store.write(*batch, s));
  };
  put("a", persistence::sync::no);
  put("b", persistence::sync::yes);
  put("c", persistence::sync::no);
  store.lose_unsynced();
  CAF_CHECK_EQUAL(contents(store), "a=v b=v ");
}

CAF_TEST_FIXTURE_SCOPE_END()
