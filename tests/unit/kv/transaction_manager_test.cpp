// The transaction manager by hand: the test is the client, its own partition and all others.
#define CAF_SUITE transaction_manager
#include "caf/test/unit_test.hpp"

#include "tests/unit/kv/transaction_manager_fixture.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

using fixture = transaction_manager_fixture;

}  // namespace

CAF_TEST_FIXTURE_SCOPE(transaction_manager_tests, fixture)

CAF_TEST(a commit over two partitions takes two rounds and tells of it behind) {
  set_both();
  CAF_CHECK(own.empty());
  const auto commit = ask(commit_step{});
  // The first: the other one promises. Nothing is asked of the anchor yet.
  const auto prepare = asked_of_others<participant_prepare>();
  CAF_REQUIRE(prepare != 0);
  CAF_CHECK(own.empty());
  answer_remote(prepare, participant_response(vote{true, {}, timestamp_at(wall_ms + 5), 0}));
  // The second: the anchor's entry. Nothing else is waited for.
  const auto [decision, body] = asked_of_own<participant_commit>();
  CAF_REQUIRE(body != nullptr);
  CAF_CHECK_EQUAL(body->prepared, timestamp_at(wall_ms + 5));
  CAF_CHECK_EQUAL(body->participants.size(), 1u);
  CAF_CHECK(remote.empty());
  answer_own(decision, participant_response(transaction_status{transaction_state::committed, timestamp_at(wall_ms + 6), {}}));
  CAF_CHECK_EQUAL(outcome(commit), "committed");
  CAF_CHECK(asked_of_others<participant_resolve>() != 0);
}

// A replica is dropped while it asks others, and its node is given the partition again, and leads it, before they answer.
CAF_TEST(an answer to one who coordinated on this node before is not taken) {
  const auto ask_for_promise = [](fixture& f) {
    f.set_both();
    static_cast<void>(f.ask(commit_step{}));
    return f.asked_of_others<participant_prepare>();
  };
  const auto asked_before = ask_for_promise(*this);
  fixture later(2);
  CAF_REQUIRE(ask_for_promise(later) != 0);
  later.answer_remote(asked_before, participant_response(vote{true, {}, timestamp_at(wall_ms + 5), 0}));
  CAF_CHECK(later.asked_of_own<participant_commit>().second == nullptr);
}

CAF_TEST(a transaction at one partition is one entry) {
  set_request set;
  set.key = key_of(0);
  ask(set);
  answer_own(asked_of_own<participant_read>().first, participant_response(read_answer{std::nullopt, wall_ms}));
  const auto commit = ask(commit_step{});
  CAF_CHECK(remote.empty());
  answer_own(asked_of_own<participant_commit>().first,
             participant_response(transaction_status{transaction_state::committed, timestamp_at(wall_ms), {}}));
  CAF_CHECK_EQUAL(outcome(commit), "committed");
  CAF_CHECK(own.empty() && remote.empty());
}

CAF_TEST(that a commit is aborted is told once the log was asked whether another leader has committed it) {
  set_both();
  const auto commit = ask(commit_step{});
  answer_remote(asked_of_others<participant_prepare>(), participant_response(vote{false, "changed", {}, 0}));
  CAF_CHECK_EQUAL(outcome(commit), "none");
  const auto lookup = asked_of_own<participant_lookup>().first;
  CAF_REQUIRE(lookup != 0);
  CAF_CHECK_EQUAL(own.at(lookup).sequence, 1u);
  answer_own(lookup, participant_response(transaction_status{transaction_state::aborted, {}, "nothing"}));
  CAF_CHECK_EQUAL(outcome(commit), "aborted");
}

CAF_TEST(a commit that another leader has decided is answered so by one that aborts it) {
  set_both();
  const auto commit = ask(commit_step{});
  answer_remote(asked_of_others<participant_prepare>(), participant_response(vote{false, "it was begun twice", {}, 0}));
  answer_own(asked_of_own<participant_lookup>().first,
             participant_response(transaction_status{transaction_state::committed, timestamp_at(wall_ms), {}, true}));
  CAF_CHECK_EQUAL(outcome(commit), "committed");
}

