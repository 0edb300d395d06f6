#define CAF_SUITE data_store
#include "caf/test/unit_test.hpp"

#include <map>

#include "core/base/prng.hpp"
#include "persistence/data_store.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/record.hpp"

using namespace kahuna;
using namespace kahuna::persistence;
using kv::version;

namespace {

struct fixture {
  fixture() { reopen(); }

  void reopen() { store = open(partition_id{1}); }

  std::unique_ptr<data_store> open(partition_id id) {
    auto opened = data_store::open(disk, id, [](const error& e) { CAF_FAIL(e.message); }, {600, 200});
    CAF_REQUIRE(opened.has_value());
    return std::move(*opened);
  }

  void apply(std::vector<kv::mutation> mutations, std::vector<kv::client_window> windows = {}, std::vector<std::uint64_t> forgotten = {}) {
    apply_without_checkpoint(std::move(mutations));
    store->checkpoint({std::move(windows), std::move(forgotten)});
  }

  version made(std::int64_t revision, const std::string& value, bool is_tombstone = false) {
    return {revision, is_tombstone, timestamp{stamp + 1}, timestamp{stamp + 1}, 0, value};
  }

  void apply_without_checkpoint(std::vector<kv::mutation> mutations) {
    store->apply({store->applied_index() + 1, timestamp{++stamp}, &mutations});
  }

  std::string walk(const std::string& prefix, const std::string& after = "", timestamp visible = timestamp{1'000'000}) {
    std::string seen;
    const auto damage = store->walk_keys(prefix, after, visible, [&](std::string_view key, const version* newest) -> data_store::step {
      if (newest == nullptr) return {};
      const auto& v = *newest;
      seen += std::string(key) + ":r" + std::to_string(v.revision) + (v.is_tombstone ? "x " : " ");
      return {};
    });
    return damage ? damage->message : seen;
  }

  std::shared_ptr<memory_store> disk = std::make_shared<memory_store>();
  std::unique_ptr<data_store> store;
  std::uint64_t stamp = 0;
};

}  // namespace

CAF_TEST_FIXTURE_SCOPE(data_store_tests, fixture)

CAF_TEST(the newest version is found and the history is kept) {
  CAF_CHECK(!store->latest("k")->has_value());
  apply({{"k", made(0, "a")}});
  apply({{"k", made(1, "b")}});
  CAF_CHECK((*store->latest("k"))->value == shared_bytes("b"));
  apply({{"k", made(1, "", true)}});
  CAF_CHECK((*store->latest("k"))->is_tombstone);
  CAF_CHECK((*store->at_revision("k", 1))->value == shared_bytes("b"));
  apply({{"k", made(2, "c")}});
  CAF_CHECK_EQUAL(+(*store->latest("k"))->revision, 2);
  CAF_CHECK((*store->at_revision("k", 0))->value == shared_bytes("a"));
  CAF_CHECK(!store->at_revision("k", 3)->has_value());
  CAF_CHECK(!store->latest("kk")->has_value());
  CAF_CHECK(!store->at_revision("", 0)->has_value());
}

CAF_TEST(extending rewrites the newest version in its place) {
  apply({{"k", made(0, "a")}});
  auto extended = **store->latest("k");
  extended.expires_at_ms = 99;
  apply({{"k", extended}});
  CAF_CHECK_EQUAL(+(*store->latest("k"))->expires_at_ms, 99u);
  CAF_CHECK_EQUAL(+(*store->at_revision("k", 0))->expires_at_ms, 99u);
  CAF_CHECK_EQUAL(walk(""), "k:r0 ");
}

CAF_TEST(what is not written yet is read all the same) {
  apply_without_checkpoint({{"k", made(0, "a")}});
  store->write_out();
  apply_without_checkpoint({{"k", made(1, "b")}});
  CAF_CHECK(!store->latest("another key")->has_value());
  CAF_CHECK((*store->latest("k"))->value == shared_bytes("b"));
  CAF_CHECK((*store->at_revision("k", 0))->value == shared_bytes("a"));
  CAF_CHECK((*store->at_revision("k", 1))->value == shared_bytes("b"));
  CAF_CHECK_EQUAL(walk(""), "k:r1 ");
  const std::vector<kv::mutation> none;
  const std::vector<kv::removal> gone{{"k", 0, false}};
  store->apply({store->applied_index() + 1, timestamp{++stamp}, &none, &gone});
  CAF_CHECK(!store->at_revision("k", 0)->has_value());
  std::string revisions;
  CAF_CHECK(!store->walk_versions(std::nullopt, [&](std::string_view, const version& v) {
    revisions += std::to_string(v.revision);
    return true;
  }));
  CAF_CHECK_EQUAL(revisions, "1");
  // Nobody wrote because somebody read.
  const auto cursor = disk->cursor(family::main);
  std::size_t written = 0;
  for (cursor->seek(""); cursor->is_valid(); cursor->next()) ++written;
  CAF_CHECK_EQUAL(written, 1u);
}

