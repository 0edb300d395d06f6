// A client's transaction against a hand-made channel: what is asked under which number, what is answered without asking, and what
// ends it.
#define CAF_SUITE client_transaction
#include "caf/test/unit_test.hpp"

#include <deque>

#include "client/transaction.hpp"
#include "core/kv/answer_digest.hpp"
#include "core/routing/partition_map.hpp"

using namespace kahuna;
using namespace kahuna::client;

namespace {

constexpr std::uint32_t partitions = 8;
constexpr std::uint64_t client_number = 77;

struct channel_record : transaction_channel {
  struct asked {
    kv::operation op;
    std::function<void(kv::operation_response)> done;
  };
  void submit(kv::operation op, std::function<void(kv::operation_response)> done) override {
    waiting.push_back(std::make_shared<asked>(asked{std::move(op), std::move(done)}));
  }
  void submit_list(list_query query, std::function<void(result<key_list>)> done) override {
    lists.push_back(std::move(query));
    done(key_list{});
  }
  std::uint64_t client_id() const override { return client_number; }
  std::uint32_t partitions() const override { return ::partitions; }

  std::shared_ptr<asked> take() {
    CAF_REQUIRE_EQUAL(waiting.size(), 1u);
    auto first = waiting.front();
    waiting.pop_front();
    return first;
  }

  std::deque<std::shared_ptr<asked>> waiting;
  std::vector<list_query> lists;
};

// Answers at once, as the blocking calls need it.
struct answering_channel : channel_record {
  void submit(kv::operation op, std::function<void(kv::operation_response)> done) override {
    asked.push_back(std::move(op));
    done(answer);
  }
  kv::operation_response answer;
  std::vector<kv::operation> asked;
};

struct fixture {
  transaction begin(transaction_options options = {}) { return transaction(channel, options, timestamp{1000}, 5); }

  std::string name_of(const kv::operation_response& response) {
    if (const auto* e = std::get_if<error>(&response)) return std::string(to_string(e->code));
    return std::holds_alternative<kv::commit_response>(response)     ? "committed"
           : std::holds_alternative<kv::rollback_response>(response) ? "rolled back"
                                                                     : "answered";
  }
  // What is answered to a step for which nobody is asked.
  std::string answer_here(transaction& t, kv::transaction_step step) {
    std::string answer = "nothing";
    t.submit(std::move(step), [&](kv::operation_response response) { answer = name_of(response); });
    return answer;
  }
  // What is asked for a step, which is answered with `response`.
  kv::transaction_request exchange(transaction& t, kv::transaction_step step, kv::operation_response response) {
    std::string answer = "nothing";
    const auto expected = name_of(response);
    t.submit(std::move(step), [&](kv::operation_response r) { answer = name_of(r); });
    const auto asked = channel->take();
    asked->done(std::move(response));
    CAF_CHECK_EQUAL(answer, expected);
    return std::get<kv::transaction_request>(asked->op);
  }
  static kv::set_request set(const std::string& key) { return {.key = key, .value = "v"}; }
  static kv::get_request get(const std::string& key) { return {.key = key}; }
  static error fails(errc code) { return {code, "because"}; }

  std::shared_ptr<channel_record> channel = std::make_shared<channel_record>();
};

}  // namespace

CAF_TEST_FIXTURE_SCOPE(client_transaction_tests, fixture)

