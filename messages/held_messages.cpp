#include "messages/held_messages.hpp"

#include <utility>
#include <variant>

#include "messages/batch.hpp"

namespace kahuna::messages {

namespace {

bool is_in_order(const peer_envelope& envelope) {
  const auto* append = std::get_if<raft::append_request>(&envelope.body);
  return (append != nullptr && !append->entries.empty()) || std::holds_alternative<raft::install_snapshot_request>(envelope.body);
}

}  // namespace

void held_messages::hold_back(std::vector<peer_envelope>& collected, std::size_t under_way_bytes) {
  std::vector<peer_envelope> passing;
  for (auto& envelope : collected) {
    const auto bytes = item_bytes(envelope);
    const bool is_late = bytes >= large_bytes_min && under_way_bytes >= under_way_bytes_max;
    if (!is_in_order(envelope) || (!is_late && !held_of_.contains(envelope.partition))) {
      under_way_bytes += bytes;
      passing.push_back(std::move(envelope));
      continue;
    }
    ++held_of_[envelope.partition];
    bytes_ += bytes;
    held_.push_back(std::move(envelope));
  }
  collected = std::move(passing);
}

std::optional<peer_envelope> held_messages::next(std::size_t under_way_bytes) {
  if (held_.empty() || under_way_bytes >= under_way_bytes_max) return std::nullopt;
  auto envelope = std::move(held_.front());
  held_.pop_front();
  bytes_ -= item_bytes(envelope);
  if (const auto found = held_of_.find(envelope.partition); --found->second == 0) held_of_.erase(found);
  return envelope;
}

}  // namespace kahuna::messages
