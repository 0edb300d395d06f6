#include "core/txn/lock_table.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include "core/base/check.hpp"

namespace kahuna::txn {

namespace {

constexpr std::uint8_t bit(lock_mode mode) { return static_cast<std::uint8_t>(mode); }

constexpr lock_mode all_modes[] = {lock_mode::shared, lock_mode::intent, lock_mode::exclusive};
constexpr std::size_t place_of(lock_mode mode) { return bit(mode) / 2; }

bool goes_with(lock_mode a, lock_mode b) { return a == b && a != lock_mode::exclusive; }

// Whether somebody who wants the mode may pass those who wait for these.
bool passes(std::uint8_t passed_over, lock_mode mode) {
  return std::none_of(std::begin(all_modes), std::end(all_modes), [&](lock_mode m) { return (passed_over & bit(m)) != 0 && !goes_with(m, mode); });
}

}  // namespace

// Whether everything that another holds goes with what is wanted.
bool lock_table::go_together(std::uint8_t held, lock_mode wanted) {
  return wanted != lock_mode::exclusive && (held & ~bit(wanted)) == 0;
}

bool lock_table::is_held_against(const resource_state& resource, const transaction_id& owner, lock_mode mode) {
  const auto own = resource.holders.find(owner);
  for (std::uint8_t modes = 1; modes < resource.holders_with.size(); ++modes) {
    const bool is_own = own != resource.holders.end() && own->second == modes;
    if (resource.holders_with[modes] > (is_own ? 1u : 0u) && !go_together(modes, mode)) return true;
  }
  return false;
}

bool lock_table::has_older_waiter(const resource_state& resource, const transaction_id& owner, lock_mode mode) {
  const auto& waiting = resource.waiters[place_of(mode)];
  return !waiting.empty() && *waiting.begin() < owner;
}

// Older claims that do not go with this one come first: otherwise a stream of readers would keep a writer out for ever. But
// whoever holds the resource already does not stand behind those who wait for that to end.
bool lock_table::is_first_in_line(const resource_state& resource, const transaction_id& owner, lock_mode mode) {
  return resource.holders.contains(owner) || std::none_of(std::begin(all_modes), std::end(all_modes), [&](lock_mode m) {
           return !goes_with(m, mode) && has_older_waiter(resource, owner, m);
         });
}

// Of a waiter: a holder stands in its way, or in that of older ones who stand before it.
bool lock_table::is_in_the_way(const resource_state& resource, std::uint8_t held, const transaction_id& owner, lock_mode wanted) {
  if (!go_together(held, wanted)) return true;
  if (resource.holders.contains(owner)) return false;
  return std::any_of(std::begin(all_modes), std::end(all_modes), [&](lock_mode m) {
    return !goes_with(m, wanted) && has_older_waiter(resource, owner, m) && !go_together(held, m);
  });
}

void lock_table::hold(resource_state& resource, const std::string& name, const transaction_id& owner, lock_mode mode) {
  auto& modes = resource.holders[owner];
  auto& state = owners_[owner];
  if (modes == 0)
    state.held.push_back(name);
  else
    --resource.holders_with[modes];
  modes |= bit(mode);
  ++resource.holders_with[modes];
  if (state.waits_for == name) resource.upgrading.insert(owner);
}

void lock_table::let_go(resource_state& resource, const transaction_id& owner) {
  const auto holder = resource.holders.find(owner);
  --resource.holders_with[holder->second];
  resource.holders.erase(holder);
  resource.upgrading.erase(owner);
}

void lock_table::wait(resource_state& resource, const std::string& name, const transaction_id& owner, lock_mode mode) {
  auto& state = owners_[owner];
  state.waits_for = name;
  state.wanted = mode;
  resource.waiters[place_of(mode)].insert(owner);
  if (resource.holders.contains(owner)) resource.upgrading.insert(owner);
}

void lock_table::leave_line(resource_state& resource, const transaction_id& owner, lock_mode mode) {
  resource.waiters[place_of(mode)].erase(owner);
  resource.upgrading.erase(owner);
}

bool lock_table::acquire(const transaction_id& owner, std::string_view resource_name, lock_mode mode) {
  const std::string name(resource_name);
  auto& resource = resources_[name];
  if (const auto holder = resource.holders.find(owner);
      holder != resource.holders.end() && (holder->second & (bit(mode) | bit(lock_mode::exclusive))) != 0)
    return true;
  auto& state = owners_[owner];
  if (state.waits_for && *state.waits_for != name) stop_waiting(owner, state);

  // Who waits already keeps the place, with the mode that is wanted now.
  const bool has_waited = state.waits_for.has_value();
  if (has_waited) leave_line(resource, owner, state.wanted);
  state.waits_for.reset();
  const bool is_granted = !is_held_against(resource, owner, mode) && is_first_in_line(resource, owner, mode);
  is_granted ? hold(resource, name, owner, mode) : wait(resource, name, owner, mode);
  if (has_waited) grant_waiters(name);  // its claim may have been a stronger one before
  return is_granted;
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
  leave_line(resources_.at(name), owner, state.wanted);
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
  for (const auto& name : held) let_go(resources_.at(name), owner);
  for (const auto& name : held) grant_waiters(name);
  forget_if_idle(owner);
}

void lock_table::forget_if_idle(const transaction_id& owner) {
  const auto found = owners_.find(owner);
  if (found != owners_.end() && found->second.held.empty() && !found->second.waits_for && !found->second.is_promised)
    owners_.erase(found);
}

// In the order of age: each that nobody stands against, neither holder nor an older one who still waits. Behind those who let nobody
// pass only those matter that stand behind nobody.
void lock_table::grant_waiters(const std::string& name) {
  const auto found = resources_.find(name);
  if (found == resources_.end()) return;
  auto& resource = found->second;
  std::uint8_t passed_over = 0;
  std::optional<transaction_id> last;
  while ((last = next_in_line(resource, last, passed_over))) {
    auto& state = owners_.at(*last);
    const bool is_next = resource.upgrading.contains(*last) || passes(passed_over, state.wanted);
    if (!is_next || is_held_against(resource, *last, state.wanted)) {
      passed_over |= bit(state.wanted);
      continue;
    }
    leave_line(resource, *last, state.wanted);
    state.waits_for.reset();
    hold(resource, name, *last, state.wanted);
    granted_.push_back(*last);
  }
  const bool is_wanted = std::any_of(resource.waiters.begin(), resource.waiters.end(), [](const auto& waiting) { return !waiting.empty(); });
  if (resource.holders.empty() && !is_wanted) resources_.erase(found);
}

// The oldest waiter behind that one that may still be granted.
std::optional<transaction_id> lock_table::next_in_line(const resource_state& resource, const std::optional<transaction_id>& behind,
                                                       std::uint8_t passed_over) const {
  std::optional<transaction_id> next;
  const auto look_at = [&](const std::set<transaction_id>& waiting) {
    const auto first = behind ? waiting.upper_bound(*behind) : waiting.begin();
    if (first != waiting.end() && (!next || *first < *next)) next = *first;
  };
  look_at(resource.upgrading);
  for (const auto mode : all_modes)
    if (passes(passed_over, mode)) look_at(resource.waiters[place_of(mode)]);
  return next;
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

std::vector<transaction_id> lock_table::blockers_of(const transaction_id& owner) const {
  std::vector<transaction_id> blockers;
  const auto found = owners_.find(owner);
  if (found == owners_.end() || !found->second.waits_for) return blockers;
  const auto& resource = resources_.at(*found->second.waits_for);
  for (const auto& [holder, modes] : resource.holders)
    if (holder != owner && is_in_the_way(resource, modes, owner, found->second.wanted)) blockers.push_back(holder);
  return blockers;
}

bool lock_table::holds_any(const transaction_id& owner) const {
  const auto found = owners_.find(owner);
  return found != owners_.end() && !found->second.held.empty();
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
  const auto& resource = resources_.at(*found->second.waits_for);
  const auto wanted = found->second.wanted;
  if (!is_first_in_line(resource, owner, wanted)) return true;
  for (const auto& [holder, modes] : resource.holders) {
    if (!(holder < owner)) return false;
    if (is_in_the_way(resource, modes, owner, wanted)) return true;
  }
  return false;
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
    std::array<std::uint32_t, 8> counted{};
    for (const auto& [holder, modes] : resource.holders) {
      ++counted[modes];
      for (const auto mode : all_modes)
        if ((modes & bit(mode)) != 0) KAHUNA_CHECK(!is_held_against(resource, holder, mode), name, holder);
    }
    KAHUNA_CHECK(counted == resource.holders_with, name);
    for (const auto mode : all_modes)
      for (const auto& owner : resource.waiters[place_of(mode)]) {
        const auto& state = owners_.at(owner);
        KAHUNA_CHECK(state.waits_for == name && state.wanted == mode, name, owner);
        KAHUNA_CHECK(resource.upgrading.contains(owner) == resource.holders.contains(owner), name, owner);
        KAHUNA_CHECK(is_held_against(resource, owner, mode) || !is_first_in_line(resource, owner, mode), name, owner);
      }
  }
}

}  // namespace kahuna::txn
