#include "core/kv/ephemeral_store.hpp"

#include <algorithm>
#include <utility>

#include "core/base/check.hpp"

namespace kahuna::kv {

namespace {

// What a key and a version cost beside their bytes: nodes of the maps, the list and the set, allocator's rounding.
constexpr std::size_t record_overhead_bytes = 384;
constexpr std::size_t version_overhead_bytes = 112;

}  // namespace

std::size_t ephemeral_store::bytes_of(const version& v) { return version_overhead_bytes + v.value.size(); }

// --- reading ------------------------------------------------------------------------------------------------------

const ephemeral_store::record* ephemeral_store::find(std::string_view key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : &found->second->second;
}

result<std::optional<version>> ephemeral_store::latest(std::string_view key) const {
  const auto* found = find(key);
  if (found == nullptr) return std::optional<version>();
  return std::optional(found->versions.back());
}

result<std::optional<version>> ephemeral_store::at_revision(std::string_view key, std::int64_t revision) const {
  const auto* found = find(key);
  if (found == nullptr) return std::optional<version>();
  const auto& versions = found->versions;
  // A list's view may hold more of them than are to be seen.
  if (revision <= versions.back().revision - revisions_max) return std::optional<version>();
  for (const auto& v : versions)
    if (v.revision == revision && !v.is_tombstone) return std::optional(v);
  return std::optional<version>();
}

std::optional<error> ephemeral_store::walk_keys(std::string_view prefix, std::string_view after, timestamp visible,
                                                const visitor& visit) const {
  auto place = after < prefix ? records_.lower_bound(prefix) : records_.upper_bound(after);
  while (place != records_.end() && place->first.starts_with(prefix)) {
    const auto& versions = place->second.versions;
    const auto newest = std::find_if(versions.rbegin(), versions.rend(), [&](const version& v) { return v.created <= visible; });
    const auto step = visit(place->first, newest != versions.rend() ? &*newest : nullptr);
    if (step.what == walk::stop) return std::nullopt;
    if (step.what == walk::skip_to && place->first < step.target)
      place = records_.lower_bound(step.target);
    else
      ++place;
  }
  return std::nullopt;
}

void ephemeral_store::touch(std::string_view key) {
  if (const auto* found = find(key)) recent_first_.splice(recent_first_.begin(), recent_first_, found->use);
}

// --- writing ------------------------------------------------------------------------------------------------------

void ephemeral_store::put(std::string_view key, version newest) {
  records::iterator place;
  if (const auto known = by_key_.find(key); known != by_key_.end()) {
    place = known->second;
    recent_first_.splice(recent_first_.begin(), recent_first_, place->second.use);
  } else {
    place = records_.emplace(std::string(key), record{}).first;
    by_key_.emplace(place->first, place);
    recent_first_.push_front(place);
    place->second.use = recent_first_.begin();
  }

  auto& r = place->second;
  if (!r.versions.empty() && r.versions.back().revision == newest.revision && r.versions.back().is_tombstone == newest.is_tombstone)
    r.versions.back() = std::move(newest);
  else
    r.versions.push_back(std::move(newest));
  trim(r, place->first);
  count(place);
  schedule(place);
  evict();
}

// Takes away revisions that are too old to be seen, but for those that a list in progress still reads.
void ephemeral_store::trim(record& r, std::string_view key) {
  const auto first_seen = r.versions.back().revision - revisions_max + 1;
  if (r.versions.front().revision >= first_seen) return;
  std::vector<version> kept;
  kept.reserve(r.versions.size());
  for (std::size_t i = 0; i < r.versions.size(); ++i) {
    auto& v = r.versions[i];
    if (v.revision >= first_seen || is_seen_by_a_view(key, v, r.versions[i + 1].created)) kept.push_back(std::move(v));
  }
  r.versions = std::move(kept);
}

bool ephemeral_store::is_seen_by_a_view(std::string_view key, const version& v, timestamp superseded) const {
  return std::any_of(views_.begin(), views_.end(), [&](const view& w) {
    return w.needs(key) && v.created <= w.visible && w.visible < superseded;
  });
}

void ephemeral_store::count(records::iterator place) {
  auto bytes = record_overhead_bytes + 2 * place->first.size();
  for (const auto& v : place->second.versions) bytes += bytes_of(v);
  count(place, bytes);
}

void ephemeral_store::count(records::iterator place, std::size_t bytes) {
  auto& counted = place->second.bytes;
  bytes_ += bytes - counted;
  if (bytes > counted)
    budget_->take(bytes - counted);
  else
    budget_->give_back(counted - bytes);
  counted = bytes;
}

void ephemeral_store::schedule(records::iterator place) {
  auto& [key, r] = *place;
  const auto& newest = r.versions.back();
  const auto absent_ms = newest.is_tombstone ? unix_ms(newest.created) : newest.expires_at_ms;
  const auto forget_at_ms = absent_ms == 0 ? 0 : absent_ms + absent_kept_ms;
  if (r.forget_at_ms == forget_at_ms) return;
  if (r.forget_at_ms != 0) forget_at_.erase({r.forget_at_ms, key});
  r.forget_at_ms = forget_at_ms;
  if (forget_at_ms != 0) forget_at_.emplace(forget_at_ms, key);
}

void ephemeral_store::forget(records::iterator place) {
  auto& [key, r] = *place;
  for (auto& w : views_)
    if (w.needs(key)) w.is_broken = is_live_in(r, w.visible);
  if (r.forget_at_ms != 0) forget_at_.erase({r.forget_at_ms, key});
  recent_first_.erase(r.use);
  count(place, 0);
  by_key_.erase(key);
  records_.erase(place);
}

// Whether a list at this view shows the key.
bool ephemeral_store::is_live_in(const record& r, timestamp visible) {
  const auto seen = std::find_if(r.versions.rbegin(), r.versions.rend(), [&](const version& v) { return v.created <= visible; });
  return seen != r.versions.rend() && seen->is_live(unix_ms(visible));
}

void ephemeral_store::evict() {
  while (recent_first_.size() > 1 && budget_->is_over(bytes_)) {
    forget(recent_first_.back());
    ++evictions_;
  }
  if (records_.empty() || !budget_->is_over(bytes_)) return;
  // One key is left, and with its history takes more than there is: memory comes before history.
  const auto last = recent_first_.front();
  auto& versions = last->second.versions;
  if (versions.size() == 1) return;
  for (auto& w : views_)
    if (w.needs(last->first) && w.visible < versions.back().created) w.is_broken = true;
  versions.erase(versions.begin(), std::prev(versions.end()));
  count(last);
}

void ephemeral_store::sweep(std::uint64_t now_ms, std::size_t keys_max) {
  views_.remove_if([&](const view& w) { return w.used_ms + view_kept_ms < now_ms; });
  for (; keys_max != 0 && !forget_at_.empty() && forget_at_.begin()->first <= now_ms; --keys_max)
    forget(by_key_.at(forget_at_.begin()->second));
  evict();
}

void ephemeral_store::clear() {
  budget_->give_back(bytes_);
  bytes_ = 0;
  forget_at_.clear();
  recent_first_.clear();
  by_key_.clear();
  records_.clear();
  views_.clear();
}

// --- views --------------------------------------------------------------------------------------------------------

bool ephemeral_store::keep_view(std::string_view prefix, std::string_view after, timestamp visible, std::uint64_t now_ms) {
  const auto known = std::find_if(views_.begin(), views_.end(),
                                  [&](const view& w) { return w.visible == visible && w.prefix == prefix; });
  if (known != views_.end()) {
    known->used_ms = now_ms;
    known->after = after;
    views_.splice(views_.end(), views_, known);
    return true;
  }
  if (views_.size() == views_max) {
    if (views_.front().used_ms + view_idle_ms > now_ms) return false;
    views_.pop_front();
  }
  views_.push_back({std::string(prefix), std::string(after), visible, now_ms, false});
  return true;
}

bool ephemeral_store::is_view_intact(std::string_view prefix, timestamp visible) const {
  return std::any_of(views_.begin(), views_.end(),
                     [&](const view& w) { return w.visible == visible && w.prefix == prefix && !w.is_broken; });
}

void ephemeral_store::check_invariants() const {
  KAHUNA_CHECK(recent_first_.size() == records_.size() && by_key_.size() == records_.size(), recent_first_.size(), by_key_.size(), records_.size());
  std::size_t bytes = 0;
  std::size_t scheduled = 0;
  for (const auto& [key, r] : records_) {
    KAHUNA_CHECK(!r.versions.empty(), key);
    bytes += r.bytes;
    scheduled += r.forget_at_ms != 0;
  }
  KAHUNA_CHECK(bytes == bytes_ && budget_->used() >= bytes_, bytes, bytes_, budget_->used());
  KAHUNA_CHECK(scheduled == forget_at_.size(), scheduled, forget_at_.size());
}

}  // namespace kahuna::kv
