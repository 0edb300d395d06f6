#include "client/transaction_attempts.hpp"

#include <algorithm>
#include <tuple>

namespace kahuna::client {

namespace {

constexpr std::uint64_t longest_pause_us = 100'000;

auto name_of(const kv::wanted_lock& wanted) { return std::tie(wanted.space, wanted.key); }

}  // namespace

transaction_attempts::transaction_attempts(transaction_options options, timestamp now, prng dice) : options_(options), dice_(dice) {
  if (options_.began_at == timestamp{}) options_.began_at = now;
}

std::chrono::microseconds transaction_attempts::lost(const std::vector<kv::wanted_lock>& touched) {
  options_.locking = kv::locking_mode::pessimistic;
  for (const auto& key : touched) {
    const auto place = std::lower_bound(locks_.begin(), locks_.end(), key,
                                        [](const auto& known, const auto& wanted) { return name_of(known) < name_of(wanted); });
    if (place != locks_.end() && name_of(*place) == name_of(key))
      place->lock = std::max(place->lock, key.lock);
    else if (locks_.size() < kv::locks_max)
      locks_.insert(place, key);
  }
  const auto pause = dice_.between(pause_us_max_ / 2, pause_us_max_);
  pause_us_max_ = std::min(2 * pause_us_max_, longest_pause_us);
  return std::chrono::microseconds(pause);
}

}  // namespace kahuna::client
