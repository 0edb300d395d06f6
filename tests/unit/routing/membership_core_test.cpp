#define CAF_SUITE membership_core
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <memory>

#include "core/base/prng.hpp"
#include "core/routing/membership_core.hpp"
#include "core/routing/placement.hpp"

using namespace kahuna;
using namespace kahuna::routing;
using std::chrono::milliseconds;

namespace {

constexpr std::uint32_t election_timeout_ms = 300;

partition_map of(std::uint32_t nodes, std::uint32_t partitions, std::uint32_t factor = 3) {
  std::vector<std::pair<std::string, std::string>> members;
  for (std::uint32_t i = 1; i <= nodes; ++i) members.emplace_back("n" + std::to_string(i), "h:" + std::to_string(i));
  return form_cluster(std::move(members), partitions, factor);
}

membership_options test_options() {
  membership_options options;
  options.election_timeout_ms = election_timeout_ms;
  return options;
}

// What a core meets: partition 0 that holds the map, the groups of all partitions, and whoever asks. All of it may lose and delay
// what it is told, and the core may be taken down and another begin anew.
class world {
 public:
  explicit world(std::uint32_t nodes, std::uint32_t partitions, std::uint32_t factor = 3) : formed_(of(nodes, partitions, factor)) {
    for (const auto& held : formed_.placements) groups_.push_back(held.voters);
    for (const auto& m : formed_.members) up.insert(m.id);
    begin();
  }

  // Another node leads partition 0, and knows nothing.
  void begin() {
    core_ = std::make_unique<membership_core>(node_id{1}, formed_, test_options());
    core_->step(reachable_nodes{up}, now);
    core_->step(system_leadership{true}, now);
    drain();
  }

  void pass(milliseconds time) {
    for (; time.count() > 0; time -= milliseconds(10)) {
      now += milliseconds(10);
      core_->step(reachable_nodes{up}, now);
      tell_settled();
      core_->step(membership_tick{}, now);
      drain();
    }
  }

  std::optional<command_answer> ask(membership_command what) {
    core_->step(command_asked{++token_, std::move(what)}, now);
    drain();
    pass(milliseconds(50));
    const auto found = std::find_if(answers_.begin(), answers_.end(), [&](const auto& a) { return a.token == token_; });
    if (found == answers_.end()) return std::nullopt;
    return *found;
  }
  std::string refusal(membership_command what) {
    const auto answer = ask(std::move(what));
    if (!answer) return "no answer";
    return answer->refusal ? answer->refusal->message : "";
  }

  bool is_quiet() const {
    return stored && std::all_of(stored->placements.begin(), stored->placements.end(), [](const auto& held) { return held.is_settled(); }) &&
           !next_step(*stored, active_members(*stored)) &&
           std::none_of(stored->members.begin(), stored->members.end(), [](const auto& m) { return m.state != member_state::active; });
  }
  bool become_quiet(int patience_ms = 60'000) {
    for (; patience_ms > 0 && !is_quiet(); patience_ms -= 10) pass(milliseconds(10));
    return is_quiet();
  }

  // The voters of each group are those that the map says, wherever it says that it is settled; and whoever is in a group is a member.
  void check() const {
    if (!stored) return;
    for (std::uint32_t p = 0; p < stored->partitions; ++p)
      if (stored->placements[p].is_settled()) CAF_CHECK(stored->placements[p].voters == groups_[p]);
    for (const auto& group : groups_)
      for (const auto node : group) CAF_CHECK(find_member(*stored, node) != nullptr);
    core_->check_invariants();
  }

  // The group's leader says so, by an order made from that version.
  void report(std::uint64_t version, std::vector<node_id> voters) {
    core_->step(group_report{partition_id{0}, version, std::move(voters), true, ""}, now);
    drain();
  }

  const std::vector<node_id>& group(std::uint32_t p) const { return groups_[p]; }
  const membership_core& core() const { return *core_; }

  instant now{};
  std::set<node_id> up;
  std::set<node_id> busy;  // have not made and dropped what the newest version wants
  std::optional<partition_map> stored;
  std::int64_t revision = -1;
  prng dice{5};
  std::uint64_t lost_in_100 = 0;
  bool are_reports_late = false;  // that a group has agreed is not heard of yet
  std::vector<std::string> held_up;
  int changes = 0;  // of groups

 private:
  void tell_settled() {
    if (!stored) return;
    for (const auto node : up) {
      if (busy.contains(node)) continue;
      settled_by_[node] = stored->version;
      core_->step(replicas_settled{node, stored->version}, now);
    }
  }

