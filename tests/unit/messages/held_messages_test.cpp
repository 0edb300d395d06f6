#define CAF_SUITE held_messages
#include "caf/test/unit_test.hpp"

#include "messages/held_messages.hpp"

using namespace kahuna;
using namespace kahuna::messages;

namespace {

constexpr std::size_t much = held_messages::under_way_bytes_max;

peer_envelope append(std::uint32_t partition, std::uint64_t index, std::size_t bytes) {
  raft::append_request request;
  request.prev_log_index = log_index{index - 1};
  if (bytes != 0) request.entries.push_back({term_id{1}, log_index{index}, raft::entry_kind::command, shared_bytes(std::string(bytes, 'v'))});
  return {partition_id{partition}, std::move(request)};
}

// Partition and index of each append, "-" for what is none.
std::string text_of(const std::vector<peer_envelope>& envelopes) {
  std::string text;
  for (const auto& envelope : envelopes) {
    const auto* request = std::get_if<raft::append_request>(&envelope.body);
    text += request == nullptr ? "- " : std::to_string(envelope.partition.value) + ':' + std::to_string(request->prev_log_index.value + 1) + ' ';
  }
  return text;
}

std::string rest_of(held_messages& held) {
  std::vector<peer_envelope> rest;
  while (auto next = held.next(0)) rest.push_back(std::move(*next));
  return text_of(rest);
}

}  // namespace

CAF_TEST(nothing waits while little is on its way) {
  held_messages held;
  std::vector<peer_envelope> collected;
  collected.push_back(append(1, 1, 900 << 10));
  collected.push_back(append(1, 2, 10));
  held.hold_back(collected, much - 1'000'000);
  CAF_CHECK_EQUAL(text_of(collected), "1:1 1:2 ");
  CAF_CHECK(!held.next(0));
}

CAF_TEST(what is small passes what is large but not in its own partition) {
  held_messages held;
  std::vector<peer_envelope> collected;
  collected.push_back(append(1, 1, 900 << 10));  // goes: little is on its way before it
  collected.push_back(append(2, 1, 900 << 10));  // goes too, up to the bound
  collected.push_back(append(3, 1, 900 << 10));
  collected.push_back(append(3, 2, 10));
  collected.push_back(append(3, 9, 0));  // a heartbeat
  collected.push_back(append(4, 1, 10));
  collected.push_back({partition_id{3}, raft::append_response{}});
  raft::install_snapshot_request piece;
  piece.data = shared_bytes(std::string(256 << 10, 'p'));
  collected.push_back({partition_id{5}, piece});
  held.hold_back(collected, 0);
  CAF_CHECK_EQUAL(text_of(collected), "1:1 2:1 3:9 4:1 - ");
  CAF_CHECK(held.bytes() > (900 << 10));
  CAF_CHECK(!held.next(much));

  // Later ones of a partition stand behind those that wait, also where little is on its way by then.
  collected.clear();
  collected.push_back(append(3, 3, 10));
  collected.push_back(append(4, 2, 10));
  held.hold_back(collected, 0);
  CAF_CHECK_EQUAL(text_of(collected), "4:2 ");
  CAF_CHECK_EQUAL(rest_of(held), "3:1 3:2 - 3:3 ");
  CAF_CHECK_EQUAL(held.bytes(), 0u);

  // And go by themselves again afterwards.
  collected.clear();
  collected.push_back(append(3, 4, 10));
  held.hold_back(collected, 0);
  CAF_CHECK_EQUAL(text_of(collected), "3:4 ");
}

CAF_TEST(what is cleared is forgotten) {
  held_messages held;
  std::vector<peer_envelope> collected;
  collected.push_back(append(1, 1, 100 << 10));
  held.hold_back(collected, much);
  CAF_CHECK(collected.empty());
  held.clear();
  collected.push_back(append(1, 2, 10));
  held.hold_back(collected, much);
  CAF_CHECK_EQUAL(text_of(collected), "1:2 ");
}
