// The partition core against a hand-driven Raft: what it proposes is committed when the test says so.
#define CAF_SUITE partition_core
#include "caf/test/unit_test.hpp"

#include "core/base/prng.hpp"
#include "tests/unit/kv/partition_fixture.hpp"

using namespace kahuna;
using namespace kahuna::kv;
using namespace kahuna::testing;

CAF_TEST_FIXTURE_SCOPE(partition_core_tests, partition_fixture)

CAF_TEST(nothing is evaluated before the no op of the term is applied) {
  lead(1);
  const auto write = ask(set("k", "v"));
  const auto read = ask(get("k"));
  CAF_CHECK_EQUAL(answer(write), "none");
  CAF_CHECK_EQUAL(answer(read), "none");
  CAF_CHECK_EQUAL(uncommitted.size(), 1u);
  commit();
  CAF_CHECK_EQUAL(answer(read), "not found");  // asked behind the write, answered from what is applied
  commit();
  CAF_CHECK_EQUAL(answer(write), "set r0");
}

CAF_TEST(a follower sends its clients away) {
  CAF_CHECK_EQUAL(answer(ask(set("k", "v"))), "not_leader");
  CAF_CHECK_EQUAL(answer(ask(get("k"))), "not_leader");
}

CAF_TEST(writes of one key pipeline and are answered once they are applied) {
  lead(1);
  commit();
  const auto first = ask(set("k", "1"));
  const auto second = ask(set("k", "2"));
  const auto third = ask(set("k", "3"));
  CAF_CHECK_EQUAL(uncommitted.size(), 3u);
  CAF_CHECK_EQUAL(answer(ask(get("k"))), "not found");
  commit(1);
  CAF_CHECK_EQUAL(answer(first), "set r0");
  CAF_CHECK_EQUAL(answer(second), "none");
  CAF_CHECK_EQUAL(answer(ask(get("k"))), "1 r0");
  commit();
  CAF_CHECK_EQUAL(answer(second), "set r1");
  CAF_CHECK_EQUAL(answer(third), "set r2");
  CAF_CHECK_EQUAL(answer(ask(get("k"))), "3 r2");
}

CAF_TEST(a refusal waits for the write that it was computed from) {
  lead(1);
  commit();
  const auto write = ask(set("k", "1"));
  const auto refused = ask(set("k", "2", true));
  CAF_CHECK_EQUAL(answer(refused), "none");
  commit();
  CAF_CHECK_EQUAL(answer(write), "set r0");
  CAF_CHECK_EQUAL(answer(refused), "not set r0");
  // One computed from applied state leaves at once, under the lease.
  CAF_CHECK_EQUAL(answer(ask(set("k", "3", true))), "not set r0");
}

// docs/incidents/0003: the entry's acknowledgements may be older than another leader, whatever they commit.
CAF_TEST(that an older entry is committed does not make a later refusal certain) {
  lead(1, false);
  commit();
  const auto write = ask(set("k", "1"));
  const auto refused = ask(set("k", "2", true));
  CAF_CHECK_EQUAL(reads.size(), 0u);
  commit();
  CAF_CHECK_EQUAL(answer(write), "set r0");
  CAF_CHECK_EQUAL(answer(refused), "none");
  CAF_REQUIRE_EQUAL(reads.size(), 1u);
  step(std::vector<raft::read_answer>{{reads[0], true, last}});
  CAF_CHECK_EQUAL(answer(refused), "not set r0");

  // Deposed meanwhile: it hears that.
  ask(set("k", "3"));
  const auto late = ask(set("k", "4", true));
  commit();
  CAF_CHECK_EQUAL(answer(late), "none");
  follow(2);
  CAF_CHECK_EQUAL(answer(late), "not_leader");
}

CAF_TEST(without a lease reads and refusals wait for a confirmed read) {
  lead(1, false);
  commit();
  const auto read = ask(get("k"));
  const auto refused = ask([] {
    set_request request;
    request.key = "k";
    request.if_present = true;
    return operation(request);
  }());
  CAF_CHECK_EQUAL(answer(read), "none");
  CAF_CHECK_EQUAL(answer(refused), "none");
  CAF_REQUIRE_EQUAL(reads.size(), 2u);
  step(std::vector<raft::read_answer>{{reads[0], true, last}});
  CAF_CHECK_EQUAL(answer(read), "not found");
  CAF_CHECK_EQUAL(answer(refused), "none");
  step(std::vector<raft::read_answer>{{reads[1], false, {}}});
  CAF_CHECK_EQUAL(answer(refused), "not_leader");
}

CAF_TEST(a lease that has run out is none) {
  lead(1);
  commit();
  now += std::chrono::hours(2);
  const auto read = ask(get("k"));
  CAF_CHECK_EQUAL(answer(read), "none");
  CAF_CHECK_EQUAL(reads.size(), 1u);
}

