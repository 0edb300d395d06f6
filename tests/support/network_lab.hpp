// A network of the test's own in which links between nodes can be cut: every node in a network namespace, all on one bridge, the test
// itself on the bridge too, so that it reaches every node whatever is cut between them.
//
// The namespaces have no names: they end with the test's processes. Needs the privilege to make namespaces (root, as a rule).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/support/process.hpp"

namespace kahuna::testing {

class network_lab {
 public:
  // Moves the calling thread, and all that it starts from then on, to a network of its own. Nothing where the privilege is missing.
  // Once in a test program, before it has sockets.
  static std::shared_ptr<network_lab> open(int nodes);

  std::string address(int node) const { return "10.77.0." + std::to_string(node); }
  // Stands before what is to be run in the node's namespace.
  std::vector<std::string> prefix(int node) const;

  // Nothing that `from` sends reaches `to` any more, without a word to either; TCP sees it as silence in both directions.
  void cut_one_way(int from, int to);
  void cut(int one, int other);
  void isolate(int node);  // from all other nodes
  // What the node sends, to whomever, goes at this rate at most, and waits up to 400 ms for it; what comes faster than that is lost.
  // False: this kernel can't do it.
  bool slow_down(int node, int kilobits_per_second);
  void heal();

 private:
  explicit network_lab(int nodes) : nodes_(nodes) {}

  bool build();
  pid_t namespace_of(int node) const { return keepers_.at(static_cast<std::size_t>(node - 1)).id(); }

  int nodes_;
  std::vector<process> keepers_;  // each keeps a namespace alive
  std::vector<std::pair<int, int>> cuts_;
  std::vector<int> slow_;
};

}  // namespace kahuna::testing