CAF_TEST(an aborted commit that is sent again is looked up as often) {
  set_both();
  const auto commit = ask(commit_step{});
  answer_remote(asked_of_others<participant_prepare>(), participant_response(vote{false, "changed", {}, 0}));
  answer_own(asked_of_own<participant_lookup>().first, participant_response(transaction_status{transaction_state::aborted, {}, ""}));
  CAF_REQUIRE_EQUAL(outcome(commit), "aborted");
  remote.clear();
  own.clear();
  const auto again = repeat(commit);
  CAF_CHECK_EQUAL(outcome(again), "none");
  const auto lookup = asked_of_own<participant_lookup>().first;
  CAF_REQUIRE(lookup != 0);
  CAF_CHECK_EQUAL(own.at(lookup).attempt, 2u);  // so that it is remembered in the log
}

CAF_TEST(a leader that goes while it commits says that nobody knows) {
  set_both();
  const auto commit = ask(commit_step{});
  manager_news news;
  news.changes.push_back({});
  step(std::move(news));
  CAF_CHECK_EQUAL(outcome(commit), "leadership_lost");
  CAF_CHECK_EQUAL(manager.open_transactions(), 0u);
}

// --- locks ahead, and making way ---

CAF_TEST(locks are asked for one after the other in the order of names and what they read is known then) {
  std::vector<std::string> keys{key_of(0), key_of(1)};
  std::sort(keys.begin(), keys.end());
  lock_step ahead{{{.key = keys[1]}, {.key = keys[0]}}};
  const auto o = ask(ahead);
  const bool is_own_first = keys[0] == key_of(0);
  CAF_CHECK_EQUAL(asked_of_own<participant_read>().second != nullptr, is_own_first);
  CAF_CHECK_EQUAL(asked_of_others<participant_read>() != 0, !is_own_first);
  is_own_first ? grant_own() : grant_remote();
  CAF_CHECK_EQUAL(outcome(o), "none");
  is_own_first ? grant_remote() : grant_own();
  CAF_CHECK_EQUAL(outcome(o), "done");
  for (const auto& key : keys) {
    set_request set;
    set.key = key;
    CAF_CHECK_EQUAL(outcome(ask(set)), "done");
  }
  CAF_CHECK(own.empty() && remote.empty());
}

CAF_TEST(a transaction that goes on is let go on while an older one waits and has half a second) {
  set_both();
  want(true, wait_order::in_order);
  CAF_CHECK_EQUAL(manager.open_transactions(), 1u);
  now += std::chrono::milliseconds(400);
  set_request set;
  set.key = key_of(0);
  CAF_CHECK_EQUAL(outcome(ask(set)), "done");
  want(true, wait_order::in_order);
  CAF_CHECK_EQUAL(manager.open_transactions(), 1u);
  now += std::chrono::milliseconds(100);
  want(false, wait_order::in_order);  // a younger one
  CAF_CHECK_EQUAL(manager.open_transactions(), 1u);
  want(true, wait_order::in_order);
  CAF_CHECK_EQUAL(manager.open_transactions(), 0u);
}

CAF_TEST(one whose client does nothing makes way sooner) {
  set_both();
  now += std::chrono::milliseconds(100);
  want(true, wait_order::first);
  CAF_CHECK_EQUAL(manager.open_transactions(), 0u);
}

