// Who sees everything that the replicas of a simulated cluster do, and says where it can't be.
//
// The five properties of Raft [Ongaro14 §3.2, figure 3.2]: one leader a term; a leader never takes entries of its own log away;
// entries of one index and term are the same, and so is all before them; a leader has all that was committed in earlier terms; what
// is committed at an index is the same for all. And that replicas are byte-identical at equal applied index.
#pragma once

#include <map>
#include <string>
#include <tuple>

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
  std::size_t states_compared_ = 0;
};

}  // namespace kahuna::testing
