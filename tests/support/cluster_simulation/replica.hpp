// A replica of a partition in a simulated cluster: the real cores, wired as partition_actor, raft_peer_actor and
// transaction_manager_actor wire them, with messages between the three that take their time and stay in order.
//
// Owned by its node; one object a life of the node. What survives is the node's.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "core/kv/partition_core.hpp"
#include "core/kv/transaction_manager_core.hpp"
#include "core/routing/membership_core.hpp"
#include "persistence/data_store.hpp"
#include "tests/support/cluster_simulation/world.hpp"
#include "tests/support/raft_replica.hpp"

namespace kahuna::testing {

class node;

class replica {
 public:
  // `founders`: without voters where the group is to be heard of first.
  replica(node& host, partition_id id, raft::configuration founders);

  // --- what comes from outside
  void take_operations(std::vector<kv::partition_request> requests);
  void take_peer_messages(node_id from, const std::vector<raft::message_body>& bodies);
  void take_persisted(std::uint64_t write_number);
  void take_remote_answer(std::uint64_t token, kv::operation_response response);
  void take_connection_lost(node_id peer);
  void transfer_leadership(node_id to, bool is_optional);
  void take_order(node_id by, const routing::group_order& order);
  void tick();
  void prepare_to_flush();
  void take_flushed();

  // --- for whoever watches
  const raft::raft_core& raft() const { return *raft_; }
  const kv::partition_core& partition() const { return *partition_; }
  const kv::transaction_manager_core& manager() const { return *manager_; }
  raft::role_change role() const { return role_; }
  // Whether its partition answers reads by a lease now.
  bool answers_by_lease() const;
  // Whether a snapshot has taken the place of its state, and is not flushed, or Raft does not know.
  bool is_installing() const;
  // Its node dies now: what that cuts short is counted.
  void note_crash() const;
  // Of everything that is replicated, as of the applied index.
  std::uint64_t state_digest();

 private:
  // Messages between the actors of this replica, each kind to be delivered in its order.
  struct channel {
    std::int64_t last_at = 0;
    bool is_drain_sent = false;
  };
  void send(channel& to, event what);

  void step_raft(raft::raft_input input);
  void settle_raft();
  void honour_raft();
  void strike_where_old_entries_reach_a_majority();
  struct raft_events {
    std::optional<raft::role_change> role;
    std::optional<raft::lease_grant> lease;
    std::optional<raft::handover> handover;
    std::vector<raft::log_entry> committed;
    std::vector<raft::read_answer> reads;
  };
  void take_raft_events(raft_events events);
  void apply_committed(std::vector<raft::log_entry> entries);
  void hand_over(const raft::handover& change);

  void step_partition(kv::partition_input input);
  void settle_partition();
  void honour_partition();

  void step_manager(kv::manager_input input);

  // --- replica_snapshots.cpp
  void do_snapshot_work(const std::vector<raft::snapshot_order>& orders, const std::vector<raft::snapshot_piece>& pieces);
  void open_for(const raft::snapshot_order& order);
  void read_for(const raft::snapshot_order& order);
  void store_piece(const raft::snapshot_piece& piece);
  std::unique_ptr<kv::partition_core> make_partition_core();

  // --- replica_members.cpp
  void take_group_news(raft::ready& ready);
  void report_on_group();
  void note_second_life(const raft::message_body& body);

  void tell_raft(raft::raft_input input);

  node& host_;
  const partition_id id_;
  world& world_;
  simulated_disk log_;  // as it will be once all that is under way is written
  std::unique_ptr<persistence::data_store> store_;
  std::unique_ptr<raft::raft_core> raft_;
  std::unique_ptr<kv::partition_core> partition_;
  std::unique_ptr<kv::transaction_manager_core> manager_;

  channel to_raft_;
  channel to_partition_;
  channel to_manager_;
  raft::role_change role_;  // the last that the partition heard
  std::optional<raft::lease_grant> lease_;  // that the partition has
  bool is_handing_over_ = false;            // and has taken no notice of others since
  log_index installed_index_;
  struct open_view {
    std::uint64_t transfer = 0;
    std::unique_ptr<kv::snapshot_view> view;
    std::uint64_t next_piece = 0;
  };
  std::map<node_id, open_view> views_;
  std::uint64_t staged_pieces_ = 0;
  std::deque<raft::raft_input> flushing_;
  // The last order for this group; reported on when the read of this number is safe: then this replica led after it was asked.
  struct order_asked {
    node_id by;
    routing::group_order order;
  };
  std::optional<order_asked> ordered_;
  std::uint64_t ordered_read_ = 0;
  raft::configuration_change configuration_;
  raft::change_refusal refusal_ = raft::change_refusal::none;
  term_id promised_before_;  // the term of an earlier life, which was dropped
  // Events that are for this replica go with it.
  std::shared_ptr<const bool> life_ = std::make_shared<const bool>(true);
  int ticks_ = 0;
  log_index committed_at_election_;
  term_id struck_in_;
};

}  // namespace kahuna::testing