CAF_TEST(what is asked for says how it stands to what is held) {
  header.locking = locking_mode::pessimistic;
  get_request get;
  get.key = key_of(0);
  ask(get);
  CAF_CHECK(asked_of_own<participant_read>().second->order == wait_order::first);
  grant_own();
  ask_there(true);
  const auto later = asked_of_others<participant_read>();
  CAF_CHECK(std::get<participant_read>(std::get<participant_request>(remote.at(later).op).body).order == wait_order::in_order);
  grant_remote();
  ask_there(false);
  const auto before = asked_of_others<participant_read>();
  CAF_CHECK(std::get<participant_read>(std::get<participant_request>(remote.at(before).op).body).order == wait_order::out_of_order);
  grant_remote();
  // A stronger lock on what it holds.
  set_request set;
  set.key = key_of(0);
  ask(set);
  CAF_CHECK(asked_of_own<participant_read>().second->order == wait_order::out_of_order);
}

CAF_TEST(one that waits out of order for an older one is aborted where it is wanted whichever is heard first) {
  header.locking = locking_mode::pessimistic;
  for (const bool is_wanted_first : {true, false}) {
    header.id.number += 1;
    number = 0;
    heard = 0;
    own.clear();
    remote.clear();
    set_both();
    const auto o = ask_there(false);
    is_wanted_first ? want(false, wait_order::in_order) : stick();
    CAF_CHECK_EQUAL(outcome(o), "none");
    is_wanted_first ? stick() : want(false, wait_order::in_order);
    CAF_CHECK_EQUAL(outcome(o), "aborted");
  }
}

CAF_TEST(one that has waited and does so no longer is not aborted) {
  header.locking = locking_mode::pessimistic;
  set_both();
  ask_there(false);
  stick();
  grant_remote();
  want(false, wait_order::in_order);
  CAF_CHECK_EQUAL(manager.open_transactions(), 1u);
  // Nor is it while it waits for something else, the older one being gone.
  get_request get;
  get.key = "0";
  while (routing::partition_of_key(partitions, get.key).value != 1) get.key += '+';
  ask(get);
  CAF_CHECK_EQUAL(manager.open_transactions(), 1u);
  stick();
  CAF_CHECK_EQUAL(manager.open_transactions(), 0u);
}

CAF_TEST(a transaction that only reads is not committed once what it read has expired) {
  get_request get;
  get.key = key_of(1);
  ask(get);
  grant_remote();
  const auto commit = ask(commit_step{});
  answer_remote(asked_of_others<participant_validate>(), participant_response(vote{true, {}, timestamp_at(wall_ms), wall_ms}));
  answer_own(asked_of_own<participant_lookup>().first, participant_response(transaction_status{transaction_state::aborted, {}, ""}));
  CAF_CHECK_EQUAL(outcome(commit), "aborted");
}

CAF_TEST(one that waits in order or is not waited for by any that holds something is let wait) {
  header.locking = locking_mode::pessimistic;
  set_both();
  const auto in_order = ask_there(true);
  want(false, wait_order::in_order);
  stick();  // late: of another wait
  CAF_CHECK_EQUAL(outcome(in_order), "none");
  CAF_CHECK_EQUAL(asked_of_others<participant_stop_waiting>(), 0u);
}

CAF_TEST(one for which an older one waits out of order must not wait itself) {
  set_both();
  const auto o = ask_there(true);
  want(true, wait_order::out_of_order);
  CAF_CHECK(asked_of_others<participant_stop_waiting>() != 0);
  CAF_CHECK_EQUAL(outcome(o), "none");
  answer_remote(asked_of_others<participant_read>(), error{errc::aborted, "an older transaction needs what it holds"});
  CAF_CHECK_EQUAL(outcome(o), "aborted");
}

CAF_TEST(nor does it wait for what it asks for later) {
  set_both();
  want(true, wait_order::out_of_order);
  CAF_CHECK_EQUAL(asked_of_others<participant_stop_waiting>(), 0u);
  ask_there(true);
  CAF_CHECK(asked_of_others<participant_stop_waiting>() != 0);
}

