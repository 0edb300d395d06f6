#include "tests/support/raft_simulation.hpp"

#include <algorithm>
#include <iterator>
#include <sstream>
#include <utility>

#include "core/base/check.hpp"

namespace kahuna::testing {

namespace {

constexpr std::int64_t ms = 1000;
constexpr std::int64_t tick_us = 10 * ms;

// A state in pieces, each of which tells which one it is of what.
std::vector<std::string> pieces_of(log_index index, std::uint64_t state) {
  std::vector<std::string> pieces;
  for (std::uint64_t i = 0, count = 1 + state % 7; i < count; ++i)
    pieces.push_back(std::to_string(index.value) + ' ' + std::to_string(state) + ' ' + std::to_string(i) + '/' + std::to_string(count));
  return pieces;
}

}  // namespace

std::string raft_simulation_options::describe() const {
  std::ostringstream out;
  out << "seed " << seed << " replicas " << replicas << '+' << spares << " reads " << (reads == raft::read_mode::lease ? "lease" : "read_index")
      << " loss " << loss_percent << " duplicate " << duplicate_percent << " delay " << delay_ms_max << " disk " << disk_ms_max
      << " crash " << crash_interval_ms << " cut " << cut_interval_ms << " pause " << pause_interval_ms << " drift "
      << drift_percent << " flush " << flush_interval_ms << " transfer " << transfer_interval_ms << " change "
      << change_interval_ms;
  return out.str();
}

raft_simulation_options raft_simulation_options::drawn_from(std::uint64_t seed) {
  prng dice(seed * 7919);
  raft_simulation_options options;
  options.seed = seed;
  options.replicas = static_cast<int>(dice.chance(1, 3) ? 5 : dice.chance(1, 12) ? 1 : 3);
  options.reads = dice.chance(1, 3) ? raft::read_mode::read_index : raft::read_mode::lease;
  if (dice.chance(1, 2)) options.loss_percent = static_cast<int>(dice.below(12));
  if (dice.chance(1, 2)) options.duplicate_percent = static_cast<int>(dice.below(20));
  options.delay_ms_max = static_cast<int>(dice.chance(1, 5) ? dice.between(20, 120) : dice.between(1, 10));
  options.disk_ms_max = static_cast<int>(dice.chance(1, 4) ? dice.between(20, 100) : dice.between(1, 10));
  if (dice.chance(2, 3)) options.crash_interval_ms = static_cast<int>(dice.between(200, 1500));
  if (dice.chance(2, 3)) options.cut_interval_ms = static_cast<int>(dice.between(200, 1500));
  if (dice.chance(1, 2)) options.pause_interval_ms = static_cast<int>(dice.between(200, 1500));
  if (dice.chance(1, 2)) options.drift_percent = static_cast<int>(dice.below(5));
  if (dice.chance(3, 4)) options.flush_interval_ms = static_cast<int>(dice.between(20, 500));
  if (dice.chance(1, 2)) options.transfer_interval_ms = static_cast<int>(dice.between(100, 1500));
  if (dice.chance(2, 3)) {
    options.change_interval_ms = static_cast<int>(dice.between(100, 2000));
    options.spares = static_cast<int>(dice.between(1, 4));
  }
  return options;
}

raft_simulation_options raft_simulation_options::pair_drawn_from(std::uint64_t seed) {
  auto options = drawn_from(seed);
  options.replicas = 2;
  options.spares = 0;
  options.reads = raft::read_mode::lease;
  options.change_interval_ms = 150;
  return options;
}

raft_simulation::raft_simulation(raft_simulation_options options) : options_(options), dice_(options.seed) {
  raft::raft_options raft;
  raft.reads = options.reads;
  // Small bounds, so that they are met.
  raft.append_bytes_max = 400;
  raft.inflight_appends_max = 4;
  raft.inflight_bytes_max = 1200;
  raft.handed_bytes_max = 500;
  raft.cached_log_bytes_max = 600;
  raft.inflight_pieces_max = 2;
  raft.log_bytes_kept = 500;
  raft.log_bytes_max = 12'000;
  std::vector<node_id> voters;
  for (int i = 1; i <= options.replicas; ++i) voters.push_back(node_id{static_cast<std::uint32_t>(i)});
  for (int i = 1; i <= options.replicas + options.spares; ++i) {
    members_.emplace_back();
    auto& m = members_.back();
    m.replica = std::make_unique<raft_replica>(node_id{static_cast<std::uint32_t>(i)}, i <= options.replicas ? voters : std::vector<node_id>{}, raft,
                                               dice_.next());
    const auto drift = static_cast<std::int64_t>(options.drift_percent) * 10'000;
    m.rate_ppm += static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(2 * drift + 1))) - drift;
    m.clock_offset = static_cast<std::int64_t>(dice_.below(1'000'000'000));
  }
  for (std::size_t i = 0; i < members_.size(); ++i) start(i);
}

void raft_simulation::start(std::size_t i) {
  auto& m = members_[i];
  ++m.life;
  m.role = {};
  m.lease.reset();
  m.is_handing_over = false;
  m.reads.clear();
  m.applied = m.installed = m.replica->disk().applied_index;
  m.state = m.applied == log_index{} ? 0 : state_at_.at(m.applied.value);
  m.views.clear();
  m.staged.clear();
  m.configuration = {};
  m.replica->start(clock_of(m));
  delivery tick;
  tick.kind = delivery::what::tick;
  tick.replica = i;
  tick.life = m.life;
  schedule(tick, static_cast<std::int64_t>(dice_.below(tick_us)));
}

void raft_simulation::crash(std::size_t i) {
  auto& m = members_[i];
  // The data is flushed now and then, whoever asked for it or not; the log is replayed from there.
  if (m.replaced && dice_.chance(1, 2)) m.replica->disk().snapshot = m.replaced->start;
  const bool is_lost = m.replaced && m.replica->disk().snapshot != m.replaced->start;
  const auto oldest = m.replaced && !is_lost ? m.replaced->start.at.index : m.replica->disk().applied_index;
  const auto newest = is_lost ? m.replaced->before : m.applied;
  if (dice_.chance(1, 2) || (m.replaced && !is_lost))
    m.replica->disk().applied_index = log_index{dice_.between(oldest.value, newest.value)};
  m.replaced.reset();
  m.replica->crash(dice_.below(m.replica->writes_under_way() + 1));
  m.is_paused = false;
  m.held.clear();
  m.restarts_at = now_ + static_cast<std::int64_t>(dice_.between(1, 800)) * ms;
  // Its connections break; now and then nobody notices.
  for (auto& other : members_)
    if (other.replica->is_up() && !other.is_paused && dice_.chance(3, 4)) other.replica->step(raft::connection_lost{m.replica->id()}, clock_of(other));
}

void raft_simulation::schedule(delivery d, std::int64_t delay_us) {
  d.at = now_ + delay_us;
  d.order = ++order_;
  events_.push(std::move(d));
}

void raft_simulation::run(std::chrono::milliseconds length) {
  const auto until = now_ + length.count() * ms;
  while (now_ < until) {
    advance_to(now_ + ms);
    if (is_faulty_) inject_faults();
    offer_work();
    check_leases();
  }
}

void raft_simulation::advance_to(std::int64_t until) {
  while (!events_.empty() && events_.top().at <= until) {
    const auto next = events_.top();
    events_.pop();
    now_ = std::max(now_, next.at);
    handle(next);
  }
  now_ = until;
}

void raft_simulation::handle(const delivery& d) {
  auto& m = members_[d.replica];
  if (!m.replica->is_up() || (d.kind != delivery::what::message && d.life != m.life)) return;
  if (m.is_paused) {
    m.held.push_back(d);
    return;
  }
  switch (d.kind) {
    case delivery::what::message:
      m.replica->step(raft::receive{*d.message}, clock_of(m));
      break;
    case delivery::what::disk:
      if (m.replica->has_write_under_way()) m.replica->finish_write(clock_of(m));
      break;
    case delivery::what::piece:
      store_piece(d.replica, *d.piece);
      break;
    case delivery::what::flushed:
      if (m.replaced) finish_replacement(m);
      break;
    case delivery::what::prepared:
      if (m.role.term != d.term || !m.is_handing_over) break;
      m.lease.reset();
      m.replica->step(raft::handover_prepared{d.term, d.number, dice_.chance(1, 10)}, clock_of(m));
      break;
    case delivery::what::tick: {
      m.replica->step(raft::tick{}, clock_of(m));
      auto again = d;
      schedule(again, tick_us);
      break;
    }
  }
  drain(d.replica);
}

void raft_simulation::drain(std::size_t i) {
  auto& m = members_[i];
  while (m.replica->core().has_ready()) {
    auto ready = m.replica->take_ready();
    if (ready.role) {
      if (ready.role->role != raft::role_kind::leader || ready.role->term != m.role.term) m.views.clear();
      m.role = *ready.role;
      m.lease.reset();
      m.is_handing_over = false;
      if (m.role.role == raft::role_kind::leader) {
        const auto [known, is_new] = leader_of_term_.emplace(m.role.term, m.replica->id());
        KAHUNA_CHECK(known->second == m.replica->id(), "two leaders of one term", m.role.term, options_.describe());
        // Leader completeness [Ongaro14 §3.6.3]: what was acknowledged in terms before its own is in its log.
        for (const auto& [term, acknowledged] : acknowledged_in_)
          KAHUNA_CHECK(term >= m.role.term || m.replica->core().last_index() >= acknowledged, options_.describe());
      }
    }
    if (ready.lease && ready.lease->term == m.role.term && !m.is_handing_over) m.lease = ready.lease;
    if (ready.handover && ready.handover->term == m.role.term) {
      m.is_handing_over = ready.handover->is_under_way;
      if (m.is_handing_over) {
        ++handovers_;
        // Whoever holds the lease hears of it a moment later, and answers reads until then.
        delivery prepared;
        prepared.kind = delivery::what::prepared;
        prepared.replica = i;
        prepared.life = m.life;
        prepared.term = ready.handover->term;
        prepared.number = ready.handover->number;
        schedule(prepared, static_cast<std::int64_t>(dice_.between(1, 20 * ms)));
      }
    }
    if (ready.write) {
      delivery done;
      done.kind = delivery::what::disk;
      done.replica = i;
      done.life = m.life;
      schedule(done, static_cast<std::int64_t>(dice_.between(50, static_cast<std::uint64_t>(options_.disk_ms_max) * ms)));
    }
    for (auto& message : ready.messages) {
      const auto to = static_cast<std::size_t>(message.peer.value - 1);
      if (is_cut(i, to)) continue;
      const int copies = is_faulty_ && dice_.chance(static_cast<std::uint64_t>(options_.duplicate_percent), 100) ? 2 : 1;
      for (int copy = 0; copy < copies; ++copy) {
        if (is_faulty_ && dice_.chance(static_cast<std::uint64_t>(options_.loss_percent), 100)) continue;
        delivery d;
        d.replica = to;
        d.message = std::make_shared<const raft::peer_message>(raft::peer_message{m.replica->id(), message.body});
        schedule(std::move(d), static_cast<std::int64_t>(dice_.between(50, static_cast<std::uint64_t>(options_.delay_ms_max) * ms)));
      }
    }
    if (ready.configuration) check_configuration(m, *ready.configuration);
    for (const auto& entry : ready.committed) apply(m, entry);
    if (!ready.committed.empty()) m.replica->step(raft::applied{std::min(m.applied, ready.committed.back().index)}, clock_of(m));
    for (const auto& order : ready.snapshot_orders) honour(i, order);
    for (auto& piece : ready.snapshot_pieces) {
      delivery storing;
      storing.kind = delivery::what::piece;
      storing.replica = i;
      storing.life = m.life;
      storing.piece = std::make_shared<const raft::snapshot_piece>(std::move(piece));
      schedule(std::move(storing), 100);
    }
    for (const auto& answer : ready.reads) {
      const auto asked = m.reads.extract(answer.read_id);
      KAHUNA_CHECK(!asked.empty(), "a read answered twice", answer.read_id);
      if (!answer.is_safe) continue;
      ++reads_answered_;
      // Linearizable: whatever was acknowledged before the read was asked is at or below what it reads.
      KAHUNA_CHECK(answer.read_index >= asked.mapped(), "a stale read", answer.read_index, asked.mapped(), options_.describe());
    }
  }
}

void raft_simulation::honour(std::size_t i, const raft::snapshot_order& order) {
  auto& m = members_[i];
  using what = raft::snapshot_order::what;
  const auto found = m.views.find(order.peer);
  if (order.wanted == what::open) {
    // Now and then there is no room for it.
    if ((found != m.views.end() && found->second.transfer == order.transfer) || dice_.chance(1, 4)) return;
    m.views[order.peer] = {order.transfer, m.applied, m.state};
    return m.replica->step(raft::snapshot_opened{order.peer, order.transfer, m.applied}, clock_of(m));
  }
  if (found == m.views.end() || found->second.transfer != order.transfer) return;
  if (order.wanted == what::close) return static_cast<void>(m.views.erase(found));
  const auto pieces = pieces_of(found->second.index, found->second.state);
  if (order.number >= pieces.size()) return;
  m.replica->step(raft::snapshot_read{order.peer, order.transfer, order.number, order.number + 1 == pieces.size(), shared_bytes(pieces[order.number])},
                  clock_of(m));
}

void raft_simulation::store_piece(std::size_t i, const raft::snapshot_piece& piece) {
  auto& m = members_[i];
  if (piece.number == 0) m.staged.clear();
  if (m.staged.size() != piece.number) return;  // of a transfer that another one has taken the place of
  m.staged.push_back(piece.data.str());
  m.replica->step(raft::snapshot_stored{piece.term, piece.transfer, piece.number}, clock_of(m));
  if (!piece.is_last || m.applied >= piece.at.index) return;
  // The state machine's safety holds for states too.
  const auto state = state_at_.at(piece.at.index.value);
  KAHUNA_CHECK(m.staged == pieces_of(piece.at.index, state), "another state than the entries lead to", options_.describe());
  if (m.replaced) finish_replacement(m);  // a flush is of all that was written before it
  if (piece.members.is_joint()) ++joint_snapshots_;
  m.replaced = replacement{m.applied, {piece.at, piece.members}};
  m.applied = m.installed = piece.at.index;
  m.state = state;
  ++snapshots_installed_;
  delivery done;
  done.kind = delivery::what::flushed;
  done.replica = i;
  done.life = m.life;
  schedule(done, static_cast<std::int64_t>(dice_.between(50, 50 * ms)));
}

void raft_simulation::finish_replacement(member& m) {
  const auto start = m.replaced->start;
  m.replaced.reset();
  m.replica->disk().snapshot = start;
  m.replica->disk().applied_index = std::max(m.replica->disk().applied_index, start.at.index);
  m.replica->step(raft::snapshot_installed{start}, clock_of(m));
}

void raft_simulation::apply(member& m, const raft::log_entry& entry) {
  if (entry.index <= m.installed) return;  // it was on its way when a snapshot brought what it does
  KAHUNA_CHECK(entry.index == m.applied + 1, "not in order", entry.index, m.applied, options_.describe());
  m.applied = entry.index;
  const auto what = std::to_string(entry.term.value) + ' ' + entry.payload.str();
  const auto [known, is_new] = committed_.emplace(entry.index.value, what);
  // State machine safety [Ongaro14 §3.6.3].
  KAHUNA_CHECK(known->second == what, "another entry was applied at this index", entry.index, what, known->second, options_.describe());
  for (const char c : what) m.state = (m.state ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  if (is_new && entry.kind == raft::entry_kind::configuration) note_change(entry);
  if (is_new) digest_ = state_at_[entry.index.value] = m.state;
  KAHUNA_CHECK(state_at_.at(entry.index.value) == m.state, "another state at this index", entry.index, options_.describe());
  // Its leader answers the client now.
  if (m.role.role == raft::role_kind::leader && m.role.term == entry.term && entry.kind == raft::entry_kind::command) {
    highest_acknowledged_ = std::max(highest_acknowledged_, entry.index);
    acknowledged_in_[entry.term] = entry.index;
    ++acknowledged_;
  }
}

// Every other time a leader, whom it hurts most.
std::size_t raft_simulation::victim() {
  const auto any = dice_.below(members_.size());
  if (dice_.chance(1, 2)) return any;
  for (std::size_t i = 0; i < members_.size(); ++i)
    if (members_[i].replica->is_up() && members_[i].role.role == raft::role_kind::leader && !members_[i].is_paused) return i;
  return any;
}

void raft_simulation::inject_faults() {
  const auto falls_due = [&](int interval_ms) { return interval_ms > 0 && dice_.chance(1, static_cast<std::uint64_t>(interval_ms)); };
  if (falls_due(options_.crash_interval_ms)) {
    const auto i = victim();
    if (members_[i].replica->is_up()) crash(i);
  }
  for (std::size_t i = 0; i < members_.size(); ++i) {
    auto& m = members_[i];
    if (!m.replica->is_up() && now_ >= m.restarts_at) start(i);
    if (m.is_paused && now_ >= m.resumes_at) {
      m.is_paused = false;
      for (auto& d : std::exchange(m.held, {})) schedule(std::move(d), 1);
    }
  }
  if (falls_due(options_.pause_interval_ms)) {
    auto& m = members_[victim()];
    m.is_paused = m.replica->is_up();
    m.resumes_at = now_ + static_cast<std::int64_t>(dice_.between(50, 1500)) * ms;
  }
  if (falls_due(options_.transfer_interval_ms))
    for (auto& m : members_) {
      if (!m.replica->is_up() || m.is_paused || m.role.role != raft::role_kind::leader) continue;
      const auto to = dice_.below(members_.size());
      m.replica->step(raft::transfer_leadership{members_[to].replica->id(), true}, clock_of(m));
      drain(static_cast<std::size_t>(m.replica->id().value - 1));
      // The one who is asked may find it much later, when it is the last to be asked anything.
      if (options_.pause_interval_ms == 0 || !members_[to].replica->is_up() || !dice_.chance(1, 2)) continue;
      members_[to].is_paused = true;
      members_[to].resumes_at = now_ + static_cast<std::int64_t>(dice_.between(200, 700)) * ms;
    }
  if (falls_due(options_.change_interval_ms)) {
    const auto voters = draw_voters();
    const auto learners = draw_learners(voters);
    for (std::size_t i = 0; i < members_.size(); ++i) ask_for_change(i, voters, learners);
  }
  drop_who_is_let_go();
  for (auto& m : members_) {
    if (!falls_due(options_.flush_interval_ms) || !m.replica->is_up() || m.is_paused || m.replaced) continue;
    const auto upto = m.replica->core().applied_index();
    m.replica->disk().applied_index = std::max(m.replica->disk().applied_index, upto);
    m.replica->step(raft::flushed{upto}, clock_of(m));
    drain(static_cast<std::size_t>(m.replica->id().value - 1));
  }
  for (const auto& m : members_) longest_log_ = std::max<std::size_t>(longest_log_, m.replica->disk().entries.size());
  if (cuts_.empty() && falls_due(options_.cut_interval_ms)) {
    const auto alone = victim();
    const auto direction = dice_.below(3);
    for (std::size_t other = 0; other < members_.size(); ++other) {
      if (other == alone || dice_.chance(1, 4)) continue;
      if (direction != 0) cuts_.insert({alone, other});
      if (direction != 1) cuts_.insert({other, alone});
    }
    cuts_heal_at_ = now_ + static_cast<std::int64_t>(dice_.between(100, 2000)) * ms;
  }
  if (now_ >= cuts_heal_at_) cuts_.clear();
}

// Proposals and reads to whoever thinks that it leads.
void raft_simulation::offer_work() {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    auto& m = members_[i];
    if (!m.replica->is_up() || m.is_paused || m.role.role != raft::role_kind::leader) continue;
    // A partition bounds what is under way likewise.
    const bool has_room = !m.is_handing_over && m.replica->core().last_index() - m.replica->core().commit_index() < 30;
    if (has_room && dice_.chance(1, is_quiet_ ? 200 : 10)) {
      std::vector<shared_bytes> payloads;
      for (auto count = dice_.between(1, 4); count > 0; --count)
        payloads.emplace_back("payload " + std::to_string(next_payload_++) + std::string(dice_.below(100), '.'));
      m.replica->step(raft::propose{m.role.term, std::move(payloads)}, clock_of(m));
      drain(i);
    }
    if (dice_.chance(1, 20)) {
      const auto id = next_read_++;
      m.reads[id] = highest_acknowledged_;
      m.replica->step(raft::read{id}, clock_of(m));
      drain(i);
    }
  }
}

// Any one to five of all.
std::vector<node_id> raft_simulation::draw_voters() {
  std::vector<node_id> voters;
  while (voters.empty() || voters.size() > 5) {
    voters.clear();
    for (const auto& m : members_)
      if (dice_.chance(1, 2)) voters.push_back(m.replica->id());
  }
  return voters;
}

std::vector<node_id> raft_simulation::draw_learners(const std::vector<node_id>& voters) {
  std::vector<node_id> learners;
  for (const auto& m : members_)
    if (const auto id = m.replica->id(); dice_.chance(1, 6) && !std::binary_search(voters.begin(), voters.end(), id)) learners.push_back(id);
  return learners;
}

// Of nobody but who leads anything comes.
void raft_simulation::ask_for_change(std::size_t i, std::vector<node_id> voters, std::vector<node_id> learners) {
  auto& m = members_[i];
  if (!m.replica->is_up() || m.is_paused || m.role.role != raft::role_kind::leader) return;
  m.replica->step(raft::change_configuration{next_change_++, std::move(voters), std::move(learners)}, clock_of(m));
  drain(i);
}

// One that is committed stays.
void raft_simulation::check_configuration(member& m, const raft::configuration_change& change) {
  if (change.index < m.configuration.index || (change.index == m.configuration.index && change.index != log_index{} && change.members != m.configuration.members))
    ++changes_overwritten_;
  KAHUNA_CHECK(!m.configuration.is_committed || m.configuration.index <= change.index, "a committed configuration was taken back", options_.describe());
  m.configuration = change;
  if (!change.is_committed || change.index == log_index{}) return;
  const auto known = changes_.find(change.index);
  KAHUNA_CHECK(known == changes_.end() || known->second == change.members, "another configuration at this index", change.index, options_.describe());
}

// What leads from one configuration to the next has in common with both whom it takes to decide.
void raft_simulation::note_change(const raft::log_entry& entry) {
  const auto members = *raft::decode_configuration(entry.payload.view());
  if (!changes_.empty()) {
    const auto& before = changes_.rbegin()->second;
    const bool is_step = members.is_joint() ? !before.is_joint() && members.outgoing == before.voters : members.voters == before.voters;
    KAHUNA_CHECK(is_step, "voters were changed without a joint configuration", entry.index, options_.describe());
  }
  // Who decides on it is stated by itself.
  std::set<node_id> holders;
  for (const auto& m : members_)
    if (const auto& disk = m.replica->disk(); disk.term_at(entry.index) == entry.term || std::max(disk.start.index, disk.applied_index) >= entry.index)
      holders.insert(m.replica->id());
  KAHUNA_CHECK(members.has_quorum(holders), "a configuration was committed without a quorum of its own", entry.index, options_.describe());
  changes_[entry.index] = members;
}

// As the partition map would say it: the last configuration that was committed names others alone, and nobody has heard of a later one.
bool raft_simulation::is_let_go(std::size_t i) const {
  if (changes_.empty()) return false;
  const auto& [last, settled] = *changes_.rbegin();
  const auto id = members_[i].replica->id();
  if (settled.is_joint() || !settled.learners.empty() || settled.is_voter(id)) return false;
  const auto has_later = [&, last = last](const member& m) { return m.configuration.index > last; };
  return std::none_of(members_.begin(), members_.end(), has_later);
}

// Soon, so that its node is taken in again while answers of the replica that it had are still on their way.
void raft_simulation::drop_who_is_let_go() {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    auto& m = members_[i];
    const bool has_any = m.replica->is_up() && m.replica->core().last_index() != log_index{};
    if (!has_any || m.is_paused || !is_let_go(i) || !dice_.chance(1, 20)) continue;
    m.replica->crash();
    m.replica->drop();
    m.replaced.reset();
    start(i);
    ++lives_begun_anew_;
  }
}

