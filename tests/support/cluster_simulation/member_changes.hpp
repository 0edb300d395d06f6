// Who wants other members of a simulated cluster: an operator who adds, removes and replaces one after another, and nodes that lose
// their data and come back under a new number.
//
// One wish at a time, asked of one node after another until it is granted, or refused with a reason. Goals are drawn; by which steps
// they are reached is the product's business (core/routing/membership_core.hpp, placement.hpp).
#pragma once

#include <string>

#include "tests/support/cluster_simulation/node.hpp"

namespace kahuna::testing {

class member_changes {
 public:
  explicit member_changes(switchboard& board) : board_(board) {}

  // Unless something is asked for already.
  void want_something();
  void move_to_another_zone();
  // Whoever is to join gets a process.
  void start_the_expected();
  bool is_idle() const { return !is_asking_; }

  // One line for people.
  std::string describe() const;

 private:
  struct wish {
    routing::membership_command what;
    node_id lost{};  // who is to be replaced: it is asked for until that is granted
  };
  void add();
  void lose_data();
  bool is_given_up(const wish& w, errc refused_as) const;
  bool is_one_lost(const routing::partition_map& map) const;
  bool can_lose_data(const routing::partition_map& map) const;
  void ask(wish w);
  void ask_node(const wish& w);
  void take_answer(const wish& w, std::uint64_t attempt, const routing::command_answer& answer);
  std::string new_name();
  const routing::member& any_member(const routing::partition_map& map);

  switchboard& board_;
  bool is_asking_ = false;
  std::uint64_t attempt_ = 0;  // the last; answers to those before it are not waited for
  int names_ = 0;
  std::string refusal_;  // the last
};

}  // namespace kahuna::testing