CAF_TEST(revisions order as numbers) {
  for (std::int64_t r = 0; r < 300; ++r) apply({{"k", made(r, std::to_string(r))}});
  CAF_CHECK_EQUAL(+(*store->latest("k"))->revision, 299);
  for (const std::int64_t r : {0, 1, 127, 128, 255, 256, 299}) CAF_CHECK_EQUAL(+(*store->at_revision("k", r))->revision, r);
}

CAF_TEST(a walk gives each key once with what the view sees) {
  for (std::int64_t r = 0; r < 20; ++r) apply({{"long", made(r, "v")}});
  const auto view = timestamp{stamp};
  apply({{"long", made(20, "v")}, {"later", made(0, "v")}});
  apply({{"b", made(0, "v")}, {"a", made(0, "v")}, {"a/b", made(0, "v")}});
  apply({{"b", made(0, "", true)}});
  CAF_CHECK_EQUAL(walk(""), "a:r0 a/b:r0 b:r0x later:r0 long:r20 ");
  CAF_CHECK_EQUAL(walk("", "", view), "long:r19 ");
  CAF_CHECK_EQUAL(walk("", "", timestamp{3}), "long:r2 ");
  CAF_CHECK_EQUAL(walk("a"), "a:r0 a/b:r0 ");
  CAF_CHECK_EQUAL(walk("a/"), "a/b:r0 ");
  CAF_CHECK_EQUAL(walk("", "a"), "a/b:r0 b:r0x later:r0 long:r20 ");
  CAF_CHECK_EQUAL(walk("l", "b"), "later:r0 long:r20 ");
  CAF_CHECK_EQUAL(walk("", "zzz"), "");
}

CAF_TEST(a walk skips and stops where it is told to) {
  for (const auto* key : {"a1", "a2", "b1", "c1", "c2"}) apply({{key, made(0, "v")}});
  std::string seen;
  const auto damage = store->walk_keys("", "", timestamp{100}, [&](std::string_view key, const version*) -> data_store::step {
    seen += std::string(key) + ' ';
    if (key == "a1") return {data_store::walk::skip_to, "b"};
    if (key == "c1") return {data_store::walk::stop, {}};
    return {};
  });
  CAF_CHECK(!damage);
  CAF_CHECK_EQUAL(seen, "a1 b1 c1 ");
}

CAF_TEST(partitions share a store and nothing else) {
  apply({{"k", made(0, "mine")}}, {{7, 1, timestamp{1}, {}}});
  const auto other = open(partition_id{2});
  CAF_CHECK(!other->latest("k")->has_value());
  CAF_CHECK(other->applied_index() == log_index{0});
  CAF_CHECK(other->load_windows()->empty());
  const auto neighbour = open(partition_id{0});
  std::size_t seen = 0;
  CAF_CHECK(!neighbour->walk_keys("", "", timestamp{100}, [&](std::string_view, const version*) -> data_store::step {
    ++seen;
    return {};
  }));
  CAF_CHECK_EQUAL(seen, 0u);
}

CAF_TEST(the applied index goes with its effects) {
  apply({{"k", made(0, "a")}});
  CAF_REQUIRE(!store->load_windows()->size());
  store->write_out();
  CAF_REQUIRE(!disk->flush());
  apply({{"k", made(1, "b")}});
  disk->lose_unsynced();
  reopen();
  CAF_CHECK(store->applied_index() == log_index{1});
  CAF_CHECK(store->applied_stamp() == timestamp{1});
  CAF_CHECK_EQUAL(+(*store->latest("k"))->revision, 0);
}

