// What a partition does for transactions, step by step: each sentence is a promise of docs/transactions.md.
#define CAF_SUITE partition_transactions
#include "caf/test/unit_test.hpp"

#include "tests/unit/kv/partition_fixture.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

struct fixture : partition_fixture {
  fixture() { lead_in(1); }

  void lead_in(std::uint64_t new_term) {
    lead(new_term);
    commit();
  }

  // What the anchor's manager asks on behalf of a transaction of client 7; the request's identity is that of its commit.
  std::uint64_t demand(participant_body body, std::uint64_t sequence = 0, std::uint32_t attempt = 1) {
    participant_request asked;
    asked.id = {timestamp_at(wall_ms), 7, transaction_number};
    asked.term = coordinated_in;
    asked.deadline_ms = wall + 5'000;
    asked.body = std::move(body);
    partition_request request;
    request.origin = ++origin;
    request.client = sequence != 0 ? 7 : 0;
    request.sequence = sequence;
    request.floor = sequence;
    request.attempt = attempt;
    request.issued_at = timestamp_at(wall);
    request.op = std::move(asked);
    step(operations{{std::move(request)}, timestamp_at(wall)});
    return origin;
  }

  static intended_write write_of(const std::string& key, const std::string& value) {
    version v;
    v.value = value;
    v.revision = 0;
    return {durability::persistent, key, std::move(v), false};
  }

  std::string outcome(std::uint64_t o) {
    if (!is_answered(o)) return "none";
    const auto* said = std::get_if<participant_response>(&replies.at(o));
    if (said == nullptr) return answer(o);
    if (const auto* v = std::get_if<vote>(said)) return v->is_yes ? "yes" : "no";
    const auto* status = std::get_if<transaction_status>(said);
    if (status == nullptr) return "read";
    const std::string again = status->is_repeated ? " before" : "";
    switch (status->state) {
      case transaction_state::pending: return "pending";
      case transaction_state::committed: return "committed" + again;
      case transaction_state::aborted: return "aborted" + again;
    }
    return "?";
  }

  term_id coordinated_in{1};
  std::uint64_t transaction_number = 1;  // the higher the younger
};

}  // namespace

CAF_TEST_FIXTURE_SCOPE(partition_transactions_tests, fixture)

CAF_TEST(a vote leaves once the promise is in the log) {
  const auto asked = demand(participant_prepare{{}, {write_of("k", "v")}});
  CAF_CHECK_EQUAL(outcome(asked), "none");
  CAF_CHECK_EQUAL(uncommitted.size(), 1u);
  commit();
  CAF_CHECK_EQUAL(outcome(asked), "yes");
}

CAF_TEST(a promise outlives the leadership and keeps readers waiting until it is resolved) {
  demand(participant_prepare{{}, {write_of("k", "v")}});
  commit();
  follow(2);
  lead_in(3);
  const auto read = ask(get("k"));
  const auto write = ask(set("k", "other"));
  CAF_CHECK_EQUAL(answer(read), "none");
  CAF_CHECK_EQUAL(answer(write), "none");
  demand(participant_resolve{timestamp_at(wall)});
  commit();
  CAF_CHECK_EQUAL(answer(read), "v r0");
  commit();
  CAF_CHECK_EQUAL(answer(write), "set r1");
}

CAF_TEST(a commit is one entry and its answer waits for it) {
  const auto committed = demand(participant_commit{{}, {write_of("k", "v")}, {}, 0, {}}, 1);
  CAF_CHECK_EQUAL(uncommitted.size(), 1u);
  CAF_CHECK_EQUAL(outcome(committed), "none");
  commit();
  CAF_CHECK_EQUAL(outcome(committed), "committed");
  CAF_CHECK_EQUAL(answer(ask(get("k"))), "v r0");
}

CAF_TEST(a commit that comes again is answered as before) {
  demand(participant_commit{{}, {write_of("k", "v")}, {}, 0, {}}, 1);
  commit();
  const auto again = demand(participant_commit{{}, {write_of("k", "w")}, {}, 0, {}}, 1, 2);
  CAF_CHECK_EQUAL(outcome(again), "committed before");
  CAF_CHECK_EQUAL(outcome(demand(participant_lookup{}, 1, 3)), "committed before");
  CAF_CHECK_EQUAL(answer(ask(get("k"))), "v r0");
}

CAF_TEST(a commit of another leadership is refused) {
  follow(2);
  lead_in(3);
  const auto late = demand(participant_commit{{}, {write_of("k", "v")}, {}, 0, {}}, 1);
  CAF_CHECK_EQUAL(outcome(late), "not_leader");
}

CAF_TEST(a first attempt that is found to be aborted costs no entry) {
  CAF_CHECK_EQUAL(outcome(demand(participant_lookup{}, 1)), "aborted");
  CAF_CHECK_EQUAL(uncommitted.size(), 0u);
}

