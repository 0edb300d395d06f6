#define CAF_SUITE network_turns
#include "caf/test/unit_test.hpp"

#include <functional>
#include <string>

#include "messages/connection/network_turns.hpp"

using namespace kahuna::messages;
using result = caf::resumable::resume_result;

namespace {

// Does something in each of its turns.
class worker final : public caf::ref_counted, public caf::resumable {
 public:
  worker(int& alive, std::function<result()> work) : alive_(alive), work_(std::move(work)) { ++alive_; }
  ~worker() override { --alive_; }

  result resume(caf::execution_unit*, std::size_t) override { return work_(); }
  void intrusive_ptr_add_ref_impl() override { ref(); }
  void intrusive_ptr_release_impl() override { deref(); }

 private:
  int& alive_;
  std::function<result()> work_;
};

struct fixture {
  ~fixture() { CAF_CHECK_EQUAL(alive, 0); }

  // With the reference that the list takes over.
  worker* make(std::function<result()> work) { return new worker(alive, std::move(work)); }
  worker* make(const std::string& name) {
    return make([this, name] {
      order += name;
      return result::awaiting_message;
    });
  }
  result resume() { return list->resume(nullptr, 1); }

  caf::intrusive_ptr<turn_list> list{new turn_list, false};
  std::string order;
  int alive = 0;
};

}  // namespace

CAF_TEST_FIXTURE_SCOPE(network_turns_tests, fixture)

CAF_TEST(who is given something to do in a turn has one in the same round) {
  CAF_CHECK(list->add(make([&] {
    order += "a";
    CAF_CHECK(!list->add(make("c")));
    return result::awaiting_message;
  })));
  CAF_CHECK(!list->add(make("b")));
  CAF_CHECK(resume() == result::done);
  CAF_CHECK_EQUAL(order, "abc");
  CAF_CHECK_EQUAL(alive, 0);
  // It was through: it has to be resumed for whoever comes next.
  CAF_CHECK(list->add(make("d")));
  CAF_CHECK(resume() == result::done);
  CAF_CHECK_EQUAL(order, "abcd");
}

CAF_TEST(who has not finished waits behind the others) {
  int turns = 0;
  static_cast<void>(list->add(make([&] {
    order += "a";
    return ++turns == 3 ? result::done : result::resume_later;
  })));
  static_cast<void>(list->add(make("b")));
  CAF_CHECK(resume() == result::done);
  CAF_CHECK_EQUAL(order, "abaa");
}

CAF_TEST(a round ends though somebody never finishes) {
  int turns = 0;
  static_cast<void>(list->add(make([&] {
    ++turns;
    return turns < 2 * turn_list::turns_max ? result::resume_later : result::done;
  })));
  CAF_CHECK(resume() == result::resume_later);
  CAF_CHECK_EQUAL(turns, turn_list::turns_max);
  // It will be resumed: nobody else has to see to it.
  CAF_CHECK(!list->add(make("b")));
  CAF_CHECK(resume() == result::resume_later);
  CAF_CHECK_EQUAL(order, "b");
  CAF_CHECK(resume() == result::done);
  CAF_CHECK_EQUAL(turns, 2 * turn_list::turns_max);
}

CAF_TEST(what waits is released with the list) {
  static_cast<void>(list->add(make("a")));
  list.reset();
  CAF_CHECK_EQUAL(order, "");
}

CAF_TEST_FIXTURE_SCOPE_END()
