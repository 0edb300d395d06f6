#define CAF_SUITE ephemeral_store
#include "caf/test/unit_test.hpp"

#include <map>
#include <memory>

#include "core/base/prng.hpp"
#include "core/kv/ephemeral_store.hpp"

using namespace kahuna;
using namespace kahuna::kv;

namespace {

struct fixture {
  void open(std::size_t bytes_max, std::size_t owners = 1) {
    budget = std::make_shared<local_memory_budget>(bytes_max, owners);
    store = std::make_unique<ephemeral_store>(budget);
  }

  version at(std::int64_t revision, const std::string& value, std::uint64_t expires_at_ms = 0) {
    const auto stamp = timestamp_at(++ms);
    return {revision, false, stamp, stamp, expires_at_ms, value};
  }

  void put(const std::string& key, std::int64_t revision, const std::string& value, std::uint64_t expires_at_ms = 0) {
    store->put(key, at(revision, value, expires_at_ms));
    store->check_invariants();
  }

  void erase(const std::string& key, std::int64_t revision) {
    auto tombstone = at(revision, "");
    tombstone.is_tombstone = true;
    store->put(key, tombstone);
    store->check_invariants();
  }

  void sweep(std::uint64_t now_ms, std::size_t keys_max = 1000) {
    store->sweep(now_ms, keys_max);
    store->check_invariants();
  }

  std::string newest(const std::string& key) {
    const auto found = *store->latest(key);
    if (!found) return "none";
    return (found->is_tombstone ? "gone" : found->value.str()) + " r" + std::to_string(found->revision);
  }

  std::string at_revision(const std::string& key, std::int64_t revision) {
    const auto found = *store->at_revision(key, revision);
    return found ? found->value.str() : "none";
  }

  std::string walk(const std::string& prefix, timestamp visible, const std::string& after = "") {
    std::string out;
    const auto damage = store->walk_keys(prefix, after, visible, [&](std::string_view key, const version* newest) {
      if (newest == nullptr) return version_reader::step{};
      const auto& v = *newest;
      out += std::string(key) + '=' + (v.is_tombstone ? "gone" : v.value.str()) + ' ';
      return version_reader::step{};
    });
    CAF_CHECK(!damage);
    return out;
  }

  std::shared_ptr<memory_budget> budget = std::make_shared<local_memory_budget>(1 << 20, 1);
  std::unique_ptr<ephemeral_store> store = std::make_unique<ephemeral_store>(budget);
  std::uint64_t ms = 1'000'000;
};

}  // namespace

CAF_TEST_FIXTURE_SCOPE(ephemeral_store_tests, fixture)

CAF_TEST(a key has its last sixteen revisions) {
  for (int r = 0; r < 40; ++r) {
    put("k", r, "v" + std::to_string(r));
    for (int asked = 0; asked <= r; ++asked)
      CAF_CHECK_EQUAL(at_revision("k", asked), asked > r - 16 ? "v" + std::to_string(asked) : "none");
  }
  CAF_CHECK_EQUAL(newest("k"), "v39 r39");
}

CAF_TEST(deleting keeps the history and setting again goes on counting) {
  put("k", 0, "a");
  erase("k", 0);
  CAF_CHECK_EQUAL(newest("k"), "gone r0");
  CAF_CHECK_EQUAL(at_revision("k", 0), "a");
  put("k", 1, "b");
  CAF_CHECK_EQUAL(at_revision("k", 0), "a");
  CAF_CHECK_EQUAL(newest("k"), "b r1");
}