CAF_TEST(what a later attempt was told no earlier one can change) {
  const auto told = demand(participant_lookup{}, 1, 2);
  CAF_CHECK_EQUAL(outcome(told), "none");  // it is in the log first
  commit();
  CAF_CHECK_EQUAL(outcome(told), "aborted");
  // The first attempt comes late, behind all its steps, at another leader.
  follow(2);
  lead_in(3);
  coordinated_in = term;
  const auto late = demand(participant_commit{{}, {write_of("k", "v")}, {}, 0, {}}, 1, 1);
  CAF_CHECK_EQUAL(outcome(late), "aborted before");
  CAF_CHECK_EQUAL(answer(ask(get("k"))), "not found");
}

CAF_TEST(an extension that comes late does not end before it is committed) {
  ask(set("k", "v"));
  commit();
  wall += 1'000;
  // Read as of now, and live.
  get_request then;
  then.key = "k";
  then.as_of = timestamp_at(wall);
  const auto before = ask(then);
  commit();
  CAF_CHECK_EQUAL(answer(before), "v r0");
  intended_write extended = write_of("k", "v");
  extended.keeps_created = true;
  extended.version.created = timestamp_at(wall_ms);
  extended.version.expires_at_ms = wall - 500;  // it was asked for before, and its commit has waited
  wall += 1'000;
  demand(participant_commit{{}, {extended}, {}, 0, {}}, 1);
  commit();
  CAF_CHECK_EQUAL(answer(ask(then)), "v r0");
}

CAF_TEST(what ends a transaction is let in where those who wait for it take all the room) {
  partition_options few;
  few.pending_requests_max = 3;
  open(few);
  lead_in(2);
  coordinated_in = term;
  demand(participant_prepare{{}, {write_of("k", "v")}});
  commit();
  for (int i = 0; i < 3; ++i) CAF_CHECK_EQUAL(answer(ask(get("k"))), "none");
  CAF_CHECK_EQUAL(answer(ask(get("other"))), "overloaded");
  const auto resolved = demand(participant_resolve{timestamp_at(wall)});
  commit();
  CAF_CHECK_EQUAL(outcome(resolved), "committed");
}

CAF_TEST(that a key is gone which a promise has seen live is told once the outcome is known) {
  set_request expiring;
  expiring.key = "b/k";
  expiring.value = "v";
  expiring.expires_ms = 1'000;
  ask(expiring);
  commit();
  const auto modified = store->latest("b/k")->value().modified;
  demand(participant_prepare{{{{durability::persistent, "b/k", true, 0, false, modified, true}}, {}}, {write_of("b/other", "w")}});
  commit();
  CAF_CHECK_EQUAL(answer(ask(get("b/k"))), "v r0");
  wall += 2'000;
  const auto read = ask(get("b/k"));
  get_by_bucket_request list;
  list.bucket = "b";
  const auto listed = ask(list);
  transaction_number = 2;
  const auto in_transaction = demand(participant_read{durability::persistent, "b/k", lock_demand::none});
  commit();  // and that the expiry was seen is in the log
  CAF_CHECK_EQUAL(answer(read), "none");
  CAF_CHECK_EQUAL(outcome(in_transaction), "none");
  CAF_CHECK(!is_answered(listed));
  CAF_CHECK_EQUAL(answer(ask(get("c/k"))), "not found");
  transaction_number = 1;
  demand(participant_resolve{});
  commit();
  CAF_CHECK_EQUAL(answer(read), "not found");
  CAF_CHECK_EQUAL(outcome(in_transaction), "read");
  CAF_CHECK(is_answered(listed));
}

CAF_TEST(who is told to wait no longer is aborted and who has its lock is not) {
  const participant_read locked{durability::persistent, "k", lock_demand::exclusive};
  transaction_number = 1;
  CAF_CHECK_EQUAL(outcome(demand(locked)), "read");
  transaction_number = 2;
  const auto waits = demand(locked);
  CAF_CHECK_EQUAL(outcome(waits), "none");
  transaction_number = 1;
  demand(participant_stop_waiting{});
  CAF_CHECK_EQUAL(outcome(demand(locked)), "read");
  transaction_number = 2;
  demand(participant_stop_waiting{});
  CAF_CHECK_EQUAL(outcome(waits), "aborted");
  // It does not stand in line any more.
  transaction_number = 1;
  demand(participant_resolve{});
  transaction_number = 3;
  CAF_CHECK_EQUAL(outcome(demand(locked)), "read");
}

CAF_TEST(whose lock is waited for hears of it and who waits out of order for an older one) {
  participant_read locked{durability::persistent, "k", lock_demand::exclusive, wait_order::out_of_order};
  transaction_number = 2;
  demand(locked);
  // An older one waits, and one that is younger.
  transaction_number = 1;
  demand(locked);
  CAF_REQUIRE_EQUAL(questions.size(), 1u);
  CAF_CHECK_EQUAL(questions[0].id.number, 2u);
  CAF_CHECK(questions[0].what == (transaction_query{true, true, wait_order::out_of_order, false}));
  transaction_number = 3;
  demand(locked);
  CAF_REQUIRE_EQUAL(questions.size(), 3u);
  CAF_CHECK_EQUAL(questions[1].id.number, 2u);
  CAF_CHECK(questions[1].what == (transaction_query{true, false, wait_order::out_of_order, false}));
  CAF_CHECK_EQUAL(questions[2].id.number, 3u);
  CAF_CHECK(questions[2].what.is_stuck);
  // Who holds nothing is in no circle.
  locked.order = wait_order::first;
  transaction_number = 4;
  demand(locked);
  CAF_CHECK_EQUAL(questions.size(), 3u);
}

