#include "core/txn/lock_table.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include "core/base/check.hpp"

namespace kahuna::txn {

namespace {

constexpr std::uint8_t bit(lock_mode mode) { return static_cast<std::uint8_t>(mode); }

bool goes_with(lock_mode a, lock_mode b) { return a == b && a != lock_mode::exclusive; }

}  // namespace

// Whether everything that another holds goes with what is wanted.
bool lock_table::go_together(std::uint8_t held, lock_mode wanted) {
  return wanted != lock_mode::exclusive && (held & ~bit(wanted)) == 0;
}

bool lock_table::is_held_against(const resource_state& resource, const transaction_id& owner, lock_mode mode) {
  return std::any_of(resource.holders.begin(), resource.holders.end(),
                     [&](const auto& holder) { return holder.first != owner && !go_together(holder.second, mode); });
}

// Older claims that do not go with this one come first: otherwise a stream of readers would keep a writer out for ever. But
// whoever holds the resource already does not stand behind those who wait for that to end.
bool lock_table::is_first_in_line(const resource_state& resource, const transaction_id& owner, lock_mode mode) {
  return resource.holders.contains(owner) || std::none_of(resource.waiters.begin(), resource.waiters.end(),
                      [&](const waiter& w) { return w.owner < owner && !goes_with(w.mode, mode); });
}

void lock_table::hold(resource_state& resource, const std::string& name, const transaction_id& owner, lock_mode mode) {
  auto& modes = resource.holders[owner];
  if (modes == 0) owners_[owner].held.push_back(name);
  modes |= bit(mode);
}

bool lock_table::acquire(const transaction_id& owner, std::string_view resource_name, lock_mode mode) {
  const std::string name(resource_name);
  auto& resource = resources_[name];
  if (const auto holder = resource.holders.find(owner);
      holder != resource.holders.end() && (holder->second & (bit(mode) | bit(lock_mode::exclusive))) != 0)
    return true;
  auto& state = owners_[owner];
  if (state.waits_for && *state.waits_for != name) stop_waiting(owner, state);

  const bool is_against = is_held_against(resource, owner, mode);
  // Who waits already keeps the place, with the mode that is wanted now.
  std::erase_if(resource.waiters, [&](const waiter& w) { return w.owner == owner; });
  state.waits_for.reset();
  if (!is_against && is_first_in_line(resource, owner, mode)) {
    hold(resource, name, owner, mode);
    return true;
  }
  const auto place = std::find_if(resource.waiters.begin(), resource.waiters.end(), [&](const waiter& w) { return owner < w.owner; });
  resource.waiters.insert(place, {owner, mode});
  state.waits_for = name;

  grant_waiters(name);  // its claim may have been a stronger one before
  return false;
}

bool lock_table::try_acquire(const transaction_id& owner, std::string_view resource_name, lock_mode mode) {
  const std::string name(resource_name);
  auto& resource = resources_[name];
  if (is_held_against(resource, owner, mode) || !is_first_in_line(resource, owner, mode)) return false;
  hold(resource, name, owner, mode);
  return true;
}

void lock_table::promise(const transaction_id& owner) { owners_[owner].is_promised = true; }

void lock_table::restore(const transaction_id& owner, std::string_view resource, lock_mode mode) {
  KAHUNA_CHECK(try_acquire(owner, resource, mode), owner, resource);
  promise(owner);
}

void lock_table::stop_waiting(const transaction_id& owner, owner_state& state) {
  if (!state.waits_for) return;
  const auto name = *std::exchange(state.waits_for, std::nullopt);
  std::erase_if(resources_.at(name).waiters, [&](const waiter& w) { return w.owner == owner; });
  grant_waiters(name);
}

void lock_table::stop_waiting(const transaction_id& owner) {
  const auto found = owners_.find(owner);
  if (found == owners_.end()) return;
  stop_waiting(owner, found->second);
  forget_if_idle(owner);
}

void lock_table::release(const transaction_id& owner) {
  const auto found = owners_.find(owner);
  if (found == owners_.end()) return;
  stop_waiting(owner, found->second);
  release_held(owner);
  owners_.erase(owner);
  std::erase(granted_, owner);
}

void lock_table::release_held(const transaction_id& owner) {
  const auto found = owners_.find(owner);
  if (found == owners_.end()) return;
  const auto held = std::exchange(found->second.held, {});
  for (const auto& name : held) resources_.at(name).holders.erase(owner);
  for (const auto& name : held) grant_waiters(name);
  forget_if_idle(owner);
}

void lock_table::forget_if_idle(const transaction_id& owner) {
  const auto found = owners_.find(owner);
  if (found != owners_.end() && found->second.held.empty() && !found->second.waits_for && !found->second.is_promised)
    owners_.erase(found);
}

// In the order of age: each that nobody stands against, neither holder nor an older one who still waits.
void lock_table::grant_waiters(const std::string& name) {
  const auto found = resources_.find(name);
  if (found == resources_.end()) return;
  auto& resource = found->second;
  for (std::size_t i = 0; i < resource.waiters.size();) {
    const auto next = resource.waiters[i];
    if (is_held_against(resource, next.owner, next.mode) || !is_first_in_line(resource, next.owner, next.mode)) {
      ++i;
      continue;
    }
    resource.waiters.erase(resource.waiters.begin() + static_cast<std::ptrdiff_t>(i));
    owners_.at(next.owner).waits_for.reset();
    hold(resource, name, next.owner, next.mode);
    granted_.push_back(next.owner);
  }
  if (resource.holders.empty() && resource.waiters.empty()) resources_.erase(found);
}

std::vector<transaction_id> lock_table::take_granted() { return std::exchange(granted_, {}); }

std::optional<transaction_id> lock_table::promised_writer(std::string_view resource, const transaction_id& reader) const {
  if (resources_.empty()) return std::nullopt;
  const auto found = resources_.find(std::string(resource));
  if (found == resources_.end()) return std::nullopt;
  for (const auto& [holder, modes] : found->second.holders)
    if (holder != reader && (modes & bit(lock_mode::exclusive)) != 0 && is_promised(holder)) return holder;
  return std::nullopt;
}

bool lock_table::has_promised_holder(std::string_view resource) const {
  const auto found = resources_.find(std::string(resource));
  return found != resources_.end() && std::any_of(found->second.holders.begin(), found->second.holders.end(),
                                                  [&](const auto& holder) { return is_promised(holder.first); });
}

std::vector<transaction_id> lock_table::blockers_of(const transaction_id& owner) const {
  std::vector<transaction_id> blockers;
  const auto found = owners_.find(owner);
  if (found == owners_.end() || !found->second.waits_for) return blockers;
  const auto& resource = resources_.at(*found->second.waits_for);
  const auto own = std::find_if(resource.waiters.begin(), resource.waiters.end(), [&](const waiter& w) { return w.owner == owner; });
  for (const auto& [holder, modes] : resource.holders)
    if (holder != owner && !go_together(modes, own->mode)) blockers.push_back(holder);
  return blockers;
}

bool lock_table::holds(const transaction_id& owner, std::string_view resource) const {
  const auto found = resources_.find(std::string(resource));
  return found != resources_.end() && found->second.holders.contains(owner);
}

bool lock_table::is_promised(const transaction_id& owner) const {
  const auto found = owners_.find(owner);
  return found != owners_.end() && found->second.is_promised;
}

bool lock_table::waits_for_older(const transaction_id& owner) const {
  const auto found = owners_.find(owner);
  if (found == owners_.end() || !found->second.waits_for) return false;
  const auto blockers = blockers_of(owner);
  if (std::any_of(blockers.begin(), blockers.end(), [&](const transaction_id& id) { return id < owner; })) return true;
  const auto& resource = resources_.at(*found->second.waits_for);
  const auto own = std::find_if(resource.waiters.begin(), resource.waiters.end(), [&](const waiter& w) { return w.owner == owner; });
  return !is_first_in_line(resource, owner, own->mode);
}

bool lock_table::is_waiting(const transaction_id& owner) const {
  const auto found = owners_.find(owner);
  return found != owners_.end() && found->second.waits_for.has_value();
}

std::string lock_table::describe() const {
  constexpr std::size_t shown_max = 8;
  std::ostringstream out;
  std::size_t shown = 0;
  for (const auto& [owner, state] : owners_) {
    if (shown++ == shown_max) {
      out << " …";
      break;
    }
    out << " [" << owner << (state.is_promised ? " promised" : "") << " holds " << state.held.size();
    if (state.waits_for) out << " waits for " << *state.waits_for;
    out << ']';
  }
  return out.str();
}

void lock_table::clear() {
  resources_.clear();
  owners_.clear();
  granted_.clear();
}

void lock_table::check_invariants() const {
  for (const auto& [name, resource] : resources_) {
    for (const auto& [holder, modes] : resource.holders)
      for (const auto mode : {lock_mode::shared, lock_mode::intent, lock_mode::exclusive})
        if ((modes & bit(mode)) != 0) KAHUNA_CHECK(!is_held_against(resource, holder, mode), name, holder);
    for (const auto& w : resource.waiters) {
      KAHUNA_CHECK(owners_.at(w.owner).waits_for == name, name, w.owner);
      KAHUNA_CHECK(is_held_against(resource, w.owner, w.mode) || !is_first_in_line(resource, w.owner, w.mode), name, w.owner);
    }
  }
}

}  // namespace kahuna::txn
