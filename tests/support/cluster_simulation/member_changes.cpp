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
    ask({routing::add_member{name, address_of(name)}});
  } else if (kind < 6) {
    ask({routing::remove_member{any_member(map).name}});
  } else if (kind < 8 && !is_full) {
    const auto name = new_name();
    ask({routing::replace_member{any_member(map).name, name, address_of(name)}});
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
  ask({again, true});
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
    const auto code = answer.refusal->code;
    const bool is_by_the_way = code == errc::not_leader || code == errc::leadership_lost || code == errc::overloaded;
    if (!is_by_the_way && !w.is_urgent) {
      KAHUNA_SOMETIMES("members.change_refused");
      is_asking_ = false;
      return;
    }
    return board_.w.at(board_.w.draw(1'000, 100'000), [this, w, attempt] {
      if (is_asking_ && attempt == attempt_) ask_node(w);
    });
  }
  is_asking_ = false;
  board_.w.note(answer.outcome.node.value);
  if (!std::holds_alternative<routing::remove_member>(w.what)) begin(answer.outcome.node, std::make_shared<const routing::partition_map>(answer.outcome.map));
}

std::string member_changes::describe() const {
  return (is_asking_ ? "a change is asked for" : "nothing is asked for") + std::string(", ") + std::to_string(attempt_) + " attempts, the last refusal: " + refusal_;
}

// The number of one who is expected is given to its process, which is started when somebody gets round to it.
void member_changes::begin(node_id number, map_pointer map) {
  board_.w.at(board_.w.draw(0, 300'000), [this, number, map] {
    while (board_.nodes.size() < number.value) {
      const auto place = static_cast<int>(board_.nodes.size());
      board_.nodes.push_back(std::make_unique<node>(board_, place, map, false));
    }
    auto& expected = *board_.nodes[number.value - 1];
    if (!expected.is_up() && !expected.is_gone()) expected.start();
  });
}

}  // namespace kahuna::testing
