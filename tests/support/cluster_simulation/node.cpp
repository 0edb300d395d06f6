#include "tests/support/cluster_simulation/node.hpp"

#include <algorithm>
#include <utility>

#include "core/base/sometimes.hpp"
#include "core/kv/operation_routing.hpp"

namespace kahuna::testing {

namespace {

constexpr std::uint64_t wall_ms_at_start = 1'700'000'000'000;
// As actors/node_clock.hpp has it.
constexpr std::uint64_t ahead_ms_max = 500;

}  // namespace

node::node(switchboard& board, int number, map_pointer formed, bool is_founder)
    : board_(board), number_(number), formed_(std::move(formed)), is_founder_(is_founder), remembered_(formed_), log_(board.w) {
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
  is_up_ = true;
  clock_ = {};
  log_.start({[this](std::int64_t delay, event what) { post(delay, std::move(what)); },
              [this] { crash(board_.w.draw(1'000, 800'000)); },
              [this](partition_id partition, std::uint64_t number) {
                if (auto* r = find_replica(partition)) r->take_persisted(number);
              },
              [this](partition_id partition, bool is_hosted) { take_recorded(partition, is_hosted); },
              [this] { return dies_at_a_point(2'000); }});
  members_ = std::make_unique<node_members>(*this, remembered_);
  open_replicas();
  // There may be something to do at once: the last life ended before it was done.
  if (board_.w.options.has_members()) take_map(remembered_);
  post(board_.w.draw(0, board_.w.options.tick_ms * 1'000), [this] { tick(); });
  if (board_.w.options.flush_interval_ms != 0) flush_now_and_then();
}

void node::crash(std::int64_t down_us) {
  if (!is_up()) return;
  auto& w = board_.w;
  ++life_;
  w.note(life_ * 16 + static_cast<std::uint64_t>(number_));
  for (auto* r : replicas()) r->note_crash();
  is_up_ = false;
  replicas_.clear();
  recording_.clear();
  settled_version_ = 0;
  members_.reset();
  log_.crash();
  // The data is written out now and then, whoever asked for it or not.
  if (w.dice.chance(1, 3)) static_cast<void>(data_->flush());
  data_->lose_unsynced();
  held_.clear();
  is_paused_ = false;
  eras_.clear();
  waiting_for_flush_.clear();
  is_flushing_ = false;
  start_in(down_us);
  // Its connections break; now and then nobody notices.
  for (auto& other : board_.nodes)
    if (other.get() != this && other->is_up() && w.dice.chance(3, 4))
      other->post(w.draw(100, 5'000), [peer = other.get(), me = id()] {
        peer->members_->take_connection_lost(me);
        for (auto* r : peer->replicas()) r->take_connection_lost(me);
      });
}

void node::start_in(std::int64_t delay_us) { starts_at_ = board_.w.now() + delay_us; }

void node::end_for_good() {
  crash(0);
  is_gone_ = true;
}

bool node::is_due_to_start() const { return !is_up() && !is_gone_ && board_.w.now() >= starts_at_; }

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
  for (auto* r : replicas()) r->tick();
  if (board_.w.options.has_members()) members_->tick();
  // RocksDB writes a full table out by itself.
  if (board_.w.dice.chance(1, 200)) static_cast<void>(data_->flush());
  post(board_.w.options.tick_ms * 1'000, [this] { tick(); });
}

// --- the data keeper ----------------------------------------------------------------------------------------------

void node::flush_now_and_then() {
  post(board_.w.draw(1'000, board_.w.options.flush_interval_ms * 2'000), [this] {
    for (auto* r : replicas()) r->prepare_to_flush();
    flush_now_and_then();
  });
}

void node::flush_data(partition_id partition) {
  waiting_for_flush_.push_back(partition);
  if (std::exchange(is_flushing_, true)) return;
  post(board_.w.draw(100, board_.w.options.disk_ms_max * 3'000), [this] { finish_flush(); });
}

void node::finish_flush() {
  const auto all = replicas();
  const bool is_any_installing = std::any_of(all.begin(), all.end(), [](const replica* r) { return r->is_installing(); });
  static_cast<void>(data_->flush());
  // The log has not heard of it.
  if (dies_at_a_point(is_any_installing ? 3 : 100)) {
    if (is_any_installing) KAHUNA_SOMETIMES("died.when_a_snapshot_was_flushed");
    return;
  }
  is_flushing_ = false;
  for (const auto partition : std::exchange(waiting_for_flush_, {}))
    if (auto* r = find_replica(partition)) r->take_flushed();
}

bool node::note_applied(partition_id partition, log_index index) {
  auto& highest = highest_applied_[partition];
  if (index < highest) return false;
  highest = index;
  return true;
}

// --- talking ------------------------------------------------------------------------------------------------------

void node::send_to_peer(node_id peer, partition_id partition, std::vector<raft::message_body> bodies) {
  if (!members_->is_peer(peer)) return;
  send_to_node(peer, [partition, now = clock_.last(), from = id(), bodies = std::move(bodies)](node& there) {
    there.observe_remote(now);
    if (auto* r = there.find_replica(partition)) r->take_peer_messages(from, bodies);
  });
}

void node::send_to_node(node_id to, std::function<void(node&)> what) {
  const auto place = to.value - 1;
  board_.net.send(number_, static_cast<int>(place), network::copies::maybe_two, [this, place, what = std::move(what)] {
    if (place >= board_.nodes.size()) return;
    auto& receiver = *board_.nodes[place];
    receiver.deliver([&receiver, what, from = id()] {
      if (routing::is_former(*receiver.members().map(), from)) return receiver.members().send_map(from);
      receiver.members().note_heard(from);
      what(receiver);
    });
  });
}

void node::reply(std::uint64_t origin, kv::operation_response response) {
  if (node_members::is_from_system(origin)) return members_->take_system_answer(origin, response);
  const auto partition = board_.partition_asked(origin);
  const auto era = eras_.find(origin);
  if (!partition) return;
  const auto leader = leader_of(*partition);
  board_.reply(number_, origin,
               {std::move(response), clock_.last(), era == eras_.end() ? term_id{} : era->second, leader.leader, leader.term,
                board_.w.options.has_members() ? members_->map() : nullptr});
}

void node::refuse(std::uint64_t origin, partition_id partition) {
  reply(origin, error{errc::not_leader, "this node does not hold partition " + std::to_string(partition.value)});
}

known_leader node::leader_of(partition_id partition) {
  if (board_.w.options.has_members()) return members_->leader_of(partition);
  const auto& raft = find_replica(partition)->raft();
  return {raft.leader(), raft.term()};
}

void node::ask_remote(partition_id from, kv::remote_request asked) {
  const auto partition = *kv::partition_of(routing::partition_map{0, static_cast<std::uint32_t>(board_.w.options.partitions), 1, {}}, asked.op);
  const auto leader = leader_of(partition).leader;
  const auto to = leader != no_node ? static_cast<int>(leader.value) - 1
                                    : static_cast<int>(board_.w.dice.below(board_.nodes.size()));
  kv::partition_request request;
  request.op = std::move(asked.op);
  board_.ask(number_, to, partition, std::move(request), clock_.last(), std::min<std::int64_t>(asked.budget_ms, 1'000) * 1'000,
             [this, life = life_, from, token = asked.token](const answer& a) {
               if (life_ == life)
                 deliver([this, from, token, a] {
                   observe_remote(a.now);
                   if (auto* asker = find_replica(from)) asker->take_remote_answer(token, a.response);
                 });
             });
}

// A new leader is struck while it takes over, in runs that are meant so: before it has said anything, or in the next moments. One
// that nobody hears keeps what it has put into its log since, which others may overwrite, or may not any more.
void node::leads_now(partition_id partition, term_id term) {
  auto& w = board_.w;
  for (const auto& other : board_.nodes)
    if (const auto* rival = other->find_replica(partition); other.get() != this && rival != nullptr && rival->answers_by_lease() && rival->role().term < term)
      throw violation("lease: partition " + std::to_string(partition.value) + ", node " + std::to_string(id().value) +
                      " is elected in term " + std::to_string(term.value) + " while node " + std::to_string(other->id().value) +
                      " may answer by the lease of term " + std::to_string(rival->role().term.value));
  if (!w.is_faulty || !w.percent(w.options.strike_percent)) return;
  if (w.dice.chance(1, 3)) return board_.net.mute(number_, static_cast<int>(board_.nodes.size()), w.draw(200, 1'200) * 1'000);
  const auto how = w.dice.below(3);
  post(w.dice.chance(1, 2) ? w.draw(0, 8'000) : w.draw(0, 80'000), [this, how] {
    auto& shared = board_.w;
    if (!shared.is_faulty) return;
    if (how == 0) return crash(shared.draw(1'000, 400'000));
    if (how == 1) return pause(shared.draw(50'000, 900'000));
    board_.net.mute(number_, static_cast<int>(board_.nodes.size()), shared.draw(200, 1'200) * 1'000);
  });
}

void node::has_old_entries_at_a_majority() {
  auto& w = board_.w;
  if (w.is_faulty && w.percent(w.options.strike_percent)) board_.net.mute(number_, static_cast<int>(board_.nodes.size()), w.draw(300, 1'500) * 1'000);
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

bool node::dies_at_a_point(std::uint64_t once_in) {
  auto& w = board_.w;
  if (!w.is_faulty || !w.options.dies_at_points || !w.dice.chance(1, once_in)) return false;
  crash(w.draw(1'000, 400'000));
  return true;
}

// --- the switchboard ----------------------------------------------------------------------------------------------

void switchboard::arrive(int to, partition_id partition, kv::partition_request request, timestamp clock, std::int64_t budget_us) {
  if (static_cast<std::size_t>(to) >= nodes.size()) return;
  auto& asked = *nodes[static_cast<std::size_t>(to)];
  asked.deliver([&asked, partition, clock, budget_us, request = std::move(request)] {
    asked.observe_remote(clock);
    auto arrived = request;
    arrived.deadline = asked.steady_now() + duration(budget_us);
    auto* r = asked.find_replica(partition);
    r != nullptr ? r->take_operations({std::move(arrived)}) : asked.refuse(arrived.origin, partition);
  });
}

map_pointer switchboard::newest_map() const {
  auto newest = nodes.front()->known_map();
  for (const auto& n : nodes)
    if (n->known_map()->version > newest->version) newest = n->known_map();
  return newest;
}

}  // namespace kahuna::testing
