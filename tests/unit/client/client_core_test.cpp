// The client's logic against hand-made nodes, in virtual time.
#define CAF_SUITE client_core
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <map>

#include "client/client_core.hpp"
#include "core/kv/operation_routing.hpp"

using namespace kahuna;
using namespace kahuna::client;
using std::chrono::milliseconds;

namespace {

struct sent {
  node_slot slot;
  messages::client_request request;
};

struct fixture {
  explicit fixture(std::vector<std::string> endpoints = {"h:1"}) : map(routing::form_cluster({{"n1", "h:1"}, {"n2", "h:2"}, {"n3", "h:3"}}, 4, 3)) {
    client_core_options options;
    options.endpoints = std::move(endpoints);
    core = std::make_unique<client_core>(options, prng(1), now);
    drain();
  }

  void drain() {
    core->check_invariants();
    auto ready = core->take_ready();
    core->check_invariants();
    for (auto& connection : ready.connect) dialed.push_back(connection);
    for (auto& [slot, batch] : ready.send) {
      ++frames;
      for (auto& request : batch.requests) requests.push_back({slot, std::move(request)});
    }
    for (auto& [token, response] : ready.answers) CAF_REQUIRE(answers.emplace(token, std::move(response)).second);
    for (auto& [token, list] : ready.list_answers) CAF_REQUIRE(lists.emplace(token, std::move(list)).second);
  }

  messages::welcome welcome_of(std::uint32_t node) {
    messages::welcome said;
    said.version = 1;
    said.node = node_id{node};
    said.now = timestamp_at(1'700'000'000'000);
    said.map = map;
    said.value_bytes_max = 1 << 20;
    return said;
  }

  void open(node_slot slot, std::uint32_t node) {
    core->node_opened(slot, welcome_of(node), now);
    drain();
  }
  void lose(node_slot slot) {
    core->node_lost(slot, {errc::unavailable, "broke"}, false, now);
    drain();
  }
  // All three, and n1 leads everything.
  void open_all() {
    open(0, 1);
    open(1, 2);
    open(2, 3);
    lead(1, 1);
  }
  void lead(std::uint32_t node, std::uint64_t term) {
    messages::leaders news;
    for (std::uint32_t p = 0; p < map.partitions; ++p) news.partitions.push_back({partition_id{p}, term_id{term}, node_id{node}});
    core->leaders_came(0, news, now);
    drain();
  }
  void pass(milliseconds time) {
    for (; time.count() > 0; time -= milliseconds(10)) {
      now += milliseconds(10);
      core->tick(now);
      drain();
    }
  }
  // The answer to the last attempt that this node was sent.
  void reply(node_slot slot, std::uint64_t sequence, kv::operation_response response) {
    const auto last = std::find_if(requests.rbegin(), requests.rend(),
                                   [&](const sent& s) { return s.slot == slot && s.request.sequence == sequence; });
    reply_to(slot, sequence, last != requests.rend() ? last->request.attempt : 1, std::move(response));
  }
  void reply_to(node_slot slot, std::uint64_t sequence, std::uint32_t attempt, kv::operation_response response) {
    messages::client_replies replies;
    replies.now = timestamp_at(1'700'000'000'500);
    replies.replies.push_back({sequence, attempt, std::move(response)});
    core->replies_came(slot, std::move(replies), now);
    drain();
  }
  std::uint64_t submit(kv::operation op, milliseconds timeout = milliseconds(5000)) {
    core->submit(++token, std::move(op), timeout, now);
    drain();
    return token;
  }
  static kv::operation set(const std::string& key, std::size_t bytes = 1) {
    kv::set_request request;
    request.key = key;
    request.value = std::string(bytes, 'v');
    return request;
  }
  static kv::operation get(const std::string& key) {
    kv::get_request request;
    request.key = key;
    return request;
  }
  std::string answer(std::uint64_t t) {
    const auto found = answers.find(t);
    if (found == answers.end()) return "none";
    if (const auto* e = std::get_if<error>(&found->second)) return std::string(to_string(e->code));
    return "answered";
  }
  static error fails(errc code) { return {code, "because"}; }

