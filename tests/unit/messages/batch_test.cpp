#define CAF_SUITE batch
#include "caf/test/unit_test.hpp"

#include "core/base/prng.hpp"
#include "messages/batch.hpp"
#include "messages/connection/frame.hpp"

using namespace kahuna;
using namespace kahuna::messages;

namespace {

// What a receiver of this cluster's frames makes of them: all of it, or nothing where a frame is above the bound.
template <class Body>
std::vector<Body> received(const std::string& bytes, std::uint32_t value_bytes_max) {
  frame_reader reader(frame_bytes_max(value_bytes_max));
  reader.feed(bytes.data(), bytes.size());
  std::vector<Body> bodies;
  while (const auto frame = reader.next()) bodies.push_back(*decode<Body>(frame->body));
  CAF_CHECK(!reader.failure());
  return bodies;
}

}  // namespace

CAF_TEST(whatever has collected fits the frames and keeps its order) {
  prng dice(9);
  constexpr std::uint32_t value_bytes_max = 1 << 20;
  client_replies replies;
  replies.now = timestamp{7};
  for (std::uint64_t i = 0; i < 60; ++i) {
    kv::list_response page;
    while (page.items.size() < 900) page.items.push_back({"key", std::string(1100, 'v'), 0, 0, {}});
    if (dice.chance(1, 2))
      replies.replies.push_back({i, 1, std::move(page)});
    else
      replies.replies.push_back({i, 1, kv::set_response{}});
  }
  std::string bytes;
  send_in_batches(replies, &client_replies::replies, [&](const client_replies& part) { append_frame(bytes, frame_kind::client_replies, part); });
  CAF_CHECK(replies.replies.empty());
  std::uint64_t next = 0;
  const auto parts = received<client_replies>(bytes, value_bytes_max);
  CAF_CHECK(parts.size() > 10);
  for (const auto& part : parts) {
    CAF_CHECK(part.now == timestamp{7});
    for (const auto& reply : part.replies) CAF_CHECK_EQUAL(reply.sequence, next++);
  }
  CAF_CHECK_EQUAL(next, 60u);
}

CAF_TEST(entries of the largest values fit one by one) {
  constexpr std::uint32_t value_bytes_max = 16 << 20;
  peer_messages messages;
  for (std::uint32_t i = 0; i < 4; ++i) {
    raft::append_request append;
    append.entries.push_back({term_id{1}, log_index{i + 1}, raft::entry_kind::command, std::string(value_bytes_max + 9000, 'v')});
    messages.envelopes.push_back({partition_id{i}, std::move(append)});
  }
  std::string bytes;
  send_in_batches(messages, &peer_messages::envelopes, [&](const peer_messages& part) { append_frame(bytes, frame_kind::peer_messages, part); });
  CAF_CHECK_EQUAL(received<peer_messages>(bytes, value_bytes_max).size(), 4u);
}

CAF_TEST(nothing is nothing) {
  forwarded_replies none;
  send_in_batches(none, &forwarded_replies::replies, [](const forwarded_replies&) { CAF_ERROR("a frame without items"); });
  CAF_CHECK(none.replies.empty());
}