CAF_TEST(steps are numbered from one and go to the partition of the first key) {
  auto t = begin({.locking = kv::locking_mode::optimistic, .timeout = std::chrono::milliseconds(700)});
  const auto first = exchange(t, set("a"), kv::set_response{});
  CAF_CHECK_EQUAL(first.number, 1u);
  CAF_CHECK(first.transaction.id == (txn::transaction_id{timestamp{1000}, client_number, 5}));
  CAF_CHECK(first.transaction.locking == kv::locking_mode::optimistic);
  CAF_CHECK_EQUAL(first.transaction.timeout_ms, 700u);
  CAF_CHECK_EQUAL(first.transaction.anchor, routing::partition_of_key(partitions, "a"));
  for (std::uint32_t i = 2; i < 12; ++i) {
    const auto next = exchange(t, get("other-" + std::to_string(i)), kv::get_response{});
    CAF_CHECK_EQUAL(next.number, i);
    CAF_CHECK(next.transaction == first.transaction);
  }
  CAF_CHECK_EQUAL(exchange(t, kv::commit_step{}, kv::commit_response{timestamp{9}}).number, 12u);
  CAF_CHECK(!t.is_open());
}

CAF_TEST(invalid arguments neither take a number nor end it) {
  auto t = begin();
  exchange(t, set("a"), kv::set_response{});
  CAF_CHECK_EQUAL(exchange(t, set("b"), fails(errc::invalid_argument)).number, 2u);
  CAF_CHECK(t.is_open());
  CAF_CHECK_EQUAL(exchange(t, set("c"), kv::set_response{}).number, 2u);
}

CAF_TEST(one step at a time) {
  auto t = begin();
  t.submit(get("a"), [](const kv::operation_response&) {});
  CAF_CHECK_EQUAL(answer_here(t, get("b")), "invalid_argument");
  CAF_CHECK_EQUAL(answer_here(t, kv::commit_step{}), "invalid_argument");
  channel->waiting.front()->done(kv::get_response{});
  channel->waiting.clear();
  CAF_CHECK_EQUAL(exchange(t, get("b"), kv::get_response{}).number, 2u);
}

CAF_TEST(after aborted everything answers aborted until it is rolled back) {
  for (const auto code : {errc::aborted, errc::unavailable, errc::overloaded, errc::timeout, errc::internal}) {
    auto t = begin();
    exchange(t, set("a"), kv::set_response{});
    exchange(t, set("b"), fails(code));
    CAF_CHECK(!t.is_open());
    CAF_CHECK_EQUAL(answer_here(t, get("a")), "aborted");
    CAF_CHECK_EQUAL(answer_here(t, kv::commit_step{}), "aborted");
    CAF_CHECK_EQUAL(answer_here(t, set("c")), "aborted");
    CAF_CHECK_EQUAL(answer_here(t, kv::rollback_step{}), "rolled back");
    CAF_CHECK_EQUAL(answer_here(t, get("a")), "invalid_argument");
    channel->waiting.clear();
  }
}

CAF_TEST(a call after the end is a mistake) {
  auto t = begin();
  exchange(t, set("a"), kv::set_response{});
  exchange(t, kv::commit_step{}, kv::commit_response{timestamp{9}});
  CAF_CHECK_EQUAL(answer_here(t, kv::commit_step{}), "invalid_argument");
  CAF_CHECK_EQUAL(answer_here(t, kv::rollback_step{}), "invalid_argument");
  CAF_CHECK_EQUAL(answer_here(t, set("a")), "invalid_argument");
}

CAF_TEST(one without steps is ended without asking anybody) {
  auto committed = begin();
  CAF_CHECK_EQUAL(answer_here(committed, kv::commit_step{}), "committed");
  auto rolled_back = begin();
  CAF_CHECK_EQUAL(answer_here(rolled_back, kv::rollback_step{}), "rolled back");
  { auto given_up = begin(); }
  CAF_CHECK(channel->waiting.empty());
}

