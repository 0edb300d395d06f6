// Bytes of memory that several owners share: the ephemeral keys of all partitions of a node.
//
// Everyone counts what he holds; whoever finds the whole over its bound gives up his own as long as he holds more than
// his fair share, and those who hold more than that without asking find it out at their next sweep. So one partition may
// use all where the others are empty, and none is starved.
#pragma once

#include <cstddef>

namespace kahuna {

class memory_budget {
 public:
  virtual ~memory_budget() = default;

  virtual void take(std::size_t bytes) = 0;
  virtual void give_back(std::size_t bytes) = 0;
  virtual std::size_t used() const = 0;

  // Whether an owner who holds so many bytes has to give some up.
  bool is_over(std::size_t own_bytes) const { return used() > bytes_max_ && own_bytes > share_; }
  std::size_t bytes_max() const { return bytes_max_; }

 protected:
  // `owners` (at least 1) share `bytes_max`.
  memory_budget(std::size_t bytes_max, std::size_t owners) : bytes_max_(bytes_max), share_(bytes_max / owners) {}

 private:
  const std::size_t bytes_max_;
  const std::size_t share_;
};

// For owners on one thread. (Those on several share actors/shared_memory_budget.hpp.)
class local_memory_budget final : public memory_budget {
 public:
  local_memory_budget(std::size_t bytes_max, std::size_t owners) : memory_budget(bytes_max, owners) {}

  void take(std::size_t bytes) override { used_ += bytes; }
  void give_back(std::size_t bytes) override { used_ -= bytes; }
  std::size_t used() const override { return used_; }

 private:
  std::size_t used_ = 0;
};

}  // namespace kahuna