CAF_TEST(what is set and deleted again counts with what is written of it) {
  const std::string large(1 << 20, 'x');
  int refused = 0;
  for (int i = 0, keys = 0; keys < 4; ++i) {
    const auto key = "key-" + std::to_string(i);
    if (routing::partition_of_key(partitions, key).value != 0) continue;
    ++keys;
    set_request set;
    set.key = key;
    set.value = large;
    const auto heard_before = heard;
    const auto o = ask(set);
    answer_own(asked_of_own<participant_read>().first, participant_response(read_answer{std::nullopt, wall_ms}));
    if (outcome(o) == "invalid_argument") {
      // It is no step.
      ++refused;
      --number;
      heard = heard_before;
      continue;
    }
    delete_request gone;
    gone.key = key;
    ask(gone);
  }
  CAF_CHECK_EQUAL(refused, 3);
}

CAF_TEST(what is read is bounded and a transaction that reads too much can go on) {
  version large;
  large.value = std::string(3 << 20, 'x');
  const auto read_large = [&](const std::string& key) {
    get_request get;
    get.key = key;
    const auto o = ask(get);
    answer_own(asked_of_own<participant_read>().first, participant_response(read_answer{large, wall_ms}));
    return outcome(o);
  };
  auto second = key_of(0) + "+";
  while (routing::partition_of_key(partitions, second).value != 0) second += '+';
  CAF_CHECK_EQUAL(read_large(key_of(0)), "done");
  const auto heard_before = heard;
  CAF_CHECK_EQUAL(read_large(second), "invalid_argument");
  --number;  // it is no step
  heard = heard_before;
  set_request set;
  set.key = key_of(0);
  CAF_CHECK_EQUAL(outcome(ask(set)), "done");
  // And while so much is kept no other one begins.
  const auto own_header = std::exchange(header, transaction_header{{timestamp_at(wall_ms), 7, 2}, partition_id{0}, locking_mode::optimistic, 5'000});
  const auto number_before = std::exchange(number, 0);
  const auto heard_of_it = std::exchange(heard, 0);
  CAF_CHECK_EQUAL(outcome(ask(set)), "overloaded");
  header = own_header;
  number = number_before;
  heard = heard_of_it;
  ask(rollback_step{});
  header.id.number = 3;
  number = 0;
  heard = 0;
  CAF_CHECK_EQUAL(read_large(key_of(0)), "done");
}

CAF_TEST(buckets count with their names and with the page that was answered last) {
  const auto list = [&](const std::string& bucket, list_response page) {
    const auto o = ask(get_by_bucket_request{.bucket = bucket});
    const participant_response found = list_answer{std::move(page), timestamp_at(wall_ms)};
    const auto [token, body] = asked_of_own<participant_list>();
    if (body != nullptr)
      answer_own(token, found);
    else if (const auto there = asked_of_others<participant_list>(); there != 0)
      answer_remote(there, found);
    return outcome(o);
  };
  // Names: more than a MiB of them.
  std::string refused;
  int listed = 0;
  for (; refused.empty() && listed < 1000; ++listed) {
    const auto heard_before = heard;
    const auto said = list(std::string(4000, 'b') + std::to_string(listed), {});
    if (said == "done") continue;
    refused = said;
    --number;  // it is no step
    heard = heard_before;
  }
  CAF_CHECK_EQUAL(refused, "invalid_argument");
  CAF_CHECK(listed > 250 && listed < 270);
  ask(rollback_step{});
  // Answers: what is kept of all transactions is 2 MiB here, and none goes on beyond twice as much.
  list_response page;
  page.items.push_back({"bucket/k", shared_bytes(std::string(1 << 20, 'x')), 1, 0, timestamp_at(wall_ms - 1)});
  std::string last = "done";
  int open = 0;
  for (; last == "done" && open < 10; ++open) {
    header.id.number += 1;
    number = 0;
    heard = 0;
    last = list("bucket", page);
  }
  CAF_CHECK_EQUAL(last, "overloaded");
  CAF_CHECK_EQUAL(open, 3);
}

CAF_TEST_FIXTURE_SCOPE_END()
