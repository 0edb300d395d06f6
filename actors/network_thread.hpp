// Where the actors of partitions run: on the scheduler's threads, or on the network's own.
//
// Every message between a broker and an actor of the scheduler wakes a thread up, which costs more than what most of them ask for.
// Where a machine has hardly more cores than a node has threads that matter, partitions do better on the thread of the brokers that
// they talk to: a message to them is then an entry in its list of what to do next. With many cores they are spread over threads of
// their own instead. Nothing else depends on it; the log's thread, which waits for the disk, is never the network's.
#pragma once

#include <optional>

#include <caf/all.hpp>
#include <caf/io/all.hpp>

#include "messages/connection/network_turns.hpp"

namespace kahuna::actors {

// The configuration's entry that decides for a whole actor system; missing: the scheduler's threads.
inline constexpr const char* on_network_thread_option = "kahuna.partitions-on-network-thread";

// The base of such an actor; it does what CAF's abstract_broker does to stay on that thread.
template <class Base>
class maybe_on_network_thread : public Base {
 public:
  explicit maybe_on_network_thread(caf::actor_config& config) : Base(config) {
    if (caf::get_or(this->home_system().config(), on_network_thread_option, false)) turns_.emplace(this->home_system().middleman().backend());
  }

  using Base::enqueue;
  void enqueue(caf::mailbox_element_ptr element, caf::execution_unit* unit) override {
    Base::enqueue(std::move(element), turns_ ? &*turns_ : unit);
  }

  void launch(caf::execution_unit* unit, bool is_lazy, bool is_hidden) override {
    Base::launch(turns_ ? &*turns_ : unit, is_lazy, is_hidden);
  }

  caf::resumable::subtype_t subtype() const override {
    return turns_ ? caf::resumable::io_actor : Base::subtype();
  }

 private:
  std::optional<messages::network_turns> turns_;
};

template <class Handle>
struct network_thread_base_of;
template <class... Signatures>
struct network_thread_base_of<caf::typed_actor<Signatures...>> {
  using type = maybe_on_network_thread<caf::typed_event_based_actor<Signatures...>>;
};

// What `Handle::stateful_pointer<State>` is for an actor that is always the scheduler's.
template <class Handle, class State>
using placed_pointer = caf::stateful_actor<State, typename network_thread_base_of<Handle>::type>*;

}  // namespace kahuna::actors