CAF_TEST(windows are replaced and forgotten) {
  apply({}, {{7, 1, timestamp{1}, {{1, true, 0, timestamp{1}}}}, {8, 1, timestamp{1}, {}}});
  apply({}, {{7, 2, timestamp{2}, {{2, true, 1, timestamp{2}}}}}, {8});
  store->write_out();
  reopen();
  const auto windows = store->load_windows();
  CAF_REQUIRE_EQUAL(windows->size(), 1u);
  CAF_CHECK((windows->at(0) == kv::client_window{7, 2, timestamp{2}, {{2, true, 1, timestamp{2}}}}));
}

CAF_TEST(a damaged record is an error that names its key) {
  apply({{"good", made(0, "v")}, {"harmed", made(0, "v")}});
  store->write_out();
  const auto cursor = disk->cursor(family::main);
  for (cursor->seek(""); cursor->is_valid(); cursor->next())
    if (cursor->key().find("harmed") != std::string_view::npos) {
      auto batch = disk->make_batch();
      auto record = std::string(cursor->value());
      record[1] = static_cast<char>(record[1] ^ 1);
      batch->put(family::main, cursor->key(), record);
      CAF_REQUIRE(!disk->write(*batch, sync::no));
    }
  const auto found = store->latest("harmed");
  CAF_REQUIRE(!found);
  CAF_CHECK(found.error().code == errc::data_corrupted);
  CAF_CHECK(found.error().message.find("harmed") != std::string::npos);
  CAF_CHECK(!store->at_revision("harmed", 0));
  CAF_CHECK(store->latest("good").has_value());
  CAF_CHECK(walk("").find("harmed") != std::string::npos);
}

namespace {

// Everything under a number in a store, as one text.
std::string contents(const memory_store& disk, std::uint32_t number) {
  std::string all, prefix;
  append_be32(prefix, number);
  for (const auto f : {family::main, family::window, family::meta, family::transaction}) {
    const auto cursor = disk.cursor(f);
    for (cursor->seek(prefix); cursor->is_valid() && cursor->key().starts_with(prefix); cursor->next())
      all += printable(cursor->key()) + '=' + printable(*unseal(cursor->key(), cursor->value())) + '\n';
  }
  return all;
}

}  // namespace

CAF_TEST(a snapshot takes the place of the state at once or not at all) {
  for (int i = 0; i < 40; ++i) apply({{"k" + std::to_string(i % 7), made(i / 7, std::string(30, static_cast<char>('a' + i % 26)))}});
  apply({{"last", made(0, "x")}}, {{5, 7, timestamp{9}, {{8, true, 1, timestamp{8}}}}});
  const raft::log_start at{{store->applied_index(), term_id{3}}, {{node_id{1}}, {node_id{1}, node_id{2}}, {node_id{4}}}};
  std::vector<std::string> pieces;
  store->write_out();
  const auto view = store->open_snapshot();
  const auto walked = walk("");
  // What is applied later is not in it.
  apply({{"later", made(0, "y")}});
  for (bool is_last = false; !is_last;) {
    auto piece = view->next(200);
    CAF_REQUIRE(piece.has_value());
    is_last = piece->is_last;
    pieces.push_back(std::move(piece->bytes));
  }
  CAF_REQUIRE(pieces.size() > 3);

  // On a replica with a state of its own, which died everywhere once; a third round begins where the second has left off.
  auto other = std::make_shared<memory_store>();
  const auto open_other = [&] {
    auto opened = data_store::open(other, partition_id{1}, [](const error& e) { CAF_FAIL(e.message); });
    CAF_REQUIRE(opened.has_value());
    return std::move(*opened);
  };
  auto target = open_other();
  const std::vector<kv::mutation> own{{"own", made(0, "old")}};
  target->apply({log_index{1}, timestamp{1}, &own});
  target->checkpoint({});
  target->write_out();
  CAF_REQUIRE(!other->flush());
  const auto old_contents = contents(*other, 1);
  for (std::size_t died_after = 0; died_after <= pieces.size() + 1; ++died_after) {
    for (std::size_t i = 0; i < std::min(died_after, pieces.size()); ++i) CAF_REQUIRE(!target->stage(i == 0, pieces[i]));
    if (died_after % 2 == 0) CAF_REQUIRE(!other->flush());  // of half a snapshot
    if (died_after == pieces.size() + 1) CAF_REQUIRE(!target->install_staged(at));
    other->lose_unsynced();
    target = open_other();
    CAF_CHECK((*target->latest("own"))->value == shared_bytes("old"));
    CAF_CHECK(target->applied_index() == log_index{1});
    CAF_CHECK_EQUAL(contents(*other, 1), old_contents);
    CAF_CHECK_EQUAL(contents(*other, 1 | 0x80000000), "");
  }
  for (int times = 0; times < 2; ++times) {
    // The second time over a state that a snapshot brought, which is in the other place.
    for (std::size_t i = 0; i < pieces.size(); ++i) CAF_REQUIRE(!target->stage(i == 0, pieces[i]));
    if (times == 1) {
      CAF_CHECK(target->install_staged({{at.at.index + 1, at.at.term}, at.members}).has_value());
      break;
    }
    CAF_REQUIRE(!target->install_staged(at));
    CAF_REQUIRE(!other->flush());
    other->lose_unsynced();
    target = open_other();
    CAF_CHECK(!(*target->latest("own")).has_value());
    CAF_CHECK(target->applied_index() == at.at.index);
    CAF_CHECK(target->snapshot() == at);
    CAF_CHECK_EQUAL(target->load_windows()->size(), 1u);
    CAF_CHECK(contents(*other, 1).find("own") == std::string::npos);
    std::swap(store, target);
    CAF_CHECK_EQUAL(walk(""), walked);
    std::swap(store, target);
  }
  CAF_CHECK(target->stage(true, "rubbish").has_value());
}

