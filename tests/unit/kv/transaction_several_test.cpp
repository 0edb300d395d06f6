// Steps of several operations, and commits with writes: what the transaction manager asks for them, when, and what it makes of the answers.
#define CAF_SUITE transaction_several
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "tests/unit/kv/transaction_manager_fixture.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

struct fixture : transaction_manager_fixture {
  // Keys of these partitions, in the order of their names.
  static std::vector<std::string> keys_of(const std::vector<std::uint32_t>& wanted) {
    std::vector<std::string> keys;
    for (const auto partition : wanted) {
      auto key = keys.empty() ? std::string("a") : keys.back();
      do key += '+';
      while (routing::partition_of_key(partitions, key).value != partition);
      keys.push_back(key);
    }
    return keys;
  }

  static version at(std::int64_t revision, const std::string& value) {
    return {revision, false, timestamp_at(wall_ms - 1000), timestamp_at(wall_ms - 1000), 0, value};
  }

  // What is asked of a key and not answered yet.
  const participant_read* read_of(const std::string& key) {
    for (const auto& [token, request] : own)
      if (const auto* read = read_in(request.op); read != nullptr && read->key == key) return read;
    for (const auto& [token, request] : remote)
      if (const auto* read = read_in(request.op); read != nullptr && read->key == key) return read;
    return nullptr;
  }
  static const participant_read* read_in(const operation& op) { return std::get_if<participant_read>(&std::get<participant_request>(op).body); }

  void answer_read(const std::string& key, operation_response response) {
    for (const auto& [token, request] : own)
      if (const auto* read = read_in(request.op); read != nullptr && read->key == key) return answer_own(token, std::move(response));
    for (const auto& [token, request] : remote)
      if (const auto* read = read_in(request.op); read != nullptr && read->key == key) return answer_remote(token, std::move(response));
    CAF_FAIL("nothing is asked of " << key);
  }
  void find(const std::string& key, std::optional<version> newest) {
    answer_read(key, participant_response(read_answer{std::move(newest), wall_ms}));
  }

  const std::vector<step_answer>& answers(std::uint64_t o) { return std::get<several_response>(replies.at(o)).answers; }
  static several_step gets(const std::vector<std::string>& keys) {
    several_step step;
    for (const auto& key : keys) step.operations.push_back(get_request{.key = key});
    return step;
  }

  // Of a commit: the other partitions' votes, the decision, or that nothing is in the log.
  template <class Body>
  void vote_yes() {
    while (const auto token = asked_of_others<Body>()) answer_remote(token, participant_response(vote{true, {}, timestamp_at(wall_ms + 1), 0}));
    if (const auto token = asked_of_own<Body>().first; token != 0) answer_own(token, participant_response(vote{true, {}, timestamp_at(wall_ms + 1), 0}));
  }
  void decide() {
    answer_own(asked_of_own<participant_commit>().first,
               participant_response(transaction_status{transaction_state::committed, timestamp_at(wall_ms + 2), {}}));
  }
  void look_up(transaction_state state) {
    const auto lookup = asked_of_own<participant_lookup>().first;
    CAF_REQUIRE(lookup != 0);
    answer_own(lookup, participant_response(transaction_status{state, timestamp_at(wall_ms + 2), {}}));
  }
  void pessimistic() { header.locking = locking_mode::pessimistic; }
};

}  // namespace

CAF_TEST_FIXTURE_SCOPE(transaction_several_tests, fixture)

CAF_TEST(keys of a step are asked for at the same time and answered in the order of the operations) {
  const auto keys = keys_of({0, 1, 2, 1});
  const auto o = ask(gets({keys[2], keys[0], keys[3], keys[1]}));
  for (const auto& key : keys) CAF_CHECK(read_of(key) != nullptr);
  find(keys[3], at(3, "three"));
  find(keys[0], at(0, "zero"));
  find(keys[2], std::nullopt);
  CAF_CHECK_EQUAL(outcome(o), "none");
  find(keys[1], at(1, "one"));
  CAF_REQUIRE_EQUAL(outcome(o), "done");
  std::string found;
  for (const auto& answer : answers(o)) found += std::get<get_response>(answer).value.str() + ' ';
  CAF_CHECK_EQUAL(found, " zero three one ");
}

