#include "core/routing/membership_core.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/sometimes.hpp"
#include "core/routing/placement.hpp"

namespace kahuna::routing {

namespace {

using evaluated = std::pair<partition_map, node_id>;

error wrong(std::string message) { return {errc::invalid_argument, std::move(message)}; }
error not_now(std::string message) { return {errc::unavailable, std::move(message)}; }

member* mutable_member(partition_map& map, node_id id) {
  const auto found = std::find_if(map.members.begin(), map.members.end(), [&](const member& m) { return m.id == id; });
  return found == map.members.end() ? nullptr : &*found;
}

member& append_member(partition_map& map, const std::string& name, const std::string& address) {
  member added{map.next_node, name, address, {}, member_state::joining, {}};
  ++map.next_node;
  std::erase_if(map.former, [&](const former_member& gone) { return gone.name == name; });
  map.members.push_back(std::move(added));
  return map.members.back();
}

// Not counted: one that is on its way out.
const member* at_address(const partition_map& map, const std::string& address) {
  const auto found = std::find_if(map.members.begin(), map.members.end(), [&](const member& m) { return m.address == address; });
  return found == map.members.end() ? nullptr : &*found;
}

bool was_removed(const partition_map& map, const std::string& name) {
  return std::any_of(map.former.begin(), map.former.end(), [&](const former_member& gone) { return gone.name == name; });
}

bool is_held_by(const partition_map& map, node_id node) {
  return std::any_of(map.placements.begin(), map.placements.end(), [&](const placement& held) {
    return std::binary_search(held.voters.begin(), held.voters.end(), node) || std::binary_search(held.target.begin(), held.target.end(), node);
  });
}

std::string joined(const partition_map& map, const std::vector<node_id>& nodes) {
  std::string text;
  for (const auto node : nodes) {
    const auto* m = find_member(map, node);
    text += (text.empty() ? "" : ", ") + (m != nullptr ? m->name : std::to_string(node.value));
  }
  return text;
}

std::uint16_t port_of(const std::string& address) {
  const auto colon = address.rfind(':');
  unsigned long port = 0;
  for (const char c : colon == std::string::npos ? std::string() : address.substr(colon + 1))
    port = c >= '0' && c <= '9' && port < 100'000 ? 10 * port + static_cast<unsigned long>(c - '0') : 100'000;
  return static_cast<std::uint16_t>(port < 65'536 ? port : 0);
}

}  // namespace

membership_core::membership_core(node_id self, partition_map formed, membership_options options)
    : self_(self), formed_(std::move(formed)), options_(options) {}

void membership_core::step(membership_input input, instant now) {
  now_ = std::max(now_, now);
  if (const auto* leadership = std::get_if<system_leadership>(&input)) {
    if (leadership->is_leading == is_leading_) return;
    is_leading_ = leadership->is_leading;
    forget({errc::not_leader, "partition 0 is led by another node now"});
    if (is_leading_) want_read({});
    led_since_ = now_;
  } else if (const auto* read = std::get_if<map_read>(&input)) {
    take_map(*read);
  } else if (const auto* written = std::get_if<map_written>(&input)) {
    if (!writing_) return;
    map_ = std::exchange(writing_, std::nullopt);
    take_version();
    revision_ = written->revision;
    for (const auto& [token, node] : std::exchange(answered_by_write_, {})) ready_.answers.push_back({token, std::nullopt, {node, *map_}});
    ready_.news = map_;
  } else if (std::holds_alternative<map_access_failed>(input)) {
    if (!is_reading_ && !writing_) return;
    // Whether it was written shows when it is read; who asked asks again.
    forget({errc::leadership_lost, "partition 0 could not be written; retry"});
    if (is_leading_) want_read(options_.read_pause);
  } else if (auto* seen = std::get_if<reachable_nodes>(&input)) {
    for (const auto node : reachable_)
      if (!seen->nodes.contains(node)) silent_since_[node] = now_;
    for (const auto node : seen->nodes) silent_since_.erase(node);
    reachable_ = std::move(seen->nodes);
    reachable_.insert(self_);
  } else if (const auto* settled = std::get_if<replicas_settled>(&input)) {
    settled_by_[settled->node] = std::max(settled_by_[settled->node], settled->version);
  } else if (auto* told = std::get_if<zone_told>(&input)) {
    zones_[told->node] = std::move(told->zone);
  } else if (const auto* report = std::get_if<group_report>(&input)) {
    take_report(*report);
  } else if (auto* asked = std::get_if<command_asked>(&input)) {
    take_command(std::move(*asked));
  }
  advance();
}

membership_ready membership_core::take_ready() { return std::exchange(ready_, {}); }

// Nothing of what is under way is waited for any more.
void membership_core::forget(const error& why) {
  is_reading_ = false;
  map_.reset();
  writing_.reset();
  ready_.is_read_wanted = false;
  ready_.write.reset();
  ready_.order.reset();
  const auto refuse = [&](std::uint64_t token) { ready_.answers.push_back({token, why, {}}); };
  for (const auto& [token, node] : std::exchange(answered_by_write_, {})) refuse(token);
  if (is_leading_) return;
  for (const auto& asked : std::exchange(waiting_, {})) refuse(asked.token);
}

void membership_core::want_read(duration pause) {
  is_reading_ = true;
  read_at_ = now_ + pause;
}

void membership_core::take_map(const map_read& read) {
  if (!is_leading_ || !is_reading_) return;
  is_reading_ = false;
  revision_ = read.revision;
  if (!read.map) return write(formed_);
  const auto is_open = [](const placement& held) { return !held.is_settled(); };
  if (std::any_of(read.map->placements.begin(), read.map->placements.end(), is_open)) KAHUNA_SOMETIMES("routing.driver_finds_a_change_under_way");
  map_ = read.map;
  take_version();
  ready_.news = map_;
}

void membership_core::take_command(command_asked asked) {
  if (!is_leading_)
    ready_.answers.push_back({asked.token, error{errc::not_leader, "this node does not lead partition 0"}, {}});
  else if (waiting_.size() >= options_.commands_max)
    ready_.answers.push_back({asked.token, error{errc::overloaded, "too many changes are asked for; retry after 100 ms"}, {}});
  else
    waiting_.push_back(std::move(asked));
}

void membership_core::take_report(const group_report& report) {
  if (!map_ || writing_ || report.version != map_->version || report.partition.value >= map_->partitions) return;
  const auto& held = map_->placements[report.partition.value];
  if (held.is_settled()) return;
  refusal_ = report.refusal;
  if (!refusal_.empty()) note_hold_up("partition " + std::to_string(report.partition.value) + " stays as it is: " + refusal_);
  if (!report.is_settled || report.voters != held.target) return;
  auto later = *map_;
  auto& settled = later.placements[report.partition.value];
  settled.voters = std::exchange(settled.target, {});
  stepped_at_ = now_;
  refusal_.clear();
  write(std::move(later));
}

void membership_core::write(partition_map map) {
  KAHUNA_CHECK(!writing_ && is_leading_, describe());
  if (map_) map.version = map_->version + 1;
  KAHUNA_CHECK(is_well_formed(map), describe());
  writing_ = std::move(map);
  ready_.write = map_write{*writing_, revision_};
}

// Who answers, or has not been silent for long.
std::set<node_id> membership_core::answering() const {
  auto nodes = reachable_;
  for (const auto& m : map_->members) {
    const auto silent = silent_since_.find(m.id);
    if (silent != silent_since_.end() && now_ - silent->second < options_.patience) nodes.insert(m.id);
  }
  return nodes;
}

// Who may be given a replica. As a history of what happens otherwise: a node is stopped while its replica of a partition is let go and wanted
// again; it goes on, acknowledges what it is sent by the replica that it still has, and then hears of the version in between, and drops it.
std::set<node_id> membership_core::usable() const {
  auto nodes = answering();
  std::erase_if(nodes, [&](node_id node) {
    const auto settled = settled_by_.find(node);
    return settled == settled_by_.end() || settled->second < map_->version;
  });
  return nodes;
}

// Whether somebody could be given a replica in a moment.
bool membership_core::is_waiting_for_replicas() const {
  if (now_ - version_known_at_ >= options_.patience) return false;
  const auto able = usable();
  const auto there = answering();
  const auto active = active_members(*map_);
  return std::any_of(active.begin(), active.end(), [&](node_id node) { return there.contains(node) && !able.contains(node); });
}

void membership_core::take_version() {
  version_known_at_ = now_;
  noted_.clear();
}

// Nobody has to know of what takes a moment.
void membership_core::note_hold_up(std::string reason) {
  if (now_ - version_known_at_ < options_.patience || !noted_.insert(reason).second) return;
  ready_.held_up.push_back(std::move(reason));
}

// Others are taken in the place of a node that answers and does not do what the map wants, and nothing is moved for evenness: but it looks
// as well as any other.
void membership_core::note_who_is_behind() {
  if (now_ - version_known_at_ < options_.patience) return;
  const auto able = usable();
  const auto there = answering();
  for (const auto node : active_members(*map_))
    if (there.contains(node) && !able.contains(node))
      note_hold_up(joined(*map_, {node}) + " has not made and dropped what version " + std::to_string(map_->version) + " of the map wants, and gets nothing before");
}

void membership_core::advance() {
  if (!is_leading_) return;
  if (is_reading_ && !ready_.is_read_wanted && read_at_ != instant::max() && now_ >= read_at_) {
    ready_.is_read_wanted = true;
    read_at_ = instant::max();  // asked once; an answer comes
  }
  while (map_ && !writing_ && !waiting_.empty()) {
    const auto asked = std::move(waiting_.front());
    waiting_.pop_front();
    auto outcome = evaluate(asked.what);
    if (!outcome) {
      ready_.answers.push_back({asked.token, outcome.error(), {}});
    } else if (outcome->first == *map_) {
      ready_.answers.push_back({asked.token, std::nullopt, {outcome->second, *map_}});
    } else {
      answered_by_write_.emplace_back(asked.token, outcome->second);
      write(std::move(outcome->first));
    }
  }
  if (!map_ || writing_) return;
  if (auto later = next_version()) return write(std::move(*later));
  for (std::uint32_t p = 0; p < map_->partitions; ++p) {
    const auto& held = map_->placements[p];
    if (held.is_settled()) continue;
    if (ordered_version_ == map_->version && now_ - ordered_at_ < options_.order_interval) return;
    ordered_version_ = map_->version;
    ordered_at_ = now_;
    ready_.order = group_order{partition_id{p}, map_->version, held.target};
  }
}

// Looked at again at every tick, so nothing is copied before there is something to change.
std::optional<partition_map> membership_core::next_version() {
  const auto& map = *map_;
  const auto has_come = [&](const member& m) { return m.state == member_state::joining && reachable_.contains(m.id); };
  const auto zone_of = [&](const member& m) -> const std::string& {
    const auto told = zones_.find(m.id);
    return told != zones_.end() ? told->second : m.zone;
  };
  const bool is_settled = std::all_of(map.placements.begin(), map.placements.end(), [](const placement& held) { return held.is_settled(); });
  // Whoever was taken out of a target may be a voter by now, and is until the group has agreed to the next one.
  const auto is_gone = [&](const member& m) { return is_settled && is_giving_up(map, m) && !is_held_by(map, m.id); };
  if (std::any_of(map.members.begin(), map.members.end(), [&](const member& m) { return has_come(m) || zone_of(m) != m.zone || is_gone(m); })) {
    auto later = map;
    later.members.clear();
    for (auto m : map.members) {
      if (is_gone(m)) {
        later.former.push_back({m.id, m.name});
        continue;
      }
      if (has_come(m)) m.state = member_state::active;
      m.zone = zone_of(m);
      later.members.push_back(std::move(m));
    }
    // A name lives on in whoever has it now.
    std::erase_if(later.former, [&](const former_member& gone) { return find_member(later, gone.name) != nullptr; });
    std::sort(later.former.begin(), later.former.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    if (later.former.size() > former_members_max)
      later.former.erase(later.former.begin(), later.former.end() - static_cast<std::ptrdiff_t>(former_members_max));
    return later;
  }
  if (is_settled && now_ - stepped_at_ < options_.step_interval) return std::nullopt;
  if (is_waiting_for_replicas()) return std::nullopt;
  note_who_is_behind();
  if (!is_settled) return retargeted(map);
  auto step = next_step(map, usable());
  if (!step) return std::nullopt;
  auto later = map;
  later.placements[step->partition.value].target = std::move(step->replicas);
  return later;
}

// Where somebody who is to hold the partition is to hold nothing any more, or is not there to be taught, others are chosen; where
// nobody else can be had, it stays with those who have it.
std::optional<partition_map> membership_core::retargeted(const partition_map& map) const {
  const auto active = active_members(map);
  const auto there = answering();
  const auto able = usable();
  // Who leads anew does not know yet who has been silent for how long.
  const bool is_new_here = now_ - led_since_ < options_.patience;
  for (std::uint32_t p = 0; p < map.partitions; ++p) {
    const auto& held = map.placements[p];
    if (held.is_settled()) continue;
    const auto is_hopeless = [&](node_id node) {
      const bool is_new = !std::binary_search(held.voters.begin(), held.voters.end(), node);
      return is_new && (!active.contains(node) || (!there.contains(node) && !is_new_here));
    };
    const bool is_left = std::any_of(held.target.begin(), held.target.end(), [&](node_id node) { return !active.contains(node); });
    if (!is_left && std::none_of(held.target.begin(), held.target.end(), is_hopeless)) continue;
    // As if nothing were under way, from those who vote and can stay.
    auto later = map;
    auto& next = later.placements[p];
    next.target.clear();
    const auto step = next_step_of(later, partition_id{p}, able);
    auto target = step ? step->replicas : next.voters;
    if (target == held.target) continue;
    KAHUNA_SOMETIMES("routing.target_changed_under_way");
    next.target = std::move(target);
    return later;
  }
  return std::nullopt;
}

// --- commands -----------------------------------------------------------------------------------------------------

result<evaluated> membership_core::evaluate(const membership_command& command) const {
  return std::visit([&](const auto& what) { return evaluate(what); }, command);
}

result<evaluated> membership_core::evaluate(const add_member& command) const {
  const auto& map = *map_;
  if (const auto* known = find_member(map, command.name)) {
    if (known->address != command.address)
      return wrong(command.name + " is a member already, at " + known->address + "; give it another name");
    if (known->state == member_state::leaving) return not_now(command.name + " is being removed; wait until it is, or give another name");
    return evaluated(map, known->id);
  }
  if (const auto* other = at_address(map, command.address))
    return wrong(command.address + " is the address of " + other->name + "; give another one");
  auto later = map;
  const auto node = append_member(later, command.name, command.address).id;
  return evaluated(std::move(later), node);
}

result<evaluated> membership_core::evaluate(const remove_member& command) const {
  const auto& map = *map_;
  const auto* known = find_member(map, command.name);
  if (known == nullptr) {
    if (was_removed(map, command.name)) return evaluated(map, no_node);
    return wrong("there is no node " + command.name);
  }
  auto later = map;
  auto& leaving = *mutable_member(later, known->id);
  // What waited for it is not replaced after all.
  for (auto& m : later.members)
    if (m.waits_for == known->id) m.state = member_state::active, m.waits_for = no_node;
  if (known->state == member_state::leaving) {
    leaving.waits_for = no_node;
    if (known->waits_for == no_node) return evaluated(map, known->id);
  }
  leaving.state = member_state::leaving;
  if (auto refusal = find_lost_quorum(later, *known, false)) return *refusal;
  return evaluated(std::move(later), known->id);
}

result<evaluated> membership_core::evaluate(const replace_member& command) const {
  const auto& map = *map_;
  const auto* old = find_member(map, command.name);
  const auto* by = find_member(map, command.by);
  if (command.name == command.by)
    return wrong("a node is not replaced by itself; where it lost its data start it with --rejoin");
  if (old == nullptr && !(by != nullptr && was_removed(map, command.name))) return wrong("there is no node " + command.name);
  if (by != nullptr) {
    if (by->address != command.address) return wrong(command.by + " is a member already, at " + by->address + "; give it another name");
    if (by->state == member_state::leaving) return not_now(command.by + " is being removed");
    if (old == nullptr || old->state == member_state::leaving) return evaluated(map, by->id);
  } else if (const auto* other = at_address(map, command.address)) {
    return wrong(command.address + " is the address of " + other->name + "; give another one");
  }
  if (old->state == member_state::leaving) return not_now(command.name + " is being removed already");
  auto later = map;
  const auto node = by != nullptr ? by->id : append_member(later, command.by, command.address).id;
  auto& leaving = *mutable_member(later, old->id);
  leaving.state = member_state::leaving;
  leaving.waits_for = node;
  if (auto refusal = find_lost_quorum(later, *old, true)) return *refusal;
  return evaluated(std::move(later), node);
}

result<evaluated> membership_core::evaluate(const join_cluster& command) const {
  const auto& map = *map_;
  if (command.election_timeout_ms != options_.election_timeout_ms)
    return wrong("--election-timeout is " + std::to_string(options_.election_timeout_ms) + " in this cluster and " +
                 std::to_string(command.election_timeout_ms) + " there; leases need it to be the same on every node");
  const auto* known = find_member(map, command.name);
  if (known == nullptr) {
    if (was_removed(map, command.name))
      return wrong(command.name + " was removed from this cluster; add it again with kahuna-cli: cluster add " + command.name + "=HOST:PORT");
    return wrong("this cluster does not know " + command.name + "; add it first with kahuna-cli: cluster add " + command.name + "=HOST:PORT");
  }
  if (port_of(known->address) != command.port)
    return wrong("this cluster knows " + command.name + " at " + known->address + "; give that port to --listen");
  // It has not been here yet: a start that was cut off is repeated.
  if (known->state == member_state::joining) return evaluated(map, known->id);
  if (reachable_.contains(known->id))
    return wrong(command.name + " runs already, with its data; stop it first, or give another --node-id");
  if (!command.is_rejoin)
    return wrong(command.name + " is a member already and has data; start it with its own directory, or, where that is lost, with --rejoin");
  if (known->state == member_state::leaving) return not_now(command.name + " is being removed");
  auto later = map;
  const auto node = append_member(later, command.name, known->address).id;
  auto& leaving = *mutable_member(later, known->id);
  leaving.state = member_state::leaving;
  leaving.waits_for = node;
  if (auto refusal = find_lost_quorum(later, *known, true)) return *refusal;
  return evaluated(std::move(later), node);
}

// Whether every partition that `gone` holds has a majority that answers now, and will have one without it. Who takes its place where
// somebody does, answers: it gets nothing before.
std::optional<error> membership_core::find_lost_quorum(const partition_map& later, const member& gone, bool is_replaced) const {
  auto active = active_members(later);
  active.erase(gone.id);
  const auto silent_of = [&](const std::vector<node_id>& nodes) {
    std::vector<node_id> silent;
    for (const auto node : nodes)
      if (!reachable_.contains(node)) silent.push_back(node);
    return silent;
  };
  const std::size_t wanted = std::min<std::size_t>(later.replication_factor, active.size() + (is_replaced ? 1 : 0));
  for (std::uint32_t p = 0; p < later.partitions; ++p) {
    const auto& voters = later.placements[p].voters;
    if (!std::binary_search(voters.begin(), voters.end(), gone.id) && later.placements[p].is_settled()) continue;
    if (const auto silent = silent_of(voters); 2 * silent.size() >= voters.size())
      return not_now("partition " + std::to_string(p) + " has no majority now: " + joined(later, silent) + " of " + joined(later, voters) +
                     (silent.size() == 1 ? " does" : " do") + " not answer; bring back what can be");
    std::vector<node_id> rest;
    for (const auto node : voters)
      if (active.contains(node)) rest.push_back(node);
    std::size_t able = is_replaced ? 1 : 0;
    for (const auto node : active)
      if (reachable_.contains(node) && std::find(rest.begin(), rest.end(), node) == rest.end()) ++able;
    const auto come = std::min(able, wanted - std::min(wanted, rest.size()));
    const auto silent = silent_of(rest);
    if (rest.size() + come == 0) return wrong(gone.name + " is the only node that holds anything; it can't be removed, only stopped");
    if (2 * silent.size() >= rest.size() + come)
      return not_now("without " + gone.name + " partition " + std::to_string(p) + " would have no majority: " + joined(later, silent) + " of " +
                     joined(later, rest) + (silent.size() == 1 ? " does" : " do") + " not answer; bring back what can be, or replace that first");
  }
  return std::nullopt;
}

void membership_core::check_invariants() const {
  if (!is_leading_) KAHUNA_CHECK(!map_ && !writing_ && waiting_.empty() && answered_by_write_.empty(), describe());
  if (writing_ && map_) KAHUNA_CHECK(writing_->version == map_->version + 1, describe());
  const auto& newest = writing_ ? writing_ : map_;
  if (!newest) return;
  KAHUNA_CHECK(is_well_formed(*newest), describe());
  KAHUNA_CHECK(std::count_if(newest->placements.begin(), newest->placements.end(), [](const placement& held) { return !held.is_settled(); }) <= 1, describe());
}

std::string membership_core::describe() const {
  std::ostringstream out;
  out << "node " << self_ << (is_leading_ ? " changes members" : " follows");
  if (map_) {
    out << " version " << map_->version << " members";
    for (const auto& m : map_->members)
      out << ' ' << m.name << '(' << m.id << (m.state == member_state::joining ? " joining" : m.state == member_state::leaving ? " leaving" : "") << ')';
    for (std::uint32_t p = 0; p < map_->partitions; ++p)
      if (!map_->placements[p].is_settled())
        out << " partition " << p << ": " << joined(*map_, map_->placements[p].voters) << " to " << joined(*map_, map_->placements[p].target);
  }
  if (is_reading_) out << " reading";
  if (writing_) out << " writing version " << writing_->version;
  if (!refusal_.empty()) out << " held up: " << refusal_;
  return out.str();
}

}  // namespace kahuna::routing
