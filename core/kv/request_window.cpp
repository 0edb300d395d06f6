#include "core/kv/request_window.hpp"

#include <algorithm>

#include "core/base/check.hpp"

namespace kahuna::kv {

namespace {

constexpr auto by_sequence = [](const write_result& result, std::uint64_t sequence) { return result.sequence < sequence; };

// Forgetting is spread over entries, so that no single one pays for thousands of idle clients.
constexpr int forgotten_per_entry_max = 16;

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

request_window::changes request_window::apply(const std::vector<window_update>& updates, timestamp stamp) {
  changes made;
  for (const auto& update : updates) {
    auto& window = clients_[update.client];
    by_activity_.erase({window.last_active, update.client});
    window.client = update.client;
    window.last_active = stamp;
    window.floor = std::max(window.floor, update.floor);
    auto& results = window.results;
    results_ -= results.size();
    for (const auto& result : update.results) {
      const auto place = std::lower_bound(results.begin(), results.end(), result.sequence, by_sequence);
      KAHUNA_CHECK(place == results.end() || place->sequence != result.sequence, update.client, result.sequence);
      results.insert(place, result);
    }
    results.erase(results.begin(), std::lower_bound(results.begin(), results.end(), window.floor, by_sequence));
    results_ += results.size();
    by_activity_.emplace(stamp, update.client);
    made.replaced.push_back(window);
  }
  for (int i = 0; i < forgotten_per_entry_max && !by_activity_.empty(); ++i) {
    const auto [last_active, client] = *by_activity_.begin();
    if (unix_ms(last_active) + retention_ms >= unix_ms(stamp)) break;
    by_activity_.erase(by_activity_.begin());
    results_ -= clients_.at(client).results.size();
    clients_.erase(client);
    made.forgotten.push_back(client);
  }
  return made;
}

}  // namespace kahuna::kv