CAF_TEST(who gives it up rolls it back) {
  {
    auto t = begin();
    exchange(t, set("a"), kv::set_response{});
  }
  CAF_REQUIRE_EQUAL(channel->waiting.size(), 1u);
  auto last = std::get<kv::transaction_request>(channel->waiting.front()->op);
  CAF_CHECK(std::holds_alternative<kv::rollback_step>(last.step));
  CAF_CHECK_EQUAL(last.number, 2u);
  channel->waiting.clear();
  {
    // A step may be waiting for a lock there: it is behind that one.
    auto t = begin();
    exchange(t, set("a"), kv::set_response{});
    t.submit(set("b"), [](const kv::operation_response&) {});
  }
  CAF_REQUIRE_EQUAL(channel->waiting.size(), 2u);
  last = std::get<kv::transaction_request>(channel->waiting.back()->op);
  CAF_CHECK_EQUAL(last.number, 3u);
  channel->waiting.clear();
  {
    auto t = begin();
    exchange(t, set("a"), kv::set_response{});
    exchange(t, kv::commit_step{}, kv::commit_response{timestamp{9}});
    auto moved = std::move(t);
  }
  CAF_CHECK(channel->waiting.empty());
}

CAF_TEST(a step that waits can be given up by rolling back) {
  auto t = begin();
  exchange(t, set("a"), kv::set_response{});
  std::string waited = "nothing", rolled_back = "nothing";
  t.submit(set("b"), [&](const kv::operation_response& r) { waited = name_of(r); });
  t.submit(kv::rollback_step{}, [&](const kv::operation_response& r) { rolled_back = name_of(r); });
  CAF_REQUIRE_EQUAL(channel->waiting.size(), 2u);
  const auto step = channel->waiting.front();
  const auto last = channel->waiting.back();
  channel->waiting.clear();
  CAF_CHECK_EQUAL(std::get<kv::transaction_request>(last->op).number, 3u);
  last->done(kv::rollback_response{});
  step->done(fails(errc::aborted));
  CAF_CHECK_EQUAL(waited, "aborted");
  CAF_CHECK_EQUAL(rolled_back, "rolled back");
  CAF_CHECK_EQUAL(answer_here(t, get("a")), "invalid_argument");
}

CAF_TEST(what is being committed is not rolled back) {
  auto t = begin();
  exchange(t, set("a"), kv::set_response{});
  t.submit(kv::commit_step{}, [](const kv::operation_response&) {});
  CAF_CHECK_EQUAL(answer_here(t, kv::rollback_step{}), "invalid_argument");
  channel->take()->done(kv::commit_response{timestamp{9}});
}

CAF_TEST(as of a moment only reads are asked and each names the moment) {
  const timestamp moment{1234};
  auto t = begin({.as_of = moment});
  const auto ask = [&](kv::transaction_step step) {
    t.submit(std::move(step), [](const kv::operation_response&) {});
    const auto asked = channel->take();
    asked->done(fails(errc::unavailable));
    return asked->op;
  };
  const auto get_asked = [&](kv::get_request request) { return std::get<kv::get_request>(ask(std::move(request))); };
  const auto plain = get_asked(get("a"));
  CAF_CHECK_EQUAL(plain.as_of, moment);
  const auto exists = std::get<kv::exists_request>(ask(kv::exists_request{.key = "a"}));
  CAF_CHECK_EQUAL(exists.as_of, moment);
  // Its own moment, and a revision.
  const auto earlier = get_asked({.key = "a", .as_of = timestamp{7}});
  CAF_CHECK_EQUAL(earlier.as_of, timestamp{7});
  const auto at = get_asked({.key = "a", .at_revision = 3});
  CAF_CHECK_EQUAL(at.as_of, timestamp{});
  CAF_CHECK(at.at_revision == 3);
  t.submit_list("b", {}, [](const result<key_list>&) {});
  CAF_REQUIRE_EQUAL(channel->lists.size(), 1u);
  CAF_CHECK_EQUAL(channel->lists[0].options.as_of, moment);

  for (const kv::transaction_step& write : std::vector<kv::transaction_step>{set("a"), kv::delete_request{.key = "a"}, kv::extend_request{.key = "a"}})
    CAF_CHECK_EQUAL(answer_here(t, write), "invalid_argument");
  // A read that failed has not ended it: nobody holds anything of it.
  CAF_CHECK(t.is_open());
  CAF_CHECK_EQUAL(answer_here(t, kv::commit_step{}), "committed");
  CAF_CHECK(channel->waiting.empty());
}

