// The conversations inside a node: every message that its actors exchange, and every typed handle, a sentence for each.
//
// These messages never leave the process, so they carry no serialization; what travels between processes is in
// messages/protocol.hpp. All are one-way: nobody in a node waits for an answer of another, they are told.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <caf/all.hpp>

#include "core/kv/partition_core.hpp"
#include "core/kv/transaction_manager_core.hpp"
#include "core/raft/raft_input.hpp"
#include "core/routing/partition_map.hpp"
#include "messages/protocol.hpp"

namespace kahuna::actors {

// --- messages -----------------------------------------------------------------------------------------------------

// Time has passed: the node's one periodic timer, sent by `cluster` to all who keep deadlines.
struct node_tick {};

// An actor's note to itself: handle what the messages before this one have collected. So everything that is waiting in
// the mailbox travels on together (design §5), and nothing waits for a timer.
struct drain {};

// gateway → partition, transaction_manager → its partition: operations, each with the sender's token as its origin.
struct client_operations {
  std::vector<kv::partition_request> requests;
};

// partition → gateway, transaction_manager → gateway: their answers.
struct partition_replies {
  std::vector<kv::partition_reply> replies;
};

// partition → its transaction_manager: what concerns transactions that are anchored here, or hold something here.
struct manager_update {
  kv::manager_news news;
};

// transaction_manager → gateway: what it asks of other partitions, wherever they are led.
struct manager_requests {
  partition_id manager;
  std::vector<kv::remote_request> requests;
};

// gateway → partition → its transaction_manager: the answers, by the manager's tokens.
struct manager_answers {
  std::vector<kv::partition_reply> replies;
};

// partition → raft_peer: what the partition core wants of Raft.
struct partition_outputs {
  term_id proposal_term;
  std::vector<shared_bytes> proposals;
  std::vector<raft::read> reads;
  std::optional<log_index> applied;
  bool is_out_of_service = false;  // a damaged record: the replica must not lead, vote or acknowledge any more
};

// raft_peer → partition: what Raft came to, to be taken in the order of the fields.
struct raft_events {
  std::optional<raft::role_change> role;
  std::optional<raft::lease_grant> lease;
  std::optional<raft::handover> handover;
  std::vector<raft::log_entry> committed;
  std::vector<raft::read_answer> reads;
};

// raft_peer → partition: views to open, read and close for followers; pieces of a snapshot to store.
struct snapshot_work {
  std::vector<raft::snapshot_order> orders;
  std::vector<raft::snapshot_piece> pieces;
};

// partition → raft_peer: what came of snapshot_work, how far the data is durable by itself, that a handover is prepared.
// cluster → raft_peer: a connection broke; hand the leadership over.
struct raft_inputs {
  std::vector<raft::raft_input> inputs;
};

// main, replica_host → data_keeper: the partitions hosted here, whenever they change.
struct hosted_partitions;

// log_writer → data_keeper: so much was written since the last time that it is worth shortening the logs.
struct log_grown {};

// data_keeper → partition: write down how far was applied, then ask for a flush.
struct prepare_flush {};

// partition → data_keeper: make everything durable that was written before this. Answered by data_flushed, in their order.
struct flush_data {
  bool is_prepared = false;  // it answers prepare_flush
};
struct data_flushed {};

// raft_peer → log_writer.
struct append_to_log {
  partition_id partition;
  raft::log_write write;
};

// log_writer → raft_peer: this write of yours, and all before it, are on disk.
struct log_persisted {
  std::uint64_t write_number = 0;
};

// log_writer → log_disk: everything that waited, over all partitions, to be made durable with one sync; and: it is.
struct log_batch {
  std::vector<append_to_log> writes;
};
struct log_batch_synced {};

// gateway → raft_peer: messages from replicas on other nodes.
struct peer_input {
  std::vector<raft::peer_message> messages;
};

// raft_peer → link: messages to the replica at the other end.
struct peer_output {
  partition_id partition;
  std::vector<raft::message_body> bodies;
};

// gateway → link: clients' requests for partitions that the other node leads; and answers to those that it sent us.
struct forward_requests {
  std::vector<messages::forwarded_request> requests;
};
struct forward_replies {
  std::vector<messages::forwarded_reply> replies;
};

// link → gateway: what was given to the link and is not known to have arrived will not be answered over it.
struct link_broken {
  node_id peer;
};

// link → gateway: whether anything can be forwarded over the link.
struct link_changed {
  node_id peer;
  bool is_connected = false;
};

// raft_peer → cluster: the leader that this replica knows has changed.
// cluster → gateway, cluster → link: leaders that have changed.
struct leaders_changed {
  std::vector<messages::partition_leader> partitions;
};

// gateway → cluster: leaders that another node told of.
struct leaders_heard {
  std::vector<messages::partition_leader> partitions;
};

// gateway → log_writer: a node has said hello under this incarnation; is it the one that we know? Where none is known it
// is remembered, durably, before the answer. A probe is not remembered.
struct check_peer {
  std::uint64_t token = 0;
  node_id peer;
  std::uint64_t incarnation = 0;
  bool is_probe = false;
};

// log_writer → gateway.
struct peer_checked {
  std::uint64_t token = 0;
  bool is_known_otherwise = false;  // the node is known under another incarnation: its data was lost
};

// link → cluster, gateway → cluster: signs of life of another node, and their end.
struct peer_seen {
  node_id peer;
  bool is_connected = false;
};

// --- members and what they hold

// cluster → gateway, replica_host: the newest partition map that was heard of.
struct map_changed {
  routing::partition_map map;
};

// gateway → cluster, link → cluster: the newest one that another node has heard of, or its version.
struct map_heard {
  node_id peer;
  messages::map_news news;
};

// gateway → cluster: where a node says that it is.
struct zone_heard {
  node_id peer;
  std::string zone;
};

// cluster → partition 0: an operation of the system's own, which may touch reserved names; and the answer.
struct system_operation {
  std::uint64_t token = 0;  // below system_origin
  kv::operation op;
};
struct system_answer {
  std::uint64_t token = 0;
  kv::operation_response response;
};

// gateway → cluster → raft_peer: see that these become the voters of the group, as a node that leads partition 0 wants it.
struct group_ordered {
  node_id by;
  messages::group_order order;
};

// raft_peer → cluster, gateway → cluster: where a group stands, for the node that had asked.
struct group_reported {
  node_id to;
  messages::group_report report;
};

// gateway → cluster: a client's session asks for a change of members; and the answer.
struct membership_asked {
  std::uint64_t session = 0;
  messages::membership_request request;
};
struct membership_answered {
  std::uint64_t session = 0;
  messages::membership_reply reply;
};

// replica_host → log_writer: whether a replica is hosted here is written down; where it is not any more, its log goes, but for what it
// has promised in its terms, and where it ended.
struct record_replica {
  partition_id partition;
  bool is_hosted = false;
};
struct replica_recorded {
  partition_id partition;
  bool is_hosted = false;
};

// cluster → raft_peer, gateway, replica_host: the links to other nodes have changed.
struct links_changed;

// replica_host → cluster, gateway: replicas have come or gone.
struct replicas_changed;

// replica_host → cluster: of this version of the map, or of one that wants nothing else here, everything is done: what it wants is made, what it
// does not want is dropped.
struct hosting_settled {
  std::uint64_t version = 0;
};

// main → cluster: this node stops in a moment: hand over whatever it leads, and take nothing any more.
struct hand_over_all {};

// Asks an actor where it stands.
struct get_status {};

// raft_peer's answer.
struct replica_status {
  partition_id partition;
  raft::role_kind role = raft::role_kind::follower;
  term_id term;
  node_id leader;
  log_index commit_index;
  log_index applied_index;
  std::string description;
  log_index last_index;
  std::map<node_id, log_index> followers;  // on the leader: what each is known to hold
};

// partition's answer.
struct partition_status {
  partition_id partition;
  kv::partition_core::figures figures;
  std::string description;
};

// cluster's answer, for the http port.
struct node_status {
  routing::partition_map map;
  std::vector<node_id> alive;  // this node and those that a link reaches
  std::vector<messages::partition_leader> leaders;
  std::vector<replica_status> replicas;  // of the partitions hosted here
  std::vector<partition_status> partitions;  // the same ones
};

// main → gateway: accept nothing more, answer `unavailable` to what is waiting, close; then the actor ends.
// main → log_writer: write what is waiting; then the actor ends.
struct stop {};

// --- handles ------------------------------------------------------------------------------------------------------

// The composition root's last words to the actors that were spawned before those whom they talk to.
struct cluster_wiring;
struct gateway_wiring;
struct peer_check_asked;
struct replica_record_asked;

// The gateway is a broker, which has no type of its own: this is what it takes from the actors of its node.
using gateway_handle = caf::typed_actor<
    caf::reacts_to<gateway_wiring>,     // once; before it no request is taken
    caf::reacts_to<partition_replies>,  // answers the clients
    caf::reacts_to<manager_requests>,   // asks the partitions; every one is answered by a manager_answers
    caf::reacts_to<leaders_changed>,    // routes by them, and tells the clients
    caf::reacts_to<peer_checked>,       // lets a node in, or not
    caf::reacts_to<link_broken>,        // answers what was forwarded there
    caf::reacts_to<link_changed>,       // goes by way of others while it is down
    caf::reacts_to<map_changed>,        // routes by it, tells the clients, and closes on who is no member any more
    caf::reacts_to<links_changed>, caf::reacts_to<replicas_changed>,
    caf::reacts_to<membership_answered>,
    caf::reacts_to<node_tick>,          // looks at the deadlines
    caf::reacts_to<stop>>;

using partition_handle = caf::typed_actor<
    caf::reacts_to<client_operations>,  // evaluates them, if it leads; every one is answered to the gateway
    caf::reacts_to<raft_events>,        // applies what is committed, follows changes of leadership
    caf::reacts_to<manager_answers>,    // passes them to its transaction_manager
    caf::reacts_to<snapshot_work>,      // reads its state for others, or takes another's
    caf::reacts_to<prepare_flush>, caf::reacts_to<data_flushed>,
    caf::reacts_to<system_operation>,   // evaluates it, if it leads; answered by a system_answer to the cluster
    caf::reacts_to<node_tick>,          // does a piece of the work in the background
    caf::replies_to<get_status>::with<partition_status>,
    caf::reacts_to<stop>,               // records how far it has applied, and ends
    caf::reacts_to<drain>>;

using raft_peer_handle = caf::typed_actor<
    caf::reacts_to<partition_outputs>,                  // proposes, confirms reads, hears what is applied
    caf::reacts_to<raft_inputs>,                        // hears of snapshots, and what of the log may go
    caf::reacts_to<peer_input>,                         // takes messages of other replicas
    caf::reacts_to<group_ordered>,                      // changes its group, if it leads; reports by a group_reported once that is sure
    caf::reacts_to<links_changed>,
    caf::reacts_to<log_persisted>,                      // releases what rests on that write
    caf::reacts_to<node_tick>,                          // looks at the time
    caf::replies_to<get_status>::with<replica_status>,  // says where it stands
    caf::reacts_to<drain>>;

using data_keeper_handle = caf::typed_actor<
    caf::reacts_to<hosted_partitions>,
    caf::reacts_to<log_grown>,   // has everybody prepare, and flushes
    caf::reacts_to<flush_data>,  // flushes, with whatever else waits; answers data_flushed
    caf::reacts_to<stop>, caf::reacts_to<drain>>;

using transaction_manager_handle = caf::typed_actor<
    caf::reacts_to<manager_update>,   // coordinates, and finds out for its partition what became of other transactions
    caf::reacts_to<manager_answers>,  // goes on with what waited for them
    caf::reacts_to<node_tick>,        // looks at deadlines, and asks again
    caf::reacts_to<drain>>;

using log_writer_handle = caf::typed_actor<
    caf::reacts_to<append_to_log>,     // has it written with everybody else's that waits; answers log_persisted
    caf::reacts_to<log_batch_synced>,  // tells whom it concerns
    caf::reacts_to<check_peer>,        // passes it on; answered by a peer_checked
    caf::reacts_to<record_replica>,    // passes it on, behind what was to be written before; answered by a replica_recorded
    caf::reacts_to<node_tick>,
    caf::reacts_to<stop>, caf::reacts_to<drain>>;

// A detached actor: it waits for the disk.
using log_disk_handle = caf::typed_actor<
    caf::reacts_to<log_batch>,             // writes and syncs it; answers log_batch_synced
    caf::reacts_to<peer_check_asked>,      // answers `by`
    caf::reacts_to<replica_record_asked>,  // likewise
    caf::reacts_to<stop>>;

// A broker too.
using link_handle = caf::typed_actor<
    caf::reacts_to<peer_output>,       // sends them, or drops them where the peer can't be reached: Raft repeats
    caf::reacts_to<forward_requests>,  // sends them, or lets the gateway know at once that it can't
    caf::reacts_to<forward_replies>,   // sends them, or drops them: whoever asked has a deadline
    caf::reacts_to<leaders_changed>,   // tells the other node who leads here
    // Sends them, or drops them: they are repeated.
    caf::reacts_to<messages::map_news>, caf::reacts_to<messages::group_order>, caf::reacts_to<messages::group_report>,
    caf::reacts_to<node_tick>, caf::reacts_to<stop>>;

using cluster_handle = caf::typed_actor<
    caf::reacts_to<cluster_wiring>,                  // once; nothing is sent before it
    caf::reacts_to<leaders_changed>,                 // from a raft_peer of this node
    caf::reacts_to<leaders_heard>,                   // from another node
    caf::reacts_to<peer_seen>,                       // from links
    caf::reacts_to<map_heard>,                       // takes a newer map, and tells of it
    caf::reacts_to<zone_heard>,
    caf::reacts_to<system_answer>,
    caf::reacts_to<group_ordered>,                   // has a replica of this node see to it
    caf::reacts_to<group_reported>,
    caf::reacts_to<membership_asked>,                // answers membership_answered, once it is durable, if this node leads partition 0
    caf::reacts_to<replicas_changed>,
    caf::reacts_to<hosting_settled>,
    caf::reacts_to<hand_over_all>,
    caf::replies_to<get_status>::with<node_status>,  // for the http port
    caf::reacts_to<node_tick>,                       // its own timer
    caf::reacts_to<stop>>;

// A detached actor: what it does waits for the disk.
using replica_host_handle = caf::typed_actor<
    caf::reacts_to<map_changed>,       // makes the replicas that this node is to hold, and drops those that it is not to hold any more
    caf::reacts_to<links_changed>,
    caf::reacts_to<replica_recorded>,
    caf::reacts_to<stop>>;             // stops all replicas, and ends when they have

// log_writer → log_disk: what others asked the log_writer.
struct peer_check_asked {
  check_peer asked;
  gateway_handle by;
};
struct replica_record_asked {
  record_replica record;
  replica_host_handle by;
};

struct hosted_partitions {
  std::vector<partition_handle> partitions;
};

struct links_changed {
  std::map<node_id, link_handle> links;
};

struct replicas_changed {
  std::map<partition_id, partition_handle> partitions;  // those hosted here
  std::map<partition_id, raft_peer_handle> raft_peers;
};

struct cluster_wiring {
  gateway_handle gateway;
  std::map<node_id, link_handle> links;
  std::map<partition_id, raft_peer_handle> raft_peers;
  std::map<partition_id, partition_handle> partitions;
  log_writer_handle log_writer;
  replica_host_handle replica_host;  // may be missing where replicas never change
};

struct gateway_wiring {
  log_writer_handle log_writer;  // knows the other nodes' incarnations
  std::map<partition_id, partition_handle> partitions;  // those hosted here
  std::map<partition_id, raft_peer_handle> raft_peers;
  std::map<node_id, link_handle> links;
};

}  // namespace kahuna::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::node_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::drain)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::client_operations)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::partition_replies)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::manager_update)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::manager_requests)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::manager_answers)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::partition_outputs)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::raft_events)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::append_to_log)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::log_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::log_batch_synced)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::peer_check_asked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::replica_record_asked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::snapshot_work)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::raft_inputs)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::hosted_partitions)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::log_grown)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::hand_over_all)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::prepare_flush)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::flush_data)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::data_flushed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::log_persisted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::peer_input)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::peer_output)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::forward_requests)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::forward_replies)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::link_broken)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::link_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::leaders_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::leaders_heard)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::check_peer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::peer_checked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::peer_seen)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::cluster_wiring)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::gateway_wiring)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::replica_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::partition_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::get_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::node_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::stop)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::map_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::map_heard)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::hosting_settled)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::zone_heard)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::system_operation)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::system_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::group_ordered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::group_reported)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::membership_asked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::membership_answered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::record_replica)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::replica_recorded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::links_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::actors::replicas_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::messages::map_news)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::messages::group_order)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::messages::group_report)