CAF_TEST(under locks a partition is asked for one key at a time) {
  pessimistic();
  const auto keys = keys_of({1, 1, 0});
  const auto o = ask(gets(keys));
  CAF_CHECK(read_of(keys[0]) != nullptr && read_of(keys[1]) == nullptr && read_of(keys[2]) != nullptr);
  find(keys[0], std::nullopt);
  CAF_CHECK(read_of(keys[1]) != nullptr);
  find(keys[2], std::nullopt);
  CAF_CHECK_EQUAL(outcome(o), "none");
  find(keys[1], std::nullopt);
  CAF_CHECK_EQUAL(outcome(o), "done");
}

// Of those that are asked for at the same time any may be held while it waits for another.
CAF_TEST(under locks all but the last name of a step are out of order) {
  pessimistic();
  const auto keys = keys_of({0, 1, 2});
  ask(gets(keys));
  CAF_CHECK(read_of(keys[0])->order == wait_order::out_of_order);
  CAF_CHECK(read_of(keys[1])->order == wait_order::out_of_order);
  CAF_CHECK(read_of(keys[2])->order == wait_order::in_order);
}

CAF_TEST(keys of one partition alone are asked for in order) {
  pessimistic();
  const auto keys = keys_of({1, 1});
  ask(gets(keys));
  CAF_CHECK(read_of(keys[0])->order == wait_order::first);
  find(keys[0], std::nullopt);
  CAF_CHECK(read_of(keys[1])->order == wait_order::in_order);
}

CAF_TEST(one that waits for two locks is aborted where it is stuck with one and wanted) {
  pessimistic();
  const auto keys = keys_of({0, 1});
  const auto o = ask(gets(keys));
  find(keys[1], std::nullopt);
  stick();
  CAF_CHECK_EQUAL(outcome(o), "none");
  want(false, wait_order::in_order);
  CAF_CHECK_EQUAL(outcome(o), "aborted");
}

CAF_TEST(a key is asked for once with the strongest lock that the step wants) {
  pessimistic();
  const auto keys = keys_of({0});
  several_step step;
  step.operations = {wanted_lock{.key = keys[0]}, get_request{.key = keys[0]}};
  const auto o = ask(step);
  CAF_CHECK(read_of(keys[0])->lock == lock_demand::exclusive);
  find(keys[0], at(4, "v"));
  CAF_CHECK_EQUAL(outcome(o), "done");
  // What it will write is locked already.
  set_request set;
  set.key = keys[0];
  CAF_CHECK_EQUAL(outcome(ask(set)), "done");
}

CAF_TEST(each operation sees what those before it have written and a condition that does not hold is an answer) {
  const auto keys = keys_of({0});
  several_step step;
  step.operations = {set_request{.key = keys[0], .value = "new"}, get_request{.key = keys[0]}, set_request{.key = keys[0], .value = "other", .if_absent = true},
                     delete_request{.key = keys[0]}, exists_request{.key = keys[0]}};
  const auto o = ask(step);
  find(keys[0], at(4, "old"));
  CAF_REQUIRE_EQUAL(outcome(o), "done");
  const auto& all = answers(o);
  CAF_CHECK(std::get<set_response>(all[0]).is_set && std::get<set_response>(all[0]).revision == 5);
  CAF_CHECK_EQUAL(std::get<get_response>(all[1]).value.str(), "new");
  CAF_CHECK(!std::get<set_response>(all[2]).is_set);
  CAF_CHECK(std::get<delete_response>(all[3]).is_deleted);
  CAF_CHECK(!std::get<exists_response>(all[4]).is_found);
}

CAF_TEST(a step that is repeated is answered as before and not done again) {
  const auto keys = keys_of({0});
  several_step step;
  step.operations = {set_request{.key = keys[0], .value = "v", .if_absent = true}};
  const auto o = ask(step);
  const auto meanwhile = repeat(o);
  find(keys[0], std::nullopt);
  const auto afterwards = repeat(o);
  for (const auto copy : {meanwhile, afterwards}) CAF_CHECK(replies.at(copy) == replies.at(o));
  CAF_CHECK(std::get<set_response>(answers(afterwards)[0]).is_set);
  CAF_CHECK(own.empty() && remote.empty());
}