CAF_TEST(losing the leadership leaves writes unknown and reads undone) {
  lead(1, false);
  commit();
  const auto write = ask(set("k", "1"));
  const auto read = ask(get("k"));
  follow(2);
  CAF_CHECK_EQUAL(answer(write), "leadership_lost");
  CAF_CHECK_EQUAL(answer(read), "not_leader");
  // The write was in the log, and the new leader commits it: it is applied here as anybody's.
  commit();
  lead(3);
  commit();
  CAF_CHECK_EQUAL(answer(ask(get("k"))), "1 r0");
}

CAF_TEST(what waits for the no op is sent away with the leadership) {
  lead(1);
  const auto write = ask(set("k", "1"));
  follow(2);
  CAF_CHECK_EQUAL(answer(write), "not_leader");
}

CAF_TEST(a repeated write is applied once and answered alike) {
  lead(1);
  commit();
  const auto first = ask(set("k", "1"), 5, 77);
  const auto again = ask(set("k", "1"), 5, 77);
  CAF_CHECK_EQUAL(uncommitted.size(), 1u);
  commit();
  CAF_CHECK_EQUAL(answer(first), "set r0");
  CAF_CHECK_EQUAL(answer(again), "set r0");
  static_cast<void>(ask(set("k", "2"), 5, 78));
  commit();
  CAF_CHECK_EQUAL(answer(ask(set("k", "1"), 5, 77)), "set r0");
  CAF_CHECK_EQUAL(answer(ask(get("k"))), "2 r1");
  // Another client's same number is another request.
  const auto other = ask(set("k", "3"), 6, 77);
  commit();
  CAF_CHECK_EQUAL(answer(other), "set r2");
}

CAF_TEST(a repeated write is known after failover and restart) {
  lead(1);
  commit();
  static_cast<void>(ask(set("k", "1"), 5, 77));
  follow(2);
  commit();
  CAF_REQUIRE(!disk->flush());
  open();
  lead(3);
  commit();
  CAF_CHECK_EQUAL(answer(ask(set("k", "1"), 5, 77)), "set r0");
  CAF_CHECK(uncommitted.empty());
}

CAF_TEST(below the floor a repetition is late) {
  lead(1);
  commit();
  static_cast<void>(ask(set("k", "1"), 5, 77));
  static_cast<void>(ask(set("k", "2"), 5, 78, 78));
  commit();
  CAF_CHECK_EQUAL(answer(ask(set("k", "1"), 5, 77)), "timeout");
}

CAF_TEST(a refused write that was tried again stays refused) {
  // 1. A deletes a key that C's delete, still under way, makes absent: refused, and the answer waits.
  // 2. B sets the key.  3. A's client tries again: it is judged afresh, and must not undo what B was told.
  lead(1);
  commit();
  const auto del = [] {
    delete_request request;
    request.key = "k";
    return operation(request);
  };
  static_cast<void>(ask(set("k", "old"), 3));
  commit();
  static_cast<void>(ask(del(), 4));
  const auto first = ask(del(), 5, 77, 77, 1);
  const auto by_other = ask(set("k", "B"), 6);
  const auto second = ask(del(), 5, 77, 77, 2);
  commit();
  CAF_CHECK_EQUAL(answer(first), "not found r-1");
  CAF_CHECK_EQUAL(answer(by_other), "set r1");
  // The client takes the second's answer; it did delete, after B's write, which is one order of things.
  CAF_CHECK_EQUAL(answer(second), "deleted r1");
  // The other way round: the second attempt is refused and says so; the first, late, changes nothing.
  const auto refused = ask(set("k2", "x", false), 8);
  commit();
  CAF_CHECK_EQUAL(answer(refused), "set r0");
  const auto again = ask(set("k2", "y", true), 9, 50, 50, 2);
  commit();
  CAF_CHECK_EQUAL(answer(again), "not set r0");
  static_cast<void>(ask([] {
    delete_request request;
    request.key = "k2";
    return operation(request);
  }(), 10));
  commit();
  const auto late = ask(set("k2", "y", true), 9, 50, 50, 1);
  commit();
  CAF_CHECK_EQUAL(answer(late), "not set r0");
  CAF_CHECK_EQUAL(answer(ask(get("k2"))), "not found");
}

