// The node's http port: /health, /ready and /v1/cluster, for operators and load balancers. Read-only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "actors/interfaces.hpp"

namespace kahuna::node {

// A node's state, or nothing where the node did not say in time.
using status_source = std::function<std::optional<actors::node_status>()>;

// What /v1/cluster answers (contract §4).
std::string cluster_json(node_id self, const actors::node_status& status);

// Whether a leader is known of every partition that this node votes in.
bool is_ready(node_id self, const actors::node_status& status);

class http_server {
 public:
  // Serves from threads of its own. Fails where the port can't be had.
  static std::unique_ptr<http_server> start(const std::string& host, std::uint16_t port, node_id self,
                                            status_source status, std::function<std::string()> metrics);
  ~http_server();

 private:
  struct implementation;
  explicit http_server(std::unique_ptr<implementation> implementation);
  std::unique_ptr<implementation> implementation_;
};

}  // namespace kahuna::node