CAF_TEST(a bucket is read page by page as steps of the transaction) {
  auto t = begin();
  std::optional<result<key_list>> list;
  t.submit_list("bucket/", {.limit = 3, .after = "bucket/a"}, [&](result<key_list> l) { list = std::move(l); });
  const auto page = [&](std::uint32_t number, const std::string& after, std::uint32_t limit, kv::read_view view, kv::list_response answer) {
    const auto asked = channel->take();
    const auto& step = std::get<kv::transaction_request>(asked->op);
    CAF_CHECK_EQUAL(step.number, number);
    CAF_CHECK_EQUAL(step.transaction.anchor, routing::partition_of_bucket(partitions, "bucket"));
    const auto& request = std::get<kv::get_by_bucket_request>(step.step);
    CAF_CHECK_EQUAL(request.bucket, "bucket");
    CAF_CHECK_EQUAL(request.after, after);
    CAF_CHECK_EQUAL(request.limit, limit);
    CAF_CHECK(request.view == view);
    asked->done(std::move(answer));
  };
  const kv::read_view view{timestamp{50}, 3};
  kv::list_response first;
  first.items.resize(2);
  first.continue_after = "bucket/c";
  first.view = view;
  page(1, "bucket/a", 3, {}, first);
  CAF_CHECK(!list);
  kv::list_response second;
  second.items.resize(1);
  second.has_more = true;
  second.view = view;
  page(2, "bucket/c", 1, view, second);
  CAF_REQUIRE(list.has_value());
  CAF_REQUIRE(list->has_value());
  CAF_CHECK_EQUAL((*list)->items.size(), 3u);
  CAF_CHECK((*list)->has_more);
}

// --- several operations in a step ---

CAF_TEST(several operations are one step at the partition of the first) {
  auto t = begin();
  const auto first = exchange(t, kv::several_step{{get("a"), kv::wanted_lock{.key = "b"}}}, kv::several_response{});
  CAF_CHECK_EQUAL(first.number, 1u);
  CAF_CHECK_EQUAL(first.transaction.anchor, routing::partition_of_key(partitions, "a"));
  const auto second = exchange(t, get("c"), kv::get_response{});
  CAF_CHECK_EQUAL(second.number, 2u);
  CAF_CHECK_EQUAL(second.heard, kv::digest_of(0, kv::several_response{}));
  // What the next attempt locks ahead.
  const auto touched = t.touched();
  CAF_REQUIRE_EQUAL(touched.size(), 3u);
  CAF_CHECK(touched[0].lock == kv::lock_demand::shared && touched[1].lock == kv::lock_demand::exclusive);
}

CAF_TEST(many keys are answered in their order and locked for writing where that is wanted) {
  const auto answering = std::make_shared<answering_channel>();
  transaction t(answering, {}, timestamp{1000}, 5);
  const kv::get_response a{true, 1, "first", 0, {}}, b{true, 2, "second", 0, {}};
  answering->answer = kv::several_response{{a, b}};
  const auto shared = t.get_many({get("a"), get("b")});
  CAF_REQUIRE(shared.has_value());
  CAF_CHECK(*shared == (std::vector<kv::get_response>{a, b}));
  CAF_CHECK(std::get<kv::transaction_request>(answering->asked.back()).step == kv::transaction_step(kv::several_step{{get("a"), get("b")}}));
  answering->answer = kv::several_response{{a, b, kv::lock_response{}, kv::lock_response{}}};
  const auto exclusive = t.get_many({get("a"), get("b")}, kv::lock_demand::exclusive);
  CAF_REQUIRE(exclusive.has_value());
  CAF_CHECK(*exclusive == *shared);
  const kv::several_step locking{{get("a"), get("b"), kv::wanted_lock{.key = "a"}, kv::wanted_lock{.key = "b"}}};
  CAF_CHECK(std::get<kv::transaction_request>(answering->asked.back()).step == kv::transaction_step(locking));
}

