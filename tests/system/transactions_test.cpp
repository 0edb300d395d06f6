// Transactions through the real client and the real shell, on three nodes: the contract's words, the anomalies by their names, and
// the money of a bank while nodes are killed.
#define CAF_SUITE system_transactions
#include "caf/test/unit_test.hpp"

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "core/base/prng.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/register_load.hpp"

using namespace kahuna;
using namespace kahuna::testing;
using client::transaction_options;

namespace {

constexpr int accounts = 100;
constexpr int opening_balance = 100;

std::string account(std::uint64_t number) { return "bank/" + std::to_string(number % 20) + "/" + std::to_string(number); }

int number_in(const kv::get_response& got) { return std::atoi(std::string(got.value.view()).c_str()); }

std::string value_of(client::transaction& t, const std::string& key) {
  const auto got = t.get(get_of(key));
  if (!got) return "error " + std::string(to_string(got.error().code));
  return got->is_found ? got->value.str() : "none";
}

std::string outcome_of(const result<kv::commit_response>& committed) {
  return committed ? "committed" : std::string(to_string(committed.error().code));
}

const transaction_options pessimistic{.locking = kv::locking_mode::pessimistic};
const transaction_options optimistic{.locking = kv::locking_mode::optimistic};

}  // namespace

CAF_TEST(the shell answers to the letter) {
  cluster nodes;
  nodes.start_all_and_wait();
  const auto said = nodes.run_cli(1, {"--format", "json"},
                                  "set a/x \"1\"\nbegin\nget a/x\nset a/x \"2\"\nset a/x \"3\"\nset b/y \"4\" nx\nget a/x\ncommit\nget a/x\nget b/y\n"
                                  "begin locking=optimistic timeout=2000\ndelete a/x\nexists a/x\nrollback\nexists a/x\ncommit\n"
                                  "begin\nbegin\nscan by prefix a\nset a/x \"5\" nx xx\nget by bucket a\ncommit\nget a/x at 0\n"
                                  "begin as of now\nget a/x\nset a/x \"6\"\ncommit\n");
  std::string words;
  for (std::size_t at = 0; at < said.output.size();) {
    const auto end = said.output.find('\n', at);
    const auto line = said.output.substr(at, end - at);
    const auto field = [&](const std::string& name) {
      const auto start = line.find("\"" + name + "\":");
      if (start == std::string::npos) return std::string();
      const auto from = start + name.size() + 3;
      return line.substr(from, line.find_first_of(",}", from) - from);
    };
    words += field("op") + field("status") + field("revision") + field("value") + field("code") + "\n";
    CAF_CHECK((line.find("\"status\":\"begun\"") != std::string::npos) == (line.find("\"transaction\":\"") != std::string::npos));
    at = end + 1;
  }
  CAF_CHECK_EQUAL(words,
                  "\"set\"\"set\"0\n\"begin\"\"begun\"\n\"get\"\"found\"0\"1\"\n\"set\"\"set\"1\n\"set\"\"set\"1\n\"set\"\"set\"0\n"
                  "\"get\"\"found\"1\"3\"\n\"commit\"\"committed\"\n\"get\"\"found\"1\"3\"\n\"get\"\"found\"0\"4\"\n"
                  "\"begin\"\"begun\"\n\"delete\"\"deleted\"1\n\"exists\"\"not found\"-1\n\"rollback\"\"rolled back\"\n"
                  "\"exists\"\"exists\"1\n\"commit\"\"error\"\"invalid_argument\"\n"
                  "\"begin\"\"begun\"\n\"begin\"\"error\"\"invalid_argument\"\n\"scan by prefix\"\"error\"\"invalid_argument\"\n"
                  "\"set\"\"error\"\"invalid_argument\"\n\"get by bucket\"\"found\"1\"3\"\n\"commit\"\"committed\"\n"
                  "\"get\"\"found\"0\"1\"\n\"begin\"\"begun\"\n\"get\"\"found\"1\"3\"\n\"set\"\"error\"\"invalid_argument\"\n"
                  "\"commit\"\"committed\"\n");

  auto kahuna = connect_or_fail(nodes.endpoints());
  for (const auto& mode : {pessimistic, optimistic}) {
    const std::string name = mode.locking == kv::locking_mode::optimistic ? "o" : "p";
    const auto key = [&](const std::string& k) { return name + k + "/" + k; };
    CAF_MESSAGE((name == "o" ? "optimistic" : "pessimistic"));
    for (const auto* k : {"x", "y"}) CAF_REQUIRE(kahuna.set(set_of(key(k), "0")).has_value());

    // Dirty read: what is not committed is seen by nobody else.
    auto writer = *kahuna.begin(mode);
    CAF_REQUIRE(writer.set(set_of(key("x"), "dirty")).has_value());
    CAF_CHECK_EQUAL(kahuna.get(get_of(key("x")))->value.str(), "0");
    CAF_CHECK(!writer.rollback());
    CAF_CHECK_EQUAL(kahuna.get(get_of(key("x")))->value.str(), "0");

    // Lost update, non-repeatable read, read skew: two that know nothing of each other. One of them is not committed.
    auto first = *kahuna.begin(optimistic);
    auto second = *kahuna.begin(optimistic);
    CAF_CHECK_EQUAL(value_of(first, key("x")), "0");
    CAF_CHECK_EQUAL(value_of(second, key("x")), "0");
    CAF_CHECK_EQUAL(value_of(second, key("y")), "0");
    CAF_REQUIRE(first.set(set_of(key("x"), "1")).has_value());
    CAF_REQUIRE(first.set(set_of(key("y"), "1")).has_value());
    CAF_CHECK_EQUAL(outcome_of(first.commit()), "committed");
    CAF_CHECK_EQUAL(value_of(second, key("x")), "0");
    CAF_REQUIRE(second.set(set_of(key("x"), "2")).has_value());
    CAF_CHECK_EQUAL(outcome_of(second.commit()), "aborted");
    CAF_CHECK_EQUAL(value_of(second, key("x")), "error aborted");
    CAF_CHECK_EQUAL(kahuna.get(get_of(key("x")))->value.str(), "1");

    // Write skew: each reads both and writes one.
    auto left = *kahuna.begin(optimistic);
    auto right = *kahuna.begin(optimistic);
    for (auto* t : {&left, &right})
      for (const auto* k : {"x", "y"}) CAF_CHECK_EQUAL(value_of(*t, key(k)), "1");
    CAF_REQUIRE(left.set(set_of(key("x"), "-1")).has_value());
    CAF_REQUIRE(right.set(set_of(key("y"), "-1")).has_value());
    CAF_CHECK_EQUAL(outcome_of(left.commit()), "committed");
    CAF_CHECK_EQUAL(outcome_of(right.commit()), "aborted");

    // Phantom: a bucket that is counted, and a key that comes into it.
    auto counting = *kahuna.begin(optimistic);
    const auto bucket = name + "-phantom";
    CAF_CHECK_EQUAL(counting.get_by_bucket(bucket)->items.size(), 0u);
    CAF_REQUIRE(kahuna.set(set_of(bucket + "/new", "1")).has_value());
    CAF_REQUIRE(counting.set(set_of(key("count"), "0")).has_value());
    CAF_CHECK_EQUAL(outcome_of(counting.commit()), "aborted");
  }

  // Locks in opposite order: one is wounded at once.
  const auto began = steady_clock::now();
  auto old = *kahuna.begin({.timeout = std::chrono::milliseconds(20'000)});
  auto young = *kahuna.begin({.timeout = std::chrono::milliseconds(20'000)});
  CAF_REQUIRE(old.set(set_of("deadlock-a/k", "old")).has_value());
  CAF_REQUIRE(young.set(set_of("deadlock-b/k", "young")).has_value());
  std::string crossed;
  std::thread other([&] {
    const auto set = young.set(set_of("deadlock-a/k", "young"));
    crossed = set ? "set" : std::string(to_string(set.error().code));
  });
  CAF_CHECK(old.set(set_of("deadlock-b/k", "old")).has_value());
  CAF_CHECK_EQUAL(outcome_of(old.commit()), "committed");
  other.join();
  CAF_CHECK_EQUAL(crossed, "aborted");
  CAF_CHECK(steady_clock::now() - began < std::chrono::seconds(3));
}

CAF_TEST(no money is made or lost while nodes are killed) {
  cluster nodes;
  nodes.start_all_and_wait();
  auto kahuna = connect_or_fail(nodes.endpoints(), milliseconds(10'000));
  for (std::uint64_t i = 0; i < accounts; ++i) CAF_REQUIRE(kahuna.set(set_of(account(i), std::to_string(opening_balance))).has_value());

  std::atomic<bool> is_over{false};
  std::atomic<std::uint64_t> transfers{0}, given_up{0}, snapshots{0};
  std::atomic<int> wrong_totals{0};
  std::vector<std::thread> tellers;
  for (std::uint64_t teller = 0; teller < 6; ++teller)
    tellers.emplace_back([&, teller] {
      prng dice(teller + 1);
      while (!is_over) {
        const auto from = account(dice.below(accounts)), to = account(dice.below(accounts));
        if (from == to) continue;
        const auto amount = static_cast<int>(dice.below(20));
        const auto done = kahuna.run_transaction(
            [&](client::transaction& t) -> std::optional<error> {
              const auto source = t.get(get_of(from));
              if (!source) return source.error();
              const auto target = t.get(get_of(to));
              if (!target) return target.error();
              const auto taken = t.set(set_of(from, std::to_string(number_in(*source) - amount)));
              if (!taken) return taken.error();
              const auto given = t.set(set_of(to, std::to_string(number_in(*target) + amount)));
              if (!given) return given.error();
              return std::nullopt;
            },
            teller % 2 == 0 ? pessimistic : optimistic);
        done ? ++transfers : ++given_up;
      }
    });
  std::thread auditor([&] {
    while (!is_over) {
      auto view = kahuna.begin({.is_as_of_now = true});
      if (!view) continue;
      int total = 0;
      bool is_whole = true;
      for (std::uint64_t i = 0; i < accounts && is_whole; ++i) {
        const auto got = view->get(get_of(account(i)));
        is_whole = got.has_value();
        if (got) total += number_in(*got);
      }
      if (!is_whole) continue;
      ++snapshots;
      if (total != accounts * opening_balance) ++wrong_totals;
    }
  });
  const int kills = std::getenv("KAHUNA_FULL") != nullptr ? 20 : 3;
  for (int round = 0; round < kills; ++round) {
    const auto before = transfers.load();
    CAF_CHECK(eventually(milliseconds(20'000), [&] { return transfers.load() > before + 200; }, milliseconds(10)));
    const int victim = nodes.busiest_leader();
    nodes.kill(victim);
    const auto at_kill = transfers.load();
    CAF_CHECK(eventually(milliseconds(20'000), [&] { return transfers.load() > at_kill + 100; }, milliseconds(10)));
    nodes.start_all_and_wait();
    if (const auto lagging = nodes.wait_until_caught_up(victim, milliseconds(20'000))) CAF_FAIL(*lagging);
  }
  is_over = true;
  for (auto& teller : tellers) teller.join();
  auditor.join();

  int total = 0;
  for (std::uint64_t i = 0; i < accounts; ++i) {
    const auto got = kahuna.get(get_of(account(i)));
    CAF_REQUIRE(got.has_value());
    total += number_in(*got);
  }
  CAF_MESSAGE(transfers << " transfers, " << given_up << " given up, " << snapshots << " audits");
  CAF_CHECK_EQUAL(total, accounts * opening_balance);
  CAF_CHECK_EQUAL(wrong_totals.load(), 0);
  CAF_CHECK(snapshots.load() > 0);
}