CAF_TEST(where a key is not readable nothing of the step is done and what comes late counts for nothing) {
  const auto keys = keys_of({0, 1, 2});
  several_step step;
  for (const auto& key : keys) step.operations.push_back(set_request{.key = key, .value = "v"});
  const auto o = ask(step);
  find(keys[0], std::nullopt);
  answer_read(keys[1], error{errc::data_corrupted, "damaged"});
  CAF_CHECK_EQUAL(outcome(o), "data_corrupted");
  // Late: neither an answer to the step that is over, nor to one behind it.
  const auto late = asked_of_others<participant_read>();
  const auto next = ask(gets({keys[0]}));
  answer_remote(late, error{errc::data_corrupted, "damaged too"});
  CAF_REQUIRE_EQUAL(outcome(next), "done");
  CAF_CHECK(!std::get<get_response>(answers(next)[0]).is_found);
  CAF_CHECK_EQUAL(outcome(ask(gets({keys[0]}))), "done");
}

CAF_TEST(a step that would write too much has written nothing) {
  const auto keys = keys_of({0, 0});
  several_step step;
  for (const auto& key : keys) step.operations.push_back(set_request{.key = key, .value = std::string(1'500'000, 'x')});
  const auto heard_before = heard;
  const auto o = ask(step);
  find(keys[0], at(1, "old"));
  find(keys[1], std::nullopt);
  CAF_CHECK_EQUAL(outcome(o), "invalid_argument");
  --number;  // it is no step
  heard = heard_before;
  const auto look = ask(gets(keys));
  CAF_CHECK_EQUAL(std::get<get_response>(answers(look)[0]).value.str(), "old");
  CAF_CHECK(!std::get<get_response>(answers(look)[1]).is_found);
}

CAF_TEST(what a step reads is bounded) {
  const auto keys = keys_of({0, 0});
  const auto o = ask(gets(keys));
  for (const auto& key : keys) find(key, at(1, std::string(1'500'000, 'x')));
  CAF_CHECK_EQUAL(outcome(o), "invalid_argument");
}

CAF_TEST(a step touches as many keys as a transaction may or none) {
  several_step step = gets({key_of(0)});
  for (int i = 0; i < 300; ++i) step.operations.push_back(get_request{.key = std::string(4000, 'k') + std::to_string(i)});
  CAF_CHECK_EQUAL(outcome(ask(step)), "invalid_argument");  // more than a MiB of names
  CAF_CHECK(own.empty() && remote.empty());
}

// --- writes with the commit ---

CAF_TEST(writes that come with the commit are read for and written and committed in one step) {
  const auto keys = keys_of({0, 1});
  write_and_commit_step last{{set_request{.key = keys[0], .value = "v"}, delete_request{.key = keys[1]}}};
  const auto o = ask(last);
  find(keys[1], at(3, "gone"));
  find(keys[0], std::nullopt);
  const auto prepare = asked_of_others<participant_prepare>();
  CAF_REQUIRE(prepare != 0);
  const auto& promised = std::get<participant_prepare>(std::get<participant_request>(remote.at(prepare).op).body);
  CAF_REQUIRE_EQUAL(promised.writes.size(), 1u);
  CAF_CHECK(promised.writes[0].version.is_tombstone);
  vote_yes<participant_prepare>();
  CAF_REQUIRE_EQUAL(asked_of_own<participant_commit>().second->writes.size(), 1u);
  decide();
  CAF_CHECK_EQUAL(outcome(o), "committed");
  CAF_CHECK_EQUAL(outcome(repeat(o)), "committed");
}

CAF_TEST(under locks what was read for reading is locked for writing before the commit) {
  pessimistic();
  const auto keys = keys_of({0, 1});
  ask(gets(keys));
  for (const auto& key : keys) find(key, std::nullopt);
  ask(write_and_commit_step{{set_request{.key = keys[0]}, set_request{.key = keys[1]}}});
  for (const auto& key : keys) {
    CAF_REQUIRE(read_of(key) != nullptr);
    CAF_CHECK(read_of(key)->lock == lock_demand::exclusive);
  }
}

CAF_TEST(a write that is refused is told once it was validated and the log asked and nothing is committed) {
  const auto keys = keys_of({0, 1});
  const auto o = ask(write_and_commit_step{{set_request{.key = keys[0], .value = "v"}, set_request{.key = keys[1], .value = "v", .if_absent = true}}});
  find(keys[0], std::nullopt);
  find(keys[1], at(3, "there"));
  CAF_CHECK_EQUAL(asked_of_others<participant_prepare>(), 0u);
  CAF_CHECK(asked_of_own<participant_commit>().second == nullptr);
  vote_yes<participant_validate>();
  CAF_CHECK_EQUAL(outcome(o), "none");
  look_up(transaction_state::aborted);
  const auto* refusal = std::get_if<commit_refusal>(&replies.at(o));
  CAF_REQUIRE(refusal != nullptr);
  CAF_CHECK_EQUAL(refusal->write, 1u);
  CAF_CHECK_EQUAL(std::get<set_response>(refusal->answer).revision, 3);
  CAF_CHECK_EQUAL(manager.open_transactions(), 0u);
  // Again, also where the first answer was lost.
  const auto again = repeat(o);
  look_up(transaction_state::aborted);
  CAF_CHECK(replies.at(again) == replies.at(o));
}