CAF_TEST(a node that answers too few or other operations is not believed) {
  const auto answering = std::make_shared<answering_channel>();
  transaction t(answering, {}, timestamp{1000}, 5);
  const auto code_of = [](const auto& answered) { return answered ? errc::invalid_argument : answered.error().code; };
  answering->answer = kv::several_response{{kv::get_response{}}};
  CAF_CHECK(code_of(t.run({get("a"), get("b")})) == errc::internal);
  answering->answer = kv::several_response{{kv::lock_response{}}};
  CAF_CHECK(code_of(t.get_many({get("a")})) == errc::internal);
}

CAF_TEST(as of a moment several reads go each to its partition and are answered in their order) {
  const timestamp moment{1234};
  auto t = begin({.as_of = moment});
  std::optional<kv::operation_response> answer;
  t.submit(kv::several_step{{get("a"), kv::exists_request{.key = "b"}, kv::wanted_lock{.key = "c"}}}, [&](kv::operation_response r) { answer = std::move(r); });
  CAF_REQUIRE_EQUAL(channel->waiting.size(), 2u);
  CAF_CHECK_EQUAL(answer_here(t, get("d")), "invalid_argument");  // one step at a time
  const auto waiting = std::exchange(channel->waiting, {});
  CAF_CHECK_EQUAL(std::get<kv::get_request>(waiting[0]->op).as_of, moment);
  CAF_CHECK_EQUAL(std::get<kv::exists_request>(waiting[1]->op).as_of, moment);
  waiting[1]->done(kv::exists_response{true, 2, 0, {}});
  CAF_CHECK(!answer);
  waiting[0]->done(kv::get_response{true, 1, "v", 0, {}});
  CAF_REQUIRE(answer.has_value());
  const auto& all = std::get<kv::several_response>(*answer).answers;
  CAF_REQUIRE_EQUAL(all.size(), 3u);
  CAF_CHECK_EQUAL(std::get<kv::get_response>(all[0]).revision, 1);
  CAF_CHECK_EQUAL(std::get<kv::exists_response>(all[1]).revision, 2);
  CAF_CHECK(std::holds_alternative<kv::lock_response>(all[2]));

  answer.reset();
  t.submit(kv::several_step{{get("a"), get("b")}}, [&](kv::operation_response r) { answer = std::move(r); });
  const auto again = std::exchange(channel->waiting, {});
  again[0]->done(fails(errc::unavailable));
  CAF_CHECK(!answer);
  again[1]->done(kv::get_response{});
  CAF_CHECK_EQUAL(name_of(*answer), "unavailable");
  CAF_CHECK_EQUAL(answer_here(t, kv::several_step{{get("a"), set("b")}}), "invalid_argument");
  CAF_CHECK(t.is_open());
}

// --- writes with the commit ---

CAF_TEST(what is given to the commit goes with it in its order) {
  auto t = begin();
  exchange(t, get("a"), kv::get_response{});
  t.set_at_commit(set("b"));
  t.erase_at_commit({.key = "c"});
  t.extend_at_commit({.key = "b", .expires_ms = 5});
  CAF_CHECK(channel->waiting.empty());
  const auto last = exchange(t, kv::commit_step{}, kv::commit_response{timestamp{9}});
  CAF_CHECK_EQUAL(last.number, 2u);
  const auto* asked = std::get_if<kv::write_and_commit_step>(&last.step);
  CAF_REQUIRE(asked != nullptr);
  CAF_REQUIRE_EQUAL(asked->writes.size(), 3u);
  CAF_CHECK(asked->writes[0] == kv::write_request(set("b")));
  CAF_CHECK(std::holds_alternative<kv::delete_request>(asked->writes[1]));
  CAF_CHECK(std::holds_alternative<kv::extend_request>(asked->writes[2]));
  CAF_CHECK(!t.is_open());
  CAF_CHECK_EQUAL(t.touched().size(), 3u);
}

