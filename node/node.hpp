// A running node: the composition root, the only place that wires everything together.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "config/node_options.hpp"
#include "core/base/errc.hpp"

namespace kahuna::node {

// What ends a start that can't go on.
struct start_failure {
  int exit_status = 2;  // 2: the operator can mend it; 4: damaged data
  std::string message;  // one line
};

class running_node {
 public:
  // Opens the data directory, binds the ports and starts the actors. Nothing is written before everything that the
  // operator could have got wrong is checked.
  static std::variant<std::unique_ptr<running_node>, start_failure> start(const config::node_options& options);

  // Blocks until every partition hosted here knows a leader, or `should_stop` says so.
  void wait_until_ready(const std::function<bool()>& should_stop);

  // Stops in order: the door, the partitions, the log, the stores. Within 5 s; called once.
  void stop();

  ~running_node();

 private:
  struct implementation;
  explicit running_node(std::unique_ptr<implementation> implementation);
  std::unique_ptr<implementation> implementation_;
};

}  // namespace kahuna::node
