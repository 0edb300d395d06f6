// Who asked what of whom in a simulated cluster, whatever its nodes are made of: clients and nodes ask over the network, the first answer
// counts, and after a while it is that none came.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "core/kv/partition_input.hpp"
#include "core/routing/partition_map.hpp"
#include "tests/support/cluster_simulation/network.hpp"
#include "tests/support/cluster_simulation/world.hpp"

namespace kahuna::testing {

// What an operation came to, and what the node that answered knows of the partition's leader.
struct answer {
  kv::operation_response response;
  timestamp now;
  term_id era;  // of the leadership that answered, where that is known
  node_id leader;
  term_id term;
  std::shared_ptr<const routing::partition_map> map{};  // that the node goes by, where members change
};

class exchange {
 public:
  explicit exchange(world& shared) : w(shared), net(shared) {}
  virtual ~exchange() = default;

  virtual std::size_t node_count() const = 0;

  using answer_handler = std::function<void(const answer&)>;
  // Asks a node, as another one or as a client (network::outside).
  void ask(int from, int to, partition_id partition, kv::partition_request request, timestamp clock, std::int64_t budget_us,
           answer_handler done);

  // For nodes: sends the answer to whoever asked under this token; and of which partition that was.
  void reply(int node, std::uint64_t token, answer a);
  std::optional<partition_id> partition_asked(std::uint64_t token) const;

  world& w;
  network net;

 protected:
  // The request has come to the node, if that is up. Its origin is the token; whoever asked waits no longer than the budget.
  virtual void arrive(int to, partition_id partition, kv::partition_request request, timestamp clock, std::int64_t budget_us) = 0;

 private:
  struct question {
    int from;
    partition_id partition;
    answer_handler done;
  };
  void answered(std::uint64_t token, const answer& a);

  std::map<std::uint64_t, question> questions_;
  std::uint64_t next_token_ = 1;
};

}  // namespace kahuna::testing
