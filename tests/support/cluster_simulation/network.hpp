// The network of a simulated cluster: what it does to a message. Between nodes links can be cut, in one direction too, and be slow;
// clients are never cut off. Nothing is in order.
#pragma once

#include <map>
#include <utility>

#include "tests/support/cluster_simulation/world.hpp"

namespace kahuna::testing {

class network {
 public:
  // Of clients.
  static constexpr int outside = -1;

  explicit network(world& w) : world_(w) {}

  // `arrive` is called once for each copy that gets there.
  enum class copies : std::uint8_t { one, maybe_two };
  void send(int from, int to, copies how_many, event arrive);

  void cut(int from, int to, std::int64_t length_us);
  // From all or most others, in one direction or both.
  void cut_off(int node, int nodes, std::int64_t length_us);
  // Whatever it says is lost; it hears the others.
  void mute(int node, int nodes, std::int64_t length_us);
  void slow_down(int from, int to, std::int64_t extra_us) { slow_[{from, to}] = extra_us; }
  bool is_whole() const;
  void heal() {
    cut_until_.clear();
    slow_.clear();
  }

 private:
  world& world_;
  std::map<std::pair<int, int>, std::int64_t> cut_until_;
  std::map<std::pair<int, int>, std::int64_t> slow_;
};

}  // namespace kahuna::testing