CAF_TEST(random histories equal a plain map) {
  prng dice(4);
  std::map<std::string, version> newest;
  for (int i = 0; i < 1500; ++i) {
    const auto key = std::string(1, static_cast<char>(1 + dice.below(4))) + std::to_string(dice.below(10));
    const auto known = newest.find(key);
    const auto revision = known == newest.end() ? 0 : known->second.revision;
    const bool is_deletion = known != newest.end() && !known->second.is_tombstone && dice.chance(1, 3);
    const auto v = made(known == newest.end() ? 0 : is_deletion ? revision : revision + 1, std::to_string(i), is_deletion);
    apply({{key, v}});
    newest[key] = v;
  }
  std::size_t seen = 0;
  auto expected = newest.begin();
  CAF_CHECK(!store->walk_keys("", "", timestamp{1'000'000}, [&](std::string_view key, const version* found) -> data_store::step {
    CAF_REQUIRE(found != nullptr);
    const auto& v = *found;
    CAF_REQUIRE(expected != newest.end());
    CAF_CHECK_EQUAL(key, expected->first);
    CAF_CHECK(v == expected->second);
    CAF_CHECK(**store->latest(key) == v);
    ++expected;
    ++seen;
    return {};
  }));
  CAF_CHECK_EQUAL(seen, newest.size());
}

CAF_TEST(a restart finds the last checkpoint and maybe effects behind it) {
  for (const bool is_written : {false, true}) {
    disk = std::make_shared<memory_store>();
    reopen();
    apply({{"k", made(0, "a")}});
    store->write_out();
    const auto stamp_then = store->applied_stamp();
    const auto second = made(1, "b");
    apply_without_checkpoint({{"k", second}});
    if (is_written) store->write_out();
    CAF_CHECK_EQUAL(store->applied_index(), log_index{2});
    reopen();
    CAF_CHECK_EQUAL(store->applied_index(), log_index{1});
    CAF_CHECK_EQUAL(store->applied_stamp(), stamp_then);
    CAF_CHECK_EQUAL(walk(""), is_written ? "k:r1 " : "k:r0 ");
    apply_without_checkpoint({{"k", second}});
    CAF_CHECK_EQUAL(walk(""), "k:r1 ");
  }
}

CAF_TEST(what is applied goes to the store without being asked for) {
  for (std::int64_t r = 0; r < 100; ++r) apply_without_checkpoint({{"k", made(r, std::string(20, 'v'))}});
  const auto cursor = disk->cursor(family::main);
  std::size_t written = 0;
  for (cursor->seek(""); cursor->is_valid(); cursor->next()) ++written;
  // But for two times 600 bytes, of some 60 for each version.
  CAF_CHECK_GREATER(written, 75u);
  CAF_CHECK_LESS(written, 100u);
}

