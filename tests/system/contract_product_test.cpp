// The contract's operations in every state of a key and with every combination of conditions, generated, against a model
// written from the contract: through the client library, and on the wire through the node that leads least, which has to
// pass on what it is asked. What the shell makes of the table is contract_table_test.cpp's.
//
// Besides the answers: what a command did not change stays, the expiry is what was last given, and commit timestamps
// rise with every modification of a key.
#define CAF_SUITE system_contract_product
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "client/client.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/reference_model.hpp"
#include "tests/support/register_load.hpp"
#include "tests/support/wire_client.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

// Answers operations that may run in any order.
using channel = std::function<std::vector<kv::operation_response>(const std::vector<kv::operation>&)>;

channel through_library(client::client& connection) {
  return [&connection](const std::vector<kv::operation>& asked) {
    std::vector<kv::operation_response> answers(asked.size());
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t under_way = 0;
    for (std::size_t i = 0; i < asked.size(); ++i) {
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return under_way < 512; });
        ++under_way;
      }
      connection.submit(asked[i], [&, i](kv::operation_response response) {
        const std::lock_guard lock(mutex);
        answers[i] = std::move(response);
        --under_way;
        changed.notify_one();
      });
    }
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return under_way == 0; });
    return answers;
  };
}

// One connection to one node, which no answer can come around.
channel through_node(int port) {
  return [port, next_client = std::uint64_t{90'000}](const std::vector<kv::operation>& asked) mutable {
    std::vector<kv::operation_response> answers(asked.size());
    // The node remembers results for each client as long as it is not told to forget them: so each call is a new one.
    wire_client wire(port);
    CAF_REQUIRE(wire.shake_hands(++next_client).has_value());
    std::size_t sent = 0, received = 0;
    while (received < asked.size()) {
      for (; sent < asked.size() && sent - received < 256; ++sent)
        CAF_REQUIRE(wire.send(sent + 1, asked[sent], milliseconds(20'000)));
      auto reply = wire.receive(milliseconds(20'000));
      CAF_REQUIRE(reply.has_value());
      CAF_REQUIRE(reply->sequence >= 1 && reply->sequence <= asked.size());
      answers[reply->sequence - 1] = std::move(reply->response);
      ++received;
    }
    return answers;
  };
}

std::uint64_t wall_ms() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

// The stamp of a modification; 0 where the answer says that there was none.
timestamp stamp_of(const kv::operation_response& response) {
  if (const auto* set = std::get_if<kv::set_response>(&response)) return set->modified;
  if (const auto* erased = std::get_if<kv::delete_response>(&response)) return erased->modified;
  if (const auto* extended = std::get_if<kv::extend_response>(&response)) return extended->modified;
  return {};
}

enum class state : std::uint8_t { never, r0, r2, empty_value, expiring, deleted, expired, after_delete, after_expiry };
constexpr std::array all_states{state::never,   state::r0,      state::r2,           state::empty_value, state::expiring,
                                state::deleted, state::expired, state::after_delete, state::after_expiry};
constexpr std::array<const char*, all_states.size()> state_names{"never",   "r0",      "r2",           "empty",       "expiring",
                                                                 "deleted", "expired", "after-delete", "after-expiry"};
constexpr std::int64_t hour_ms = 3'600'000;

struct origin {
  std::int64_t last = -1;  // the last revision that a key of this state had
  std::string value;       // of that revision
};

origin origin_of(state s) {
  switch (s) {
    case state::never: return {-1, ""};
    case state::r0: return {0, "v0"};
    case state::empty_value: return {0, ""};
    default: return {2, "v2"};
  }
}

struct subject {
  state from = state::never;
  kv::operation op;       // on `key`
  std::string key;
  std::string what;       // for messages
  timestamp modified;     // of its last modification
  std::uint64_t given_from = 0, given_to = 0;  // between these moments it was given the expiry that it has
};

class product {
 public:
  product(channel ask, kv::durability space, std::string prefix) : ask_(std::move(ask)), space_(space), prefix_(std::move(prefix)) {
    for (const auto s : all_states) add_all(s);
  }

  void run() {
    prepare();
    each("", [](const subject& s) { return s.op; });
    verify();
    CAF_MESSAGE(subjects_.size() << " cells, " << answered_ << " answers");
  }

 private:
  void add(state from, kv::operation op, const std::string& what) {
    subject s;
    s.from = from;
    s.key = prefix_ + std::to_string(subjects_.size() % 23) + "/" + std::to_string(subjects_.size());
    std::visit(
        [&](auto& request) {
          if constexpr (requires { request.key; }) request.key = s.key;
          if constexpr (requires { request.space; }) request.space = space_;
        },
        op);
    s.op = std::move(op);
    s.what = std::string(state_names[static_cast<std::size_t>(from)]) + ", " + what;
    subjects_.push_back(std::move(s));
  }

  void add_all(state from) {
    const auto [n, value] = origin_of(from);
    const std::set<std::int64_t> revisions{-2, -1, 0, n - 1, n, n + 1};
    const std::set<std::string> values{"", "v0", "v2", "something else"};
    for (const bool nx : {false, true})
      for (const bool xx : {false, true})
        for (const std::int64_t ex : {std::int64_t{0}, hour_ms})
          for (auto cmp = values.begin();; ++cmp) {
            for (auto revision = revisions.begin();; ++revision) {
              kv::set_request set;
              set.value = "new";
              set.if_absent = nx;
              set.if_present = xx;
              set.expires_ms = ex;
              auto what = std::string("set") + (nx ? " nx" : "") + (xx ? " xx" : "") + (ex != 0 ? " ex" : "");
              if (cmp != values.end()) {
                set.if_value = shared_bytes(*cmp);
                what += " cmp '" + *cmp + "'";
              }
              if (revision != revisions.end()) {
                set.if_revision = *revision;
                what += " cmprev " + std::to_string(*revision);
              }
              add(from, set, what);
              if (revision == revisions.end()) break;
            }
            if (cmp == values.end()) break;
          }
    for (const std::int64_t ms : {std::int64_t{0}, hour_ms, std::int64_t{3'155'760'000'000}, std::int64_t{3'155'760'000'001}, std::int64_t{-1}}) {
      add(from, kv::extend_request{"", space_, ms}, "extend " + std::to_string(ms));
      kv::set_request set;
      set.value = "";
      set.expires_ms = ms;
      add(from, set, "set '' ex " + std::to_string(ms));
    }
    add(from, kv::get_request{"", space_, std::nullopt}, "get");
    for (std::int64_t at = -1; at <= n + 1; ++at) add(from, kv::get_request{"", space_, at}, "get at " + std::to_string(at));
    add(from, kv::exists_request{"", space_}, "exists");
    add(from, kv::delete_request{"", space_}, "delete");
  }

  kv::operation set_to(const subject& s, const std::string& value, std::int64_t expires_ms = 0) const {
    auto set = testing::set_of(s.key, value);
    set.space = space_;
    set.expires_ms = expires_ms;
    return set;
  }

  // Brings every key into its state, a step for all of them at a time.
  void prepare() {
    const auto is = [](const subject& s, std::initializer_list<state> states) {
      return std::find(states.begin(), states.end(), s.from) != states.end();
    };
    using step = std::function<std::optional<kv::operation>(const subject&)>;
    const std::vector<step> steps{
        [&](const subject& s) -> std::optional<kv::operation> {
          if (is(s, {state::never})) return std::nullopt;
          return set_to(s, is(s, {state::empty_value}) ? "" : "v0");
        },
        [&](const subject& s) -> std::optional<kv::operation> {
          if (is(s, {state::never, state::r0, state::empty_value})) return std::nullopt;
          return set_to(s, "v1", is(s, {state::after_expiry}) ? 1 : 0);
        },
        [&](const subject& s) -> std::optional<kv::operation> {
          if (is(s, {state::after_delete})) return kv::delete_request{s.key, space_};
          if (is(s, {state::r2, state::deleted})) return set_to(s, "v2");
          if (is(s, {state::expiring})) return set_to(s, "v2", 2 * hour_ms);
          if (is(s, {state::expired})) return set_to(s, "v2", 1);
          return std::nullopt;
        },
    };
    for (const auto& next : steps) each("while preparing: ", next);
    wait_for_expiries([&](const subject& s) { return is(s, {state::expired, state::after_expiry}); });
    each("while preparing: ", [&](const subject& s) -> std::optional<kv::operation> {
      if (is(s, {state::after_delete, state::after_expiry})) return set_to(s, "v2");
      if (is(s, {state::deleted})) return kv::delete_request{s.key, space_};
      return std::nullopt;
    });
  }

  // Expiries of 1 ms pass by themselves; when they have is asked, because only the leaders' clocks know.
  void wait_for_expiries(const std::function<bool(const subject&)>& is_awaited) {
    std::vector<kv::operation> asked;
    for (const auto& s : subjects_)
      if (is_awaited(s)) asked.push_back(kv::exists_request{s.key, space_});
    CAF_REQUIRE(eventually(milliseconds(10'000), [&] {
      const auto answers = ask_(asked);
      return std::all_of(answers.begin(), answers.end(), [](const auto& answer) { return in_words(answer) == "not found"; });
    }));
    for (const auto& s : subjects_)
      if (is_awaited(s)) model_.expire(space_, s.key);
  }

  // Asks for every subject where there is something to ask, and compares with the model.
  void each(const std::string& when, const std::function<std::optional<kv::operation>(const subject&)>& choose) {
    std::vector<kv::operation> asked;
    std::vector<subject*> of;
    for (auto& s : subjects_)
      if (auto op = choose(s)) {
        asked.push_back(std::move(*op));
        of.push_back(&s);
      }
    const auto began = wall_ms();
    const auto answers = ask_(asked);
    const auto ended = wall_ms();
    for (std::size_t i = 0; i < asked.size(); ++i) {
      auto& s = *of[i];
      const auto expected = model_.run(asked[i]);
      compare(when + s.what, without_message(in_words(answers[i])), expected);
      ++answered_;
      const bool is_changed = expected.starts_with("set ") || expected.starts_with("extended ") || expected.starts_with("deleted ");
      const auto stamp = stamp_of(answers[i]);
      compare(when + s.what + ", stamp", stamp == timestamp{} ? "none" : stamp > s.modified ? "later" : "not later", is_changed ? "later" : "none");
      if (!is_changed) continue;
      s.modified = stamp;
      s.given_from = began;
      s.given_to = ended;
    }
  }

  // All that can be read of the keys is as the model has it.
  void verify() {
    std::vector<kv::operation> gets;
    for (const auto& s : subjects_) gets.push_back(kv::get_request{s.key, space_, std::nullopt});
    const auto answers = ask_(gets);
    for (std::size_t i = 0; i < gets.size(); ++i) {
      const auto& s = subjects_[i];
      compare("then get: " + s.what, in_words(answers[i]), model_.run(gets[i]));
      ++answered_;
      const auto* got = std::get_if<kv::get_response>(&answers[i]);
      if (got == nullptr || !got->is_found) continue;
      compare("modified: " + s.what, std::to_string(got->modified.value), std::to_string(s.modified.value));
      const auto given = model_.expires_ms(space_, s.key);
      const auto wanted = static_cast<std::uint64_t>(given);
      const bool is_right = given == 0 ? got->expires_at_ms == 0
                                       : got->expires_at_ms >= s.given_from + wanted && got->expires_at_ms <= s.given_to + wanted;
      compare("expiry: " + s.what, is_right ? "right" : std::to_string(got->expires_at_ms), "right");
    }
    each("then exists: ", [&](const subject& s) { return kv::exists_request{s.key, space_}; });
    for (std::int64_t at = 0; at < 4; ++at)
      each("then get at " + std::to_string(at) + ": ", [&](const subject& s) { return kv::get_request{s.key, space_, at}; });
  }

  // Said in full where it differs; a hundred thousand checks that hold are one.
  void compare(const std::string& what, const std::string& is, const std::string& expected) {
    if (is == expected) return;
    if (++differences_ <= 20) CAF_CHECK_EQUAL(what + " -> " + is, what + " -> " + expected);
  }

 public:
  int differences() const { return differences_; }
  std::size_t cells() const { return subjects_.size(); }

 private:
  channel ask_;
  kv::durability space_;
  std::string prefix_;
  std::vector<subject> subjects_;
  reference_model model_;
  int differences_ = 0;
  std::size_t answered_ = 0;
};

void check_product(const channel& ask, const std::string& prefix) {
  for (const auto space : {kv::durability::persistent, kv::durability::ephemeral}) {
    product cells(ask, space, prefix);
    cells.run();
    CAF_CHECK_GREATER(cells.cells(), 2000u);
    CAF_CHECK_EQUAL(cells.differences(), 0);
  }
}

// Names that sort next to each other and belong to different buckets.
const std::vector<std::string>& listed_names() {
  static const std::vector<std::string> names{"l/a",   "l/a/1", "l/a/2",  "l/a/2/x", "l/a/3",    "l/a/\xff", "l/a//1", "l/a/\x01", "l/a0/1",
                                              "l/a-1", "l/b/1", "l/aa/1", "l",       "l/a/gone", "l/a/late", "/l/a/1", "m/a/1",    "l/a/4"};
  return names;
}

// Every limit behind every key, of everything that may be listed.
void check_lists(client::client& connection, const channel& ask) {
  for (const auto space : {kv::durability::persistent, kv::durability::ephemeral}) {
    reference_model model;
    const auto both = [&](const kv::operation& op) {
      const auto answers = ask({op});
      CAF_CHECK_EQUAL(in_words(answers[0]), model.run(op));
    };
    for (const auto& name : listed_names()) {
      kv::set_request set = testing::set_of(name, "of " + name);
      set.space = space;
      if (name == "l/a/late") set.expires_ms = 1;
      both(set);
    }
    both(kv::delete_request{"l/a/gone", space});
    CAF_REQUIRE(eventually(milliseconds(10'000), [&] { return in_words(ask({kv::exists_request{"l/a/late", space}})[0]) == "not found"; }));
    model.expire(space, "l/a/late");

    std::vector<std::string> behind{"", "k", "l/a/", "l/a/2/", "l/a/5", "z"};
    behind.insert(behind.end(), listed_names().begin(), listed_names().end());
    int lists = 0;
    const auto compare = [&](const std::string& what, const result<client::key_list>& found, const kv::operation& op) {
      ++lists;
      kv::operation_response response;
      if (found)
        response = kv::list_response{found->items, found->has_more, {}, {}};
      else
        response = found.error();
      CAF_CHECK_EQUAL(what + without_message(in_words(response)), what + model.run(op));
    };
    for (const std::string argument : {"l/a", "l", "l/a/2", "l/a/", "nothing", "m/a", "__kahuna:", ""})
      for (const auto& after : behind)
        for (const std::uint32_t limit : {0u, 1u, 2u, 3u, 5u, 7u, 8u, 9u, 1000u}) {
          const client::list_options options{.space = space, .limit = limit, .after = after};
          const auto what = "'" + argument + "' limit " + std::to_string(limit) + " after '" + after + "': ";
          // The library drops one trailing slash, what travels has none: so a bucket is asked for with one more.
          const kv::get_by_bucket_request of_bucket{argument, space, after, limit, {}};
          compare("bucket " + what, connection.get_by_bucket(argument + "/", options), of_bucket);
          if (!argument.empty() && !argument.ends_with('/')) compare("bare bucket " + what, connection.get_by_bucket(argument, options), of_bucket);
          compare("scan " + what, connection.scan_by_prefix(argument, options), kv::scan_by_prefix_request{argument, space, {}, after, limit, {}});
        }
    CAF_MESSAGE(lists << " lists");
  }
}

}  // namespace

CAF_TEST(every state and every combination of conditions on one node) {
  cluster nodes({.nodes = 1, .node_arguments = {}});
  nodes.start_all_and_wait();
  auto connection = connect_or_fail(nodes.endpoints(), milliseconds(20'000));
  check_product(through_library(connection), "one/");
  check_lists(connection, through_library(connection));
}

CAF_TEST(every state and every combination of conditions through a node of three that leads least) {
  // Patient elections: a leader that a busy machine holds up for 300 ms would rightly take its ephemeral keys along.
  cluster nodes({.nodes = 3, .node_arguments = {"--election-timeout", "1000"}});
  nodes.start_all_and_wait();
  const auto through = nodes.least_leader();
  const auto view = nodes.view(through);
  CAF_REQUIRE(view.has_value());
  CAF_MESSAGE(nodes.node_name(through) << " leads " << view->led()[nodes.node_name(through)] << " of " << view->partitions.size());
  check_product(through_node(nodes.port(through)), "three/");
  auto connection = connect_or_fail({nodes.endpoint(through)}, milliseconds(20'000));
  check_lists(connection, through_node(nodes.port(through)));
}