CAF_TEST(that somebody waits is said again) {
  participant_read locked{durability::persistent, "k", lock_demand::exclusive, wait_order::in_order};
  transaction_number = 1;
  demand(locked);
  transaction_number = 2;
  demand(locked);
  questions.clear();
  now += std::chrono::milliseconds(150);
  wall += 150;
  step(sweep{timestamp_at(wall)});
  CAF_REQUIRE_EQUAL(questions.size(), 1u);
  CAF_CHECK_EQUAL(questions[0].id.number, 1u);
  CAF_CHECK(questions[0].what.is_wanted && !questions[0].what.is_wound);
}

CAF_TEST(who holds the first of two locks that it needs does not hold nothing) {
  // Its bucket is held by intent while it waits for the key.
  transaction_number = 2;
  demand(participant_read{durability::persistent, "b/k", lock_demand::shared, wait_order::first});
  transaction_number = 3;
  demand(participant_read{durability::persistent, "b/k", lock_demand::exclusive, wait_order::first});
  CAF_REQUIRE_EQUAL(questions.size(), 1u);
  CAF_CHECK(questions[0].what.is_wanted);
}

CAF_TEST(who reads what others have read and wanted to write gets the exclusive lock) {
  const participant_read read{durability::persistent, "k", lock_demand::shared, wait_order::first};
  const participant_read write{durability::persistent, "k", lock_demand::exclusive, wait_order::out_of_order};
  for (const std::uint64_t number : {1, 2}) {
    transaction_number = number;
    CAF_CHECK_EQUAL(outcome(demand(read)), "read");
  }
  transaction_number = 1;
  CAF_CHECK_EQUAL(outcome(demand(write)), "none");
  transaction_number = 2;
  demand(participant_resolve{});
  transaction_number = 1;
  demand(participant_resolve{});
  transaction_number = 3;
  const auto guessed = demand(read);
  CAF_CHECK(std::get<read_answer>(std::get<participant_response>(replies.at(guessed))).lock == lock_demand::exclusive);
  transaction_number = 4;
  const auto waits = demand(read);
  CAF_CHECK_EQUAL(outcome(waits), "none");
  transaction_number = 3;
  demand(participant_resolve{});
  CAF_CHECK_EQUAL(outcome(waits), "read");
  // Nobody has written it for long.
  now += std::chrono::seconds(11);
  transaction_number = 4;
  demand(participant_resolve{});
  for (const std::uint64_t number : {5, 6}) {
    transaction_number = number;
    CAF_CHECK_EQUAL(outcome(demand(read)), "read");
  }
}

CAF_TEST_FIXTURE_SCOPE_END()

// --- who reads what others have read and wanted to write ---

namespace {

struct upgrade_fixture : fixture {
  lock_demand read(std::uint64_t transaction, lock_demand lock) {
    transaction_number = transaction;
    const auto asked = demand(participant_read{durability::persistent, "k", lock});
    const auto* said = is_answered(asked) ? std::get_if<participant_response>(&replies.at(asked)) : nullptr;
    return said != nullptr ? std::get<read_answer>(*said).lock : lock_demand::none;
  }
  void end(std::uint64_t transaction) {
    transaction_number = transaction;
    demand(participant_resolve{});
  }
  // Commits a write of it.
  void write(std::uint64_t transaction) {
    transaction_number = transaction;
    demand(participant_commit{{}, {write_of("k", "v")}, {}, 0, {}}, transaction);
    commit();
  }
  // Two have read it, and both want to write it.
  void remember() {
    read(1, lock_demand::shared);
    read(2, lock_demand::shared);
    read(1, lock_demand::exclusive);
    end(2);
    end(1);
  }
};

}  // namespace

CAF_TEST_FIXTURE_SCOPE(upgrade_tests, upgrade_fixture)

CAF_TEST(for ten seconds whoever reads such a key gets the exclusive lock) {
  remember();
  now += std::chrono::seconds(9);
  CAF_CHECK(read(3, lock_demand::shared) == lock_demand::exclusive);
  end(3);
  now += std::chrono::seconds(2);
  CAF_CHECK(read(4, lock_demand::shared) == lock_demand::shared);
}

CAF_TEST(and longer where one that has read it so has written it too) {
  remember();
  for (std::uint64_t transaction = 3; transaction < 6; ++transaction) {
    now += std::chrono::seconds(9);
    CAF_CHECK(read(transaction, lock_demand::shared) == lock_demand::exclusive);
    write(transaction);
  }
}

CAF_TEST(but not for others that write it) {
  remember();
  for (std::uint64_t transaction = 3; transaction < 6; ++transaction) {
    now += std::chrono::seconds(4);
    read(transaction, lock_demand::exclusive);
    write(transaction);
  }
  CAF_CHECK(read(7, lock_demand::shared) == lock_demand::shared);
}

CAF_TEST_FIXTURE_SCOPE_END()
