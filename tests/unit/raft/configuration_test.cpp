#define CAF_SUITE configuration
#include "caf/test/unit_test.hpp"

#include <set>
#include <string>

#include "core/base/prng.hpp"
#include "core/raft/configuration_history.hpp"

using namespace kahuna;
using namespace kahuna::raft;

namespace {

std::vector<node_id> nodes(std::initializer_list<std::uint32_t> numbers) {
  std::vector<node_id> made;
  for (const auto number : numbers) made.push_back(node_id{number});
  return made;
}

std::set<node_id> set_of(std::initializer_list<std::uint32_t> numbers) {
  const auto list = nodes(numbers);
  return {list.begin(), list.end()};
}

// Those of 1 to 8 whose bits are set.
std::vector<node_id> nodes_of_bits(std::uint64_t bits) {
  std::vector<node_id> made;
  for (std::uint32_t i = 0; i < 8; ++i)
    if (bits >> i & 1) made.push_back(node_id{i + 1});
  return made;
}

}  // namespace

CAF_TEST(a majority of the voters decides and of both sets while joint) {
  const configuration simple{nodes({1, 2, 3}), {}, nodes({4, 5})};
  CAF_CHECK(simple.has_quorum(set_of({1, 3})));
  CAF_CHECK(!simple.has_quorum(set_of({1})));
  CAF_CHECK(!simple.has_quorum(set_of({1, 4, 5})));  // learners decide nothing
  const configuration joint{nodes({3, 4, 5}), nodes({1, 2, 3}), {}};
  CAF_CHECK(joint.has_quorum(set_of({2, 3, 5})));
  CAF_CHECK(!joint.has_quorum(set_of({3, 4, 5})));
  CAF_CHECK(!joint.has_quorum(set_of({1, 2, 3})));
  CAF_CHECK(!configuration{}.has_quorum(set_of({1, 2, 3})));
  const configuration even{nodes({1, 2, 3, 4}), {}, {}};
  CAF_CHECK(!even.has_quorum(set_of({1, 2})));
  CAF_CHECK(even.has_quorum(set_of({1, 2, 3})));
}

// What joint consensus rests on: who decides before a step, and who does after it, have a voter in common.
CAF_TEST(each step of a change has voters in common with the next) {
  prng dice(7);
  for (int round = 0; round < 3000; ++round) {
    const auto before = nodes_of_bits(dice.between(1, 255)), after = nodes_of_bits(dice.between(1, 255));
    const configuration old{before, {}, {}}, joint{after, before, {}}, next{after, {}, {}};
    const auto some = nodes_of_bits(dice.below(256));
    const std::set<node_id> deciding(some.begin(), some.end());
    std::set<node_id> others;
    for (std::uint32_t i = 1; i <= 8; ++i)
      if (!deciding.contains(node_id{i})) others.insert(node_id{i});
    CAF_REQUIRE(!(old.has_quorum(deciding) && joint.has_quorum(others)));
    CAF_REQUIRE(!(joint.has_quorum(deciding) && joint.has_quorum(others)));
    CAF_REQUIRE(!(joint.has_quorum(deciding) && next.has_quorum(others)));
  }
}

CAF_TEST(the agreed value is what a majority of each set has reached) {
  const configuration joint{nodes({1, 2, 3}), nodes({3, 4, 5}), nodes({6})};
  const auto of = [](node_id node) { return static_cast<int>(node.value) * 10; };
  CAF_CHECK_EQUAL(joint.agreed(of), 20);
  CAF_CHECK_EQUAL((configuration{nodes({3, 4, 5}), {}, {}}.agreed(of)), 40);
  CAF_CHECK_EQUAL((configuration{nodes({1, 2, 3, 4}), {}, {}}.agreed(of)), 20);
}

CAF_TEST(lists that say nothing of sense are no configuration) {
  CAF_CHECK((configuration{nodes({1, 2}), nodes({2, 3}), nodes({4})}.is_valid()));
  CAF_CHECK(!(configuration{{}, {}, nodes({4})}.is_valid()));
  CAF_CHECK(!(configuration{nodes({2, 1}), {}, {}}.is_valid()));
  CAF_CHECK(!(configuration{nodes({1, 1}), {}, {}}.is_valid()));
  CAF_CHECK(!(configuration{nodes({0, 1}), {}, {}}.is_valid()));
  CAF_CHECK(!(configuration{nodes({1, 2}), {}, nodes({2})}.is_valid()));
  CAF_CHECK(!(configuration{nodes({1}), nodes({2}), nodes({2})}.is_valid()));
}

CAF_TEST(an entry says all of it and nothing else is taken for one) {
  configuration members{nodes({1, 300}), nodes({2}), nodes({70'000}), 258};
  const auto bytes = encode_configuration(members);
  const std::string golden("\2\2\0\0\0\1\0\0\1\x2c\1\0\0\0\2\1\0\1\x11\x70\0\0\0\0\0\0\1\2", 28);
  CAF_CHECK(bytes.view() == golden);
  CAF_CHECK(decode_configuration(golden) == members);
  for (std::size_t length = 0; length < golden.size(); ++length) CAF_CHECK(!decode_configuration(golden.substr(0, length)));
  CAF_CHECK(!decode_configuration(golden + "x"));
  CAF_CHECK(!decode_configuration("\3" + golden.substr(1)));
  // As builds wrote it that did not say which change it came from.
  members.change_id = 0;
  CAF_CHECK(decode_configuration("\1" + golden.substr(1, 19)) == members);
  CAF_CHECK(!decode_configuration("\1" + golden.substr(1)));
  prng dice(3);
  for (int round = 0; round < 20'000; ++round) {
    auto changed = golden;
    for (auto times = dice.between(1, 3); times > 0; --times) changed[dice.below(changed.size())] = static_cast<char>(dice.below(256));
    if (const auto read = decode_configuration(changed); read && changed.front() == 2) CAF_REQUIRE(encode_configuration(*read).view() == changed);
  }
}

CAF_TEST(the history is in step with the log) {
  configuration_history history(log_index{5}, {nodes({1}), {}, {}});
  history.append(log_index{7}, {nodes({1}), {}, nodes({2})});
  history.append(log_index{9}, {nodes({1, 2}), nodes({1}), {}});
  CAF_CHECK(history.at(log_index{6}).index == log_index{5});
  CAF_CHECK(history.at(log_index{7}).members.is_learner(node_id{2}));
  CAF_CHECK(history.at(log_index{8}).index == log_index{7});
  CAF_CHECK(history.latest().members.is_joint());
  CAF_CHECK(history.members_since(log_index{6}) == nodes({1, 2}));
  const auto version = history.version();
  history.truncate(log_index{9});
  CAF_CHECK(history.version() != version);
  CAF_CHECK(history.latest().index == log_index{7});
  history.start_at(log_index{8});
  CAF_CHECK(history.at(log_index{8}).members.is_learner(node_id{2}));
  history.restart_at(log_index{20}, {nodes({3}), {}, {}});
  CAF_CHECK(history.latest().members.voters == nodes({3}));
  CAF_CHECK(history.members_since(log_index{20}) == nodes({3}));
}
