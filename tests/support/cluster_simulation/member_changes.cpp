#include "tests/support/cluster_simulation/member_changes.hpp"

#include <algorithm>
#include <utility>

#include "core/base/sometimes.hpp"
#include "core/routing/placement.hpp"

namespace kahuna::testing {

namespace {

constexpr std::size_t members_max = 7;
constexpr std::size_t zones = 3;
constexpr std::int64_t attempt_us = 600'000;

// The same for all: nobody is reached by it.
std::string address_of(const std::string& name) { return name + ":1"; }

bool are_all_active(const routing::partition_map& map) {
  return std::all_of(map.members.begin(), map.members.end(), [](const auto& m) { return m.state == routing::member_state::active; });
}

}  // namespace

std::string member_changes::new_name() { return "m" + std::to_string(++names_); }

const routing::member& member_changes::any_member(const routing::partition_map& map) { return map.members[board_.w.dice.below(map.members.size())]; }

void member_changes::want_something() {
  if (is_asking_) return;
  const auto newest = board_.newest_map();
  const auto& map = *newest;
  // Were its successor taken away, it would be a member again that nobody has.
  if (is_one_lost(map)) return;
  const bool is_full = map.members.size() >= members_max;
  const auto kind = board_.w.dice.below(10);
  if (kind < 3 && !is_full) {
    const auto name = new_name();
    ask({routing::add_member{name, address_of(name)}, {}});
  } else if (kind < 6) {
    ask({routing::remove_member{any_member(map).name}, {}});
  } else if (kind < 8 && !is_full) {
    const auto name = new_name();
    ask({routing::replace_member{any_member(map).name, name, address_of(name)}, {}});
  } else if (can_lose_data(map)) {
    lose_data();
  }
}

void member_changes::move_to_another_zone() {
  auto& n = *board_.nodes[board_.w.dice.below(board_.nodes.size())];
  n.set_zone("z" + std::to_string(board_.w.dice.below(zones)));
}

bool member_changes::is_one_lost(const routing::partition_map& map) const {
  return std::any_of(map.members.begin(), map.members.end(), [&](const auto& m) {
    return m.id.value <= board_.nodes.size() && board_.nodes[m.id.value - 1]->is_gone();
  });
}

// More than one of three may not be lost for good.
bool member_changes::can_lose_data(const routing::partition_map& map) const {
  return are_all_active(map) && std::all_of(map.placements.begin(), map.placements.end(),
                                            [](const auto& held) { return held.is_settled() && held.voters.size() >= 3; });
}

void member_changes::lose_data() {
  const auto newest = board_.newest_map();
  const auto& lost = any_member(*newest);
  KAHUNA_SOMETIMES("members.one_loses_its_data");
  board_.nodes[lost.id.value - 1]->end_for_good();
  routing::join_cluster again;
  again.name = lost.name;
  again.port = 1;
  again.is_rejoin = true;
  ask({again, lost.id});
}

void member_changes::ask(wish w) {
  is_asking_ = true;
  ask_node(w);
}

void member_changes::ask_node(const wish& w) {
  auto& world = board_.w;
  const auto attempt = ++attempt_;
  const auto to = static_cast<int>(any_member(*board_.newest_map()).id.value) - 1;
  board_.net.send(network::outside, to, network::copies::one, [this, w, attempt, to] {
    if (static_cast<std::size_t>(to) >= board_.nodes.size()) return;
    auto& asked = *board_.nodes[static_cast<std::size_t>(to)];
    asked.deliver([this, &asked, w, attempt, to] {
      asked.members().ask(w.what, [this, w, attempt, to](const routing::command_answer& answer) {
        board_.net.send(to, network::outside, network::copies::one, [this, w, attempt, answer] { take_answer(w, attempt, answer); });
      });
    });
  });
  world.at(attempt_us, [this, w, attempt] {
    if (is_asking_ && attempt == attempt_) ask_node(w);
  });
}

void member_changes::take_answer(const wish& w, std::uint64_t attempt, const routing::command_answer& answer) {
  if (!is_asking_ || attempt != attempt_) return;
  if (answer.refusal) {
    refusal_ = answer.refusal->message;
    if (is_given_up(w, answer.refusal->code)) {
      is_asking_ = false;
      return;
    }
    return board_.w.at(board_.w.draw(1'000, 100'000), [this, w, attempt] {
      if (is_asking_ && attempt == attempt_) ask_node(w);
    });
  }
  is_asking_ = false;
  board_.w.note(answer.outcome.node.value);
}

// Whether nothing more is to be had by asking again.
bool member_changes::is_given_up(const wish& w, errc refused_as) const {
  if (refused_as == errc::not_leader || refused_as == errc::leadership_lost || refused_as == errc::overloaded) return false;
  // Its successor may run already, and nobody have heard that it was let in.
  if (w.lost != no_node) return routing::find_member(*board_.newest_map(), std::get<routing::join_cluster>(w.what).name)->id != w.lost;
  KAHUNA_SOMETIMES("members.change_refused");
  return true;
}

std::string member_changes::describe() const {
  return (is_asking_ ? "a change is asked for" : "nothing is asked for") + std::string(", ") + std::to_string(attempt_) + " attempts, the last refusal: " + refusal_;
}

// Also where whoever asked for it was not told, or an attempt came so late that it was granted anew.
void member_changes::start_the_expected() {
  const auto newest = board_.newest_map();
  for (const auto& m : newest->members)
    while (m.state == routing::member_state::joining && board_.nodes.size() < m.id.value) {
      const auto place = static_cast<int>(board_.nodes.size());
      board_.nodes.push_back(std::make_unique<node>(board_, place, newest, false));
      board_.nodes.back()->start_in(board_.w.draw(0, 300'000));
    }
}

}  // namespace kahuna::testing
