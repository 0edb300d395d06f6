#include "core/kv/history_sweep.hpp"

#include <algorithm>
#include <utility>

namespace kahuna::kv {

void history_sweep::reset() {
  position_.reset();
  current_.reset();
  is_written_ = true;
  next_round_ms_ = next_due_ms_ = 0;
}

result<history_sweep::found> history_sweep::step_over(const partition_store& store, std::uint64_t now_ms,
                                                      const std::function<bool(std::string_view)>& is_in_use) {
  found out;
  if (!limits_.has_any()) return out;
  if (!position_) {
    const bool is_something_due = next_due_ms_ != 0 && next_due_ms_ <= now_ms;
    if (now_ms < next_round_ms_ || !(is_written_ || is_something_due)) return out;
    is_written_ = false;
    next_due_ms_ = 0;
  }
  // A key that the last step did not reach the end of: what it began is not whole any more.
  if (current_) current_->is_whole = false;

  std::size_t looked_at = 0;
  std::size_t bytes = 0;
  std::size_t removals_counted = 0;
  std::size_t removal_bytes = 0;
  bool is_cut = false;
  auto damage = store.walk_versions(position_, [&](std::string_view key, const version& v) {
    for (; removals_counted < out.removals.size(); ++removals_counted) removal_bytes += out.removals[removals_counted].key.size();
    if (looked_at == versions_per_step_max || bytes >= bytes_per_step_max || removal_bytes >= removal_bytes_per_step_max) {
      // The key that was looked at last ends here, where this is another one.
      if (current_->key != key) end_key(out);
      is_cut = true;
      return false;
    }
    ++looked_at;
    bytes += key.size() + v.value.size();
    if (!current_ || current_->key != key) {
      end_key(out);
      begin_key(key, v, now_ms, is_in_use(key));
    }
    look_at(v, now_ms, out);
    position_ = version_position{std::string(key), v.revision, v.is_tombstone};
    return true;
  });
  if (damage) return *damage;
  if (!is_cut) {
    end_key(out);
    position_.reset();
    next_round_ms_ = now_ms + rest_ms;
    ++rounds_;
  }
  return out;
}

void history_sweep::begin_key(std::string_view key, const version& newest, std::uint64_t now_ms, bool is_in_use) {
  key_state state;
  state.key = key;
  state.is_in_use = is_in_use;
  state.is_whole = true;
  if (newest.is_tombstone)
    state.absent_ms = unix_ms(newest.created);
  else if (newest.expires_at_ms != 0)
    state.absent_ms = newest.expires_at_ms;
  if (state.absent_ms != 0 && limits_.age_ms_max != 0) {
    const auto due_ms = state.absent_ms + std::max(limits_.age_ms_max, grace_ms);
    state.is_forgotten = due_ms <= now_ms;
    if (!state.is_forgotten) becomes_due(due_ms);
  }
  current_ = std::move(state);
}

void history_sweep::look_at(const version& v, std::uint64_t now_ms, found& out) {
  auto& key = *current_;
  const bool is_newest = key.newer_created == timestamp{};
  const auto superseded_ms = unix_ms(key.newer_created);
  key.newer_created = v.created;
  removal this_version{key.key, v.revision, v.is_tombstone};
  if (is_newest) {
    // Only the whole of a key takes the newest along; what is in use is not the newest any more.
    if (key.is_forgotten && !key.is_in_use) key.newest = std::move(this_version);
    key.values_kept += !v.is_tombstone;
    return;
  }
  if (key.is_in_use) return;

  bool is_removed = key.is_forgotten;
  if (!is_removed) {
    const bool is_too_many = limits_.revisions_max != 0 && key.values_kept >= limits_.revisions_max;
    std::uint64_t due_ms = 0;
    if (is_too_many) due_ms = superseded_ms + grace_ms;
    if (!is_too_many && limits_.age_ms_max != 0) due_ms = superseded_ms + std::max(limits_.age_ms_max, grace_ms);
    is_removed = due_ms != 0 && due_ms <= now_ms;
    if (due_ms != 0 && !is_removed) becomes_due(due_ms);
  }
  if (!is_removed) {
    key.values_kept += !v.is_tombstone;
    return;
  }
  out.removals.push_back(std::move(this_version));
  out.collected_below_ms = std::max(out.collected_below_ms, superseded_ms + 1);
}

void history_sweep::end_key(found& out) {
  if (!current_) return;
  auto& key = *current_;
  if (key.newest && key.is_whole) {
    out.removals.push_back(std::move(*key.newest));
    out.collected_below_ms = std::max(out.collected_below_ms, key.absent_ms + 1);
  }
  // Left for the next round, which must come.
  if (key.is_in_use || (key.is_forgotten && !key.is_whole)) is_written_ = true;
  current_.reset();
}

void history_sweep::becomes_due(std::uint64_t at_ms) {
  if (next_due_ms_ == 0 || at_ms < next_due_ms_) next_due_ms_ = at_ms;
}

}  // namespace kahuna::kv
