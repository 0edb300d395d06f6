#include "core/kv/request_window.hpp"

#include <algorithm>

#include "core/base/check.hpp"

namespace kahuna::kv {

namespace {

constexpr auto by_sequence = [](const write_result& result, std::uint64_t sequence) { return result.sequence < sequence; };

// Forgetting is spread over entries, so that no single one pays for thousands of idle clients.
constexpr int forgotten_per_entry_max = 16;

constexpr std::uint64_t activity_resolution_ms = 1000;

}  // namespace

void request_window::load(std::vector<client_window> windows) {
  for (auto& window : windows) {
    by_activity_.emplace(window.last_active, window.client);
    results_ += window.results.size();
    clients_[window.client] = std::move(window);
  }
}

request_window::lookup_result request_window::lookup(std::uint64_t client, std::uint64_t sequence) const {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return {};
  const auto& window = found->second;
  if (sequence < window.floor) return {verdict::forgotten, {}};
  const auto result = std::lower_bound(window.results.begin(), window.results.end(), sequence, by_sequence);
  if (result == window.results.end() || result->sequence != sequence) return {};
  return {verdict::answered, *result};
}

std::size_t request_window::results_of(std::uint64_t client, std::uint64_t floor) const {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return 0;
  const auto& results = found->second.results;
  return static_cast<std::size_t>(results.end() - std::lower_bound(results.begin(), results.end(), floor, by_sequence));
}

void request_window::apply(const std::vector<window_update>& updates, timestamp stamp) {
  for (const auto& update : updates) {
    take(update.client, update.floor, update.results, stamp);
    changed_.push_back(update.client);
  }
  forget_overdue(stamp);
}

window_changes request_window::take_changes() {
  std::sort(changed_.begin(), changed_.end());
  changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());
  window_changes made;
  for (const auto client : changed_) {
    if (const auto found = clients_.find(client); found != clients_.end())
      made.replaced.push_back(found->second);
    else
      made.forgotten.push_back(client);
  }
  changed_.clear();
  return made;
}

void request_window::note(std::uint64_t client, std::uint64_t floor, const write_result& result, timestamp stamp) {
  take(client, floor, {result}, stamp);
  forget_overdue(stamp);
  changed_.clear();
}

void request_window::take(std::uint64_t client, std::uint64_t floor, const std::vector<write_result>& new_results,
                          timestamp stamp) {
  const auto [place, is_new] = clients_.try_emplace(client);
  auto& window = place->second;
  window.client = client;
  // To the second: nobody is forgotten on account of less.
  if (is_new || unix_ms(stamp) >= unix_ms(window.last_active) + activity_resolution_ms) {
    by_activity_.erase({window.last_active, client});
    window.last_active = stamp;
    by_activity_.emplace(stamp, client);
  }
  window.floor = std::max(window.floor, floor);
  auto& results = window.results;
  results_ -= results.size();
  for (const auto& result : new_results) {
    const auto place = std::lower_bound(results.begin(), results.end(), result.sequence, by_sequence);
    KAHUNA_CHECK(place == results.end() || place->sequence != result.sequence, client, result.sequence);
    results.insert(place, result);
  }
  results.erase(results.begin(), std::lower_bound(results.begin(), results.end(), window.floor, by_sequence));
  results_ += results.size();
}

void request_window::forget_overdue(timestamp stamp) {
  for (int i = 0; i < forgotten_per_entry_max && has_overdue(stamp); ++i) {
    const auto client = by_activity_.begin()->second;
    by_activity_.erase(by_activity_.begin());
    results_ -= clients_.at(client).results.size();
    clients_.erase(client);
    changed_.push_back(client);
  }
}

operation_response repeated_answer(const operation& op, const write_result& result) {
  if (std::holds_alternative<set_request>(op)) return set_response{result.is_accepted, result.revision, result.modified};
  if (std::holds_alternative<delete_request>(op)) return delete_response{result.is_accepted, result.revision, result.modified};
  if (std::holds_alternative<extend_request>(op)) return extend_response{result.is_accepted, result.revision, result.modified};
  if (!result.is_accepted) return participant_response(transaction_status{transaction_state::aborted, {}, "it was aborted before", true});
  return participant_response(transaction_status{transaction_state::committed, result.modified, {}, true});
}

}  // namespace kahuna::kv
