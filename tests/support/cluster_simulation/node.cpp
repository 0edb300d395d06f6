#include "tests/support/cluster_simulation/node.hpp"

#include <utility>

#include "core/kv/operation_routing.hpp"

namespace kahuna::testing {

namespace {

constexpr std::uint64_t wall_ms_at_start = 1'700'000'000'000;
// As actors/node_clock.hpp has it.
constexpr std::uint64_t ahead_ms_max = 500;

}  // namespace

node::node(switchboard& board, int number) : board_(board), number_(number), log_(board.w) {
  auto& w = board.w;
  steady_offset_us_ = w.draw(0, 1'000'000'000);
  rate_ppm_ += w.draw(-w.options.drift_percent * 10'000, w.options.drift_percent * 10'000);
  wall_offset_ms_ = w.draw(-w.options.skew_ms_max, w.options.skew_ms_max);
}

world& node::shared_world() { return board_.w; }
observer& node::watch() { return board_.watch; }

instant node::steady_now() const {
  return instant(duration(steady_offset_us_ + board_.w.now() / 1'000 * rate_ppm_ / 1'000 + board_.w.now() % 1'000));
}

std::uint64_t node::wall_ms() const {
  return wall_ms_at_start + static_cast<std::uint64_t>(board_.w.now() / 1'000 + wall_offset_ms_ + 10'000);
}

void node::observe_remote(timestamp stamp) {
  if (unix_ms(stamp) <= wall_ms() + ahead_ms_max) clock_.observe(stamp);
}

// --- its life -----------------------------------------------------------------------------------------------------

void node::start() {
  ++life_;
  clock_ = {};
  log_.start({[this](std::int64_t delay, event what) { post(delay, std::move(what)); },
              [this] { crash(board_.w.draw(1'000, 800'000)); },
              [this](partition_id partition, std::uint64_t number) { replica_of(partition).take_persisted(number); }});
  for (int p = 0; p < board_.w.options.partitions; ++p)
    replicas_.push_back(std::make_unique<replica>(*this, partition_id{static_cast<std::uint32_t>(p)}));
  post(board_.w.draw(0, board_.w.options.tick_ms * 1'000), [this] { tick(); });
  if (board_.w.options.flush_interval_ms != 0) flush_now_and_then();
}

void node::crash(std::int64_t down_us) {
  if (!is_up()) return;
  auto& w = board_.w;
  ++life_;
  w.note(life_ * 16 + static_cast<std::uint64_t>(number_));
  replicas_.clear();
  log_.crash();
  // The data is written out now and then, whoever asked for it or not.
  if (w.dice.chance(1, 3)) static_cast<void>(data_->flush());
  data_->lose_unsynced();
  held_.clear();
  is_paused_ = false;
  eras_.clear();
  waiting_for_flush_.clear();
  is_flushing_ = false;
  starts_at_ = w.now() + down_us;
  // Its connections break; now and then nobody notices.
  for (auto& other : board_.nodes)
    if (other.get() != this && other->is_up() && w.dice.chance(3, 4))
      other->post(w.draw(100, 5'000), [peer = other.get(), me = id()] {
        for (auto& r : peer->replicas_) r->take_connection_lost(me);
      });
}

bool node::is_due_to_start() const { return !is_up() && board_.w.now() >= starts_at_; }

void node::pause(std::int64_t length_us) {
  if (!is_up() || is_paused_) return;
  is_paused_ = true;
  board_.w.at(length_us, [this, life = life_] {
    if (life_ == life) resume();
  });
}

void node::resume() {
  if (!std::exchange(is_paused_, false)) return;
  for (auto& what : std::exchange(held_, {})) post(0, std::move(what));
}

void node::post(std::int64_t delay_us, event what) {
  board_.w.at(delay_us, [this, life = life_, what = std::move(what)] {
    if (life_ != life) return;
    if (is_paused_)
      held_.push_back(what);
    else
      what();
  });
}

void node::deliver(event what) {
  if (!is_up()) return;
  if (is_paused_)
    held_.push_back(std::move(what));
  else
    what();
}

void node::tick() {
  for (auto& r : replicas_) r->tick();
  // RocksDB writes a full table out by itself.
  if (board_.w.dice.chance(1, 200)) static_cast<void>(data_->flush());
  post(board_.w.options.tick_ms * 1'000, [this] { tick(); });
}

// --- the data keeper ----------------------------------------------------------------------------------------------

void node::flush_now_and_then() {
  post(board_.w.draw(1'000, board_.w.options.flush_interval_ms * 2'000), [this] {
    for (auto& r : replicas_) r->prepare_to_flush();
    flush_now_and_then();
  });
}

void node::flush_data(partition_id partition) {
  waiting_for_flush_.push_back(partition);
  if (std::exchange(is_flushing_, true)) return;
  post(board_.w.draw(100, board_.w.options.disk_ms_max * 3'000), [this] { finish_flush(); });
}

void node::finish_flush() {
  static_cast<void>(data_->flush());
  is_flushing_ = false;
  for (const auto partition : std::exchange(waiting_for_flush_, {})) replica_of(partition).take_flushed();
}

bool node::note_applied(partition_id partition, log_index index) {
  auto& highest = highest_applied_[partition];
  if (index < highest) return false;
  highest = index;
  return true;
}

// --- talking ------------------------------------------------------------------------------------------------------

void node::send_to_peer(node_id peer, partition_id partition, std::vector<raft::message_body> bodies) {
  const auto to = static_cast<int>(peer.value) - 1;
  board_.net.send(number_, to, network::copies::maybe_two, [this, to, partition, now = clock_.last(), bodies = std::move(bodies)] {
    auto& receiver = *board_.nodes[static_cast<std::size_t>(to)];
    receiver.deliver([&receiver, partition, now, bodies, from = id()] {
      receiver.observe_remote(now);
      receiver.replica_of(partition).take_peer_messages(from, bodies);
    });
  });
}

void node::reply(std::uint64_t origin, kv::operation_response response) {
  const auto partition = board_.partition_asked(origin);
  const auto era = eras_.find(origin);
  if (!partition) return;
  const auto& raft = replica_of(*partition).raft();
  board_.reply(number_, origin, {std::move(response), clock_.last(), era == eras_.end() ? term_id{} : era->second, raft.leader(), raft.term()});
}

void node::ask_remote(partition_id from, kv::remote_request asked) {
  const auto partition = *kv::partition_of(routing::partition_map{0, static_cast<std::uint32_t>(board_.w.options.partitions), 1, {}}, asked.op);
  const auto leader = replica_of(partition).raft().leader();
  const auto to = leader != no_node ? static_cast<int>(leader.value) - 1
                                    : static_cast<int>(board_.w.dice.below(board_.nodes.size()));
  kv::partition_request request;
  request.op = std::move(asked.op);
  board_.ask(number_, to, partition, std::move(request), clock_.last(), std::min<std::int64_t>(asked.budget_ms, 1'000) * 1'000,
             [this, life = life_, from, token = asked.token](const answer& a) {
               if (life_ == life)
                 deliver([this, from, token, a] {
                   observe_remote(a.now);
                   replica_of(from).take_remote_answer(token, a.response);
                 });
             });
}

// A new leader is struck while it takes over, in runs that are meant so: before it has said anything, or in the next moments. One
// that nobody hears keeps what it has put into its log since, which others may overwrite, or may not any more.
void node::leads_now(partition_id partition, term_id term) {
  auto& w = board_.w;
  for (const auto& other : board_.nodes)
    if (other.get() != this && other->is_up() && other->replica_of(partition).answers_by_lease() &&
        other->replica_of(partition).role().term < term)
      throw violation("lease: partition " + std::to_string(partition.value) + ", node " + std::to_string(id().value) +
                      " is elected in term " + std::to_string(term.value) + " while node " + std::to_string(other->id().value) +
                      " may answer by the lease of term " + std::to_string(other->replica_of(partition).role().term.value));
  if (!w.is_faulty || !w.percent(w.options.strike_percent)) return;
  if (w.dice.chance(1, 3)) return board_.net.mute(number_, w.options.nodes, w.draw(200, 1'200) * 1'000);
  const auto how = w.dice.below(3);
  post(w.dice.chance(1, 2) ? w.draw(0, 8'000) : w.draw(0, 80'000), [this, how] {
    auto& shared = board_.w;
    if (!shared.is_faulty) return;
    if (how == 0) return crash(shared.draw(1'000, 400'000));
    if (how == 1) return pause(shared.draw(50'000, 900'000));
    board_.net.mute(number_, shared.options.nodes, shared.draw(200, 1'200) * 1'000);
  });
}

void node::has_old_entries_at_a_majority() {
  auto& w = board_.w;
  if (w.is_faulty && w.percent(w.options.strike_percent)) board_.net.mute(number_, w.options.nodes, w.draw(300, 1'500) * 1'000);
}

// A voter that dies before its vote is on disk, and is back while candidates of the same term still ask.
void node::has_voted() {
  auto& w = board_.w;
  if (!w.is_faulty || !w.percent(w.options.strike_percent / 3)) return;
  post(w.draw(0, 1'500), [this] {
    if (board_.w.is_faulty) crash(board_.w.draw(1'000, 20'000));
  });
}

// Before it is flushed, or before the log has heard of it.
void node::has_installed_a_snapshot() {
  auto& w = board_.w;
  const bool may_crash = w.options.crash_interval_ms != 0 || w.options.strike_percent != 0;
  if (!w.is_faulty || !may_crash || !w.dice.chance(1, 2)) return;
  post(w.draw(0, w.options.disk_ms_max * 3'000), [this] {
    if (board_.w.is_faulty) crash(board_.w.draw(1'000, 400'000));
  });
}

// --- the switchboard ----------------------------------------------------------------------------------------------

void switchboard::arrive(int to, partition_id partition, kv::partition_request request, timestamp clock, std::int64_t budget_us) {
  auto& asked = *nodes[static_cast<std::size_t>(to)];
  asked.deliver([&asked, partition, clock, budget_us, request = std::move(request)] {
    asked.observe_remote(clock);
    auto arrived = request;
    arrived.deadline = asked.steady_now() + duration(budget_us);
    asked.replica_of(partition).take_operations({std::move(arrived)});
  });
}

}  // namespace kahuna::testing
