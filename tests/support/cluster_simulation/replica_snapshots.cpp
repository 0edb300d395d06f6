// What a simulated replica does for Raft's snapshots and for flushes, as actors/partition_snapshots.cpp does it.
#include <algorithm>
#include <utility>

#include "core/base/check.hpp"
#include "messages/codec/portable_archive.hpp"
#include "tests/support/cluster_simulation/node.hpp"
#include "tests/support/cluster_simulation/replica.hpp"

namespace kahuna::testing {

namespace {

// Small at first, so that there are several; then larger, or long ones would have no end where messages overtake each other.
constexpr std::uint64_t small_pieces = 8;
constexpr std::size_t small_piece_bytes = 600;
constexpr std::size_t large_piece_bytes = 16'000;

}  // namespace

std::unique_ptr<kv::partition_core> replica::make_partition_core() {
  kv::partition_options options;
  options.checkpoint_entries = static_cast<std::uint32_t>(world_.options.checkpoint_entries);
  return std::make_unique<kv::partition_core>(id_, options, *store_,
                                              [](std::string_view payload) { return messages::decode<kv::write_batch>(payload); });
}

void replica::do_snapshot_work(const std::vector<raft::snapshot_order>& orders, const std::vector<raft::snapshot_piece>& pieces) {
  for (const auto& order : orders) {
    if (order.wanted == raft::snapshot_order::what::open) open_for(order);
    if (order.wanted == raft::snapshot_order::what::read) read_for(order);
    if (order.wanted == raft::snapshot_order::what::close) {
      const auto found = views_.find(order.peer);
      if (found != views_.end() && found->second.transfer == order.transfer) views_.erase(found);
    }
  }
  for (const auto& piece : pieces) store_piece(piece);
}

void replica::open_for(const raft::snapshot_order& order) {
  const auto found = views_.find(order.peer);
  if (found != views_.end() && found->second.transfer == order.transfer) return;
  views_.erase(order.peer);
  // One at a time a node's partition; Raft asks again.
  if (!views_.empty()) return;
  partition_->checkpoint();
  views_[order.peer] = {order.transfer, store_->open_snapshot(), 0};
  tell_raft(raft::snapshot_opened{order.peer, order.transfer, partition_->applied_index()});
}

void replica::read_for(const raft::snapshot_order& order) {
  const auto found = views_.find(order.peer);
  if (found == views_.end() || found->second.transfer != order.transfer || found->second.next_piece != order.number) return;
  ++found->second.next_piece;
  auto piece = found->second.view->next(order.number < small_pieces ? small_piece_bytes : large_piece_bytes);
  KAHUNA_CHECK(piece.has_value());
  const bool is_last = piece->is_last;
  if (is_last) found->second.next_piece = ~std::uint64_t{0};
  tell_raft(raft::snapshot_read{order.peer, order.transfer, order.number, is_last, shared_bytes(std::move(piece->bytes))});
}

void replica::store_piece(const raft::snapshot_piece& piece) {
  if (piece.number != 0 && piece.number != staged_pieces_) return;
  staged_pieces_ = piece.number + 1;
  KAHUNA_CHECK(!store_->stage(piece.number == 0, piece.data.view()));
  tell_raft(raft::snapshot_stored{piece.term, piece.transfer, piece.number});
  if (!piece.is_last) return;
  if (partition_->applied_index() >= piece.at.index || role_.role == raft::role_kind::leader) return;
  partition_->checkpoint();
  KAHUNA_CHECK(!store_->install_staged({piece.at, piece.members}));
  installed_index_ = piece.at.index;
  partition_ = make_partition_core();
  if (host_.note_applied(id_, installed_index_)) host_.watch().applied(id_, installed_index_, state_digest(), host_.id());
  step_partition(role_);
  flushing_.push_back(raft::snapshot_installed{{piece.at, piece.members}});
  host_.flush_data(id_);
  host_.has_installed_a_snapshot();
}

bool replica::is_installing() const {
  return std::any_of(flushing_.begin(), flushing_.end(), [](const auto& input) { return std::holds_alternative<raft::snapshot_installed>(input); });
}

void replica::prepare_to_flush() {
  partition_->checkpoint();
  flushing_.push_back(raft::flushed{partition_->applied_index()});
  host_.flush_data(id_);
}

void replica::take_flushed() {
  send(to_partition_, [this] {
    honour_partition();
    auto now_true = std::move(flushing_.front());
    flushing_.pop_front();
    tell_raft(std::move(now_true));
  });
}

std::uint64_t replica::state_digest() {
  partition_->checkpoint();
  std::uint64_t hash = 14695981039346656037ull;
  const auto put = [&](std::string_view text) {
    for (const auto c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
    hash = (hash ^ 0xff) * 1099511628211ull;
  };
  const auto damage = store_->walk_versions(std::nullopt, [&](std::string_view key, const kv::version& v) {
    put(key);
    put(messages::encode(v));
    return true;
  });
  KAHUNA_CHECK(!damage);
  const auto windows = store_->load_windows();
  KAHUNA_CHECK(windows.has_value());
  for (const auto& window : *windows) put(messages::encode(window));
  const auto transactions = store_->load_transactions();
  KAHUNA_CHECK(transactions.has_value());
  for (const auto& prepared : transactions->prepared) put(messages::encode(prepared));
  for (const auto& record : transactions->records) put(messages::encode(record));
  put(std::to_string(store_->applied_stamp().value) + ' ' + std::to_string(store_->collected_below_ms()));
  return hash;
}

}  // namespace kahuna::testing