// Somebody else than now, where there is somebody; then all of them have what was acknowledged.
void raft_simulation::finish_changes() {
  if (options_.change_interval_ms == 0) return;
  // Small windows over a slow network carry less than is proposed: nobody would ever catch up.
  is_quiet_ = true;
  const auto deadline = now_ + 60'000 * ms;
  const auto wanted = draw_voters();
  const auto is_done = [&](const member& m) {
    return m.configuration.is_committed && m.configuration.members.voters == wanted && !m.configuration.members.is_joint() &&
           m.role.role == raft::role_kind::leader && m.configuration.members.is_voter(m.replica->id());
  };
  while (std::none_of(members_.begin(), members_.end(), is_done)) {
    KAHUNA_CHECK(now_ < deadline, "a change does not come to its end", options_.describe(), members_[0].replica->core().describe(),
                 members_[1 % members_.size()].replica->core().describe(), members_[2 % members_.size()].replica->core().describe());
    // Whoever wants it asks until it is done: it is forgotten with a leader.
    if (dice_.chance(1, 20))
      for (std::size_t i = 0; i < members_.size(); ++i) ask_for_change(i, wanted, {});
    run(std::chrono::milliseconds(10));
  }
}

// While a replica may answer reads by itself, nobody else has acknowledged anything that it does not have.
void raft_simulation::check_leases() {
  for (const auto& m : members_) {
    if (!m.replica->is_up() || m.is_paused || m.role.role != raft::role_kind::leader) continue;
    if (!m.lease || m.lease->term != m.role.term || clock_of(m) >= m.lease->until) continue;
    ++lease_checks_;
    KAHUNA_CHECK(options_.reads == raft::read_mode::lease, "a lease in read_index mode");
    KAHUNA_CHECK(leader_of_term_.rbegin()->first <= m.role.term, "a lease while another was elected", options_.describe(),
                 m.replica->core().describe());
    KAHUNA_CHECK(m.replica->core().commit_index() >= highest_acknowledged_, "a lease while another led", options_.describe(),
                 m.replica->core().describe());
  }
}

