#include "tests/support/wire_client.hpp"

#include <algorithm>

#include "core/kv/operation_routing.hpp"

namespace kahuna::testing {

using messages::frame_kind;

std::string frame_of_bytes(std::uint8_t kind, std::string_view body) {
  std::string bytes;
  const auto length = static_cast<std::uint32_t>(body.size() + 1);
  for (std::size_t i = 0; i < messages::frame_header_bytes; ++i) bytes.push_back(static_cast<char>(length >> (8 * i)));
  bytes.push_back(static_cast<char>(kind));
  bytes.append(body);
  return bytes;
}

messages::hello client_hello(std::uint64_t client_id) {
  messages::hello hello;
  hello.client_id = client_id;
  return hello;
}

std::optional<wire_client::raw_frame> wire_client::receive_frame(steady_clock::time_point deadline) {
  const auto left = [&] {
    return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(deadline - steady_clock::now()));
  };
  if (!awaited_bytes_) {
    const auto header = socket_.receive(messages::frame_header_bytes, left());
    if (!header) return std::nullopt;
    std::uint32_t length = 0;
    for (std::size_t i = 0; i < messages::frame_header_bytes; ++i)
      length |= static_cast<std::uint32_t>(static_cast<std::uint8_t>((*header)[i])) << (8 * i);
    awaited_bytes_ = length;
  }
  auto payload = socket_.receive(*awaited_bytes_, left());
  if (!payload || payload->empty()) return std::nullopt;
  awaited_bytes_.reset();
  return raw_frame{static_cast<frame_kind>(payload->front()), payload->substr(1)};
}

std::optional<messages::welcome> wire_client::shake_hands(std::uint64_t client_id, milliseconds patience) {
  if (!is_open() || !socket_.send(frame_bytes(frame_kind::hello, client_hello(client_id)))) return std::nullopt;
  const auto answer = receive_frame(steady_clock::now() + patience);
  if (!answer || answer->kind != frame_kind::welcome) return std::nullopt;
  auto welcome = messages::decode<messages::welcome>(answer->body);
  if (!welcome) return std::nullopt;
  observed_ = welcome->now;
  map_ = welcome->map;
  const auto leaders = receive_frame(steady_clock::now() + patience);
  if (!leaders || leaders->kind != frame_kind::leaders) return std::nullopt;
  take_leaders(leaders->body);
  return std::move(welcome).value();
}

void wire_client::take_leaders(const std::string& body) {
  if (const auto news = messages::decode<messages::leaders>(body))
    for (const auto& entry : news->partitions)
      if (entry.leader != no_node) terms_[entry.partition] = entry.term;
}

bool wire_client::send(std::uint64_t sequence, kv::operation op, milliseconds budget) {
  messages::client_request request;
  request.sequence = sequence;
  request.issued_at = observed_;
  request.budget_ms = static_cast<std::uint32_t>(budget.count());
  if (const auto partition = kv::partition_of(map_, op); partition && terms_.contains(*partition)) request.term = terms_.at(*partition);
  request.op = std::move(op);
  messages::client_requests requests;
  requests.observed = observed_;
  requests.requests.push_back(std::move(request));
  return socket_.send(frame_bytes(frame_kind::client_requests, requests));
}

std::optional<messages::client_reply> wire_client::receive(milliseconds patience) {
  const auto deadline = steady_clock::now() + patience;
  while (replies_.empty()) {
    const auto frame = receive_frame(deadline);
    if (!frame) return std::nullopt;
    if (frame->kind == frame_kind::leaders) take_leaders(frame->body);
    if (frame->kind != frame_kind::client_replies) continue;
    auto decoded = messages::decode<messages::client_replies>(frame->body);
    if (!decoded) return std::nullopt;
    observed_ = std::max(observed_, decoded->now);
    replies_ = std::move(decoded->replies);
  }
  auto reply = std::move(replies_.front());
  replies_.erase(replies_.begin());
  return reply;
}

}  // namespace kahuna::testing
