#include "tests/support/partition_probe.hpp"

#include <memory>
#include <utility>

#include "core/base/check.hpp"
#include "core/routing/partition_map.hpp"
#include "tests/support/register_load.hpp"
#include "tests/support/wire_client.hpp"

namespace kahuna::testing {
namespace {

std::vector<std::string> key_of_each_partition(const routing::partition_map& map) {
  std::vector<std::string> keys(map.partitions);
  std::size_t missing = keys.size();
  for (int i = 0; missing > 0; ++i) {
    auto key = "probe-" + std::to_string(i);
    auto& place = keys[routing::partition_of_key(map, key).value];
    if (!place.empty()) continue;
    place = std::move(key);
    --missing;
  }
  return keys;
}

routing::partition_map learn_map(const std::vector<std::string>& endpoints) {
  for (const auto& endpoint : endpoints) {
    wire_client node(std::stoi(endpoint.substr(endpoint.rfind(':') + 1)));
    if (const auto welcome = node.shake_hands(1)) return welcome->map;
  }
  KAHUNA_CHECK(false, "no node says welcome");
  return {};
}

}  // namespace

partition_probe::partition_probe(std::vector<std::string> endpoints)
    : client_(connect_or_fail(endpoints)), keys_(key_of_each_partition(learn_map(endpoints))) {}

std::optional<steady_clock::time_point> partition_probe::wait_until_all_serve(milliseconds patience) {
  // Shared with answers that may come after this call has given up.
  struct progress {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::size_t> to_ask;
    std::size_t served = 0;
    steady_clock::time_point last_served;
  };
  const auto state = std::make_shared<progress>();
  for (std::size_t i = 0; i < keys_.size(); ++i) state->to_ask.push_back(i);
  const auto deadline = steady_clock::now() + patience;
  std::unique_lock lock(state->mutex);
  while (state->served < keys_.size()) {
    if (!state->changed.wait_until(lock, deadline, [&] { return !state->to_ask.empty() || state->served == keys_.size(); }))
      return std::nullopt;
    const auto asking = std::exchange(state->to_ask, {});
    lock.unlock();
    if (asking.size() < keys_.size()) pause_briefly(milliseconds(1));  // these were refused a moment ago
    for (const auto partition : asking) {
      client_.submit(set_of(keys_[partition], "probe"), [state, partition](kv::operation_response response) {
        const bool is_served = std::holds_alternative<kv::set_response>(response);
        const std::lock_guard guard(state->mutex);
        if (is_served) {
          ++state->served;
          state->last_served = steady_clock::now();
        } else {
          state->to_ask.push_back(partition);
        }
        state->changed.notify_one();
      });
    }
    lock.lock();
  }
  return state->last_served;
}

}  // namespace kahuna::testing