void raft_simulation::heal_and_check_progress(std::chrono::milliseconds patience) {
  is_faulty_ = false;
  cuts_.clear();
  for (std::size_t i = 0; i < members_.size(); ++i) {
    auto& m = members_[i];
    if (!m.replica->is_up()) start(i);
    if (std::exchange(m.is_paused, false))
      for (auto& d : std::exchange(m.held, {})) schedule(std::move(d), 1);
  }
  const auto deadline = now_ + patience.count() * ms;
  const auto acknowledged_before = acknowledged_;
  while (acknowledged_ < acknowledged_before + 10) {
    KAHUNA_CHECK(now_ < deadline, "no progress after healing", options_.describe(), members_[0].replica->core().describe(),
                 members_[1 % members_.size()].replica->core().describe());
    run(std::chrono::milliseconds(10));
  }
  finish_changes();
  const auto everything = highest_acknowledged_;
  std::vector<node_id> obliged;
  for (const auto& m : members_)
    if (m.role.role == raft::role_kind::leader) obliged = m.replica->core().members().voters;
  const auto caught_up_by = now_ + patience.count() * ms;
  for (auto& m : members_)
    while (std::binary_search(obliged.begin(), obliged.end(), m.replica->id()) && m.applied < everything) {
      KAHUNA_CHECK(now_ < caught_up_by, "a replica does not catch up", options_.describe(), m.replica->core().describe());
      run(std::chrono::milliseconds(10));
    }
}

}  // namespace kahuna::testing