CAF_TEST(a refusal rests on what was read) {
  const auto keys = keys_of({1});
  const auto o = ask(write_and_commit_step{{set_request{.key = keys[0], .if_absent = true}}});
  find(keys[0], at(3, "there"));
  answer_remote(asked_of_others<participant_validate>(), participant_response(vote{false, "it was changed", {}, 0}));
  look_up(transaction_state::aborted);
  CAF_CHECK_EQUAL(outcome(o), "aborted");
}

// The condition holds no more because the first attempt has written.
CAF_TEST(a refusal is none where another leader has committed) {
  const auto keys = keys_of({1});
  const auto o = ask(write_and_commit_step{{set_request{.key = keys[0], .if_absent = true}}});
  find(keys[0], at(0, "there"));
  vote_yes<participant_validate>();
  look_up(transaction_state::committed);
  CAF_CHECK_EQUAL(outcome(o), "committed");
}

CAF_TEST(to delete what is not there refuses nothing and to extend it does) {
  const auto keys = keys_of({0});
  const auto erased = ask(write_and_commit_step{{delete_request{.key = keys[0]}}});
  find(keys[0], std::nullopt);
  vote_yes<participant_validate>();
  CAF_CHECK_EQUAL(outcome(erased), "committed");
  ++header.id.number;
  number = 0;
  heard = 0;
  const auto extended = ask(write_and_commit_step{{extend_request{.key = keys[0], .expires_ms = 5}}});
  find(keys[0], std::nullopt);
  vote_yes<participant_validate>();
  look_up(transaction_state::aborted);
  CAF_CHECK(std::holds_alternative<commit_refusal>(replies.at(extended)));
}

CAF_TEST(a commit whose keys are not readable is aborted and one whose keys are damaged says so) {
  for (const auto code : {errc::view_lost, errc::data_corrupted}) {
    ++header.id.number;
    number = 0;
    heard = 0;
    const auto keys = keys_of({1});
    const auto o = ask(write_and_commit_step{{set_request{.key = keys[0]}}});
    answer_read(keys[0], error{code, "because"});
    CAF_CHECK_EQUAL(outcome(o), "none");
    look_up(transaction_state::aborted);
    CAF_CHECK_EQUAL(outcome(o), code == errc::data_corrupted ? "data_corrupted" : "aborted");
    CAF_CHECK_EQUAL(manager.open_transactions(), 0u);
  }
}

CAF_TEST(a commit that would write too much is none and the log is asked before that is said) {
  const auto keys = keys_of({0, 0});
  write_and_commit_step last;
  for (const auto& key : keys) last.writes.push_back(set_request{.key = key, .value = std::string(1'500'000, 'x')});
  const auto heard_before = heard;
  const auto o = ask(last);
  for (const auto& key : keys) find(key, std::nullopt);
  CAF_CHECK_EQUAL(outcome(o), "none");
  look_up(transaction_state::aborted);
  CAF_CHECK_EQUAL(outcome(o), "invalid_argument");
  --number;  // it is no step
  heard = heard_before;
  // The transaction goes on, and has written nothing.
  const auto look = ask(gets(keys));
  CAF_CHECK(!std::get<get_response>(answers(look)[0]).is_found);
  CAF_CHECK(!std::get<get_response>(answers(look)[1]).is_found);
}

CAF_TEST(locks that a step has asked for and not waited for count as held) {
  pessimistic();
  const auto keys = keys_of({0, 1, 2, 3});
  ask(gets({keys[0], keys[1], keys[3]}));
  find(keys[0], std::nullopt);
  answer_read(keys[1], error{errc::data_corrupted, "damaged"});
  ask(gets({keys[2]}));
  CAF_CHECK(read_of(keys[2])->order == wait_order::out_of_order);
}

CAF_TEST_FIXTURE_SCOPE_END()
