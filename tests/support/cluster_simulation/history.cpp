#include "tests/support/cluster_simulation/history.hpp"

#include <algorithm>

namespace kahuna::testing {

std::string history::check() {
  for (const auto& [key, operations] : persistent_)
    if (auto wrong = check_key(key, operations); !wrong.empty()) return wrong;
  for (const auto& [key, eras] : ephemeral_)
    if (auto wrong = check_ephemeral(key, eras); !wrong.empty()) return wrong;
  const auto wrong = transactions_.check(final_lists_);
  return wrong.empty() ? wrong : "transactions: " + wrong;
}

std::string history::check_key(const std::string& key, const std::vector<key_operation_record>& operations) {
  const auto verdict = check_linearizability(operations);
  if (!verdict.is_decided) ++undecided_;
  return verdict.is_linearizable ? "" : "not linearizable: key " + key + ": " + verdict.why;
}

// Each leadership begins with nothing; and what one answered ended before anything began that an earlier one answered.
std::string history::check_ephemeral(const std::string& key, const std::map<term_id, std::vector<key_operation_record>>& eras) {
  const auto unknown = eras.find(term_id{});
  std::int64_t first_end_of_later = INT64_MAX;
  for (auto era = eras.rbegin(); era != eras.rend(); ++era) {
    if (era->first == term_id{}) continue;
    auto operations = era->second;
    for (const auto& op : operations)
      if (op.is_known && op.began > first_end_of_later)
        return "a deposed leader answers: ephemeral key " + key + ", term " + std::to_string(era->first.value) +
               ": an operation that began at " + std::to_string(op.began) + ", when a later leadership had answered at " +
               std::to_string(first_end_of_later);
    for (const auto& op : operations)
      if (op.is_known) first_end_of_later = std::min(first_end_of_later, op.ended);
    if (unknown != eras.end()) operations.insert(operations.end(), unknown->second.begin(), unknown->second.end());
    if (auto wrong = check_key("(ephemeral, term " + std::to_string(era->first.value) + ") " + key, operations); !wrong.empty())
      return wrong;
  }
  return "";
}

std::size_t history::operations() const {
  std::size_t count = 0;
  for (const auto& [key, operations] : persistent_) count += operations.size();
  for (const auto& [key, eras] : ephemeral_)
    for (const auto& [era, operations] : eras) count += operations.size();
  return count;
}

}  // namespace kahuna::testing
