// Money moves between accounts: both balances change, or neither does, whoever else moves money at the same time.
#include <cstdio>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "client/client.hpp"

namespace {

namespace client = kahuna::client;

long balance_in(const kahuna::kv::get_response& found) { return found.is_found ? std::stol(found.value.str()) : 0; }

// What is read and written in a transaction is asked of it. `aborted` from any call is passed on: run_transaction begins again.
// Both balances are read in one step, and locked for what follows; both are written with the commit, which is the second.
std::optional<kahuna::error> move_money(client::transaction& t, const std::string& from, const std::string& to, long amount) {
  const auto both = t.get_many({{.key = from}, {.key = to}}, kahuna::kv::lock_demand::exclusive);
  if (!both) return both.error();
  const auto giver = balance_in((*both)[0]);
  const auto taker = balance_in((*both)[1]);
  if (giver < amount) return std::nullopt;  // commits, and has changed nothing
  t.set_at_commit({.key = from, .value = std::to_string(giver - amount)});
  t.set_at_commit({.key = to, .value = std::to_string(taker + amount)});
  return std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
  auto kahuna = client::client::connect({.endpoints = {argc > 1 ? argv[1] : "127.0.0.1:4870"}});
  if (!kahuna) return 1;
  const std::vector<std::string> accounts{"account-ann", "account-ben", "account-cleo"};
  for (const auto& account : accounts)
    if (!kahuna->set({.key = account, .value = "100"})) return 1;

  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (std::size_t round = 0; round < 10; ++round) {
        const auto& from = accounts[(i + round) % 3];
        const auto& to = accounts[(i + round + 1) % 3];
        // May run several times: nothing that it does may be seen outside before run_transaction returns.
        const auto done = kahuna->run_transaction([&](client::transaction& t) { return move_money(t, from, to, 7); });
        if (!done) std::printf("%s\n", done.error().message.c_str());
      }
    });
  for (auto& thread : threads) thread.join();

  // All accounts as they were at one moment. Such a transaction takes no locks, and is never aborted.
  auto look = kahuna->begin({.is_as_of_now = true});
  if (!look) return 1;
  const auto all = look->get_many({{.key = accounts[0]}, {.key = accounts[1]}, {.key = accounts[2]}});
  if (!all) return 1;
  long total = 0;
  for (const auto& balance : *all) total += balance_in(balance);
  std::printf("together they have %ld\n", total);

  // By hand: what is not committed when the object ends is rolled back.
  {
    auto t = kahuna->begin({.locking = kahuna::kv::locking_mode::optimistic});
    if (!t) return 1;
    if (!t->set({.key = accounts[0], .value = "0"})) return 1;
  }
  const auto found = kahuna->get({.key = accounts[0]});
  std::printf("%s\n", found && found->value.str() != "0" ? "rolled back" : "not rolled back");
  return 0;
}