CAF_TEST(a full window lets in whoever makes room) {
  partition_options small;
  small.window_clients_max = 3;
  small.window_results_per_client_max = 4;
  open(small);
  lead(1);
  commit();
  // One client with too much unheard: only its oldest open write is let in, and with it the floor rises.
  for (std::uint64_t i = 2; i <= 5; ++i) static_cast<void>(ask(set("k", "v"), 1, i, 1));
  commit();
  CAF_CHECK_EQUAL(answer(ask(set("k", "v"), 1, 6, 1)), "overloaded");
  CAF_CHECK_EQUAL(answer(ask(set("k", "v"), 1, 3, 1)), "set r1");  // what was answered is answered again
  const auto oldest = ask(set("k", "v"), 1, 1, 1);
  commit();
  CAF_CHECK_EQUAL(answer(oldest), "set r4");
  const auto next = ask(set("k", "v"), 1, 6, 6);
  commit();
  CAF_CHECK_EQUAL(answer(next), "set r5");
  // Too many clients: a new one gets in once an old one is overdue.
  for (std::uint64_t client = 2; client <= 3; ++client) static_cast<void>(ask(set("k", "v"), client, 5, 1));
  commit();
  CAF_CHECK_EQUAL(answer(ask(set("k", "v"), 9, 5, 1)), "overloaded");
  partition_request request;
  request.origin = 9000;
  request.client = 9;
  request.sequence = 5;
  request.floor = 1;
  request.issued_at = timestamp_at(wall_ms + 2 * request_window::retention_ms);
  request.op = set("k", "v");
  operations work;
  work.stamp = request.issued_at;
  work.requests.push_back(request);
  step(std::move(work));
  commit();
  CAF_CHECK_EQUAL(answer(9000), "set r8");
}

CAF_TEST(too old a request is refused) {
  lead(1);
  commit();
  partition_request request;
  request.origin = 9000;
  request.client = 1;
  request.sequence = 1;
  request.issued_at = timestamp_at(wall_ms - request_window::retention_ms);
  request.op = set("k", "v");
  operations work;
  work.stamp = timestamp_at(wall);
  work.requests.push_back(request);
  step(std::move(work));
  CAF_CHECK_EQUAL(answer(9000), "timeout");
}

CAF_TEST(bounds refuse what is too much) {
  partition_options small;
  small.pending_requests_max = 3;
  open(small);
  lead(1);
  commit();
  std::vector<std::uint64_t> asked;
  for (int i = 0; i < 5; ++i) asked.push_back(ask(set("k" + std::to_string(i), "v")));
  CAF_CHECK_EQUAL(answer(asked[3]), "overloaded");
  CAF_CHECK_EQUAL(answer(asked[4]), "overloaded");
  commit();
  CAF_CHECK_EQUAL(answer(asked[2]), "set r0");
  const auto later = ask(set("k9", "v"));
  commit();
  CAF_CHECK_EQUAL(answer(later), "set r0");
}

