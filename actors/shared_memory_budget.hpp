// A memory budget whose owners are actors on several threads. The counts are exact, what is decided by them may be a moment old.
#pragma once

#include <atomic>

#include "core/base/memory_budget.hpp"

namespace kahuna::actors {

class shared_memory_budget final : public memory_budget {
 public:
  shared_memory_budget(std::size_t bytes_max, std::size_t owners) : memory_budget(bytes_max, owners) {}

  void take(std::size_t bytes) override { used_.fetch_add(bytes, std::memory_order_relaxed); }
  void give_back(std::size_t bytes) override { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  std::size_t used() const override { return used_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> used_{0};
};

}  // namespace kahuna::actors
