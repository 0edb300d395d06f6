// So many of a thing at a time, for all actors of a node.
#pragma once

#include <atomic>

namespace kahuna::actors {

class shared_permits {
 public:
  explicit shared_permits(int count) : left_(count) {}

  // False: none is left.
  bool try_take() {
    auto left = left_.load(std::memory_order_relaxed);
    while (left > 0)
      if (left_.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) return true;
    return false;
  }
  void give_back() { left_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::atomic<int> left_;
};

}  // namespace kahuna::actors
