// Transactions on real processes that are killed and stopped: append histories stay strictly serializable, a bank's total stays
// what it is in every moment that is read, and nobody waits for a coordinator that is gone. KAHUNA_FULL: longer.
#define CAF_SUITE system_transaction_faults
#include "caf/test/unit_test.hpp"

#include <map>

#include "core/base/prng.hpp"
#include "tests/checkers/bank_checker.hpp"
#include "tests/support/append_load.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/partition_probe.hpp"
#include "tests/support/register_load.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

// How many commits a round waits for.
std::uint64_t commits_a_round() { return is_full() ? 5'000 : 300; }
int rounds() { return is_full() ? 10 : 3; }

void check_appends(append_load& load, const cluster& nodes) {
  load.stop();
  CAF_MESSAGE(load.summary());
  auto reader = connect_or_fail(nodes.endpoints());
  CAF_CHECK_EQUAL(load.violation(reader), "");
}

void append_without_faults(locking_choice locking) {
  cluster nodes;
  nodes.start_all_and_wait();
  append_load load(nodes.endpoints(), {.locking = locking});
  load.start();
  CAF_CHECK(load.wait_for_commits(is_full() ? 100'000 : 3 * commits_a_round(), milliseconds(is_full() ? 1'200'000 : 120'000)));
  check_appends(load, nodes);
}