CAF_TEST(what was taken away is gone at once) {
  apply({{"k", made(0, "a")}});
  store->write_out();
  const std::vector<kv::mutation> none;
  const std::vector<kv::removal> gone{{"k", 0, false}};
  store->apply({store->applied_index() + 1, timestamp{++stamp}, &none, &gone});
  CAF_CHECK(!store->latest("k")->has_value());
  CAF_CHECK(!store->at_revision("k", 0)->has_value());
}

CAF_TEST(what leaves is found as what gathers is) {
  // Enough for the first of them to leave, and not for a slice.
  for (int i = 0; i < 12; ++i) apply_without_checkpoint({{"k" + std::to_string(i), made(0, std::string(20, 'v'))}});
  for (int i = 0; i < 12; ++i) {
    CAF_CHECK(store->latest("k" + std::to_string(i))->has_value());
    CAF_CHECK(store->at_revision("k" + std::to_string(i), 0)->has_value());
  }
}

CAF_TEST(no checkpoint that was not written yet undoes a snapshot) {
  apply({{"k", made(0, "new")}, {"l", made(0, "new")}});
  apply({{"k", made(1, "newer")}});
  store->write_out();
  const raft::log_start at{{store->applied_index(), term_id{3}}, {{node_id{1}}, {}, {}}};
  const auto piece = store->open_snapshot()->next(1 << 20);
  CAF_REQUIRE(piece->is_last);
  disk = std::make_shared<memory_store>();
  reopen();
  stamp = 0;
  apply({{"k", made(0, "old")}});
  CAF_REQUIRE(!store->stage(true, piece->bytes));
  CAF_REQUIRE(!store->install_staged(at));
  // Were the old checkpoint still to be written, it would be now.
  apply_without_checkpoint({{"m", made(0, "behind")}});
  store->write_out();
  reopen();
  CAF_CHECK_EQUAL(store->applied_index(), at.at.index);
  CAF_CHECK_EQUAL(walk(""), "k:r1 l:r0 m:r0 ");
}

namespace {

// All that is replicated but for the windows, as one text.
std::string everything_in(const data_store& store) {
  std::string all;
  CAF_REQUIRE(!store.walk_versions(std::nullopt, [&](std::string_view key, const version& v) {
    all += std::string(key) + ":r" + std::to_string(v.revision) + (v.is_tombstone ? "x=" : "=") + std::string(v.value.view()) + ' ';
    return true;
  }));
  const auto transactions = store.load_transactions();
  CAF_REQUIRE(transactions.has_value());
  for (const auto& prepared : transactions->prepared) all += 'P' + std::to_string(prepared.id.number) + ' ';
  for (const auto& record : transactions->records) all += 'R' + std::to_string(record.id.number) + ' ';
  return all;
}

struct entry {
  std::vector<kv::mutation> mutations;
  std::vector<kv::removal> removals;
  kv::transaction_changes transactions;
};

void apply_entry(data_store& store, const entry& e) {
  const auto index = store.applied_index() + 1;
  kv::applied_effects effects{index, timestamp{index.value}, &e.mutations};
  effects.removals = &e.removals;
  effects.transactions = &e.transactions;
  store.apply(effects);
}

}  // namespace