  routing::partition_map map;
  instant now{std::chrono::seconds(1000)};
  std::unique_ptr<client_core> core;
  std::vector<std::pair<node_slot, std::string>> dialed;
  std::vector<sent> requests;
  std::size_t frames = 0;
  std::map<std::uint64_t, kv::operation_response> answers;
  std::map<std::uint64_t, result<key_list>> lists;
  std::uint64_t token = 0;
};

}  // namespace

CAF_TEST_FIXTURE_SCOPE(client_core_tests, fixture)

CAF_TEST(nothing is sent before a node has said welcome) {
  const auto t = submit(set("k"));
  CAF_CHECK(requests.empty());
  CAF_CHECK(!core->has_met_cluster());
  open(0, 1);
  CAF_CHECK(core->has_met_cluster());
  CAF_REQUIRE_EQUAL(requests.size(), 1u);
  CAF_CHECK(requests[0].request.issued_at != timestamp{});
  reply(0, requests[0].request.sequence, kv::set_response{true, 0, {}});
  CAF_CHECK_EQUAL(answer(t), "answered");
}

CAF_TEST(each member is dialed once) {
  fixture with_two({"localhost:1", "h:2"});
  CAF_CHECK_EQUAL(with_two.dialed.size(), 2u);
  with_two.open(0, 1);  // under another address than the map's
  CAF_REQUIRE_EQUAL(with_two.dialed.size(), 3u);
  CAF_CHECK_EQUAL(with_two.dialed[2].second, "h:3");
  with_two.open(1, 2);
  with_two.open(2, 3);
  CAF_CHECK_EQUAL(with_two.dialed.size(), 3u);
}

CAF_TEST(members that come are dialed and those that are gone are left) {
  open_all();
  auto newer = map;
  newer.version = 2;
  newer.members.push_back({newer.next_node, "n4", "h:4", {}, routing::member_state::active, {}});
  ++newer.next_node;
  core->map_came({2, newer}, now);
  auto ready = core->take_ready();
  CAF_REQUIRE_EQUAL(ready.connect.size(), 1u);
  CAF_CHECK_EQUAL(ready.connect[0].second, "h:4");
  // Older news, and what is none.
  core->map_came({1, map}, now);
  core->map_came({3, std::nullopt}, now);
  CAF_CHECK_EQUAL(core->map()->version, 2u);
  auto broken = newer;
  broken.version = 9;
  broken.placements.clear();
  core->map_came({9, broken}, now);
  CAF_CHECK_EQUAL(core->map()->version, 2u);

  lead(2, 1);
  const auto t = submit(set("k"));
  CAF_CHECK_EQUAL(requests.back().slot, 1u);
  const auto first = requests.back().request;
  newer.version = 3;
  newer.members.erase(newer.members.begin() + 1);
  for (auto& held : newer.placements) held.voters = {node_id{1}, node_id{3}};
  core->map_came({3, newer}, now);
  ready = core->take_ready();
  CAF_REQUIRE_EQUAL(ready.disconnect.size(), 1u);
  CAF_CHECK_EQUAL(ready.disconnect[0], 1u);
  // What was there goes elsewhere, under its identity.
  CAF_REQUIRE_EQUAL(ready.send.size(), 1u);
  CAF_CHECK(ready.send[0].first != 1u);
  CAF_CHECK_EQUAL(ready.send[0].second.requests[0].sequence, first.sequence);
  CAF_CHECK_EQUAL(answer(t), "none");
  core->check_invariants();
}

CAF_TEST(requests go to the leader and anywhere where none is known) {
  open(0, 1);
  static_cast<void>(submit(set("k")));
  CAF_CHECK_EQUAL(requests.back().slot, 0u);
  open_all();
  lead(3, 2);
  static_cast<void>(submit(set("k")));
  CAF_CHECK_EQUAL(requests.back().slot, 2u);
  lead(2, 1);  // old news
  static_cast<void>(submit(set("k")));
  CAF_CHECK_EQUAL(requests.back().slot, 2u);
}

