// The classic anomalies, each by its name: two transactions step by step in the order that brings it about, in each locking mode and
// with one of each. Either one of them is aborted, or it waits, or both end as if one had come after the other.
#define CAF_SUITE system_transaction_anomaly
#include "caf/test/unit_test.hpp"

#include <array>
#include <future>

#include "client/client.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/register_load.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

using client::transaction;
using kv::locking_mode;

constexpr std::array both_modes{locking_mode::pessimistic, locking_mode::optimistic};

std::string name_of(locking_mode mode) { return mode == locking_mode::optimistic ? "optimistic" : "pessimistic"; }

struct fixture {
  fixture() {
    nodes.start_all_and_wait();
    first_client.emplace(connect_or_fail(nodes.endpoints(), milliseconds(10'000)));
    second_client.emplace(connect_or_fail(nodes.endpoints(), milliseconds(10'000)));
  }

  client::client& first() { return *first_client; }
  client::client& second() { return *second_client; }

  static transaction begin(client::client& connection, locking_mode mode) {
    auto t = connection.begin({.locking = mode, .timeout = milliseconds(20'000)});
    CAF_REQUIRE(t.has_value());
    return std::move(*t);
  }

  void put(const std::string& key, const std::string& value) { CAF_REQUIRE(first().set(set_of(key, value)).has_value()); }
  std::string stored(const std::string& key) {
    const auto found = first().get(get_of(key));
    CAF_REQUIRE(found.has_value());
    return found->is_found ? found->value.str() : "absent";
  }

  // A value; "aborted" where the transaction is over. Any other error fails the test.
  static std::string read(transaction& t, const std::string& key) {
    const auto found = t.get({.key = key});
    if (found) return found->is_found ? found->value.str() : "absent";
    CAF_CHECK_EQUAL(std::string(to_string(found.error().code)), "aborted");
    return "aborted";
  }
  template <class Result>
  static bool worked(const Result& done) {
    if (done) return true;
    CAF_CHECK_EQUAL(std::string(to_string(done.error().code)), "aborted");
    return false;
  }
  static bool write(transaction& t, const std::string& key, const std::string& value) { return worked(t.set({.key = key, .value = value})); }
  static bool commit(transaction& t) { return worked(t.commit()); }
  static std::string count_of(transaction& t, const std::string& bucket) {
    const auto list = t.get_by_bucket(bucket);
    return worked(list) ? std::to_string(list->items.size()) : "aborted";
  }

  // The second one's writes as one transaction, begun again until it gets through.
  bool run_writes(locking_mode mode, const std::vector<std::pair<std::string, std::string>>& writes) {
    const auto done = second().run_transaction(
        [&](transaction& t) -> std::optional<error> {
          for (const auto& [key, value] : writes)
            if (const auto set = t.set(set_of(key, value)); !set) return set.error();
          return std::nullopt;
        },
        {.locking = mode});
    return done.has_value();
  }

  // Both at the same time: with locks each waits for what the other one has read, and the younger one is aborted;
  // without, each may find the other under way, and then both are.
  template <class First, class Second>
  static std::pair<bool, bool> at_once(First&& one, Second&& other) {
    auto done = std::async(std::launch::async, std::forward<Second>(other));
    const bool is_first_done = one();
    return {is_first_done, done.get()};
  }

  // For each mode of the first and of the second transaction, with names for keys that no other case has.
  template <class Case>
  void in_all_modes(const std::string& what, Case run_case) {
    for (const auto one : both_modes)
      for (const auto other : both_modes) {
        const auto names = what + "-" + name_of(one) + "-" + name_of(other);
        CAF_MESSAGE(names);
        run_case(one, other, names);
      }
  }

  cluster nodes;
  std::optional<client::client> first_client;
  std::optional<client::client> second_client;
};

}  // namespace

CAF_TEST_FIXTURE_SCOPE(system_transaction_anomaly_tests, fixture)

CAF_TEST(dirty read) {
  in_all_modes("dirty-read", [&](locking_mode one, locking_mode, const std::string& key) {
    put(key, "old");
    {
      auto writer = begin(first(), one);
      CAF_CHECK(write(writer, key, "new"));
      CAF_CHECK_EQUAL(stored(key), "old");
      auto snapshot = second().begin({.is_as_of_now = true});
      CAF_REQUIRE(snapshot.has_value());
      CAF_CHECK_EQUAL(read(*snapshot, key), "old");
      auto reader = begin(second(), locking_mode::optimistic);
      CAF_CHECK_EQUAL(read(reader, key), "old");
      CAF_CHECK_EQUAL(read(writer, key), "new");
      CAF_CHECK(!writer.rollback());
      CAF_CHECK(commit(reader));
    }
    CAF_CHECK_EQUAL(stored(key), "old");
  });
}

CAF_TEST(lost update) {
  in_all_modes("lost-update", [&](locking_mode one, locking_mode other, const std::string& key) {
    put(key, "0");
    auto a = begin(first(), one);
    auto b = begin(second(), other);
    CAF_CHECK_EQUAL(read(a, key), "0");
    CAF_CHECK_EQUAL(read(b, key), "0");
    const auto [a_committed, b_committed] = at_once([&] { return write(a, key, "1") && commit(a); }, [&] { return write(b, key, "1") && commit(b); });
    CAF_CHECK(a_committed + b_committed <= 1);
    CAF_CHECK_EQUAL(stored(key), std::to_string(a_committed + b_committed));
  });
}

CAF_TEST(non repeatable read) {
  in_all_modes("non-repeatable-read", [&](locking_mode one, locking_mode other, const std::string& key) {
    put(key, "old");
    auto reader = begin(first(), one);
    CAF_CHECK_EQUAL(read(reader, key), "old");
    auto written = std::async(std::launch::async, [&] {
      return run_writes(other, {{key, "new"}});
    });
    // Where the reader has no lock the writer does not wait, and is done; where it has one, this is asked while it waits.
    if (one == locking_mode::optimistic) written.wait();
    const auto again = read(reader, key);
    CAF_CHECK(again == "old" || again == "aborted");
    if (again == "old") commit(reader);
    CAF_CHECK(written.get());
    CAF_CHECK_EQUAL(stored(key), "new");
  });
}

CAF_TEST(read skew) {
  in_all_modes("read-skew", [&](locking_mode one, locking_mode other, const std::string& names) {
    const auto x = names + "-x", y = names + "-y";
    put(x, "old");
    put(y, "old");
    auto reader = begin(first(), one);
    const auto seen_x = read(reader, x);
    auto written = std::async(std::launch::async, [&] {
      return run_writes(other, {{x, "new"}, {y, "new"}});
    });
    if (one == locking_mode::optimistic) written.wait();
    const auto seen_y = read(reader, y);
    const bool is_committed = seen_y != "aborted" && commit(reader);
    if (is_committed) CAF_CHECK_EQUAL(seen_x, seen_y);
    CAF_CHECK(written.get());
    CAF_CHECK_EQUAL(stored(x) + stored(y), "newnew");
  });
}

CAF_TEST(write skew on keys) {
  in_all_modes("write-skew", [&](locking_mode one, locking_mode other, const std::string& names) {
    // At least one of the two must stay on.
    const auto x = names + "-x", y = names + "-y";
    put(x, "on");
    put(y, "on");
    auto a = begin(first(), one);
    auto b = begin(second(), other);
    for (auto* t : {&a, &b}) CAF_CHECK_EQUAL(read(*t, x) + read(*t, y), "onon");
    const auto [a_committed, b_committed] = at_once([&] { return write(a, x, "off") && commit(a); }, [&] { return write(b, y, "off") && commit(b); });
    CAF_CHECK(a_committed + b_committed <= 1);
    CAF_CHECK(stored(x) == "on" || stored(y) == "on");
  });
}

CAF_TEST(write skew on the count of a bucket) {
  in_all_modes("on-call", [&](locking_mode one, locking_mode other, const std::string& bucket) {
    put(bucket + "/alice", "on call");
    put(bucket + "/bob", "on call");
    auto a = begin(first(), one);
    auto b = begin(second(), other);
    for (auto* t : {&a, &b}) CAF_CHECK_EQUAL(count_of(*t, bucket), "2");
    const auto leave = [&](transaction& t, const std::string& who) { return worked(t.erase({.key = bucket + "/" + who})); };
    const auto [a_committed, b_committed] = at_once([&] { return leave(a, "alice") && commit(a); }, [&] { return leave(b, "bob") && commit(b); });
    CAF_CHECK(a_committed + b_committed <= 1);
    const auto left = first().get_by_bucket(bucket);
    CAF_REQUIRE(left.has_value());
    CAF_CHECK(!left->items.empty());
  });
}

CAF_TEST(phantom) {
  in_all_modes("phantom", [&](locking_mode one, locking_mode other, const std::string& bucket) {
    put(bucket + "/1", "v");
    auto reader = begin(first(), one);
    CAF_CHECK_EQUAL(count_of(reader, bucket), "1");
    auto inserted = std::async(std::launch::async, [&] {
      return run_writes(other, {{bucket + "/2", "v"}});
    });
    if (one == locking_mode::optimistic) inserted.wait();
    const auto again = count_of(reader, bucket);
    CAF_CHECK(again == "1" || again == "aborted");
    if (again == "1") commit(reader);
    CAF_CHECK(inserted.get());
  });
  // Two that count the bucket and add one where there is none: of both, one may.
  in_all_modes("seat", [&](locking_mode one, locking_mode other, const std::string& bucket) {
    auto a = begin(first(), one);
    auto b = begin(second(), other);
    for (auto* t : {&a, &b}) CAF_CHECK_EQUAL(count_of(*t, bucket), "0");
    const auto [a_committed, b_committed] =
        at_once([&] { return write(a, bucket + "/a", "taken") && commit(a); }, [&] { return write(b, bucket + "/b", "taken") && commit(b); });
    CAF_CHECK(a_committed + b_committed <= 1);
    const auto taken = first().get_by_bucket(bucket);
    CAF_REQUIRE(taken.has_value());
    CAF_CHECK(taken->items.size() <= 1);
  });
}

CAF_TEST(what was absent when it was read) {
  in_all_modes("absent", [&](locking_mode one, locking_mode other, const std::string& names) {
    const auto x = names + "-x", y = names + "-y";
    auto a = begin(first(), one);
    auto b = begin(second(), other);
    CAF_CHECK_EQUAL(read(a, x), "absent");
    CAF_CHECK_EQUAL(read(b, y), "absent");
    const auto [a_committed, b_committed] = at_once([&] { return write(a, y, "v") && commit(a); }, [&] { return write(b, x, "v") && commit(b); });
    CAF_CHECK(a_committed + b_committed <= 1);
  });
}

CAF_TEST(a deadlock ends at once by wounding the younger one) {
  for (int round = 0; round < 10; ++round) {
    const auto x = "deadlock-x-" + std::to_string(round), y = "deadlock-y-" + std::to_string(round);
    auto older = begin(first(), locking_mode::pessimistic);
    auto younger = begin(second(), locking_mode::pessimistic);
    // Begun in one millisecond, their clients' numbers decide which of them is the older one: either will do.
    CAF_CHECK(write(older, x, "older"));
    CAF_CHECK(write(younger, y, "younger"));
    const auto began = steady_clock::now();
    auto crossed = std::async(std::launch::async, [&] { return write(younger, x, "younger") && commit(younger); });
    const bool older_committed = write(older, y, "older") && commit(older);
    const bool younger_committed = crossed.get();
    const auto took = elapsed_ms(began, steady_clock::now());
    CAF_CHECK_EQUAL(older_committed + younger_committed, 1);
    // Their timeouts are 20 s.
    CAF_CHECK(took < (is_sanitized ? 5000 : 1500));
    if (round == 0) CAF_MESSAGE("both had ended after " << took << " ms");
    CAF_CHECK_EQUAL(stored(x) + stored(y), older_committed ? "olderolder" : "youngeryounger");
  }
}

CAF_TEST(a snapshot holds nobody up and sees one moment) {
  put("snapshot-x", "1");
  put("snapshot-y", "1");
  auto snapshot = first().begin({.is_as_of_now = true});
  CAF_REQUIRE(snapshot.has_value());
  CAF_CHECK_EQUAL(read(*snapshot, "snapshot-x"), "1");
  auto writer = begin(second(), locking_mode::pessimistic);
  CAF_CHECK(write(writer, "snapshot-x", "2") && write(writer, "snapshot-y", "2") && commit(writer));
  CAF_CHECK_EQUAL(read(*snapshot, "snapshot-y"), "1");
  CAF_CHECK_EQUAL(read(*snapshot, "snapshot-x"), "1");
  CAF_CHECK(commit(*snapshot));
  // One that begins now sees what was acknowledged before.
  auto later = first().begin({.is_as_of_now = true});
  CAF_REQUIRE(later.has_value());
  CAF_CHECK_EQUAL(read(*later, "snapshot-x") + read(*later, "snapshot-y"), "22");
}

CAF_TEST(what runs past its deadline is rolled back and lets go) {
  auto idle = first().begin({.timeout = milliseconds(300)});
  CAF_REQUIRE(idle.has_value());
  CAF_CHECK(write(*idle, "deadline", "idle"));
  const auto began = steady_clock::now();
  auto other = begin(second(), locking_mode::pessimistic);
  CAF_CHECK(write(other, "deadline", "other") && commit(other));
  CAF_CHECK(elapsed_ms(began, steady_clock::now()) < 2300);
  CAF_CHECK(!commit(*idle));
  CAF_CHECK_EQUAL(stored("deadline"), "other");
}

// --- several operations in a step, and writes with the commit ---

CAF_TEST(what is read in one step and changed by another before the commit is not committed over) {
  for (const auto mode : both_modes) {
    put("x", "1");
    put("y", "1");
    auto t = begin(first(), mode);
    const auto both = t.get_many({{.key = "x"}, {.key = "y"}});
    CAF_REQUIRE(both.has_value());
    auto changed = std::async(std::launch::async, [&] { return run_writes(mode, {{"y", "2"}}); });
    if (mode == locking_mode::optimistic) CAF_REQUIRE(changed.get());
    t.set_at_commit({.key = "x", .value = "3"});
    const bool is_committed = commit(t);
    CAF_CHECK_EQUAL(is_committed, mode == locking_mode::pessimistic);  // the other one waits
    CAF_CHECK_EQUAL(stored("x"), is_committed ? "3" : "1");
    if (mode == locking_mode::pessimistic) CAF_CHECK(changed.get());
    CAF_CHECK_EQUAL(stored("y"), "2");
  }
}

CAF_TEST(operations of a step see what those before them have written and a rollback leaves nothing) {
  put("x", "1");
  auto t = begin(first(), locking_mode::pessimistic);
  const auto done = t.run({kv::set_request{.key = "x", .value = "2"}, kv::get_request{.key = "x"}, kv::delete_request{.key = "x"},
                           kv::exists_request{.key = "x"}, kv::set_request{.key = "new", .value = "v", .if_present = true}});
  CAF_REQUIRE(done.has_value());
  CAF_CHECK_EQUAL(std::get<kv::get_response>((*done)[1]).value.str(), "2");
  CAF_CHECK(!std::get<kv::exists_response>((*done)[3]).is_found);
  CAF_CHECK(!std::get<kv::set_response>((*done)[4]).is_set);
  CAF_CHECK(!t.rollback());
  CAF_CHECK_EQUAL(stored("x"), "1");
}

CAF_TEST(a commit with writes is all that a transaction needs and is refused as a whole) {
  for (const auto mode : both_modes) {
    const auto key = "only-once-" + name_of(mode);
    const auto create = [&](const std::string& value) {
      return first().run_transaction(
          [&](transaction& t) -> std::optional<error> {
            t.set_at_commit({.key = "beside-" + key, .value = value});
            t.set_at_commit({.key = key, .value = value, .if_absent = true});
            t.erase_at_commit({.key = "never-there"});
            return std::nullopt;
          },
          {.locking = mode});
    };
    CAF_CHECK(create("first").has_value());
    const auto began = steady_clock::now();
    const auto again = create("second");
    CAF_REQUIRE(!again.has_value());
    CAF_CHECK(again.error().code == errc::aborted);
    CAF_CHECK(again.error().message.find("write 1") != std::string::npos);
    CAF_CHECK(elapsed_ms(began, steady_clock::now()) < 5'000);  // it is not begun again until the client's timeout
    CAF_CHECK_EQUAL(stored("beside-" + key), "first");

    auto by_hand = begin(first(), mode);
    by_hand.set_at_commit({.key = key, .value = "third", .if_revision = 7});
    CAF_CHECK(!commit(by_hand));
    const auto refused = by_hand.refusal().value_or(kv::commit_refusal{9, kv::lock_response{}});
    CAF_CHECK(refused == (kv::commit_refusal{0, kv::set_response{false, 0, {}}}));
  }
}

CAF_TEST(several keys are read as of one moment in one call) {
  put("x", "1");
  put("y", "1");
  auto t = first().begin({.is_as_of_now = true});
  CAF_REQUIRE(t.has_value());
  CAF_REQUIRE(run_writes(locking_mode::optimistic, {{"x", "2"}, {"y", "2"}}));
  const auto both = t->get_many({{.key = "x"}, {.key = "y"}, {.key = "never-there"}});
  CAF_REQUIRE(both.has_value());
  CAF_CHECK_EQUAL((*both)[0].value.str() + (*both)[1].value.str(), "11");
  CAF_CHECK(!(*both)[2].is_found);
}

CAF_TEST(run_transaction as of now only reads) {
  put("x", "1");
  const kv::set_request write = set_of("x", "2");
  std::string seen;
  const auto look = [&](transaction& t) -> std::optional<error> {
    CAF_CHECK(t.moment() != timestamp{});
    seen += read(t, "x");
    const auto written = t.set(write);
    return written ? std::nullopt : std::optional(written.error());
  };
  const auto done = first().run_transaction(look, {.is_as_of_now = true});
  CAF_REQUIRE(!done.has_value());
  CAF_CHECK(done.error().code == errc::invalid_argument);
  // The same without waiting.
  std::promise<result<kv::commit_response>> ended;
  first().submit_transaction(
      [&](transaction& t, client::client::attempt_ended over) {
        t.submit(kv::get_request{.key = "x"}, [&seen, over](const kv::operation_response& response) {
          const auto* found = std::get_if<kv::get_response>(&response);
          seen += found != nullptr ? found->value.str() : "?";
          over(std::nullopt);
        });
      },
      {.is_as_of_now = true}, [&](result<kv::commit_response> committed) { ended.set_value(std::move(committed)); });
  CAF_CHECK(ended.get_future().get().has_value());
  CAF_CHECK_EQUAL(seen, "11");
  CAF_CHECK_EQUAL(stored("x"), "1");
}

CAF_TEST(run_transaction counts every round once) {
  for (const auto mode : both_modes) {
    const auto key = "counter-" + name_of(mode);
    put(key, "0");
    constexpr int clients = 4, rounds = 25;
    std::vector<std::future<int>> done;
    for (int i = 0; i < clients; ++i)
      done.push_back(std::async(std::launch::async, [&, i] {
        auto& connection = i % 2 == 0 ? first() : second();
        int counted = 0;
        for (int round = 0; round < rounds; ++round) {
          const auto committed = connection.run_transaction(
              [&](transaction& t) -> std::optional<error> {
                const auto found = t.get({.key = key});
                if (!found) return found.error();
                const auto set = t.set({.key = key, .value = std::to_string(std::stoi(found->value.str()) + 1)});
                return set ? std::nullopt : std::optional(set.error());
              },
              {.locking = mode});
          counted += committed.has_value() ? 1 : 0;
        }
        return counted;
      }));
    int counted = 0;
    for (auto& one : done) counted += one.get();
    CAF_CHECK_EQUAL(counted, clients * rounds);
    CAF_CHECK_EQUAL(stored(key), std::to_string(counted));
  }
}

CAF_TEST_FIXTURE_SCOPE_END()