CAF_TEST(a replaced version takes the place of the one with its revision) {
  put("k", 0, "a", ms + 500);
  put("k", 0, "a", ms + 100'000);
  CAF_CHECK_EQUAL(newest("k"), "a r0");
  sweep(ms + 500 + ephemeral_store::absent_kept_ms);
  CAF_CHECK_EQUAL(newest("k"), "a r0");
}

CAF_TEST(what was absent for long is forgotten and its memory given back) {
  put("live", 0, "x");
  put("expires", 0, std::string(1000, 'x'), ms + 10);
  put("deleted", 0, std::string(1000, 'x'));
  erase("deleted", 0);
  const auto held = store->bytes();
  sweep(ms + 10);
  CAF_CHECK_EQUAL(store->bytes(), held);
  CAF_CHECK_EQUAL(at_revision("expires", 0).size(), 1000u);
  sweep(ms + 10 + ephemeral_store::absent_kept_ms);
  CAF_CHECK_EQUAL(newest("expires"), "none");
  CAF_CHECK_EQUAL(newest("deleted"), "none");
  CAF_CHECK_EQUAL(newest("live"), "x r0");
  CAF_CHECK_LESS(store->bytes(), 1000u);
  CAF_CHECK_EQUAL(budget->used(), store->bytes());
}

CAF_TEST(a sweep forgets a bounded number of keys) {
  for (int i = 0; i < 10; ++i) put("k" + std::to_string(i), 0, "x", ms + 10);
  sweep(ms + 1'000'000, 4);
  CAF_CHECK_EQUAL(store->keys(), 6u);
}

CAF_TEST(over its bound the least recently used keys go whole and the last one stays) {
  open(10'000);
  put("a", 0, std::string(3000, 'x'));
  put("b", 0, std::string(3000, 'x'));
  store->touch("a");
  put("c", 0, std::string(3000, 'x'));
  CAF_CHECK_EQUAL(newest("b"), "none");
  CAF_CHECK_EQUAL(newest("a").size(), 3003u);
  CAF_CHECK_EQUAL(store->evictions(), 1u);
  put("huge", 0, std::string(50'000, 'x'));
  CAF_CHECK_EQUAL(store->keys(), 1u);
  CAF_CHECK_EQUAL(newest("huge").size(), 50'003u);
}

CAF_TEST(owners of one budget give up what they hold beyond their share) {
  open(20'000, 2);
  ephemeral_store other(budget);
  for (int i = 0; i < 40; ++i) put("k" + std::to_string(i), 0, std::string(500, 'x'));
  CAF_CHECK_LESS_OR_EQUAL(budget->used(), 20'000u);
  CAF_CHECK_GREATER(store->bytes(), 15'000u);
  // The other one has next to nothing: it is let in, and whoever has more than his share makes room at his next sweep.
  for (int i = 0; i < 5; ++i) other.put("o" + std::to_string(i), at(0, std::string(1000, 'x')));
  CAF_CHECK_EQUAL(other.keys(), 5u);
  CAF_CHECK_GREATER(budget->used(), 20'000u);
  sweep(ms);
  CAF_CHECK_LESS_OR_EQUAL(budget->used(), 20'000u);
  CAF_CHECK_EQUAL(other.keys(), 5u);
}

CAF_TEST(a registered view is read unchanged whatever is written) {
  for (const std::string key : {"a/1", "a/2", "a/3"}) put(key, 0, "old");
  const auto visible = timestamp_at(++ms);
  store->keep_view("a/", "", visible, ms);
  for (int r = 1; r < 100; ++r) put("a/2", r, "new");
  erase("a/3", 0);
  put("a/4", 0, "new");
  CAF_CHECK_EQUAL(walk("a/", visible), "a/1=old a/2=old a/3=old ");
  CAF_CHECK(store->is_view_intact("a/", visible));
  CAF_CHECK_EQUAL(at_revision("a/2", 0), "none");
  // What only the view keeps is not to be seen otherwise, even where it is the next older one.
  put("a/1", 1, "new");
  for (int r = 2; r <= 16; ++r) put("a/1", r, "newer");
  CAF_CHECK_EQUAL(at_revision("a/1", 0), "none");
  CAF_CHECK_EQUAL(at_revision("a/1", 1), "new");
}

CAF_TEST(a view whose keys are gone is known to be broken) {
  open(10'000);
  put("a/1", 0, std::string(3000, 'x'));
  const auto visible = timestamp_at(++ms);
  store->keep_view("a/", "", visible, ms);
  store->keep_view("b/", "", visible, ms);
  for (int i = 0; i < 4; ++i) put("c" + std::to_string(i), 0, std::string(3000, 'x'));
  CAF_CHECK(!store->is_view_intact("a/", visible));
  CAF_CHECK(store->is_view_intact("b/", visible));
  sweep(ms + ephemeral_store::view_kept_ms + 1);
  CAF_CHECK(!store->is_view_intact("b/", visible));
}

CAF_TEST(a view needs nothing that its list has already) {
  open(10'000);
  put("a/1", 0, std::string(3000, 'x'));
  put("a/2", 0, "small");
  const auto visible = timestamp_at(++ms);
  CAF_CHECK(store->keep_view("a/", "a/1", visible, ms));
  store->touch("a/2");
  for (int i = 0; i < 3; ++i) {
    put("c" + std::to_string(i), 0, std::string(3000, 'x'));
    store->touch("a/2");
  }
  CAF_CHECK(!*store->latest("a/1"));
  CAF_CHECK(store->is_view_intact("a/", visible));
}

CAF_TEST(the last key gives up its history where that is more than there is) {
  open(10'000);
  for (int r = 0; r < 16; ++r) put("k", r, std::string(3000, 'x'));
  CAF_CHECK_LESS(store->bytes(), 10'000u);
  CAF_CHECK_EQUAL(at_revision("k", 15), std::string(3000, 'x'));
  CAF_CHECK_EQUAL(at_revision("k", 0), "none");
}

CAF_TEST(walks follow a map of everything that was put) {
  prng dice(5);
  std::map<std::string, std::string> twin;
  for (int i = 0; i < 2000; ++i) {
    std::string key;
    for (auto length = dice.between(1, 5); length > 0; --length) key += "ab/"[dice.below(3)];
    const auto found = *store->latest(key);
    const auto revision = found ? found->revision + 1 : 0;
    put(key, revision, std::to_string(i));
    twin[key] = std::to_string(i);
  }
  for (const std::string prefix : {"", "a", "a/", "b/a", "zz"}) {
    std::string expected;
    for (const auto& [key, value] : twin)
      if (key.starts_with(prefix) && key > "ab") expected += key + '=' + value + ' ';
    CAF_CHECK_EQUAL(walk(prefix, timestamp_at(ms), "ab"), expected);
  }
  store->clear();
  CAF_CHECK_EQUAL(budget->used(), 0u);
}

CAF_TEST_FIXTURE_SCOPE_END()
