// What is to run next on the thread of CAF's multiplexer, for actors that talk to each other there.
//
// The multiplexer alone asks the kernel for news between any two of its rounds, in which each actor that has messages gets one turn. An operation
// takes about five of them, from the frame that asked to the frames that are sent: so the kernel was asked five times, and whatever came meanwhile
// followed one round behind, in an entry, a frame and a sync of its own. Here they all have their turns, in the order in which they were given something to do,
// until none has anything left; then the kernel is asked, for all of it at once (docs/decisions/0013).
#pragma once

#include <deque>

#include <caf/all.hpp>
#include <caf/io/all.hpp>

namespace kahuna::messages {

// Who is to have a turn, first come first served. One for each such thread, and only for it.
class turn_list final : public caf::ref_counted, public caf::resumable {
 public:
  // So many turns, and the kernel is asked all the same: whoever gives itself something to do again and again must not keep the network waiting.
  static constexpr int turns_max = 512;

  // Takes over the reference that the caller has added. Whether this list has to be resumed now, because it was not going to be.
  [[nodiscard]] bool add(caf::resumable* who);

  // Gives turns, also to those who are added meanwhile. `resume_later`: there were too many.
  resume_result resume(caf::execution_unit* unit, std::size_t throughput_max) override;
  subtype_t subtype() const override { return function_object; }

  void intrusive_ptr_add_ref_impl() override { ref(); }
  void intrusive_ptr_release_impl() override { deref(); }

 private:
  std::deque<caf::intrusive_ptr<caf::resumable>> waiting_;
  bool is_to_be_resumed_ = false;
};

// Given to CAF in place of the multiplexer wherever an actor of that thread is to have a turn.
class network_turns : public caf::execution_unit {
 public:
  explicit network_turns(caf::io::network::multiplexer& network) : caf::execution_unit(&network.system()), network_(&network) {}

  // From any thread; on others the multiplexer is woken up. Takes over the reference that the caller has added.
  void exec_later(caf::resumable* who) override;

  caf::io::network::multiplexer& network() { return *network_; }

 private:
  caf::io::network::multiplexer* network_;
};

// A broker whose messages are handled so.
class turn_taking_broker : public caf::io::broker {
 public:
  explicit turn_taking_broker(caf::actor_config& config) : caf::io::broker(config), turns_(backend()) {}

  using caf::io::broker::enqueue;
  void enqueue(caf::mailbox_element_ptr element, caf::execution_unit*) override {
    caf::scheduled_actor::enqueue(std::move(element), &turns_);
  }

 private:
  network_turns turns_;
};

}  // namespace kahuna::messages

namespace caf {
template <>
class behavior_type_of<kahuna::messages::turn_taking_broker> {
 public:
  using type = behavior;
};
}  // namespace caf