CAF_TEST(a node that does not lead makes the request wait and try again under its identity) {
  open_all();
  const auto t = submit(set("k"));
  const auto first = requests.back().request;
  reply(0, first.sequence, fails(errc::not_leader));
  const auto count = requests.size();
  pass(milliseconds(200));
  CAF_REQUIRE(requests.size() > count);
  const auto again = requests.back().request;
  CAF_CHECK_EQUAL(again.sequence, first.sequence);
  CAF_CHECK(again.issued_at == first.issued_at);
  CAF_CHECK(std::get<kv::set_request>(again.op) == std::get<kv::set_request>(first.op));
  CAF_CHECK_EQUAL(answer(t), "none");
}

CAF_TEST(an ephemeral write that may have been applied is not tried at another leader) {
  open_all();
  const auto ephemeral_set = [] {
    auto op = set("k");
    std::get<kv::set_request>(op).space = kv::durability::ephemeral;
    return op;
  };
  const auto unanswered = submit(ephemeral_set());
  CAF_CHECK_EQUAL(requests.back().request.term, term_id{1});
  const auto refused = submit(ephemeral_set());
  const auto refused_sequence = requests.back().request.sequence;
  reply(0, refused_sequence, fails(errc::not_leader));
  reply(0, requests.front().request.sequence, fails(errc::leadership_lost));
  CAF_CHECK_EQUAL(answer(unanswered), "none");
  lead(2, 5);
  // What was sent and not refused was maybe applied; what was refused was not, and is meant for the new leader now.
  CAF_CHECK_EQUAL(answer(unanswered), "timeout");
  CAF_CHECK_EQUAL(answer(refused), "none");
  CAF_CHECK_EQUAL(requests.back().request.sequence, refused_sequence);
  CAF_CHECK_EQUAL(requests.back().request.term, term_id{5});
  // A persistent one goes on.
  const auto persistent = submit(set("k"));
  CAF_CHECK_EQUAL(requests.back().request.term, term_id{});
  reply(1, requests.back().request.sequence, fails(errc::leadership_lost));
  lead(3, 6);
  CAF_CHECK_EQUAL(answer(persistent), "none");
}

// docs/incidents/0007: any leader takes what names none, and so may the next one take it again.
CAF_TEST(an ephemeral write waits until a leader is known that it can be meant for) {
  open(0, 1);
  auto op = set("k");
  std::get<kv::set_request>(op).space = kv::durability::ephemeral;
  const auto write = submit(op);
  const auto in_vain = submit(op, milliseconds(300));
  const auto before = requests.size();
  const auto read = submit(get("k"));
  CAF_CHECK_EQUAL(requests.size(), before + 1);
  reply(0, requests.back().request.sequence, kv::get_response{});
  CAF_CHECK_EQUAL(answer(read), "answered");
  pass(milliseconds(500));
  CAF_CHECK_EQUAL(requests.size(), before + 1);
  CAF_CHECK_EQUAL(answer(in_vain), "unavailable");
  lead(1, 4);
  CAF_REQUIRE_EQUAL(requests.size(), before + 2);
  CAF_CHECK_EQUAL(requests.back().request.term, term_id{4});
  CAF_CHECK_EQUAL(answer(write), "none");
}

CAF_TEST(news of a leader makes what waits try at once) {
  open_all();
  static_cast<void>(submit(set("k")));
  reply(0, requests.back().request.sequence, fails(errc::not_leader));
  const auto count = requests.size();
  lead(2, 2);
  CAF_CHECK_EQUAL(requests.size(), count + 1);
  CAF_CHECK_EQUAL(requests.back().slot, 1u);
}

CAF_TEST(a write whose connection broke is tried elsewhere and ends unknown) {
  open_all();
  const auto t = submit(set("k"), milliseconds(500));
  const auto sequence = requests.back().request.sequence;
  lose(0);
  CAF_CHECK_EQUAL(requests.back().request.sequence, sequence);
  CAF_CHECK(requests.back().slot != 0u);
  lose(1);
  lose(2);
  CAF_CHECK_EQUAL(answer(t), "none");
  pass(milliseconds(600));
  CAF_CHECK_EQUAL(answer(t), "timeout");
}