  // Whoever is given something has dropped what it was to drop.
  void check_given(const partition_map& later) {
    if (!stored) return;
    for (std::uint32_t p = 0; p < later.partitions; ++p) {
      const auto& before = stored->placements[p];
      for (const auto node : later.placements[p].target)
        if (!std::binary_search(before.voters.begin(), before.voters.end(), node) && !std::binary_search(before.target.begin(), before.target.end(), node))
          CAF_CHECK(settled_by_[node] >= stored->version);
    }
  }

  void drain() {
    for (int steps = 0; steps < 100; ++steps) {
      auto ready = core_->take_ready();
      if (ready.is_empty()) return;
      for (auto& answer : ready.answers) answers_.push_back(std::move(answer));
      for (auto& reason : ready.held_up) held_up.push_back(std::move(reason));
      if (ready.is_read_wanted) {
        if (is_lost())
          core_->step(map_access_failed{}, now);
        else
          core_->step(map_read{stored, revision}, now);
      }
      if (ready.write) {
        const bool is_taken = ready.write->expected_revision == revision && !is_lost();
        if (is_taken) {
          check_given(ready.write->map);
          stored = ready.write->map;
          ++revision;
        }
        // Applied, and the answer lost.
        if (is_taken && !is_lost())
          core_->step(map_written{revision}, now);
        else
          core_->step(map_access_failed{}, now);
      }
      if (ready.order && !is_lost()) obey(*ready.order);
      check();
    }
    CAF_FAIL("it never comes to an end");
  }

  // A group with a majority that answers does as it is told, in its time.
  void obey(const group_order& order) {
    auto& group = groups_[order.partition.value];
    const auto answering = [&](const std::vector<node_id>& nodes) {
      return static_cast<std::size_t>(std::count_if(nodes.begin(), nodes.end(), [&](node_id n) { return up.contains(n); }));
    };
    const bool is_able = 2 * answering(group) > group.size() && 2 * answering(order.voters) > order.voters.size() &&
                         std::all_of(order.voters.begin(), order.voters.end(), [&](node_id n) {
                           return up.contains(n) || std::find(group.begin(), group.end(), n) != group.end();
                         });
    if (group != order.voters && is_able && dice.below(3) == 0) {
      group = order.voters;
      ++changes;
    }
    group_report report{order.partition, order.version, group, true, is_able ? "" : "no quorum"};
    if (is_lost() || are_reports_late) report.is_settled = false;
    core_->step(report, now);
  }

  bool is_lost() { return dice.below(100) < lost_in_100; }

  partition_map formed_;
  std::vector<std::vector<node_id>> groups_;
  std::unique_ptr<membership_core> core_;
  std::map<node_id, std::uint64_t> settled_by_;  // as it was told
  std::vector<command_answer> answers_;
  std::uint64_t token_ = 0;
};

}  // namespace

CAF_TEST(the first leader stores the map and the next one finds it) {
  world w(3, 16);
  CAF_REQUIRE(w.stored.has_value());
  CAF_CHECK(*w.stored == of(3, 16));
  w.begin();
  w.pass(milliseconds(1000));
  CAF_CHECK_EQUAL(+w.revision, 0);
  CAF_CHECK_EQUAL(w.changes, 0);
}

CAF_TEST(a node is added and joins and gets its share) {
  world w(3, 16);
  CAF_CHECK_EQUAL(w.refusal(join_cluster{"n4", 4, election_timeout_ms, false}),
                  "this cluster does not know n4; add it first with kahuna-cli: cluster add n4=HOST:PORT");
  const auto added = w.ask(add_member{"n4", "h:4"});
  CAF_REQUIRE(added && !added->refusal);
  CAF_CHECK_EQUAL(added->outcome.node.value, 4u);
  // Again: nothing changes.
  const auto version = w.stored->version;
  CAF_CHECK(w.ask(add_member{"n4", "h:4"})->outcome.node == node_id{4});
  CAF_CHECK_EQUAL(w.stored->version, version);
  // Before it is there nothing moves.
  w.pass(milliseconds(2000));
  CAF_CHECK_EQUAL(w.changes, 0);
  CAF_CHECK_EQUAL(w.refusal(join_cluster{"n4", 5, election_timeout_ms, false}), "this cluster knows n4 at h:4; give that port to --listen");
  CAF_CHECK(w.refusal(join_cluster{"n4", 4, 200, false}).find("--election-timeout is 300 in this cluster and 200 there") == 0);
  const auto joined = w.ask(join_cluster{"n4", 4, election_timeout_ms, false});
  CAF_CHECK_EQUAL(joined->outcome.node.value, 4u);
  CAF_CHECK(find_member(joined->outcome.map, "n4") != nullptr);
  w.up.insert(node_id{4});
  CAF_REQUIRE(w.become_quiet());
  CAF_CHECK_EQUAL(replica_counts(*w.stored)[node_id{4}], 12u);
  CAF_CHECK_EQUAL(w.changes, 12);
  CAF_CHECK(w.refusal(join_cluster{"n4", 4, election_timeout_ms, false}).find("n4 runs already") == 0);
}