void append_under_kills(locking_choice locking) {
  cluster nodes;
  nodes.start_all_and_wait();
  append_load load(nodes.endpoints(), {.locking = locking});
  load.start();
  for (int round = 0; round < rounds(); ++round) {
    CAF_REQUIRE(load.wait_for_commits(commits_a_round(), milliseconds(60'000)));
    const int killed = nodes.busiest_leader();
    nodes.kill(killed);
    CAF_CHECK(load.wait_for_commits(commits_a_round(), milliseconds(60'000)));
    nodes.start_all_and_wait();
  }
  CAF_CHECK(load.wait_for_commits(commits_a_round(), milliseconds(60'000)));
  check_appends(load, nodes);
}

void append_while_leaders_stand_still(locking_choice locking) {
  cluster nodes;
  nodes.start_all_and_wait();
  append_load load(nodes.endpoints(), {.locking = locking});
  load.start();
  for (int round = 0; round < rounds(); ++round) {
    CAF_REQUIRE(load.wait_for_commits(commits_a_round(), milliseconds(60'000)));
    const int paused = nodes.busiest_leader();
    nodes.pause(paused);
    CAF_CHECK(load.wait_for_commits(commits_a_round(), milliseconds(60'000)));
    nodes.resume(paused);
  }
  CAF_CHECK(load.wait_for_commits(commits_a_round(), milliseconds(60'000)));
  check_appends(load, nodes);
}

// Accounts of no bucket: they lie in all partitions.
std::string account(std::uint64_t number) { return "account-" + std::to_string(number); }

// Reads both balances, and writes both if the first one covers the amount; says whether it does.
std::optional<error> move_step_by_step(client::transaction& transaction, const bank_transfer& t, bool& is_covered) {
  const auto giver = transaction.get(get_of(t.from));
  if (!giver) return giver.error();
  const auto taker = transaction.get(get_of(t.to));
  if (!taker) return taker.error();
  const auto balance = std::stoll(giver->value.str());
  is_covered = balance >= t.amount;
  if (!is_covered) return std::nullopt;
  if (const auto set = transaction.set(set_of(t.from, std::to_string(balance - t.amount))); !set) return set.error();
  const auto set = transaction.set(set_of(t.to, std::to_string(std::stoll(taker->value.str()) + t.amount)));
  return set ? std::nullopt : std::optional(set.error());
}

// The same in two round trips. The conditions say what the reads have said already.
std::optional<error> move_at_once(client::transaction& transaction, const bank_transfer& t, bool& is_covered) {
  const auto lock = t.amount % 2 == 0 ? kv::lock_demand::exclusive : kv::lock_demand::shared;
  const auto both = transaction.get_many({get_of(t.from), get_of(t.to)}, lock);
  if (!both) return both.error();
  const auto& giver = (*both)[0];
  const auto& taker = (*both)[1];
  const auto balance = std::stoll(giver.value.str());
  is_covered = balance >= t.amount;
  if (!is_covered) return std::nullopt;
  transaction.set_at_commit({.key = t.from, .value = std::to_string(balance - t.amount), .if_revision = giver.revision});
  transaction.set_at_commit({.key = t.to, .value = std::to_string(std::stoll(taker.value.str()) + t.amount), .if_value = taker.value});
  return std::nullopt;
}

}  // namespace

CAF_TEST(append histories without faults with locks) { append_without_faults(locking_choice::pessimistic); }
CAF_TEST(append histories without faults without locks) { append_without_faults(locking_choice::optimistic); }
CAF_TEST(append histories without faults of both kinds) { append_without_faults(locking_choice::mixed); }

CAF_TEST(append histories under kills with locks) { append_under_kills(locking_choice::pessimistic); }
CAF_TEST(append histories under kills without locks) { append_under_kills(locking_choice::optimistic); }
CAF_TEST(append histories under kills of both kinds) {
  if (is_full()) append_under_kills(locking_choice::mixed);
}

CAF_TEST(append histories while leaders stand still with locks) {
  if (is_full()) append_while_leaders_stand_still(locking_choice::pessimistic);
}
CAF_TEST(append histories while leaders stand still without locks) {
  if (is_full()) append_while_leaders_stand_still(locking_choice::optimistic);
}
CAF_TEST(append histories while leaders stand still of both kinds) { append_while_leaders_stand_still(locking_choice::mixed); }

CAF_TEST(append histories when all nodes are killed at once) {
  cluster nodes;
  nodes.start_all_and_wait();
  append_load load(nodes.endpoints(), {.locking = locking_choice::mixed});
  load.start();
  for (int round = 0; round < 2; ++round) {
    CAF_REQUIRE(load.wait_for_commits(commits_a_round(), milliseconds(60'000)));
    nodes.kill_all();
    nodes.start_all_and_wait();
  }
  CAF_CHECK(load.wait_for_commits(commits_a_round(), milliseconds(60'000)));
  check_appends(load, nodes);
}

CAF_TEST(the total of a bank) {
  const std::uint64_t accounts = 1000;
  const int clients = is_full() ? 64 : 16;
  const milliseconds duration(is_full() ? 60'000 : 12'000);

  cluster nodes;
  nodes.start_all_and_wait();
  auto teller = connect_or_fail(nodes.endpoints());
  balances opened;
  std::vector<kv::set_request> sets;
  for (std::uint64_t i = 0; i < accounts; ++i) {
    opened[account(i)] = 100;
    sets.push_back(set_of(account(i), "100"));
  }
  for (const auto& set : teller.set_many(std::move(sets))) CAF_REQUIRE(set.has_value());

  // Few connections for many clients, as a program of many threads has them.
  std::vector<client::client> connections;
  for (int i = 0; i < 4; ++i) connections.push_back(connect_or_fail(nodes.endpoints(), milliseconds(5000)));
  std::atomic<bool> should_stop{false};
  std::atomic<std::uint64_t> committed{0};
  std::vector<std::vector<bank_transfer>> transfers(static_cast<std::size_t>(clients));
  std::vector<std::string> complaints(static_cast<std::size_t>(clients));
  std::vector<std::thread> threads;
  for (int i = 0; i < clients; ++i)
    threads.emplace_back([&, i] {
      prng dice(static_cast<std::uint64_t>(1000 + i));
      auto& connection = connections[static_cast<std::size_t>(i) % connections.size()];
      while (!should_stop) {
        bank_transfer t;
        const auto from = dice.below(accounts);
        t.from = account(from);
        t.to = account((from + 1 + dice.below(accounts - 1)) % accounts);
        t.amount = static_cast<std::int64_t>(dice.between(1, 30));
        bool is_covered = true;
        const auto done = connection.run_transaction(
            [&](client::transaction& transaction) {
              return i % 4 < 2 ? move_step_by_step(transaction, t, is_covered) : move_at_once(transaction, t, is_covered);
            },
            {.locking = i % 2 == 0 ? kv::locking_mode::pessimistic : kv::locking_mode::optimistic});
        if (done) {
          ++committed;
          t.ended_as = is_covered ? bank_transfer::outcome::committed : bank_transfer::outcome::aborted;
        } else {
          const auto code = done.error().code;
          t.ended_as = is_outcome_unknown(code) ? bank_transfer::outcome::unknown : bank_transfer::outcome::aborted;
          if (code == errc::internal || code == errc::invalid_argument || code == errc::data_corrupted)
            complaints[static_cast<std::size_t>(i)] += done.error().message + "; ";
        }
        transfers[static_cast<std::size_t>(i)].push_back(std::move(t));
      }
    });

  // All accounts as of one moment, beside the transfers.
  std::uint64_t looks = 0, failed_looks = 0;
  const auto look = [&]() -> std::optional<balances> {
    const auto moment = teller.read_clock();
    if (!moment) return std::nullopt;
    std::vector<kv::get_request> gets;
    for (const auto& [name, balance] : opened) gets.push_back({.key = name, .as_of = *moment});
    auto answers = teller.get_many(gets);
    balances seen;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      if (!answers[i]) return std::nullopt;
      if (answers[i]->is_found) seen[gets[i].key] = std::stoll(answers[i]->value.str());
    }
    return seen;
  };

  const auto ends = steady_clock::now() + duration;
  int kills = 0;
  std::optional<int> down;
  auto next_fault = steady_clock::now() + milliseconds(1500);
  while (steady_clock::now() < ends) {
    if (steady_clock::now() >= next_fault) {
      next_fault = steady_clock::now() + milliseconds(1500);
      if (down) {
        nodes.start(*down);
        down.reset();
      } else if (nodes.wait_ready(milliseconds(10'000))) {
        down = nodes.busiest_leader();
        nodes.kill(*down);
        ++kills;
      }
    }
    if (const auto seen = look()) {
      ++looks;
      if (const auto wrong = find_wrong_total(opened, *seen)) CAF_ERROR(*wrong);
    } else {
      ++failed_looks;
    }
  }
  should_stop = true;
  for (auto& thread : threads) thread.join();
  nodes.start_all_and_wait();

  CAF_MESSAGE(committed << " transfers by " << clients << " clients, " << kills << " kills, " << looks << " looks at all accounts, "
                        << failed_looks << " that got no answer");
  CAF_CHECK(committed > 100);
  CAF_CHECK(looks > 3);
  CAF_CHECK(kills >= 2);
  for (const auto& complaint : complaints) CAF_CHECK_EQUAL(complaint, "");
  std::vector<bank_transfer> all;
  for (auto& some : transfers) all.insert(all.end(), some.begin(), some.end());
  const auto closed = look();
  CAF_REQUIRE(closed.has_value());
  CAF_CHECK_EQUAL(find_wrong_balance(opened, all, *closed).value_or(""), "");
}

CAF_TEST(keys are free again soon after their coordinators node was killed) {
  cluster nodes;
  nodes.start_all_and_wait();
  partition_probe probe(nodes.endpoints());
  const int killed = nodes.busiest_leader();
  auto holder = connect_or_fail({nodes.endpoint(killed % nodes.size() + 1)}, milliseconds(10'000));
  // Each holds locks in all partitions, and is coordinated by another one; their timeouts are far away.
  const auto view = nodes.view(killed);
  CAF_REQUIRE(view.has_value());
  std::vector<client::transaction> open;
  for (const auto& partition : view->partitions) {
    if (partition.leader != nodes.node_name(killed)) continue;
    auto t = holder.begin({.timeout = milliseconds(60'000)});
    CAF_REQUIRE(t.has_value());
    CAF_REQUIRE(t->get(get_of(probe.keys()[partition.id])).has_value());
    for (const auto& key : probe.keys()) CAF_REQUIRE(t->get(get_of(key)).has_value());
    open.push_back(std::move(*t));
  }
  CAF_REQUIRE(!open.empty());
  CAF_MESSAGE(open.size() << " transactions hold shared locks on every partition");
  nodes.kill(killed);
  const auto died = steady_clock::now();
  auto other = connect_or_fail({nodes.endpoint(killed % nodes.size() + 1)}, milliseconds(10'000));
  for (const auto& key : probe.keys()) {
    const auto done = other.run_transaction([&](client::transaction& t) -> std::optional<error> {
      const auto set = t.set(set_of(key, "free"));
      return set ? std::nullopt : std::optional(set.error());
    });
    CAF_CHECK(done.has_value());
  }
  const auto took = elapsed_ms(died, steady_clock::now());
  CAF_MESSAGE("all keys were written " << took << " ms after the kill");
  CAF_CHECK(took < (is_sanitized ? 15'000 : 5000));
  for (auto& t : open) {
    const auto committed = t.commit();
    CAF_CHECK(!committed.has_value());
    if (!committed) CAF_CHECK_EQUAL(std::string(to_string(committed.error().code)), "aborted");
  }
}