CAF_TEST(what was never sent or only refused ends as not applied) {
  open_all();
  const auto refused = submit(set("k"), milliseconds(300));
  reply(0, requests.back().request.sequence, fails(errc::unavailable));
  lose(0);
  lose(1);
  lose(2);
  const auto unsent = submit(set("k"), milliseconds(300));
  pass(milliseconds(400));
  CAF_CHECK_EQUAL(answer(refused), "unavailable");
  CAF_CHECK_EQUAL(answer(unsent), "unavailable");
}

CAF_TEST(a read that nobody answers ends as not applied) {
  open_all();
  const auto t = submit(get("k"), milliseconds(300));
  pass(milliseconds(400));
  CAF_CHECK_EQUAL(answer(t), "unavailable");
}

CAF_TEST(an attempt that is not answered within a second is tried at another node) {
  open_all();
  static_cast<void>(submit(set("k")));
  CAF_CHECK_EQUAL(requests.back().slot, 0u);
  CAF_CHECK_EQUAL(requests.back().request.budget_ms, 1000u);
  pass(milliseconds(1100));
  CAF_CHECK(requests.back().slot != 0u);
  // It was silent; once it says something it is asked again.
  const auto t = submit(get("k"));
  CAF_CHECK(requests.back().slot != 0u);
  reply(0, 999'999, kv::get_response{});
  static_cast<void>(submit(get("k")));
  CAF_CHECK_EQUAL(requests.back().slot, 0u);
  CAF_CHECK_EQUAL(answer(t), "none");
}

CAF_TEST(a late answer of an earlier attempt is an answer and a late refusal is none) {
  open_all();
  const auto t = submit(set("k"));
  const auto sequence = requests.back().request.sequence;
  pass(milliseconds(1100));
  const auto elsewhere = requests.back().slot;
  CAF_REQUIRE(elsewhere != 0u);
  const auto count = requests.size();
  reply(0, sequence, fails(errc::not_leader));
  CAF_CHECK_EQUAL(requests.size(), count);  // the attempt elsewhere goes on
  CAF_CHECK_EQUAL(answer(t), "none");
  reply(0, sequence, kv::set_response{true, 0, {}});
  CAF_CHECK_EQUAL(answer(t), "answered");
  reply(elsewhere, sequence, kv::set_response{true, 0, {}});  // and once is enough
}

CAF_TEST(of a refused write only the last attempt counts) {
  open_all();
  const auto t = submit(set("k"));
  const auto sequence = requests.back().request.sequence;
  CAF_CHECK_EQUAL(requests.back().request.attempt, 1u);
  reply(0, sequence, fails(errc::leadership_lost));
  pass(milliseconds(150));
  CAF_REQUIRE_EQUAL(requests.back().request.attempt, 2u);
  const auto slot = requests.back().slot;
  reply_to(slot, sequence, 1, kv::set_response{});
  CAF_CHECK_EQUAL(answer(t), "none");
  reply_to(slot, sequence, 2, kv::set_response{});
  CAF_CHECK_EQUAL(answer(t), "answered");
}

CAF_TEST(errors that mean something are answers) {
  open_all();
  for (const auto code : {errc::invalid_argument, errc::data_corrupted, errc::overloaded, errc::permission_denied, errc::internal}) {
    const auto t = submit(set("k"));
    reply(0, requests.back().request.sequence, fails(code));
    CAF_CHECK_EQUAL(answer(t), to_string(code));
  }
}

CAF_TEST(an outcome that was lost is asked for until the deadline) {
  open_all();
  const auto t = submit(set("k"), milliseconds(800));
  reply(0, requests.back().request.sequence, fails(errc::leadership_lost));
  pass(milliseconds(150));
  // Not applied, says one that is overloaded; but the first attempt may have been.
  reply(requests.back().slot, requests.back().request.sequence, fails(errc::overloaded));
  CAF_CHECK_EQUAL(answer(t), "none");
  pass(milliseconds(800));
  CAF_CHECK_EQUAL(answer(t), "timeout");
}

CAF_TEST(the floor is the oldest open write of the partition) {
  open_all();
  std::string other;  // a key of another partition than "k"
  for (int i = 0; other.empty(); ++i)
    if (routing::partition_of_key(map, "o" + std::to_string(i)) != routing::partition_of_key(map, "k")) other = "o" + std::to_string(i);
  static_cast<void>(submit(set("k")));
  const auto first = requests.back().request.sequence;
  CAF_CHECK_EQUAL(requests.back().request.floor, first);
  static_cast<void>(submit(get("k")));
  static_cast<void>(submit(set(other)));
  CAF_CHECK_EQUAL(requests.back().request.floor, requests.back().request.sequence);
  static_cast<void>(submit(set("k")));
  const auto second = requests.back().request.sequence;
  CAF_CHECK_EQUAL(requests.back().request.floor, first);
  reply(0, first, kv::set_response{true, 0, {}});
  static_cast<void>(submit(set("k")));
  CAF_CHECK_EQUAL(requests.back().request.floor, second);
}

CAF_TEST(batches are bounded by bytes and count) {
  open_all();
  frames = 0;
  for (int i = 0; i < 10; ++i) core->submit(++token, set("k", 300'000), milliseconds(1000), now);
  drain();
  CAF_CHECK_EQUAL(requests.size(), 10u);
  CAF_CHECK_EQUAL(frames, 3u);
  frames = 0;
  for (int i = 0; i < 2500; ++i) core->submit(++token, get("k"), milliseconds(1000), now);
  drain();
  CAF_CHECK_EQUAL(frames, 3u);
}

CAF_TEST(a partition that is not there is a mistake of the caller) {
  open_all();
  kv::scan_by_prefix_request scan;
  scan.prefix = "a";
  scan.partition = partition_id{4};
  CAF_CHECK_EQUAL(answer(submit(scan)), "invalid_argument");
}

CAF_TEST(what no node would take is refused here) {
  open_all();
  CAF_CHECK_EQUAL(answer(submit(set("k", (1 << 20) + 1))), "invalid_argument");
  CAF_CHECK_EQUAL(answer(submit(set("", 1))), "invalid_argument");
  CAF_CHECK(requests.empty());
  CAF_CHECK_EQUAL(answer(submit(set("k", 1 << 20))), "none");
}

CAF_TEST(a closed client answers everything) {
  const auto unsent = submit(set("k"));
  open_all();
  const auto write = submit(set("k"));
  const auto read = submit(get("k"));
  core->close("over");
  drain();
  CAF_CHECK_EQUAL(answer(unsent), "timeout");  // it went out when the node opened
  CAF_CHECK_EQUAL(answer(write), "timeout");
  CAF_CHECK_EQUAL(answer(read), "unavailable");
}

CAF_TEST(a bucket is joined from its pages at one view) {
  open_all();
  core->submit_list(1, {list_kind::bucket, "a/b/", {}}, milliseconds(1000), now);
  drain();
  const auto& first = std::get<kv::get_by_bucket_request>(requests.back().request.op);
  CAF_CHECK_EQUAL(first.bucket, "a/b");
  CAF_CHECK(first.view == kv::read_view{});
  kv::list_response page;
  page.items = {{"a/b/1", "x", 0, 0, {}}, {"a/b/2", "x", 0, 0, {}}};
  page.has_more = true;
  page.continue_after = "a/b/2";
  page.view = {timestamp{5}, 6};
  reply(0, requests.back().request.sequence, page);
  const auto& second = std::get<kv::get_by_bucket_request>(requests.back().request.op);
  CAF_CHECK_EQUAL(second.after, "a/b/2");
  CAF_CHECK((second.view == kv::read_view{timestamp{5}, 6}));
  // One that was cut before it met a live key says where to go on.
  page.items = {};
  page.has_more = false;
  page.continue_after = "a/b/2x";
  reply(0, requests.back().request.sequence, page);
  CAF_CHECK_EQUAL(std::get<kv::get_by_bucket_request>(requests.back().request.op).after, "a/b/2x");
  page.items = {{"a/b/3", "x", 0, 0, {}}};
  page.continue_after.clear();
  reply(0, requests.back().request.sequence, page);
  CAF_REQUIRE(lists.at(1).has_value());
  CAF_CHECK_EQUAL(lists.at(1)->items.size(), 3u);
  CAF_CHECK(!lists.at(1)->has_more);
}

CAF_TEST(a list whose limit is reached finds out whether more follows) {
  open_all();
  for (const bool has_more : {false, true}) {
    lists.clear();
    core->submit_list(1, {list_kind::bucket, "a", {.space = {}, .limit = 2, .after = {}}}, milliseconds(1000), now);
    drain();
    kv::list_response page;
    page.items = {{"a/1", "x", 0, 0, {}}, {"a/2", "x", 0, 0, {}}};
    page.continue_after = "a/5";  // cut by the work that it took
    reply(0, requests.back().request.sequence, page);
    const auto& second = std::get<kv::get_by_bucket_request>(requests.back().request.op);
    CAF_CHECK_EQUAL(second.after, "a/5");
    CAF_CHECK_EQUAL(+second.limit, 1u);
    page.items.clear();
    if (has_more) page.items.push_back({"a/6", "x", 0, 0, {}});
    page.continue_after = has_more ? "a/6" : "";
    reply(0, requests.back().request.sequence, page);
    CAF_REQUIRE(lists.contains(1));
    CAF_CHECK_EQUAL(lists.at(1)->items.size(), 2u);
    CAF_CHECK_EQUAL(+lists.at(1)->has_more, has_more);
  }
}

CAF_TEST(a list whose view is lost is begun again) {
  open_all();
  core->submit_list(1, {list_kind::bucket, "a", {}}, milliseconds(1000), now);
  drain();
  kv::list_response page;
  page.items = {{"a/1", "x", 0, 0, {}}};
  page.has_more = true;
  page.continue_after = "a/1";
  page.view = {timestamp{5}, 6};
  reply(0, requests.back().request.sequence, page);
  reply(0, requests.back().request.sequence, fails(errc::view_lost));
  const auto& again = std::get<kv::get_by_bucket_request>(requests.back().request.op);
  CAF_CHECK_EQUAL(again.after, "");
  CAF_CHECK(again.view == kv::read_view{});
  page.items = {{"a/0", "y", 0, 0, {}}};
  page.has_more = false;
  page.continue_after.clear();
  reply(0, requests.back().request.sequence, page);
  CAF_REQUIRE(lists.contains(1));
  CAF_REQUIRE(lists.at(1).has_value());
  CAF_CHECK_EQUAL(lists.at(1)->items.size(), 1u);
  CAF_CHECK_EQUAL(lists.at(1)->items.at(0).key, "a/0");
}

CAF_TEST(a scan is merged from all partitions) {
  core->submit_list(1, {list_kind::scan, "k", {}}, milliseconds(1000), now);
  drain();
  open_all();
  const auto answer_scans = [&](auto items_of) {
    const auto all = requests;
    requests.clear();
    for (const auto& s : all) {
      const auto& scan = std::get<kv::scan_by_prefix_request>(s.request.op);
      kv::list_response page;
      page.items = items_of(scan.partition.value);
      reply(s.slot, s.request.sequence, page);
    }
  };
  const auto one_each = [](std::uint32_t p) { return std::vector<kv::listed_key>{{"k" + std::to_string(9 - p), "x", 0, 0, {}}}; };
  answer_scans(one_each);  // the first partition, by which the map was learned
  answer_scans(one_each);
  CAF_REQUIRE(lists.contains(1));
  std::string keys;
  for (const auto& item : lists.at(1)->items) keys += item.key + ' ';
  CAF_CHECK_EQUAL(keys, "k6 k7 k8 k9 ");

  requests.clear();
  core->submit_list(2, {list_kind::scan, "k", {.space = {}, .limit = 3, .after = {}}}, milliseconds(1000), now);
  drain();
  CAF_CHECK_EQUAL(requests.size(), 4u);
  answer_scans(one_each);
  CAF_CHECK_EQUAL(lists.at(2)->items.size(), 3u);
  CAF_CHECK(lists.at(2)->has_more);
}

CAF_TEST(a list that is wrong is refused before anything is sent) {
  open_all();
  for (const auto kind : {list_kind::scan, list_kind::bucket})
    core->submit_list(kind == list_kind::scan ? 1 : 2, {kind, "__kahuna:x", {}}, milliseconds(1000), now);
  drain();
  CAF_CHECK(requests.empty());
  for (const std::uint64_t list : {1, 2}) CAF_CHECK(lists.at(list).error().code == errc::invalid_argument);
}

CAF_TEST(a list fails with its first part that fails) {
  open_all();
  core->submit_list(1, {list_kind::scan, "k", {}}, milliseconds(1000), now);
  drain();
  const auto all = requests;
  reply(0, all[1].request.sequence, fails(errc::data_corrupted));
  CAF_CHECK(lists.at(1).error().code == errc::data_corrupted);
  reply(0, all[0].request.sequence, kv::list_response{});
  pass(milliseconds(1200));
}

// --- steps of transactions ----------------------------------------------------------------------------------------

namespace {

kv::operation step_of(std::uint32_t number, kv::transaction_step step) {
  kv::transaction_request request;
  request.transaction.id = {timestamp{9}, 7, 1};
  request.transaction.anchor = partition_id{2};
  request.number = number;
  request.step = std::move(step);
  return request;
}

}  // namespace

CAF_TEST(a step goes to the leader of the anchor and is repeated as it was) {
  open_all();
  core->leaders_came(0, {{{partition_id{2}, term_id{2}, node_id{2}}}}, now);
  const auto t = submit(step_of(3, kv::set_request{.key = "k", .value = "v"}));
  CAF_REQUIRE_EQUAL(requests.size(), 1u);
  CAF_CHECK_EQUAL(requests[0].slot, 1u);
  lose(1);
  CAF_REQUIRE_EQUAL(requests.size(), 2u);
  CAF_CHECK(requests[1].request.op == requests[0].request.op);
  CAF_CHECK_EQUAL(requests[1].request.sequence, requests[0].request.sequence);
  reply(requests[1].slot, requests[1].request.sequence, kv::set_response{});
  CAF_CHECK_EQUAL(answer(t), "answered");
}

CAF_TEST(a step that is no commit is never applied) {
  open_all();
  const auto write = submit(step_of(1, kv::set_request{.key = "k", .value = "v"}), milliseconds(2500));
  const auto rollback = submit(step_of(2, kv::rollback_step{}), milliseconds(2500));
  const auto several = submit(step_of(3, kv::several_step{{kv::set_request{.key = "k", .value = "v"}}}), milliseconds(2500));
  const auto commit = submit(step_of(3, kv::commit_step{}), milliseconds(2500));
  const auto last = submit(step_of(3, kv::write_and_commit_step{{kv::set_request{.key = "k", .value = "v"}}}), milliseconds(2500));
  pass(milliseconds(2600));
  CAF_CHECK_EQUAL(answer(write), "unavailable");
  CAF_CHECK_EQUAL(answer(rollback), "unavailable");
  CAF_CHECK_EQUAL(answer(several), "unavailable");
  CAF_CHECK_EQUAL(answer(commit), "timeout");
  CAF_CHECK_EQUAL(answer(last), "timeout");
}

CAF_TEST(a commit that no node has got was not applied) {
  const auto commit = submit(step_of(3, kv::commit_step{}), milliseconds(500));
  pass(milliseconds(600));
  CAF_CHECK_EQUAL(answer(commit), "unavailable");
}

CAF_TEST(a commit holds the floor of its anchor and other steps do not) {
  open_all();
  submit(step_of(1, kv::set_request{.key = "k", .value = "v"}));
  submit(step_of(2, kv::commit_step{}));
  const auto t = submit(step_of(3, kv::get_request{.key = "k"}));
  CAF_REQUIRE_EQUAL(requests.size(), 3u);
  const auto commit = requests[1].request.sequence;
  CAF_CHECK_EQUAL(requests[0].request.floor, requests[0].request.sequence + 1);
  CAF_CHECK_EQUAL(requests[2].request.floor, commit);
  reply(0, commit, kv::commit_response{timestamp{5}});
  submit(step_of(4, kv::get_request{.key = "k"}));
  CAF_CHECK(requests[3].request.floor > commit);
  CAF_CHECK_EQUAL(answer(t), "none");
}

CAF_TEST(a refusal of an earlier attempt of a commit is not its outcome) {
  open_all();
  const auto t = submit(step_of(1, kv::write_and_commit_step{{kv::set_request{.key = "k", .value = "v", .if_absent = true}}}));
  const auto sequence = requests[0].request.sequence;
  pass(milliseconds(1100));  // the first attempt was not answered, and there is a second one
  CAF_REQUIRE(requests.size() >= 2);
  reply_to(0, sequence, 1, kv::commit_refusal{0, kv::set_response{}});
  CAF_CHECK_EQUAL(answer(t), "none");
  reply(requests.back().slot, sequence, kv::commit_refusal{0, kv::set_response{}});
  CAF_CHECK_EQUAL(answer(t), "answered");
}

CAF_TEST(a step that can not fit into a frame is refused before it is sent) {
  open_all();
  kv::several_step step;
  for (int i = 0; i < 5; ++i) step.operations.push_back(kv::set_request{.key = "k", .value = std::string(1 << 20, 'v')});
  const auto t = submit(step_of(1, step));
  CAF_CHECK(requests.empty());
  CAF_CHECK_EQUAL(answer(t), "invalid_argument");
  step.operations.resize(3);
  submit(step_of(1, step));
  CAF_CHECK_EQUAL(requests.size(), 1u);
}

CAF_TEST(what an earlier attempt of a commit was refused with is not its outcome) {
  open_all();
  const auto t = submit(step_of(2, kv::commit_step{}));
  const auto sequence = requests[0].request.sequence;
  pass(milliseconds(1100));  // the first attempt was not answered, and there is a second one
  CAF_REQUIRE(requests.size() >= 2);
  reply_to(0, sequence, 1, fails(errc::aborted));
  CAF_CHECK_EQUAL(answer(t), "none");
  reply(requests.back().slot, sequence, kv::commit_response{timestamp{5}});
  CAF_CHECK_EQUAL(answer(t), "answered");
}

CAF_TEST_FIXTURE_SCOPE_END()

CAF_TEST(whatever happens every request is answered once and by its deadline) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    CAF_MESSAGE("seed " << seed);
    fixture f;
    prng dice(seed);
    std::vector<bool> is_open(3, false);
    std::map<std::uint64_t, instant> deadlines;
    for (int i = 0; i < 3000; ++i) {
      const auto slot = static_cast<node_slot>(dice.below(3));
      switch (dice.below(6)) {
        case 0:
          if (slot < f.dialed.size() && !is_open[slot]) {
            f.open(slot, slot + 1);
            is_open[slot] = true;
          }
          break;
        case 1:
          if (is_open[slot] && dice.chance(1, 8)) {
            f.lose(slot);
            is_open[slot] = false;
          }
          break;
        case 2:
          if (dice.chance(1, 10)) f.lead(static_cast<std::uint32_t>(dice.between(1, 3)), static_cast<std::uint64_t>(i));
          break;
        case 3:
          if (!f.requests.empty()) {
            const auto s = f.requests[dice.below(f.requests.size())];
            constexpr errc codes[] = {errc::not_leader, errc::leadership_lost, errc::unavailable, errc::overloaded, errc::timeout, errc::invalid_argument};
            if (!is_open[s.slot]) break;
            if (dice.chance(1, 2))
              f.reply(s.slot, s.request.sequence, kv::set_response{true, 0, {}});
            else
              f.reply(s.slot, s.request.sequence, fixture::fails(codes[dice.below(6)]));
          }
          break;
        default: {
          const auto timeout = milliseconds(dice.between(10, 3000));
          deadlines[f.submit(dice.chance(1, 2) ? fixture::set("k" + std::to_string(dice.below(20))) : fixture::get("k"), timeout)] = f.now + timeout;
          f.pass(milliseconds(10 * dice.below(4)));
        }
      }
      // The wheel's slot and a tick later than the deadline at most.
      for (auto it = deadlines.begin(); it != deadlines.end();) {
        if (f.answers.contains(it->first)) {
          it = deadlines.erase(it);
          continue;
        }
        if (f.now >= it->second + milliseconds(60)) CAF_FAIL("request " << it->first << " is not answered by its deadline");
        ++it;
      }
    }
    f.pass(milliseconds(3100));
    CAF_CHECK_EQUAL(f.answers.size(), f.token);
  }
}