CAF_TEST(nobody is given a replica who has not dropped what it was to drop) {
  world w(4, 8);
  w.pass(milliseconds(100));
  // n4 gives all that it has away, and has not noticed when it is to have its share again.
  CAF_CHECK_EQUAL(w.refusal(add_member{"n5", "h:5"}), "");
  w.up.insert(node_id{5});
  CAF_REQUIRE(w.become_quiet());
  w.busy.insert(node_id{4});
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n5"}), "");
  const auto held_by_4 = [&] { return replica_counts(*w.stored)[node_id{4}]; };
  const auto before = held_by_4();
  const auto changes_before = w.changes;
  // A moment is waited for it, and others are taken then.
  w.pass(milliseconds(9'000));
  CAF_CHECK_EQUAL(w.changes, changes_before);
  w.pass(milliseconds(60'000));
  CAF_CHECK(w.changes > changes_before);
  CAF_CHECK_EQUAL(held_by_4(), before);
  w.busy.clear();
  CAF_REQUIRE(w.become_quiet());
  CAF_CHECK(held_by_4() > before);
}

CAF_TEST(nor where another is to take the place of one who died) {
  world w(2, 1, 2);
  for (const std::uint32_t i : {3, 4}) {
    CAF_CHECK_EQUAL(w.refusal(add_member{"n" + std::to_string(i), "h:" + std::to_string(i)}), "");
    w.up.insert(node_id{i});
  }
  w.pass(milliseconds(1'000));
  w.busy.insert(node_id{4});
  w.are_reports_late = true;
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n2"}), "");
  const auto target = [&] { return w.stored->placements[0].target; };
  w.pass(milliseconds(15'000));
  CAF_CHECK((target() == std::vector<node_id>{node_id{1}, node_id{3}}));
  w.up.erase(node_id{3});
  w.pass(milliseconds(60'000));
  CAF_CHECK((target() == std::vector<node_id>{node_id{1}, node_id{2}}));
}

CAF_TEST(what is taken already is refused with the reason) {
  world w(3, 4);
  CAF_CHECK_EQUAL(w.refusal(add_member{"n2", "h:9"}), "n2 is a member already, at h:2; give it another name");
  CAF_CHECK_EQUAL(w.refusal(add_member{"n9", "h:2"}), "h:2 is the address of n2; give another one");
  CAF_CHECK_EQUAL(w.refusal(add_member{"n2", "h:2"}), "");
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n9"}), "there is no node n9");
  CAF_CHECK_EQUAL(w.refusal(replace_member{"n9", "n4", "h:4"}), "there is no node n9");
  CAF_CHECK_EQUAL(w.refusal(replace_member{"n1", "n4", "h:3"}), "h:3 is the address of n3; give another one");
  CAF_CHECK(w.refusal(replace_member{"n1", "n1", "h:1"}).find("--rejoin") != std::string::npos);
  CAF_CHECK_EQUAL(w.stored->version, 1u);
}

CAF_TEST(a node is removed and it may be said twice) {
  world w(4, 16);
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n2"}), "");
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n2"}), "");
  CAF_REQUIRE(w.become_quiet());
  CAF_CHECK(find_member(*w.stored, "n2") == nullptr);
  CAF_CHECK(is_former(*w.stored, node_id{2}));
  for (std::uint32_t p = 0; p < 16; ++p) CAF_CHECK(w.group(p) == (std::vector{node_id{1}, node_id{3}, node_id{4}}));
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n2"}), "");
  CAF_CHECK(w.refusal(join_cluster{"n2", 2, election_timeout_ms, true}).find("n2 was removed from this cluster") == 0);
  // Its name is free, its number is not.
  const auto again = w.ask(add_member{"n2", "h:2"});
  CAF_REQUIRE(again && !again->refusal);
  CAF_CHECK_EQUAL(again->outcome.node.value, 5u);
}

CAF_TEST(nothing is removed where a majority would be lost) {
  world w(3, 4);
  w.up.erase(node_id{3});
  w.pass(milliseconds(100));
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n2"}), "without n2 partition 0 would have no majority: n3 of n1, n3 does not answer; bring back what can be, "
                                                  "or replace that first");
  // The dead one can go.
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n3"}), "");
  CAF_REQUIRE(w.become_quiet());
  w.up.erase(node_id{2});
  w.pass(milliseconds(100));
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n2"}), "partition 0 has no majority now: n2 of n1, n2 does not answer; bring back what can be");
  w.up.insert(node_id{2});
  w.pass(milliseconds(100));
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n2"}), "");
  CAF_REQUIRE(w.become_quiet());
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n1"}), "n1 is the only node that holds anything; it can't be removed, only stopped");
}

CAF_TEST(a node is replaced once the other one is there) {
  world w(3, 16);
  CAF_CHECK_EQUAL(w.refusal(replace_member{"n2", "n4", "h:4"}), "");
  CAF_CHECK_EQUAL(w.refusal(replace_member{"n2", "n4", "h:4"}), "");
  w.pass(milliseconds(3000));
  CAF_CHECK_EQUAL(w.changes, 0);
  w.up.insert(node_id{4});
  w.up.erase(node_id{2});
  CAF_REQUIRE(w.become_quiet());
  CAF_CHECK_EQUAL(w.changes, 16);
  CAF_CHECK(find_member(*w.stored, "n2") == nullptr);
  CAF_CHECK_EQUAL(w.refusal(replace_member{"n2", "n4", "h:4"}), "");
}

CAF_TEST(who was to replace and is removed leaves all as it was) {
  world w(3, 16);
  CAF_CHECK_EQUAL(w.refusal(replace_member{"n2", "n4", "h:4"}), "");
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n4"}), "");
  CAF_REQUIRE(w.become_quiet());
  CAF_CHECK(find_member(*w.stored, "n2")->state == member_state::active);
  CAF_CHECK(find_member(*w.stored, "n4") == nullptr);
  CAF_CHECK_EQUAL(w.changes, 0);
}

CAF_TEST(a node that lost its data comes back under another number) {
  world w(3, 16);
  w.pass(milliseconds(100));
  CAF_CHECK(w.refusal(join_cluster{"n2", 2, election_timeout_ms, true}).find("n2 runs already") == 0);
  w.up.erase(node_id{2});
  w.pass(milliseconds(100));
  CAF_CHECK(w.refusal(join_cluster{"n2", 2, election_timeout_ms, false}).find("--rejoin") != std::string::npos);
  const auto joined = w.ask(join_cluster{"n2", 2, election_timeout_ms, true});
  CAF_REQUIRE(joined && !joined->refusal);
  CAF_CHECK_EQUAL(joined->outcome.node.value, 4u);
  // Cut off before it had written that down: the same again.
  CAF_CHECK(w.ask(join_cluster{"n2", 2, election_timeout_ms, true})->outcome.node == node_id{4});
  w.up.insert(node_id{4});
  CAF_REQUIRE(w.become_quiet());
  CAF_CHECK_EQUAL(find_member(*w.stored, "n2")->id.value, 4u);
  CAF_CHECK_EQUAL(w.stored->members.size(), 3u);
  for (std::uint32_t p = 0; p < 16; ++p) CAF_CHECK(w.group(p) == (std::vector{node_id{1}, node_id{3}, node_id{4}}));
}

CAF_TEST(a new node that dies in the middle does not hold up the others for ever) {
  world w(3, 16);
  static_cast<void>(w.ask(add_member{"n4", "h:4"}));
  static_cast<void>(w.ask(add_member{"n5", "h:5"}));
  w.up.insert(node_id{4});
  w.up.insert(node_id{5});
  w.pass(milliseconds(400));
  w.up.erase(node_id{4});
  w.pass(milliseconds(30'000));
  w.check();
  const auto& placements = w.stored->placements;
  CAF_CHECK(std::all_of(placements.begin(), placements.end(), [](const auto& held) { return held.is_settled(); }));
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n4"}), "");
  CAF_REQUIRE(w.become_quiet());
  CAF_CHECK_EQUAL(w.stored->members.size(), 4u);
}

CAF_TEST(why nothing goes on is said once) {
  world w(3, 2);
  w.pass(milliseconds(30'000));
  CAF_CHECK(w.held_up.empty());
  w.busy.insert(node_id{2});
  CAF_CHECK_EQUAL(w.refusal(add_member{"n4", "h:4"}), "");
  w.pass(milliseconds(9'000));
  CAF_CHECK(w.held_up.empty());
  w.pass(milliseconds(30'000));
  CAF_CHECK((w.held_up == std::vector<std::string>{"n2 has not made and dropped what version 2 of the map wants, and gets nothing before"}));
  // The group of a partition can't, for want of a majority; as of the next version that is said again.
  w.held_up.clear();
  w.busy.clear();
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n3"}), "");
  w.up = {node_id{1}};
  w.pass(milliseconds(30'000));
  CAF_CHECK((w.held_up == std::vector<std::string>{"partition 0 stays as it is: no quorum"}));
  w.pass(milliseconds(30'000));
  CAF_CHECK_EQUAL(w.held_up.size(), 1u);
}

// n3 votes already where the map still says that it is to: removed at once, it would leave n1 without a majority.
CAF_TEST(who is taken out of a target stays a member until the group has let it go) {
  world w(2, 1, 2);
  static_cast<void>(w.ask(add_member{"n3", "h:3"}));
  w.up.insert(node_id{3});
  w.pass(milliseconds(100));
  w.are_reports_late = true;
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n2"}), "");
  w.pass(milliseconds(2000));
  CAF_CHECK(w.group(0) == (std::vector<node_id>{node_id{1}, node_id{3}}));
  CAF_CHECK(!w.stored->placements[0].is_settled());
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n3"}), "");
  w.pass(milliseconds(20));
  CAF_CHECK(find_member(*w.stored, "n3") != nullptr);
  w.are_reports_late = false;
  w.pass(milliseconds(5000));
  CAF_CHECK(w.group(0) == std::vector<node_id>{node_id{1}});
  CAF_CHECK_EQUAL(w.stored->members.size(), 1u);
}

// The target may have been another in between, and the group be on its way to that.
CAF_TEST(what a group said by an older version settles nothing) {
  world w(2, 1, 2);
  static_cast<void>(w.ask(add_member{"n3", "h:3"}));
  w.up.insert(node_id{3});
  w.pass(milliseconds(100));
  w.are_reports_late = true;
  CAF_CHECK_EQUAL(w.refusal(remove_member{"n2"}), "");
  w.pass(milliseconds(2000));
  const auto version = w.stored->version;
  const auto target = w.stored->placements[0].target;
  CAF_REQUIRE(!target.empty());
  w.report(version - 1, target);
  CAF_CHECK_EQUAL(w.stored->version, version);
  CAF_CHECK(!w.stored->placements[0].is_settled());
  w.report(version, target);
  CAF_CHECK(w.stored->placements[0].is_settled());
}

CAF_TEST(whoever leads goes on whatever is lost) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    prng dice(seed);
    world w(static_cast<std::uint32_t>(dice.between(1, 5)), static_cast<std::uint32_t>(dice.between(1, 12)), static_cast<std::uint32_t>(dice.between(1, 4)));
    w.dice = prng(seed + 1000);
    w.lost_in_100 = dice.below(40);
    for (int i = 0; i < 12; ++i) {
      const auto next = w.stored ? w.stored->next_node.value : 1;
      switch (dice.below(5)) {
        case 0: {
          static_cast<void>(w.ask(add_member{"n" + std::to_string(next), "h:" + std::to_string(next)}));
          if (dice.below(2) == 0) w.up.insert(node_id{next});
          break;
        }
        case 1:
          if (w.stored) static_cast<void>(w.ask(remove_member{w.stored->members[dice.below(w.stored->members.size())].name}));
          break;
        case 2:
          if (w.stored)
            static_cast<void>(w.ask(replace_member{w.stored->members[dice.below(w.stored->members.size())].name, "n" + std::to_string(next), "h:" + std::to_string(next)}));
          break;
        case 3:
          // Somebody is slow, and somebody else no more.
          w.busy = {node_id{static_cast<std::uint32_t>(dice.between(1, next))}};
          break;
        default:
          w.begin();
      }
      w.pass(milliseconds(dice.below(2000)));
      w.check();
    }
    // Everybody comes, nothing is lost any more: all comes to rest.
    w.lost_in_100 = 0;
    w.busy.clear();
    w.pass(milliseconds(300));
    for (const auto& m : w.stored->members) w.up.insert(m.id);
    if (!w.become_quiet(300'000)) CAF_ERROR("seed " << seed << ": " << w.core().describe());
    const auto counts = replica_counts(*w.stored);
    std::size_t most = 0, least = 1000;
    for (const auto& [node, count] : counts) most = std::max(most, count), least = std::min(least, count);
    CAF_CHECK(most - least <= 1);
  }
}
