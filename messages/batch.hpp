// Cuts what has collected for a connection into frames that the other side takes.
//
// A frame's bound (frame_bytes_max) has room for one item of any size and batch_bytes_max of others, so a batch is closed
// as soon as it has passed batch_bytes_max.
#pragma once

#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "messages/protocol.hpp"

namespace kahuna::messages {

inline constexpr std::size_t batch_bytes_max = 1 << 20;

// Upper bounds, but for lengths of at most a kilobyte, of what an item is encoded to.
inline std::size_t item_bytes(const peer_envelope& envelope) {
  std::size_t bytes = 64;
  if (const auto* append = std::get_if<raft::append_request>(&envelope.body))
    for (const auto& entry : append->entries) bytes += entry.size_bytes();
  if (const auto* piece = std::get_if<raft::install_snapshot_request>(&envelope.body)) bytes += piece->data.size();
  return bytes;
}

inline std::size_t response_bytes(const kv::operation_response& response) { return 64 + kv::payload_bytes(response); }
inline std::size_t item_bytes(const client_reply& reply) { return response_bytes(reply.response); }
inline std::size_t item_bytes(const forwarded_reply& reply) { return response_bytes(reply.response); }
inline std::size_t item_bytes(const forwarded_request& forwarded) { return 64 + kv::payload_bytes(forwarded.request.op); }

// Calls `send(body)` for as many bodies as it takes, with the fields of `body` and a part of its items each, in order.
// `items` is left empty.
template <class Body, class Item, class Send>
void send_in_batches(Body& body, std::vector<Item> Body::*items, Send send) {
  auto all = std::exchange(body.*items, {});
  std::size_t bytes = 0;
  for (auto& item : all) {
    bytes += item_bytes(item);
    (body.*items).push_back(std::move(item));
    if (bytes < batch_bytes_max) continue;
    send(body);
    (body.*items).clear();
    bytes = 0;
  }
  if (!(body.*items).empty()) send(body);
  (body.*items).clear();
}

}  // namespace kahuna::messages
