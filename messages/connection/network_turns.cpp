#include "messages/connection/network_turns.hpp"

#include <utility>

namespace kahuna::messages {

namespace {

turn_list& list_of_this_thread() {
  static thread_local const caf::intrusive_ptr<turn_list> list(new turn_list, false);
  return *list;
}

}  // namespace

bool turn_list::add(caf::resumable* who) {
  waiting_.emplace_back(who, false);
  return !std::exchange(is_to_be_resumed_, true);
}

caf::resumable::resume_result turn_list::resume(caf::execution_unit* unit, std::size_t throughput_max) {
  for (int turn = 0; turn < turns_max && !waiting_.empty(); ++turn) {
    auto next = std::move(waiting_.front());
    waiting_.pop_front();
    switch (next->resume(unit, throughput_max)) {
      case resume_later: waiting_.push_back(std::move(next)); break;
      case shutdown_execution_unit: next.release(); break;  // owned by whoever made it
      default: break;
    }
  }
  is_to_be_resumed_ = !waiting_.empty();
  return is_to_be_resumed_ ? resume_later : done;
}

void network_turns::exec_later(caf::resumable* who) {
  if (std::this_thread::get_id() != network_->thread_id()) return network_->exec_later(who);
  auto& list = list_of_this_thread();
  if (!list.add(who)) return;
  list.ref();
  network_->exec_later(&list);
}

}  // namespace kahuna::messages
