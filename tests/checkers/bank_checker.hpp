// Is a bank's history in order? Transfers move money between accounts, so the total never changes, in whatever moment all
// accounts are read; and in the end each account holds what the transfers that were answered made of it.
//
// A transfer of unknown outcome stays open: its two accounts may differ by it, but the total may not.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kahuna::testing {

using balances = std::map<std::string, std::int64_t>;

struct bank_transfer {
  enum class outcome : std::uint8_t { committed, aborted, unknown };

  std::string from;
  std::string to;
  std::int64_t amount = 0;
  outcome ended_as = outcome::unknown;
};

// What is wrong with all accounts as they were read at one moment; nothing where they are those of `opened` with its total.
inline std::optional<std::string> find_wrong_total(const balances& opened, const balances& seen) {
  std::int64_t expected = 0;
  std::int64_t total = 0;
  for (const auto& [account, balance] : opened) {
    expected += balance;
    const auto found = seen.find(account);
    if (found == seen.end()) return "account " + account + " is missing";
    if (found->second < 0) return "account " + account + " is overdrawn: " + std::to_string(found->second);
    total += found->second;
  }
  if (seen.size() != opened.size()) return "there are " + std::to_string(seen.size()) + " accounts instead of " + std::to_string(opened.size());
  if (total != expected) return "the total is " + std::to_string(total) + " instead of " + std::to_string(expected);
  return std::nullopt;
}

// What is wrong with the balances in the end, after these transfers.
inline std::optional<std::string> find_wrong_balance(const balances& opened, const std::vector<bank_transfer>& transfers,
                                                     const balances& closed) {
  if (auto wrong = find_wrong_total(opened, closed)) return wrong;
  auto lowest = opened;
  auto highest = opened;
  for (const auto& t : transfers) {
    if (t.ended_as == bank_transfer::outcome::aborted) continue;
    const bool is_open = t.ended_as == bank_transfer::outcome::unknown;
    lowest[t.from] -= t.amount;
    highest[t.to] += t.amount;
    if (is_open) continue;
    highest[t.from] -= t.amount;
    lowest[t.to] += t.amount;
  }
  for (const auto& [account, balance] : closed)
    if (balance < lowest.at(account) || balance > highest.at(account))
      return "account " + account + " holds " + std::to_string(balance) + ", by its transfers it must hold " +
             std::to_string(lowest.at(account)) +
             (lowest.at(account) == highest.at(account) ? "" : " to " + std::to_string(highest.at(account)));
  return std::nullopt;
}

}  // namespace kahuna::testing