CAF_TEST(many small writes travel in one entry and a large one in its own) {
  lead(1);
  commit();
  operations work;
  work.stamp = timestamp_at(wall);
  for (std::uint64_t i = 0; i < 100; ++i) {
    partition_request request;
    request.origin = 10'000 + i;
    request.client = 1;
    request.sequence = i + 1;
    request.issued_at = timestamp_at(wall);
    request.op = set("k" + std::to_string(i), i == 50 ? std::string(2 << 20, 'v') : "v");
    if (i == 50) std::get<set_request>(request.op).value = std::string(1 << 20, 'v');
    work.requests.push_back(std::move(request));
  }
  step(std::move(work));
  CAF_CHECK_EQUAL(uncommitted.size(), 2u);
  commit();
  for (std::uint64_t i = 0; i < 100; ++i) CAF_CHECK_EQUAL(answer(10'000 + i), "set r0");
}

CAF_TEST(commit timestamps rise and go on rising after failover) {
  lead(1);
  commit();
  const auto first = ask(set("a", "1"));
  const auto second = ask(set("b", "1"));
  commit();
  const auto modified = [&](std::uint64_t o) { return std::get<set_response>(replies.at(o)).modified; };
  CAF_CHECK(modified(first) < modified(second));
  // A leader whose own clock is behind.
  follow(2);
  lead(3);
  commit();
  partition_request request;
  request.origin = 9000;
  request.client = 2;
  request.sequence = 1;
  request.issued_at = timestamp_at(wall_ms - 60'000);
  request.op = set("a", "2");
  operations work;
  work.stamp = timestamp_at(wall_ms - 60'000);
  work.requests.push_back(request);
  step(std::move(work));
  commit();
  CAF_CHECK(modified(second) < modified(9000));
}

CAF_TEST(a damaged entry takes the replica out of service) {
  lead(1);
  commit();
  const auto waiting = ask(set("k", "v"));
  follow(2);
  CAF_CHECK_EQUAL(answer(waiting), "leadership_lost");
  uncommitted.clear();
  step(committed_entries{{{term_id{2}, last + 1, raft::entry_kind::command, shared_bytes("damaged")}}});
  CAF_CHECK(core->fault().has_value());
  CAF_CHECK_EQUAL(answer(ask(get("k"))), "data_corrupted");
}

CAF_TEST(random work gives what a plain map gives) {
  prng dice(21);
  std::map<std::string, std::pair<std::int64_t, std::string>> expected;
  std::map<std::uint64_t, std::string> expected_answers;
  lead(1);
  commit();
  std::uint64_t at_term = 1;
  for (int i = 0; i < 3000; ++i) {
    const auto key = "k" + std::to_string(dice.below(8));
    auto& [revision, value] = expected.try_emplace(key, -1, "").first->second;
    const bool nx = dice.chance(1, 3);
    const auto o = ask(set(key, std::to_string(i), nx));
    if (nx && revision >= 0) {
      expected_answers[o] = "not set r" + std::to_string(revision);
    } else {
      expected_answers[o] = "set r" + std::to_string(++revision);
      value = std::to_string(i);
    }
    if (dice.chance(1, 4)) commit(dice.below(4));
    if (dice.chance(1, 100)) {
      // A clean change of leaders: everything proposed comes to be committed by the next one.
      follow(++at_term);
      for (const auto& [origin_of, text] : std::exchange(expected_answers, {}))
        if (answer(origin_of) != text) CAF_CHECK(answer(origin_of) == "leadership_lost" || answer(origin_of) == "not_leader");
      commit();
      lead(++at_term);
      commit();
    }
  }
  commit();
  for (const auto& [o, text] : expected_answers) CAF_CHECK_EQUAL(answer(o), text);
  for (const auto& [key, state] : expected) CAF_CHECK_EQUAL(answer(ask(get(key))), state.second + " r" + std::to_string(state.first));
}

// --- expiry ---------------------------------------------------------------------------------------------------------

CAF_TEST(that a key has expired is in the log before anybody hears of it) {
  lead(1);
  commit();
  ask(expiring("k", "v", 100));
  commit();
  wall += 99;
  const auto before = ask(get("k"));
  CAF_CHECK_EQUAL(answer(before), "v r0");
  wall += 1;
  const auto first = ask(get("k"));
  const auto exists = ask(exists_request{"k", durability::persistent});
  get_by_bucket_request list;
  list.bucket = "nothing";
  const auto unrelated = ask(list);
  CAF_CHECK_EQUAL(answer(first), "none");
  CAF_CHECK_EQUAL(answer(exists), "none");
  CAF_CHECK(is_answered(unrelated));
  CAF_CHECK_EQUAL(uncommitted.size(), 1u);  // one entry serves both
  commit();
  CAF_CHECK_EQUAL(answer(first), "not found");
  CAF_CHECK(is_answered(exists));
  CAF_CHECK_EQUAL(unix_ms(store->applied_stamp()), wall);
  // From now on it is known to all.
  CAF_CHECK_EQUAL(answer(ask(get("k"))), "not found");
  CAF_CHECK(uncommitted.empty());
}

CAF_TEST(an entry that left before the expiry does not make it known) {
  lead(1);
  commit();
  ask(expiring("k", "v", 100));
  commit();
  wall += 90;
  const auto write = ask(set("other", "x"));
  CAF_CHECK_EQUAL(uncommitted.size(), 1u);
  wall += 10;
  const auto read = ask(get("k"));
  CAF_CHECK_EQUAL(uncommitted.size(), 2u);
  const auto second = ask(get("k"));
  CAF_CHECK_EQUAL(uncommitted.size(), 2u);  // that one is on its way, and does
  commit(1);
  CAF_CHECK_EQUAL(answer(write), "set r0");
  CAF_CHECK_EQUAL(answer(read), "none");
  commit();
  CAF_CHECK_EQUAL(answer(read), "not found");
  CAF_CHECK_EQUAL(answer(second), "not found");
}

CAF_TEST(all pages of a list judge expiry at the moment of the first) {
  lead(1);
  commit();
  for (const std::string key : {"b/1", "b/2", "b/3"}) ask(expiring(key, "v", 100));
  commit();
  get_by_bucket_request request;
  request.bucket = "b";
  request.limit = 1;
  const auto first = ask(request);
  CAF_REQUIRE(is_answered(first));
  request.view = std::get<list_response>(replies.at(first)).view;
  request.after = "b/1";
  request.limit = 0;
  wall += 200;
  const auto second = ask(request);
  CAF_REQUIRE(is_answered(second));
  CAF_CHECK_EQUAL(std::get<list_response>(replies.at(second)).items.size(), 2u);
}

CAF_TEST(a key that was seen expired stays so under a leader whose clock is behind) {
  lead(1);
  commit();
  ask(expiring("k", "v", 100));
  commit();
  wall += 100;
  const auto read = ask(get("k"));
  commit();
  CAF_CHECK_EQUAL(answer(read), "not found");
  open();
  wall -= 5000;
  lead(2);
  commit();
  CAF_CHECK_EQUAL(answer(ask(get("k"))), "not found");
  const auto refused = ask(conditional("k", "w", true));
  commit();
  CAF_CHECK_EQUAL(answer(refused), "not set r-1");
}

CAF_TEST(a refusal and a list that rest on an expiry wait for it too) {
  lead(1);
  commit();
  ask(expiring("b/k", "v", 100));
  commit();
  wall += 100;
  const auto refused = ask(conditional("b/k", "w", true));
  CAF_CHECK_EQUAL(answer(refused), "none");
  commit();
  CAF_CHECK_EQUAL(answer(refused), "not set r-1");

  ask(expiring("b/k2", "v", 100));
  commit();
  wall += 100;
  get_by_bucket_request request;
  request.bucket = "b";
  const auto list = ask(request);
  CAF_CHECK(!is_answered(list));
  commit();
  CAF_REQUIRE(is_answered(list));
  CAF_CHECK(std::get<list_response>(replies.at(list)).items.empty());
}

CAF_TEST(a key whose extension is on its way is not told to be absent) {
  lead(1);
  commit();
  ask(expiring("b/k", "v", 100));
  ask(expiring("b/l", "v", 100));
  commit();
  wall += 99;
  const auto extended = ask(extend_request{"b/k", durability::persistent, 60'000});  // it is live then
  wall += 1;
  const auto read = ask(get("b/k"));
  const auto exists = ask(exists_request{"b/k", durability::persistent});
  const auto other = ask(get("b/l"));
  get_by_bucket_request list;
  list.bucket = "b";
  const auto listed = ask(list);
  commit();
  CAF_CHECK(std::get<extend_response>(replies.at(extended)).is_extended);
  CAF_CHECK_EQUAL(answer(read), "v r0");
  CAF_CHECK(std::get<exists_response>(replies.at(exists)).is_found);
  CAF_CHECK_EQUAL(answer(other), "not found");
  CAF_REQUIRE(is_answered(listed));
  const auto keys = std::get<list_response>(replies.at(listed)).items;
  CAF_CHECK(std::any_of(keys.begin(), keys.end(), [](const listed_key& item) { return item.key == "b/k"; }));
  CAF_CHECK_EQUAL(answer(ask(get("b/k"))), "v r0");
}

CAF_TEST(a key whose conditional set is on its way is not told to be absent) {
  lead(1);
  commit();
  ask(expiring("k", "v", 100));
  commit();
  wall += 99;
  const auto first = ask(conditional("k", "w", true));  // it is live then
  wall += 1;
  const auto second = ask(set("k", "x"));
  const auto read = ask(get("k"));
  CAF_CHECK_EQUAL(answer(read), "v r0");
  commit();
  CAF_CHECK_EQUAL(answer(first), "set r1");
  CAF_CHECK_EQUAL(answer(second), "set r2");
}

CAF_TEST(a key that expired is absent also while it is being set) {
  lead(1);
  commit();
  ask(expiring("k", "v", 100));
  commit();
  wall += 150;
  const auto write = ask(set("k", "w"));
  const auto read = ask(get("k"));
  commit();
  CAF_CHECK_EQUAL(answer(write), "set r1");
  CAF_CHECK_EQUAL(answer(read), "not found");
}

CAF_TEST(an accepted write on an expired key needs no further entry) {
  lead(1);
  commit();
  ask(expiring("k", "v", 100));
  commit();
  wall += 100;
  const auto write = ask(set("k", "w", true));
  CAF_CHECK_EQUAL(uncommitted.size(), 1u);
  commit();
  CAF_CHECK_EQUAL(answer(write), "set r1");
}

CAF_TEST(a view ahead of this replica is refused) {
  lead(1);
  commit();
  get_by_bucket_request request;
  request.bucket = "b";
  request.view = {timestamp_at(wall + 1'000'000), wall};
  CAF_CHECK_EQUAL(answer(ask(request)), "unavailable");
}

// --- history --------------------------------------------------------------------------------------------------------

CAF_TEST(old versions are collected by the log and a list that needed them says so) {
  partition_options keeps_one;
  keeps_one.history.revisions_max = 1;
  open(keeps_one);
  lead(1);
  commit();
  for (int i = 0; i < 3; ++i) ask(set("b/k", std::to_string(i)));
  ask(set("b/l", "x"));
  commit();
  get_by_bucket_request request;
  request.bucket = "b";
  request.limit = 1;
  const auto first = ask(request);
  CAF_REQUIRE(is_answered(first));
  request.view = std::get<list_response>(replies.at(first)).view;
  request.after = "b/k";
  ask(set("b/l", "y"));
  commit();

  wall += history_sweep::grace_ms + 1;
  step(kv::sweep{timestamp_at(wall)});
  CAF_CHECK_EQUAL(uncommitted.size(), 1u);
  commit();
  get_request old;
  old.key = "b/k";
  old.at_revision = 1;
  CAF_CHECK_EQUAL(answer(ask(old)), "not found");
  CAF_CHECK_EQUAL(answer(ask(get("b/k"))), "2 r2");
  CAF_CHECK_EQUAL(answer(ask(request)), "view_lost");
  request.view = {};
  CAF_CHECK(is_answered(ask(request)));
  const auto next = ask(set("b/k", "3"));
  commit();
  CAF_CHECK_EQUAL(answer(next), "set r3");
}

CAF_TEST(what is on its way out is not found again) {
  partition_options keeps_one;
  keeps_one.history.revisions_max = 1;
  open(keeps_one);
  lead(1);
  commit();
  for (int i = 0; i < 3; ++i) ask(set("k", std::to_string(i)));
  commit();
  wall += history_sweep::grace_ms + 1;
  ask(set("other", "x"));
  step(kv::sweep{timestamp_at(wall)});
  CAF_CHECK_EQUAL(uncommitted.size(), 2u);
  commit(1);
  // Something was written, so the next round begins.
  wall += 10'000;
  step(kv::sweep{timestamp_at(wall)});
  CAF_CHECK_EQUAL(uncommitted.size(), 1u);
}

CAF_TEST(what a sweep takes away fits into a frame and travels alone) {
  partition_options keeps_one;
  keeps_one.history.revisions_max = 1;
  open(keeps_one);
  lead(1);
  commit();
  const std::string key(4096, 'k');
  for (int i = 0; i < 1000; ++i) ask(set(key, "v"));
  commit();
  wall += history_sweep::grace_ms + 1;
  operations work;
  work.stamp = timestamp_at(wall);
  std::size_t removed = 0;
  for (int i = 0; i < 20; ++i) {
    step(kv::sweep{timestamp_at(wall += 3000)});
    if (uncommitted.empty()) continue;
    CAF_REQUIRE_EQUAL(uncommitted.size(), 1u);
    CAF_CHECK_LESS(uncommitted.front().payload.size(), 300'000u);
    removed += messages::decode<write_batch>(uncommitted.front().payload.view())->removals.size();
    commit();
  }
  CAF_CHECK_EQUAL(removed, 999u);
}

CAF_TEST(a key that is set while it is forgotten goes on counting) {
  partition_options short_memory;
  short_memory.history.age_ms_max = 1;
  open(short_memory);
  lead(1);
  commit();
  ask(expiring("k", "v", 100));
  commit();
  wall += 100 + history_sweep::grace_ms;
  step(kv::sweep{timestamp_at(wall)});
  CAF_CHECK_EQUAL(uncommitted.size(), 1u);
  const auto write = ask(set("k", "w"));
  commit();
  CAF_CHECK_EQUAL(answer(write), "set r1");
  CAF_CHECK_EQUAL(answer(ask(get("k"))), "w r1");

  const auto erased = ask(delete_request{"k", durability::persistent});
  commit();
  CAF_CHECK_EQUAL(answer(erased), "deleted r1");
  wall += 10'000 + history_sweep::grace_ms;
  for (int i = 0; i < 3; ++i) {
    step(kv::sweep{timestamp_at(wall += 3000)});
    commit();
  }
  const auto anew = ask(set("k", "x"));
  commit();
  CAF_CHECK_EQUAL(answer(anew), "set r0");
}

// --- ephemeral keys -------------------------------------------------------------------------------------------------

CAF_TEST(an ephemeral key is set and read without the log) {
  lead(1);
  commit();
  const auto first = ask(ephemeral(set("k", "v")));
  const auto second = ask(ephemeral(set("k", "w")));
  CAF_CHECK_EQUAL(answer(first), "set r0");
  CAF_CHECK_EQUAL(answer(second), "set r1");
  CAF_CHECK(std::get<set_response>(replies.at(first)).modified < std::get<set_response>(replies.at(second)).modified);
  CAF_CHECK_EQUAL(answer(ask(ephemeral(get("k")))), "w r1");
  CAF_CHECK_EQUAL(answer(ask(ephemeral(set("k", "x", true)))), "not set r1");
  CAF_CHECK_EQUAL(answer(ask(get("k"))), "not found");
  CAF_CHECK(uncommitted.empty());
}

CAF_TEST(nothing ephemeral is evaluated before the no op of the term is applied) {
  lead(1);
  const auto write = ask(ephemeral(set("k", "v")));
  CAF_CHECK_EQUAL(answer(write), "none");
  commit();
  CAF_CHECK_EQUAL(answer(write), "set r0");
}

CAF_TEST(without a lease an ephemeral write waits until the leadership is confirmed) {
  lead(1, false);
  commit();
  const auto write = ask(ephemeral(set("k", "v")));
  const auto read = ask(ephemeral(get("k")));
  CAF_CHECK_EQUAL(answer(write), "none");
  CAF_REQUIRE(reads.size() == 2u);
  step(std::vector<raft::read_answer>{{reads[0], true, last}});
  CAF_CHECK_EQUAL(answer(write), "set r0");
  CAF_CHECK_EQUAL(answer(read), "none");
  step(std::vector<raft::read_answer>{{reads[1], false, last}});
  CAF_CHECK_EQUAL(answer(read), "not_leader");
}

CAF_TEST(an expired lease gives no ephemeral answer) {
  lead(1, false);
  commit();
  step(raft::lease_grant{term, now + std::chrono::seconds(1)});
  CAF_CHECK_EQUAL(answer(ask(ephemeral(set("k", "v")))), "set r0");
  now += std::chrono::seconds(1);
  const auto write = ask(ephemeral(set("k", "w")));
  const auto read = ask(ephemeral(get("k")));
  CAF_CHECK_EQUAL(answer(write), "none");
  CAF_CHECK_EQUAL(answer(read), "none");
  follow(2);
  CAF_CHECK_EQUAL(answer(write), "leadership_lost");
  CAF_CHECK_EQUAL(answer(read), "not_leader");
}

CAF_TEST(ephemeral keys go as a whole with the leadership) {
  lead(1);
  commit();
  const auto write = ask(ephemeral(set("k", "v")), 7, 5);
  CAF_CHECK_EQUAL(answer(write), "set r0");
  follow(2);
  lead(3);
  commit();
  CAF_CHECK_EQUAL(answer(ask(ephemeral(get("k")))), "not found");
  // So is what was remembered of requests: this one's effect is gone with the keys.
  CAF_CHECK_EQUAL(answer(ask(ephemeral(set("k", "v")), 7, 5, 0, 2)), "set r0");
}

CAF_TEST(a repeated ephemeral write is applied once) {
  lead(1);
  commit();
  CAF_CHECK_EQUAL(answer(ask(ephemeral(set("k", "v")), 7, 5)), "set r0");
  CAF_CHECK_EQUAL(answer(ask(ephemeral(set("k", "v")), 7, 5, 0, 2)), "set r0");
  CAF_CHECK_EQUAL(answer(ask(ephemeral(get("k")))), "v r0");
  // A refusal that was repeated holds against a first attempt that comes late.
  CAF_CHECK_EQUAL(answer(ask(ephemeral(set("k", "w", true)), 7, 6, 0, 2)), "not set r0");
  ask(ephemeral(delete_request{"k", durability::ephemeral}), 7, 7);
  CAF_CHECK_EQUAL(answer(ask(ephemeral(set("k", "w", true)), 7, 6, 0, 1)), "not set r0");
  CAF_CHECK_EQUAL(answer(ask(ephemeral(get("k")))), "not found");
  // Both durabilities have their own memory.
  const auto twin = ask(set("k", "v"), 7, 8);
  commit();
  CAF_CHECK_EQUAL(answer(twin), "set r0");
}

CAF_TEST(ephemeral keys expire exactly and are forgotten in the background) {
  lead(1);
  commit();
  ask(ephemeral(expiring("k", "v", 100)));
  wall += 99;
  CAF_CHECK_EQUAL(answer(ask(ephemeral(get("k")))), "v r0");
  wall += 1;
  CAF_CHECK_EQUAL(answer(ask(ephemeral(get("k")))), "not found");
  CAF_CHECK_EQUAL(answer(ask(ephemeral(set("k", "w", true)))), "set r1");
  ask(ephemeral(expiring("k", "v", 100)));
  wall += 100 + ephemeral_store::absent_kept_ms;
  step(kv::sweep{timestamp_at(wall)});
  CAF_CHECK_EQUAL(answer(ask(ephemeral(set("k", "w")))), "set r0");
}

CAF_TEST(the pages of an ephemeral list are one consistent read or are refused) {
  lead(1);
  commit();
  for (const std::string key : {"b/1", "b/2", "b/3"}) ask(ephemeral(set(key, key == "b/1" ? std::string(page_bytes_max, 'x') : "old")));
  get_by_bucket_request request;
  request.bucket = "b";
  request.space = durability::ephemeral;
  const auto first = ask(request);
  CAF_REQUIRE(is_answered(first));
  for (int i = 0; i < 40; ++i) ask(ephemeral(set("b/2", "new")));
  ask(ephemeral(delete_request{"b/3", durability::ephemeral}));
  const auto& page = std::get<list_response>(replies.at(first));
  request.view = page.view;
  request.after = page.continue_after;
  CAF_CHECK_EQUAL(request.after, "b/1");
  const auto second = ask(request);
  CAF_REQUIRE(is_answered(second));
  std::string values;
  for (const auto& item : std::get<list_response>(replies.at(second)).items) values += item.key + '=' + item.value.str() + ' ';
  CAF_CHECK_EQUAL(values, "b/2=old b/3=old ");
  follow(2);
  lead(3);
  commit();
  CAF_CHECK_EQUAL(answer(ask(request)), "view_lost");
}

CAF_TEST(an ephemeral write that is not meant for this leadership is not taken) {
  lead(1);
  commit();
  const auto meant_for = [&](std::uint64_t meant_term) {
    partition_request request;
    request.origin = ++origin;
    request.client = 7;
    request.sequence = ++next_sequence;
    request.issued_at = timestamp_at(wall);
    request.term = term_id{meant_term};
    request.op = ephemeral(set("lock", "mine", true));
    operations work;
    work.stamp = timestamp_at(wall);
    work.requests.push_back(std::move(request));
    step(std::move(work));
    return origin;
  };
  CAF_CHECK_EQUAL(answer(meant_for(1)), "set r0");
  follow(2);
  lead(3);
  commit();
  CAF_CHECK_EQUAL(answer(meant_for(1)), "not_leader");
  // docs/incidents/0007: nor one that names no leadership; an earlier one may have applied it.
  CAF_CHECK_EQUAL(answer(meant_for(0)), "not_leader");
  CAF_CHECK_EQUAL(answer(ask(ephemeral(get("lock")))), "not found");
  CAF_CHECK_EQUAL(answer(meant_for(3)), "set r0");
}

CAF_TEST(lists that their limit cut do not end one that is under way) {
  lead(1);
  commit();
  for (const std::string key : {"b/1", "b/2", "b/3"}) ask(ephemeral(set(key, std::string(600'000, 'x'))));
  get_by_bucket_request request;
  request.bucket = "b";
  request.space = durability::ephemeral;
  const auto first = ask(request);
  const auto page = std::get<list_response>(replies.at(first));
  CAF_REQUIRE(!page.continue_after.empty());
  for (std::size_t i = 0; i < 2 * ephemeral_store::views_max; ++i) {
    auto limited = request;
    limited.limit = 1;
    ask(limited);
  }
  request.view = page.view;
  request.after = page.continue_after;
  const auto next = ask(request);
  CAF_CHECK_EQUAL(std::get<list_response>(replies.at(next)).items.size(), 1u);
}

CAF_TEST(more lists than can be kept are refused and those under way go on) {
  lead(1);
  commit();
  for (const std::string key : {"b/1", "b/2"}) ask(ephemeral(set(key, std::string(600'000, 'x'))));
  get_by_bucket_request request;
  request.bucket = "b";
  request.space = durability::ephemeral;
  const auto first = ask(request);
  const auto page = std::get<list_response>(replies.at(first));
  for (std::size_t i = 1; i < ephemeral_store::views_max; ++i) CAF_REQUIRE(std::holds_alternative<list_response>(replies.at(ask(request))));
  CAF_CHECK_EQUAL(answer(ask(request)), "overloaded");
  auto next = request;
  next.view = page.view;
  next.after = page.continue_after;
  CAF_CHECK_EQUAL(std::get<list_response>(replies.at(ask(next))).items.size(), 1u);
  wall += ephemeral_store::view_idle_ms;
  CAF_CHECK(std::holds_alternative<list_response>(replies.at(ask(request))));
}

CAF_TEST(the number of clients that are remembered is bounded for new ones too) {
  partition_options few;
  few.window_clients_max = 4;
  open(few);
  lead(1);
  commit();
  std::vector<std::uint64_t> asked;
  for (std::uint64_t c = 1; c <= 100; ++c) asked.push_back(ask(set("k", "v"), c, 1, 1));
  commit();
  CAF_CHECK_EQUAL(core->look().window_clients, 4u);
  CAF_CHECK_EQUAL(answer(asked[3]), "set r3");
  CAF_CHECK_EQUAL(answer(asked[4]), "overloaded");
  const auto again = ask(set("k", "v"), 2, 2, 2);
  commit();
  CAF_CHECK_EQUAL(answer(again), "set r4");
}

CAF_TEST(answers that wait are counted with what they hold) {
  lead(1, false);
  commit();
  for (int i = 0; i < 10; ++i) ask(set("b/" + std::to_string(i), std::string(100'000, 'x')));
  commit();
  get_by_bucket_request request;
  request.bucket = "b";
  int waiting = 0;
  for (int i = 0; i < 200; ++i) waiting += !is_answered(ask(request));
  CAF_CHECK_LESS(waiting, 35);
}

CAF_TEST_FIXTURE_SCOPE_END()
