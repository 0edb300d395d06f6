#include "tests/fuzz/message_samples.hpp"

namespace kahuna::fuzz {

routing::partition_map sample_map() { return routing::form_cluster({{"n1", "h1:1"}, {"n2", "h2:1"}, {"n3", "h3:1"}}, 16, 3); }

messages::hello sample_client_hello() {
  messages::hello said;
  said.client_id = 77;
  return said;
}

messages::hello sample_node_hello() {
  messages::hello said;
  said.role = messages::connection_role::node;
  said.cluster_id = sample_map().cluster_id;
  said.node = node_id{2};
  said.incarnation = 5;
  said.election_timeout_ms = 300;
  return said;
}

messages::welcome sample_welcome() {
  return {1, node_id{2}, 5, timestamp_at(1'700'000'000'000), sample_map(), 1 << 20, messages::frame_bytes_max(1 << 20)};
}

messages::refusal sample_refusal() { return {{errc::permission_denied, "this node is of another cluster"}, true}; }

// One of each kind that is said of transactions.
std::vector<kv::operation> transaction_operations() {
  const txn::transaction_id id{timestamp{900}, 7, 2};
  const kv::transaction_header header{id, partition_id{4}, kv::locking_mode::optimistic, 5000};
  const kv::observation seen{{{kv::durability::ephemeral, "k", true, 3, true, timestamp{9}, false}},
                             {{kv::durability::persistent, "b", timestamp{8}, 5000}}};
  const std::vector<kv::intended_write> writes{
      {kv::durability::persistent, "k", {3, false, timestamp{9}, timestamp{9}, 0, "v"}, true}};
  std::vector<kv::operation> all{kv::read_clock_request{partition_id{5}}};
  for (const kv::transaction_step& step :
       std::vector<kv::transaction_step>{kv::set_request{.key = "k", .value = "v"}, kv::get_by_bucket_request{.bucket = "b"},
                                         kv::commit_step{}, kv::rollback_step{},
                                         kv::lock_step{{{kv::durability::ephemeral, "e", kv::lock_demand::shared}, {.key = "k"}}},
                                         kv::several_step{{kv::wanted_lock{.key = "k"}, kv::get_request{.key = "k"}, kv::set_request{.key = "k", .value = "v"}}},
                                         kv::write_and_commit_step{{kv::delete_request{.key = "k"}, kv::extend_request{.key = "l", .expires_ms = 300}}}})
    all.push_back(kv::transaction_request{header, 3, 77, step});
  for (const kv::participant_body& body : std::vector<kv::participant_body>{
           kv::participant_read{kv::durability::persistent, "k", kv::lock_demand::exclusive},
           kv::participant_list{{.bucket = "b"}, kv::lock_demand::shared}, kv::participant_validate{seen},
           kv::participant_prepare{seen, writes},
           kv::participant_commit{seen, writes, timestamp{9}, 5000, {partition_id{1}, partition_id{300}}},
           kv::participant_resolve{timestamp{9}}, kv::participant_lookup{}, kv::participant_forget{},
           kv::transaction_query{true, true, kv::wait_order::in_order, false}, kv::participant_stop_waiting{}})
    all.push_back(kv::participant_request{partition_id{3}, id, term_id{6}, partition_id{4}, 6000, body});
  return all;
}

std::vector<kv::operation_response> transaction_responses() {
  const kv::version v{3, false, timestamp{9}, timestamp{9}, 0, "v"};
  return {kv::clock_response{timestamp{9}},
          kv::commit_response{timestamp{9}},
          kv::rollback_response{}, kv::lock_response{},
          kv::several_response{{kv::lock_response{}, kv::get_response{true, 3, "v", 0, timestamp{9}}, kv::set_response{true, 4, timestamp{9}}}},
          kv::commit_refusal{1, kv::extend_response{}},
          kv::participant_response{kv::read_answer{v, 7}},
          kv::participant_response{kv::list_answer{{}, timestamp{9}}},
          kv::participant_response{kv::vote{false, "it was changed", timestamp{9}, 5000}},
          kv::participant_response{kv::transaction_status{kv::transaction_state::aborted, timestamp{}, "wounded"}}};
}

messages::client_requests sample_requests() {
  kv::set_request set{
      .key = "services/auth", .value = "value", .if_absent = true, .if_value = "old", .if_revision = -1, .expires_ms = 1500};
  kv::get_request get{.key = "k", .space = kv::durability::ephemeral, .at_revision = 3};
  kv::get_by_bucket_request bucket{.bucket = "services", .after = "services/a", .limit = 9, .view = {timestamp{1}, 2}};
  kv::scan_by_prefix_request scan{.prefix = "s", .partition = partition_id{4}, .view = {timestamp{1}, 2}};
  messages::client_requests body;
  body.observed = timestamp_at(1'700'000'000'000);
  std::uint64_t sequence = 1;
  auto asked = transaction_operations();
  asked.insert(asked.begin(), {set, get, kv::exists_request{.key = "k"}, kv::delete_request{.key = "k"},
                               kv::extend_request{.key = "k", .expires_ms = 300}, bucket, scan});
  for (const auto& op : asked) body.requests.push_back({sequence++, body.observed, 1, 2, 900, {}, op});
  return body;
}

messages::client_replies sample_replies() {
  const auto now = timestamp_at(1'700'000'000'001);
  kv::list_response page;
  page.items.push_back({"services/a", "1", 2, 1'700'000'009'000, now});
  page.items.push_back({"services/b", std::string(40, 'v'), 0, 0, now});
  page.has_more = true;
  page.continue_after = "services/b";
  page.view = {now, 8};
  kv::get_response get{.is_found = true, .revision = 1, .value = "v", .modified = now};
  messages::client_replies body;
  body.now = now;
  std::uint64_t sequence = 1;
  for (const kv::operation_response& response : std::vector<kv::operation_response>{
           error{errc::overloaded, "later"}, kv::set_response{true, 4, now}, get, kv::exists_response{true, 1, 0, now},
           kv::delete_response{true, 1, now}, kv::extend_response{true, 1, now}, page})
    body.replies.push_back({sequence++, 1, response});
  for (const auto& response : transaction_responses()) body.replies.push_back({sequence++, 1, response});
  return body;
}

messages::leaders sample_leaders() {
  return {
      {{partition_id{0}, term_id{2}, node_id{3}}, {partition_id{1}, term_id{300}, node_id{2}}, {partition_id{2}, {}, no_node}}};
}

messages::cluster_reply sample_cluster_reply() {
  messages::cluster_reply body{9, node_id{2}, {node_id{2}, node_id{3}}, sample_leaders().partitions, {}};
  body.replicas.push_back(
      {partition_id{1}, raft::role_kind::leader, term_id{4}, log_index{300}, log_index{299}, "node 2 leads"});
  return body;
}

// One that has changed since it was formed.
routing::partition_map changed_map() {
  auto map = sample_map();
  map.version = 300;
  map.members[1].state = routing::member_state::leaving;
  map.members[1].waits_for = map.next_node;
  map.members.push_back({map.next_node, "n4", "h4:1", "rack-1", routing::member_state::joining, {}});
  ++map.next_node;
  map.placements[5].target = {node_id{1}, node_id{3}};
  map.former.push_back({node_id{2}, "n9"});
  return map;
}

messages::membership_request sample_membership_request() { return {300, routing::replace_member{"n2", "n4", "h4:1"}}; }
messages::membership_reply sample_membership_reply() { return {300, error{errc::unavailable, "no majority"}, node_id{4}, changed_map()}; }
messages::map_news sample_map_news() { return {300, changed_map(), 299}; }
messages::group_order sample_group_order() { return {partition_id{5}, 300, {node_id{1}, node_id{3}}}; }
messages::group_report sample_group_report() { return {partition_id{5}, 300, {node_id{1}, node_id{3}}, true, "not enough answer"}; }

messages::peer_messages sample_peer_messages() {
  raft::append_request append;
  append.term = term_id{3};
  append.prev_log_index = log_index{8};
  append.prev_log_term = term_id{2};
  append.commit_index = log_index{7};
  append.round = 12;
  append.entries.push_back({term_id{3}, log_index{9}, raft::entry_kind::command, "payload"});
  append.entries.push_back({term_id{3}, log_index{10}, raft::entry_kind::no_op, {}});
  messages::peer_messages body;
  body.now = timestamp_at(1'700'000'000'000);
  body.envelopes.push_back({partition_id{1}, append});
  body.envelopes.push_back({partition_id{2}, raft::vote_request{term_id{4}, log_index{9}, term_id{3}, true}});
  body.envelopes.push_back({partition_id{2}, raft::vote_response{term_id{4}, true, true}});
  body.envelopes.push_back(
      {partition_id{3}, raft::append_response{term_id{4}, 3, false, {}, log_index{8}, log_index{7}, term_id{2}}});
  body.envelopes.push_back(
      {partition_id{4}, raft::install_snapshot_request{term_id{4}, 2, {log_index{70}, term_id{3}}, 5, true, shared_bytes("piece"), {{node_id{1}, node_id{2}}, {node_id{1}}, {node_id{3}}}}});
  body.envelopes.push_back({partition_id{4}, raft::install_snapshot_response{term_id{4}, 2, 5, false}});
  body.envelopes.push_back({partition_id{4}, raft::timeout_now{term_id{4}}});
  return body;
}

messages::forwarded_requests sample_forwarded_requests() {
  messages::forwarded_requests body;
  for (const auto& request : sample_requests().requests) body.requests.push_back({request.sequence + 100, 77, request.sequence % 2 == 0, request});
  return body;
}

messages::forwarded_replies sample_forwarded_replies() {
  messages::forwarded_replies body;
  for (const auto& reply : sample_replies().replies) body.replies.push_back({reply.sequence + 100, reply.response});
  return body;
}

}  // namespace kahuna::fuzz