CAF_TEST(writes that a commit brings itself come behind those that were given to it before) {
  auto t = begin();
  t.set_at_commit(set("b"));
  const auto last = exchange(t, kv::write_and_commit_step{{set("a")}}, kv::commit_response{timestamp{9}});
  CAF_CHECK(last.step == kv::transaction_step(kv::write_and_commit_step{{set("b"), set("a")}}));
}

// An attempt that is lost before its commit was going to write it all the same.
CAF_TEST(the next attempt locks also what was only given to the commit) {
  auto t = begin();
  t.set_at_commit(set("b"));
  const auto touched = t.touched();
  CAF_REQUIRE_EQUAL(touched.size(), 1u);
  CAF_CHECK(touched[0].key == "b" && touched[0].lock == kv::lock_demand::exclusive);
}

CAF_TEST(behind what was given to the commit only the end may follow) {
  auto t = begin();
  exchange(t, get("a"), kv::get_response{});
  t.set_at_commit(set("a"));
  CAF_CHECK_EQUAL(answer_here(t, get("a")), "invalid_argument");
  CAF_CHECK_EQUAL(answer_here(t, kv::several_step{{get("a")}}), "invalid_argument");
  CAF_CHECK(t.is_open());
  CAF_CHECK(std::holds_alternative<kv::rollback_step>(exchange(t, kv::rollback_step{}, kv::rollback_response{}).step));
}

CAF_TEST(a commit with writes can be all of a transaction) {
  auto t = begin();
  t.set_at_commit(set("a"));
  const auto only = exchange(t, kv::commit_step{}, kv::commit_response{timestamp{9}});
  CAF_CHECK_EQUAL(only.number, 1u);
  CAF_CHECK_EQUAL(only.transaction.anchor, routing::partition_of_key(partitions, "a"));
  // Nothing of it was anywhere.
  auto given_up = begin();
  given_up.set_at_commit(set("a"));
  CAF_CHECK_EQUAL(answer_here(given_up, kv::rollback_step{}), "rolled back");
  auto past = begin({.as_of = timestamp{7}});
  past.set_at_commit(set("a"));
  CAF_CHECK_EQUAL(answer_here(past, kv::commit_step{}), "invalid_argument");
}

CAF_TEST(a commit that is refused ends it and says why) {
  auto t = begin();
  t.set_at_commit({.key = "a", .if_absent = true});
  CAF_CHECK(!t.refusal());
  kv::operation_response answer;
  t.submit(kv::commit_step{}, [&](kv::operation_response r) { answer = std::move(r); });
  const kv::commit_refusal refusal{0, kv::set_response{false, 3, {}}};
  channel->take()->done(refusal);
  CAF_CHECK(answer == kv::operation_response(refusal));
  CAF_CHECK(t.refusal() == refusal);
  CAF_CHECK(!t.is_open());
  CAF_CHECK_EQUAL(answer_here(t, get("a")), "aborted");
  CAF_CHECK(error_of(refusal).code == errc::aborted);
  const auto answering = std::make_shared<answering_channel>();
  answering->answer = refusal;
  transaction waiting(answering, {}, timestamp{1000}, 6);
  waiting.set_at_commit({.key = "a", .if_absent = true});
  const auto committed = waiting.commit();
  CAF_REQUIRE(!committed.has_value());
  CAF_CHECK(committed.error().code == errc::aborted);
  CAF_CHECK(waiting.refusal() == refusal);
  CAF_CHECK(error_of(refusal).message.find("revision 3") != std::string::npos);
}

CAF_TEST_FIXTURE_SCOPE_END()