// Versions come, go and come again, and so do transactions; the store writes itself out, and the node dies, at any moment.
CAF_TEST(after a crash at any cut the log leads to the same state) {
  std::size_t deaths_with_less = 0, deaths_with_parts = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    prng dice(seed);
    const write_behind_limits limits{dice.between(1, 1'500), dice.between(1, 400)};
    const auto open_at = [&](const std::shared_ptr<memory_store>& where) {
      auto opened = data_store::open(where, partition_id{1}, [](const error& e) { CAF_FAIL(e.message); }, limits);
      CAF_REQUIRE(opened.has_value());
      return std::move(*opened);
    };
    std::vector<entry> log;
    auto here = std::make_shared<memory_store>();
    auto living = open_at(here);
    auto twin = open_at(std::make_shared<memory_store>());
    for (int step = 0; step < 200; ++step) {
      entry e;
      for (auto changes = dice.below(4); changes > 0; --changes) {
        const auto key = "k" + std::to_string(dice.below(6));
        const auto revision = static_cast<std::int64_t>(dice.below(4));
        if (dice.chance(1, 3)) e.removals.push_back({key, revision, dice.chance(1, 4)});
        else e.mutations.push_back({key, made(revision, std::to_string(step), dice.chance(1, 4))});
      }
      kv::prepared_transaction prepared;
      kv::transaction_record record;
      prepared.id.number = record.id.number = dice.below(5);
      if (dice.chance(1, 3)) e.transactions.prepared.push_back(prepared);
      else if (dice.chance(1, 2)) e.transactions.resolved.push_back(prepared.id);
      if (dice.chance(1, 4)) e.transactions.decided.push_back(record);
      else if (dice.chance(1, 3)) e.transactions.forgotten.push_back(record.id);
      log.push_back(e);
      apply_entry(*living, e);
      apply_entry(*twin, e);
      if (dice.chance(1, 8)) living->checkpoint({});
      if (dice.chance(1, 40)) living->write_out();
      if (dice.chance(1, 6)) CAF_REQUIRE(!here->flush());
      if (!dice.chance(1, 15)) continue;
      living.reset();
      here->lose_unsynced();
      living = open_at(here);
      const auto found = everything_in(*living);
      CAF_REQUIRE(living->applied_index().value <= log.size());
      deaths_with_less += living->applied_index().value < log.size();
      const auto as_of_index = open_at(std::make_shared<memory_store>());
      for (std::size_t i = 0; i < living->applied_index().value; ++i) apply_entry(*as_of_index, log[i]);
      deaths_with_parts += everything_in(*as_of_index) != found;
      while (living->applied_index().value < log.size()) apply_entry(*living, log[living->applied_index().value]);
      CAF_REQUIRE_EQUAL(everything_in(*living), everything_in(*twin));
    }
  }
  CAF_CHECK_GREATER(deaths_with_less, 100u);
  CAF_CHECK_GREATER(deaths_with_parts, 100u);
}

CAF_TEST(an old moment is found in a long history with gaps and deletions) {
  // Stamps of the versions of k by their place, newest last; some are taken away.
  std::vector<version> versions;
  prng dice(9);
  for (std::int64_t r = 0; r < 200; ++r) {
    versions.push_back(made(r, "v" + std::to_string(r)));
    apply({{"k", versions.back()}});
    if (dice.below(4) != 0) continue;
    versions.push_back(made(r, "", true));
    apply({{"k", versions.back()}});
  }
  std::vector<kv::removal> gone;
  std::erase_if(versions, [&](const version& v) {
    if (dice.below(5) != 0) return false;
    gone.push_back({"k", v.revision, v.is_tombstone});
    return true;
  });
  const std::vector<kv::mutation> none;
  store->apply({store->applied_index() + 1, timestamp{++stamp}, &none, &gone});
  apply({{"l", made(0, "behind")}});
  for (std::uint64_t visible = 0; visible <= stamp; ++visible) {
    std::string expected;
    for (const auto& v : versions)
      if (v.created <= timestamp{visible}) expected = "k:r" + std::to_string(v.revision) + (v.is_tombstone ? "x " : " ");
    if (timestamp{visible} >= timestamp{stamp}) expected += "l:r0 ";
    CAF_CHECK_EQUAL(walk("", "", timestamp{visible}), expected);
  }
}

CAF_TEST(a stored key of another form is damage and not a walk without end) {
  apply({{"b", made(0, "v")}});
  std::string partition;
  append_be32(partition, 1);
  std::string suffix(1, '\0');
  append_be64(suffix, ~std::uint64_t{0});
  suffix.push_back(1);
  // Too short, without a key, without the NUL, and with one too many; enough of them for a walk to jump over the rest.
  for (const auto& form : {std::string("a"), suffix, "a" + suffix.substr(1), std::string("a\0b", 3) + suffix}) {
    const auto before = *disk;
    const auto batch = disk->make_batch();
    for (char last = 1; last <= 12; ++last) {
      auto key = partition + form;
      if (form.size() < suffix.size()) key += last;
      batch->put(family::main, key, encode_record(key, made(last, "v")));
    }
    static_cast<void>(disk->write(*batch, sync::yes));
    CAF_CHECK(walk("").find("no version of a key is stored so") != std::string::npos);
    const auto damage = store->walk_versions(std::nullopt, [](std::string_view, const version&) { return true; });
    CAF_CHECK(damage && damage->code == errc::data_corrupted);
    *disk = before;
  }
  CAF_CHECK_EQUAL(walk(""), "b:r0 ");
}

CAF_TEST_FIXTURE_SCOPE_END()
