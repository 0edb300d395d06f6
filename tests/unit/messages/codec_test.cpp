#define CAF_SUITE codec
#include "caf/test/unit_test.hpp"

#include <limits>

#include "core/base/prng.hpp"
#include "core/kv/write_batch.hpp"
#include "messages/codec/portable_archive.hpp"
#include "messages/protocol.hpp"

using namespace kahuna;
using namespace kahuna::messages;

namespace {

std::string hex(const std::string& bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

kv::write_batch sample_batch() {
  kv::write_batch batch;
  batch.stamp = timestamp{1000};
  batch.mutations.push_back({"k", {3, false, timestamp{999}, timestamp{1000}, 5000, "value"}});
  batch.mutations.push_back({"gone", {2, true, timestamp{1000}, timestamp{1000}, 0, ""}});
  batch.windows.push_back({7, 1, {{9, true, 3, timestamp{1000}}}});
  batch.removals.push_back({"old", 1, true});
  batch.collected_below_ms = 300;
  const txn::transaction_id id{timestamp{900}, 7, 2};
  kv::intended_write intended{kv::durability::persistent, "k", {3, false, timestamp{999}, timestamp{1000}, 0, "v"}, true};
  batch.transactions.prepared.push_back({id, term_id{6}, partition_id{4}, timestamp{990}, 5000, 6000, {"read"}, {"bucket"}, {intended}});
  batch.transactions.resolved.push_back(id);
  batch.transactions.decided.push_back({id, term_id{6}, timestamp{1000}, {partition_id{1}, partition_id{300}}});
  batch.transactions.forgotten.push_back(id);
  return batch;
}

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

client_requests sample_requests() {
  client_requests body;
  body.observed = timestamp{77};
  kv::set_request set;
  set.key = "k";
  set.value = "v";
  set.if_value = shared_bytes("old");
  set.if_revision = -1;
  set.expires_ms = 1500;
  body.requests.push_back({5, timestamp{70}, 4, 1, 900, term_id{3}, set});
  kv::get_request get;
  get.key = "k";
  get.at_revision = 3;
  body.requests.push_back({6, timestamp{70}, 4, 2, 900, {}, get});
  kv::scan_by_prefix_request scan;
  scan.prefix = "p";
  scan.partition = partition_id{4};
  scan.view = {timestamp{1}, 2};
  body.requests.push_back({7, timestamp{70}, 4, 1, 900, {}, scan});
  return body;
}

peer_messages sample_peer_messages() {
  peer_messages body;
  body.now = timestamp{5};
  raft::append_request append;
  append.term = term_id{3};
  append.prev_log_index = log_index{8};
  append.prev_log_term = term_id{2};
  append.commit_index = log_index{7};
  append.round = 12;
  append.entries.push_back({term_id{3}, log_index{9}, raft::entry_kind::command, "payload"});
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

cluster_reply sample_cluster_reply() {
  cluster_reply body{9, node_id{2}, {node_id{2}, node_id{3}}, {{partition_id{1}, term_id{4}, node_id{3}}}, {}};
  body.replicas.push_back({partition_id{1}, raft::role_kind::leader, term_id{4}, log_index{300}, log_index{299}, "node 2"});
  return body;
}

client_replies sample_replies() {
  client_replies body;
  body.now = timestamp{123};
  body.replies.push_back({1, 1, kv::set_response{true, 4, timestamp{120}}});
  body.replies.push_back({2, 3, error{errc::overloaded, "later"}});
  kv::list_response list;
  list.items.push_back({"a", "1", 2, 0, timestamp{3}});
  list.has_more = true;
  list.continue_after = "a";
  list.view = {timestamp{9}, 8};
  body.replies.push_back({3, 1, list});
  kv::get_response get;
  get.is_found = true;
  get.revision = 1;
  get.value = "v";
  body.replies.push_back({4, 1, get});
  return body;
}

// Encoding what was decoded gives the same bytes: every field went there and back.
template <class T>
void check_round_trip(const T& x) {
  const auto bytes = encode(x);
  const auto back = decode<T>(bytes);
  CAF_REQUIRE(back.has_value());
  CAF_CHECK_EQUAL(hex(encode(*back)), hex(bytes));
}

template <class T>
void check_hostile(const T& x) {
  const auto bytes = encode(x);
  for (std::size_t length = 0; length < bytes.size(); ++length)
    CAF_REQUIRE(!decode<T>(std::string_view(bytes).substr(0, length)));
  CAF_CHECK(!decode<T>(bytes + 'x'));
  // Damaged bytes may decode to something else; they must not crash, and not take memory that they do not fill.
  prng dice(3);
  for (int i = 0; i < 3000; ++i) {
    auto damaged = bytes;
    for (auto flips = dice.between(1, 4); flips > 0; --flips)
      damaged[dice.below(damaged.size())] = static_cast<char>(dice.below(256));
    if (const auto decoded = decode<T>(damaged)) static_cast<void>(encode(*decoded));
  }
}

struct first_version {
  std::uint32_t a = 0;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& a;
  }
};

struct second_version {
  std::uint32_t a = 0;
  std::uint32_t b = 7;
  template <class Archive>
  void serialize(Archive& archive, unsigned version) {
    archive& a;
    if (version >= 1) archive& b;
  }
};

// In the middle of a change.
routing::partition_map changed_map() {
  routing::partition_map map;
  map.cluster_id = 9;
  map.partitions = 2;
  map.replication_factor = 2;
  map.members.push_back({node_id{1}, "n1", "h:1", "", routing::member_state::active, {}});
  map.members.push_back({node_id{2}, "n2", "h:2", "z1", routing::member_state::leaving, node_id{3}});
  map.version = 2;
  map.next_node = node_id{3};
  map.placements.push_back({{node_id{1}, node_id{2}}, {}});
  map.placements.push_back({{node_id{1}}, {node_id{2}}});
  map.former.push_back({node_id{7}, "n7"});
  return map;
}

}  // namespace

BOOST_CLASS_VERSION(second_version, 1)

CAF_TEST(everything that travels comes back) {
  check_round_trip(sample_batch());
  check_round_trip(sample_requests());
  check_round_trip(cluster_request{7, partition_id{3}});
  check_round_trip(transfer_leader{partition_id{3}, node_id{2}});
  check_round_trip(sample_cluster_reply());
  for (const auto& what : std::vector<routing::membership_command>{routing::add_member{"n4", "h:4"}, routing::remove_member{"n2"},
                                                                   routing::replace_member{"n2", "n4", "h:4"}, routing::join_cluster{"n4", 4870, 300, true}})
    check_round_trip(membership_request{7, what});
  check_round_trip(membership_reply{7, error{errc::unavailable, "no"}, node_id{4}, changed_map()});
  check_round_trip(map_news{2, changed_map(), 7});
  check_round_trip(group_order{partition_id{3}, 2, {node_id{1}, node_id{3}}});
  check_round_trip(group_report{partition_id{3}, 2, {node_id{1}, node_id{3}}, true, "no"});
  check_round_trip(sample_replies());
  check_round_trip(sample_peer_messages());
  check_round_trip(hello{});
  check_round_trip(welcome{1, node_id{2}, 3, timestamp{4}, routing::form_cluster({{"n1", "h:1"}}, 16, 1), 5, 6});
  check_round_trip(refusal{{errc::permission_denied, "no"}, true});
  check_round_trip(leaders{{{partition_id{1}, term_id{2}, node_id{3}}}});
  check_round_trip(forwarded_requests{timestamp{1}, {{2, 3, true, sample_requests().requests[0]}}});
  for (const auto& op : transaction_operations()) check_round_trip(op);
  for (const auto& response : transaction_responses()) check_round_trip(response);
  check_round_trip(forwarded_replies{timestamp{1}, {{2, kv::delete_response{true, 1, timestamp{5}}}}});
  check_round_trip(kv::client_window{7, 3, timestamp{9}, {{4, true, 1, timestamp{8}}}});
  check_round_trip(raft::hard_state{term_id{5}, node_id{2}});
  for (const std::int64_t n :
       {std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()})
    CAF_CHECK_EQUAL(+*decode<std::int64_t>(encode(n)), n);
  CAF_CHECK_EQUAL(+*decode<std::uint64_t>(encode(std::numeric_limits<std::uint64_t>::max())),
                  std::numeric_limits<std::uint64_t>::max());
}

CAF_TEST(the bytes of each record are what they were) {
  // What is stored and what other versions send is read by these: a change here is a change of the format.
  CAF_CHECK_EQUAL(hex(encode(raft::hard_state{term_id{5}, node_id{2}})), "000502");
  CAF_CHECK_EQUAL(hex(encode(raft::log_entry{term_id{300}, log_index{9}, raft::entry_kind::command, "ab"})),
                  "00ac020901026162");
  CAF_CHECK_EQUAL(hex(encode(sample_batch())),
                  "00e807020001"
                  "6b"
                  "000600e707e80788270576616c7565"
                  "0004"
                  "676f6e65"
                  "000401e807e8070000"
                  "010007010100090106e807"
                  "0100036f6c640201"
                  "ac02"
                  "00"
                  "0100"
                  "0084070702"
                  "06"
                  "04de078827f02e"
                  "010472656164"
                  "01066275636b6574"
                  "010000016b"
                  "000600e707e807000176"
                  "01"
                  "010084070702"
                  "0100"
                  "0084070702"
                  "06"
                  "e8070201ac02"
                  "010084070702");
  CAF_CHECK_EQUAL(hex(encode(ping{300})), "00ac02");
  CAF_CHECK_EQUAL(hex(encode(cluster_request{300, partition_id{5}})), "00ac020105");
  CAF_CHECK_EQUAL(hex(encode(transfer_leader{partition_id{5}, node_id{2}})), "000502");
  CAF_CHECK_EQUAL(hex(encode(sample_cluster_reply())),
                  "0009"
                  "02"
                  "020203"
                  "0100010403"
                  "01"
                  "00010204ac02ab02"
                  "066e6f64652032");
  CAF_CHECK_EQUAL(hex(encode(hello{})), "01cb82a1f20401010100000000000000");
  CAF_CHECK_EQUAL(hex(encode(membership_request{9, routing::replace_member{"n2", "n4", "h:4"}})), "00090200026e32026e3403683a34");
  CAF_CHECK_EQUAL(hex(encode(group_order{partition_id{5}, 300, {node_id{1}, node_id{3}}})), "0005ac02020103");
  CAF_CHECK_EQUAL(hex(encode(group_report{partition_id{5}, 300, {node_id{1}}, true, "x"})), "0005ac02010101" "0178");
  CAF_CHECK_EQUAL(hex(encode(map_news{2, changed_map(), 7})),
                  "0102"
                  "0101" "09" "02" "02"
                  "02" "0101026e3103683a31" "00" "0100" "0102026e3203683a32" "027a31" "0203"
                  "02" "03"
                  "02" "00020102" "00" "00010101" "02"
                  "01" "0007026e37"
                  "07");
  CAF_CHECK_EQUAL(hex(encode(kv::client_window{7, 3, timestamp{9}, {{4, true, 1, timestamp{8}}}})),
                  "0007030901000401"
                  "0208");
  const auto step_of = [](const kv::transaction_step& step) { return hex(encode(step)); };
  CAF_CHECK_EQUAL(step_of(kv::several_step{{kv::get_request{.key = "k"}, kv::wanted_lock{.key = "l"}}}), "0900020100016b000000050000016c02");
  CAF_CHECK_EQUAL(step_of(kv::write_and_commit_step{{kv::set_request{.key = "k", .value = "v"}, kv::delete_request{.key = "l"}}}), "0a00020000016b01760000000000000100016c00");
  const auto response_of = [](const kv::operation_response& response) { return hex(encode(response)); };
  CAF_CHECK_EQUAL(response_of(kv::several_response{{kv::set_response{true, 4, timestamp{9}}, kv::lock_response{}}}), "0c000200000108090500");
  CAF_CHECK_EQUAL(response_of(kv::commit_refusal{1, kv::extend_response{}}), "0d00010400000100");
}

CAF_TEST(hostile bytes are errors and nothing worse) {
  check_hostile(sample_batch());
  for (const auto& op : transaction_operations()) check_hostile(op);
  check_hostile(sample_requests());
  check_hostile(sample_replies());
  check_hostile(cluster_request{7, partition_id{3}});
  check_hostile(transfer_leader{partition_id{3}, node_id{2}});
  check_hostile(sample_cluster_reply());
  check_hostile(membership_request{7, routing::join_cluster{"n4", 4870, 300, true}});
  check_hostile(map_news{2, changed_map(), 7});
  check_hostile(group_report{partition_id{3}, 2, {node_id{1}, node_id{3}}, true, "no"});
  check_hostile(sample_peer_messages());
  check_hostile(welcome{1, node_id{2}, 3, timestamp{4}, routing::form_cluster({{"n1", "h:1"}, {"n2", "h:2"}}, 16, 1), 5, 6});
}

CAF_TEST(forged lengths and counts are refused before anything is allocated) {
  const std::string length_of_2_31("\x80\x80\x80\x80\x08", 5);
  CAF_CHECK(!decode<std::string>(length_of_2_31));
  CAF_CHECK(!decode<shared_bytes>(length_of_2_31));
  CAF_CHECK(!decode<std::vector<std::uint64_t>>(length_of_2_31));
  CAF_CHECK(!decode<std::vector<kv::mutation>>(length_of_2_31 + "abc"));
  CAF_CHECK(!decode<std::uint64_t>(std::string(10, '\xff')));
  CAF_CHECK(!decode<std::uint32_t>(encode(std::uint64_t{1} << 32)));
  CAF_CHECK(!decode<bool>(std::string("\x02", 1)));
  CAF_CHECK(!decode<errc>(std::string("\x00", 1)));
  CAF_CHECK(!decode<errc>(std::string("\x7f", 1)));
  CAF_CHECK(!decode<kv::operation>(std::string("\x20", 1)));
  CAF_CHECK(!decode<std::optional<bool>>(std::string("\x02", 1)));
}

CAF_TEST(older class versions are read and newer ones refused) {
  const auto old_bytes = encode(first_version{5});
  const auto read = decode<second_version>(old_bytes);
  CAF_REQUIRE(read.has_value());
  CAF_CHECK_EQUAL(read->a, 5u);
  CAF_CHECK_EQUAL(read->b, 7u);
  CAF_CHECK(!decode<first_version>(encode(second_version{5, 6})));
}
