// What a partition does for Raft's snapshots: it reads its own state in pieces for followers, stores the pieces of another's, and
// has what it wrote flushed.
//
// Installing, as a history: pieces are stored beside the state; the last one turns the store over to them; the core is made anew over
// what the store holds then; the keeper flushes; Raft hears of it and moves the log's start.
//   - dies before the store is turned over: the state is the old one, the pieces are dropped at the next start.
//   - dies before the flush: the same, or the new state where RocksDB had flushed by itself.
//   - dies before the log's start is moved: the start finds a log that does not lead to the state, and takes it as empty.
#include <utility>

#include "actors/partition_actor.hpp"

namespace kahuna::actors {

namespace {

void tell_raft(partition_pointer self, raft::raft_input input) {
  raft_inputs news;
  news.inputs.push_back(std::move(input));
  self->send(self->state.raft_peer, std::move(news));
}

void open_for(partition_pointer self, const raft::snapshot_order& order) {
  auto& state = self->state;
  const auto found = state.views.find(order.peer);
  if (found != state.views.end() && found->second->transfer == order.transfer) return;
  state.views.erase(order.peer);
  // Raft asks again.
  if (!state.settings.snapshot_permits->try_take()) return;
  state.core->checkpoint();
  state.views[order.peer] =
      std::make_unique<open_view>(order.transfer, state.settings.store->open_snapshot(), state.settings.snapshot_permits);
  state.settings.events->write(severity::info, "sending a snapshot",
                               {{"partition", std::to_string(state.settings.raft.partition.value)},
                                {"to", std::to_string(order.peer.value)},
                                {"index", std::to_string(state.core->applied_index().value)}});
  tell_raft(self, raft::snapshot_opened{order.peer, order.transfer, state.core->applied_index()});
}

void read_for(partition_pointer self, const raft::snapshot_order& order) {
  auto& state = self->state;
  const auto found = state.views.find(order.peer);
  if (found == state.views.end() || found->second->transfer != order.transfer || found->second->next_piece != order.number) return;
  ++found->second->next_piece;
  auto piece = found->second->view->next(state.settings.snapshot_piece_bytes);
  // Whoever leads next has it whole, perhaps.
  if (!piece) return state.core->take_out_of_service(piece.error());
  const bool is_last = piece->is_last;
  if (is_last) found->second->next_piece = ~std::uint64_t{0};
  tell_raft(self, raft::snapshot_read{order.peer, order.transfer, order.number, is_last, shared_bytes(std::move(piece->bytes))});
}

void store_piece(partition_pointer self, const raft::snapshot_piece& piece) {
  auto& state = self->state;
  // Raft hands them out in their order, and from the first one where it begins anew.
  if (piece.number != 0 && piece.number != state.staged_pieces) return;
  state.staged_pieces = piece.number + 1;
  if (const auto damage = state.settings.store->stage(piece.number == 0, piece.data.view()))
    return state.core->take_out_of_service(*damage);
  tell_raft(self, raft::snapshot_stored{piece.term, piece.transfer, piece.number});
  if (!piece.is_last) return;
  // The entries came after all; or this replica was elected, so that it has them.
  if (state.core->applied_index() >= piece.at.index || state.role.role == raft::role_kind::leader) return;
  state.core->checkpoint();
  const raft::log_start start{piece.at, piece.members};
  if (const auto damage = state.settings.store->install_staged(start)) return state.core->take_out_of_service(*damage);
  state.installed_index = piece.at.index;
  state.core = make_partition_core(state.settings);
  state.core->step(state.role, now_of(*self));
  state.settings.events->write(severity::info, "snapshot installed",
                               {{"partition", std::to_string(state.settings.raft.partition.value)},
                                {"index", std::to_string(piece.at.index.value)}});
  state.flushing.push_back(raft::snapshot_installed{start});
  self->send(state.data_keeper, flush_data{false});
}

}  // namespace

void do_snapshot_work(partition_pointer self, snapshot_work& work) {
  auto& state = self->state;
  if (state.core->fault()) return;
  for (const auto& order : work.orders) {
    if (order.wanted == raft::snapshot_order::what::open) open_for(self, order);
    if (order.wanted == raft::snapshot_order::what::read) read_for(self, order);
    if (order.wanted == raft::snapshot_order::what::close) {
      const auto found = state.views.find(order.peer);
      if (found != state.views.end() && found->second->transfer == order.transfer) state.views.erase(found);
    }
  }
  for (const auto& piece : work.pieces) store_piece(self, piece);
}

void prepare_to_flush(partition_pointer self) {
  auto& state = self->state;
  state.core->checkpoint();
  state.flushing.push_back(raft::flushed{state.core->applied_index()});
  self->send(state.data_keeper, flush_data{true});
}

void take_flushed(partition_pointer self) {
  auto& state = self->state;
  auto now_true = std::move(state.flushing.front());
  state.flushing.pop_front();
  tell_raft(self, std::move(now_true));
}

}  // namespace kahuna::actors
