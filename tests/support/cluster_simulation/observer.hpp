// Who sees everything that the replicas of a simulated cluster do, and says where it can't be.
//
// The five properties of Raft [Ongaro14 §3.2, figure 3.2]: one leader a term; a leader never takes entries of its own log away;
// entries of one index and term are the same, and so is all before them; a leader has all that was committed in earlier terms; what
// is committed at an index is the same for all. That replicas are byte-identical at equal applied index. And that a map says of a partition
// that it is settled only where its group has committed just that, and nothing else since.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "core/routing/partition_map.hpp"
#include "tests/support/cluster_simulation/world.hpp"
#include "tests/support/raft_replica.hpp"

namespace kahuna::testing {

class observer {
 public:
  // `log`: as it is once everything is written that the replica has put under way.
  void leads(partition_id partition, term_id term, node_id node, const simulated_disk& log);
  // `leading`: the term in which the replica leads, if it does.
  void written(partition_id partition, const raft::log_write& write, const simulated_disk& log_before, term_id leading);
  // `term`: of the replica that was told.
  void committed(partition_id partition, term_id term, const raft::log_entry& entry);
  void applied(partition_id partition, log_index index, std::uint64_t digest, node_id node);

  // A replica knows the configuration, which may not be durable there, so that it is not handed out yet.
  void is_in_force(partition_id partition, const raft::configuration_change& change);
  void goes_by(const routing::partition_map& map);

  std::size_t terms_led() const { return leaders_.size(); }
  std::size_t states_compared() const { return states_compared_; }

 private:
  struct entry_seen {
    std::uint64_t payload = 0;
    term_id before;
  };
  struct committed_entry {
    term_id term;
    std::uint64_t payload = 0;
    term_id known_in;  // the term in which it was first known to be committed
  };

  std::map<std::pair<partition_id, term_id>, node_id> leaders_;
  std::map<std::tuple<partition_id, log_index, term_id>, entry_seen> entries_;
  std::map<partition_id, std::map<log_index, committed_entry>> committed_;
  std::map<std::pair<partition_id, log_index>, std::pair<std::uint64_t, node_id>> states_;
  std::map<partition_id, std::map<log_index, raft::configuration>> configurations_;  // that were committed
  std::optional<routing::partition_map> newest_map_;
  std::size_t states_compared_ = 0;
};

}  // namespace kahuna::testing
