#include "tests/support/cluster_simulation/world.hpp"

#include <algorithm>
#include <utility>

namespace kahuna::testing {

void world::at(std::int64_t delay_us, event what) {
  heap_.push_back({now_ + delay_us, ++last_order_, std::move(what)});
  std::push_heap(heap_.begin(), heap_.end(), is_later);
}

void world::run_until(std::int64_t until) {
  while (!heap_.empty() && heap_.front().at <= until) {
    std::pop_heap(heap_.begin(), heap_.end(), is_later);
    auto due = std::move(heap_.back());
    heap_.pop_back();
    now_ = due.at;
    due.what();
  }
  now_ = until;
}

}  // namespace kahuna::testing
