// The nodes, the network between them, clients' requests, and what goes wrong.
#include "tests/support/cluster_simulation.hpp"

#include <algorithm>
#include <sstream>

#include "core/base/check.hpp"
#include "core/base/fault_point.hpp"
#include "core/kv/operation_routing.hpp"
#include "persistence/record.hpp"

namespace kahuna::testing {

namespace {

constexpr std::int64_t ms = 1000;
constexpr std::int64_t tick_us = 10 * ms;
constexpr std::int64_t sweep_ticks = 5;

// Small bounds, so that they are met.
raft::raft_options small_bounds(raft::read_mode reads) {
  raft::raft_options bounds;
  bounds.reads = reads;
  bounds.append_bytes_max = 2'000;
  bounds.inflight_appends_max = 4;
  bounds.inflight_bytes_max = 6'000;
  bounds.handed_bytes_max = 3'000;
  bounds.cached_log_bytes_max = 4'000;
  bounds.inflight_pieces_max = 2;
  bounds.log_bytes_kept = 500;
  bounds.log_bytes_max = 3'000;
  return bounds;
}

// All that a replica's disk holds of what is replicated, by the place where it stands: beside the state there may be pieces of a snapshot
// that came to nothing.
std::map<std::string, std::string> contents_of(const persistence::memory_store& disk) {
  constexpr std::size_t place_bytes = 4;
  std::map<std::string, std::string> all;
  for (const auto f : persistence::replicated_families) {
    const auto cursor = disk.cursor(f);
    for (cursor->seek(""); cursor->is_valid(); cursor->next()) {
      const auto body = persistence::unseal(cursor->key(), cursor->value());
      KAHUNA_CHECK(body.has_value());
      auto& place = all[std::string(cursor->key().substr(0, place_bytes))];
      place.append(cursor->key().substr(place_bytes)).append(*body);
    }
  }
  return all;
}

}  // namespace

cluster_simulation_options cluster_simulation_options::drawn_from(std::uint64_t seed) {
  prng dice(seed * 2 + 1);
  cluster_simulation_options o;
  o.seed = seed;
  const auto draw = [&](std::uint64_t low, std::uint64_t high) { return static_cast<int>(dice.between(low, high)); };
  const auto sometimes = [&](std::uint64_t low, std::uint64_t high) { return dice.chance(1, 2) ? 0 : draw(low, high); };
  o.nodes = dice.chance(1, 4) ? 5 : 3;
  o.work.partitions = draw(1, 3);
  o.work.clients = draw(2, 8);
  o.work.buckets = draw(1, 5);
  o.work.keys_per_bucket = draw(1, 4);
  o.work.optimistic_percent = dice.chance(1, 4) ? 0 : dice.chance(1, 3) ? 100 : 50;
  o.work.snapshot_percent = draw(0, 30);
  o.work.single_percent = dice.chance(1, 5) ? 100 : draw(0, 60);
  o.work.echo_percent = sometimes(1, 20);
  o.work.give_up_percent = sometimes(0, 5);
  o.reads = dice.chance(1, 3) ? raft::read_mode::read_index : raft::read_mode::lease;
  o.loss_percent = sometimes(0, 8);
  o.double_percent = sometimes(0, 8);
  o.late_permille = sometimes(0, 20);
  o.delay_ms_max = draw(1, 15);
  o.disk_ms_max = draw(1, 15);
  o.stall_permille = sometimes(0, 10);
  o.stray_percent = draw(0, 30);
  o.crash_interval_ms = sometimes(100, 1'500);
  o.cut_interval_ms = sometimes(100, 1'500);
  o.pause_interval_ms = sometimes(200, 1'500);
  o.transfer_interval_ms = sometimes(50, 1'000);
  o.flush_interval_ms = dice.chance(1, 4) ? 0 : draw(20, 400);
  o.fault_point_permille = sometimes(1, 30);
  o.skew_ms_max = sometimes(0, 200);
  o.drift_percent = sometimes(0, 4);
  return o;
}

std::string cluster_simulation_options::describe() const {
  std::ostringstream out;
  out << "seed " << seed << " nodes " << nodes << ' ' << work.describe() << " reads " << (reads == raft::read_mode::lease ? "lease" : "read_index")
      << " loss " << loss_percent << "% doubled " << double_percent << "% late " << late_permille << "/1000 delay " << delay_ms_max << " ms disk "
      << disk_ms_max << " ms stalls " << stall_permille << "/1000 stray " << stray_percent << "% crash " << crash_interval_ms << " ms cut "
      << cut_interval_ms << " ms pause " << pause_interval_ms << " ms transfer " << transfer_interval_ms << " ms flush " << flush_interval_ms
      << " ms fault points " << fault_point_permille << "/1000 skew " << skew_ms_max << " ms drift " << drift_percent << '%';
  return out.str();
}

cluster_simulation::cluster_simulation(cluster_simulation_options options)
    : options_(options),
      dice_(options.seed),
      workload_(options_.work, dice_.next(), time_,
                [this](auto partition, const auto& request, auto budget, auto& clock, auto done, auto echo_us) {
                  ask(partition, request, budget, clock, std::move(done), echo_us, nullptr);
                }) {
  std::vector<node_id> voters;
  for (int i = 1; i <= options_.nodes; ++i) voters.push_back(node_id{static_cast<std::uint32_t>(i)});
  const auto drift = static_cast<std::int64_t>(options_.drift_percent) * 10'000;
  for (const auto id : voters) {
    auto n = std::make_unique<node>();
    n->id = id;
    n->skew_ms = static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(options_.skew_ms_max) + 1));
    n->rate_ppm += static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(2 * drift + 1))) - drift;
    n->clock_offset = static_cast<std::int64_t>(dice_.below(1'000'000'000));
    for (int p = 0; p < options_.work.partitions; ++p) {
      auto r = std::make_unique<replica>();
      r->partition = partition_id{static_cast<std::uint32_t>(p)};
      r->raft = std::make_unique<raft_replica>(id, voters, small_bounds(options_.reads), dice_.next());
      n->replicas.push_back(std::move(r));
    }
    nodes_.push_back(std::move(n));
  }
  for (auto& n : nodes_) start(*n);
#ifdef KAHUNA_FAULT_POINTS
  set_fault_handler([this](std::string_view point) { reach(point); });
#endif
  workload_.start();
  time_.at(tick_us, [this] { inject_faults(); });
}

cluster_simulation::~cluster_simulation() {
#ifdef KAHUNA_FAULT_POINTS
  set_fault_handler({});
#endif
}

// --- nodes --------------------------------------------------------------------------------------------------------

instant cluster_simulation::clock_of(const node& n) const {
  return instant(duration(n.clock_offset + time_.now_us() * n.rate_ppm / 1'000'000));
}

timestamp cluster_simulation::stamp_of(node& n) { return n.clock.tick(time_.wall_now_ms() + static_cast<std::uint64_t>(n.skew_ms)); }

void cluster_simulation::at_node(node& n, std::int64_t delay_us, std::function<void()> what) {
  time_.at(delay_us, [this, &n, life = n.life, what = std::move(what)] {
    const auto act = [this, &n, life, what] {
      if (!n.is_up || n.life != life) return;
      what();
      die_if_due(n);
    };
    if (n.is_up && n.life == life && n.is_paused)
      n.held.push_back(act);
    else
      act();
  });
}

void cluster_simulation::post(node& n, mailbox& box, std::function<void()> what) {
  const bool is_stalled = is_faulty_ && dice_.chance(static_cast<std::uint64_t>(options_.stall_permille), 1000);
  const auto delay = is_stalled ? static_cast<std::int64_t>(dice_.below(200 * ms)) : 5;
  box.reads_at = std::max(box.reads_at, time_.now_us() + delay);
  at_node(n, box.reads_at - time_.now_us(), std::move(what));
}

void cluster_simulation::start(node& n) {
  if (n.is_up) return;
  n.is_up = true;
  n.is_paused = false;
  ++n.life;
  for (auto& r : n.replicas) open(n, *r);
  at_node(n, static_cast<std::int64_t>(dice_.below(tick_us)), [this, &n] { tick(n); });
}

void cluster_simulation::crash(node& n) {
  if (!n.is_up) return;
  ++happened_["crash"];
  n.is_up = false;
  n.is_paused = false;
  n.held.clear();
  for (auto& r : n.replicas) {
    r->views.clear();
    r->manager.reset();
    r->core.reset();
    r->store.reset();
    // The data is written out now and then, whoever asked for it or not.
    if (dice_.chance(1, 3)) r->disk->flush();
    r->disk->lose_unsynced();
    r->raft->crash(dice_.below(r->raft->writes_under_way() + 1));
  }
  // Its connections break; now and then nobody notices.
  for (auto& other : nodes_)
    if (other->is_up && dice_.chance(3, 4))
      for (auto& r : other->replicas)
        post(*other, r->to_raft, [this, &other = *other, &r = *r, gone = n.id] { step_raft(other, r, raft::connection_lost{gone}); });
  restart_later(n);
}

void cluster_simulation::restart_later(node& n) {
  time_.at(static_cast<std::int64_t>(dice_.between(1, 1'500)) * ms, [this, &n] { start(n); });
}

void cluster_simulation::die_if_due(node& n) {
  if (std::exchange(is_fatal_, false)) crash(n);
}

void cluster_simulation::tick(node& n) {
  const bool is_sweep = time_.now_us() / tick_us % sweep_ticks == 0;
  for (auto& owned : n.replicas) {
    auto& r = *owned;
    post(n, r.to_raft, [this, &n, &r] { step_raft(n, r, raft::tick{}); });
    if (!is_sweep) continue;
    post(n, r.to_core, [this, &n, &r] { step_core(n, r, kv::sweep{stamp_of(n)}); });
    post(n, r.to_manager, [this, &n, &r] { step_manager(n, r, kv::manager_tick{}); });
  }
  at_node(n, tick_us, [this, &n] { tick(n); });
}

// --- the network --------------------------------------------------------------------------------------------------

std::int64_t cluster_simulation::network_delay() {
  const bool is_late = is_faulty_ && dice_.chance(static_cast<std::uint64_t>(options_.late_permille), 1000);
  return static_cast<std::int64_t>(dice_.between(50, static_cast<std::uint64_t>(options_.delay_ms_max) * ms)) +
         (is_late ? static_cast<std::int64_t>(dice_.below(2'000 * ms)) : 0);
}

void cluster_simulation::send(const node& from, node& to, std::function<void()> deliver) {
  if (cuts_.contains({from.id, to.id}) || chance(options_.loss_percent)) return;
  for (int copies = chance(options_.double_percent) ? 2 : 1; copies > 0; --copies)
    time_.at(network_delay(), [this, &to, deliver] {
      if (!to.is_up) return;
      if (to.is_paused) return to.held.push_back(deliver);
      deliver();
      die_if_due(to);
    });
}

cluster_simulation::node* cluster_simulation::leader_of(partition_id partition) {
  node* best = nullptr;
  term_id term;
  for (auto& n : nodes_) {
    if (!n->is_up) continue;
    const auto& role = n->replicas[partition.value]->role;
    if (role.role != raft::role_kind::leader || (best != nullptr && role.term <= term)) continue;
    best = n.get();
    term = role.term;
  }
  return best;
}

void cluster_simulation::ask(partition_id partition, const kv::partition_request& like, std::chrono::milliseconds budget, hlc& clock,
                             transaction_workload::response_handler done, std::int64_t echo_us, const node* asker) {
  const auto token = next_token_++;
  requests_[token] = {&clock, std::move(done)};
  auto request = like;
  request.origin = token;
  const auto deliver_to = [this, partition, budget, observed = clock.last()](node& n, kv::partition_request asked) {
    n.clock.observe(observed);
    asked.deadline = clock_of(n) + budget;
    auto& r = *n.replicas[partition.value];
    post(n, r.to_core, [this, &n, &r, asked = std::move(asked)] { step_core(n, r, kv::operations{{asked}, stamp_of(n)}); });
  };
  // Whoever is asked for was told of a leader at some time: any that believes to be one.
  auto* target = leader_of(partition);
  if (dice_.chance(1, 2)) {
    std::vector<node*> leading;
    for (auto& n : nodes_)
      if (n->is_up && n->replicas[partition.value]->role.role == raft::role_kind::leader) leading.push_back(n.get());
    if (!leading.empty()) target = leading[dice_.below(leading.size())];
  }
  if (target == nullptr || chance(options_.stray_percent)) target = nodes_[dice_.below(nodes_.size())].get();
  if (asker != nullptr) {
    send(*asker, *target, [deliver_to, target, request] { deliver_to(*target, request); });
  } else {
    // Clients have links of their own. No attempt comes twice: what comes twice are two attempts.
    if (!chance(options_.loss_percent)) time_.at(network_delay(), [this, deliver_to, target, request] {
        if (!target->is_up) return;
        if (target->is_paused) return target->held.push_back([deliver_to, target, request] { deliver_to(*target, request); });
        deliver_to(*target, request);
      });
    if (is_faulty_ && echo_us != 0)
      time_.at(echo_us, [this, deliver_to, partition, request]() mutable {
        auto* leader = leader_of(partition);
        request.attempt = 1;
        if (leader != nullptr && !leader->is_paused) deliver_to(*leader, request);
      });
  }
  time_.at(std::chrono::duration_cast<duration>(budget).count(), [this, token] {
    const auto found = requests_.find(token);
    if (found == requests_.end()) return;
    auto done_late = std::move(found->second.done);
    requests_.erase(found);
    done_late(error{errc::timeout, "the budget passed"});
  });
}

void cluster_simulation::replied(std::uint64_t token, kv::operation_response response, timestamp now) {
  if (!requests_.contains(token) || chance(options_.loss_percent)) return;
  time_.at(network_delay(), [this, token, now, response = std::move(response)] {
    const auto found = requests_.find(token);
    if (found == requests_.end()) return;
    found->second.clock->observe(now);
    auto done = std::move(found->second.done);
    requests_.erase(found);
    done(response);
  });
}

// --- faults -------------------------------------------------------------------------------------------------------

void cluster_simulation::reach(std::string_view fault_point) {
  if (!is_faulty_ || is_fatal_ || !dice_.chance(static_cast<std::uint64_t>(options_.fault_point_permille), 1000)) return;
  is_fatal_ = true;
  ++happened_["death at " + std::string(fault_point)];
}

// Every other time one that leads, whom it hurts most.
cluster_simulation::node& cluster_simulation::victim() {
  auto* leader = leader_of(partition_id{static_cast<std::uint32_t>(dice_.below(static_cast<std::uint64_t>(options_.work.partitions)))});
  if (leader != nullptr && dice_.chance(1, 2)) return *leader;
  return *nodes_[dice_.below(nodes_.size())];
}

void cluster_simulation::inject_faults() {
  if (!is_faulty_) return;
  const auto falls_due = [&](int interval_ms) {
    return interval_ms > 0 && dice_.chance(static_cast<std::uint64_t>(tick_us / ms), static_cast<std::uint64_t>(interval_ms));
  };
  if (falls_due(options_.crash_interval_ms)) {
    // Now and then it is the power of all.
    if (dice_.chance(1, 6)) {
      ++happened_["power failure"];
      for (auto& n : nodes_) crash(*n);
    } else {
      crash(victim());
    }
  }
  if (falls_due(options_.pause_interval_ms)) {
    auto& n = victim();
    if (n.is_up && !n.is_paused) {
      ++happened_["pause"];
      n.is_paused = true;
      time_.at(static_cast<std::int64_t>(dice_.between(50, 1'500)) * ms, [this, &n, life = n.life] {
        if (!n.is_up || n.life != life || !std::exchange(n.is_paused, false)) return;
        for (auto& act : std::exchange(n.held, {}))
          if (n.is_up && n.life == life) act();
      });
    }
  }
  if (falls_due(options_.cut_interval_ms)) {
    ++happened_["cut"];
    const auto& n = victim();
    const auto kind = dice_.below(3);
    for (const auto& other : nodes_) {
      if (other->id == n.id || (kind != 0 && dice_.chance(1, 2))) continue;
      if (kind != 2) cuts_.insert({n.id, other->id});
      cuts_.insert({other->id, n.id});
    }
    cuts_heal_at_ = time_.now_us() + static_cast<std::int64_t>(dice_.between(20, 1'500)) * ms;
  }
  if (time_.now_us() >= cuts_heal_at_) cuts_.clear();
  for (auto& n : nodes_) {
    if (!n->is_up || n->is_paused) continue;
    for (auto& owned : n->replicas) {
      auto& r = *owned;
      if (falls_due(options_.transfer_interval_ms)) {
        const auto to = nodes_[dice_.below(nodes_.size())]->id;
        post(*n, r.to_raft, [this, &n = *n, &r, to] { step_raft(n, r, raft::transfer_leadership{to, true}); });
      }
      if (falls_due(options_.flush_interval_ms)) post(*n, r.to_core, [this, &n = *n, &r] { flush(n, r); });
    }
  }
  time_.at(tick_us, [this] { inject_faults(); });
}

// --- running ------------------------------------------------------------------------------------------------------

void cluster_simulation::note(const std::string& what) {
  for (const auto c : what) digest_ = (digest_ ^ static_cast<unsigned char>(c)) * 1099511628211ull;
}

void cluster_simulation::run(std::chrono::milliseconds length) { time_.run(length); }

std::string cluster_simulation::settle(std::chrono::milliseconds patience) {
  is_faulty_ = false;
  cuts_.clear();
  workload_.calm_down(false);
  for (auto& n : nodes_) {
    start(*n);
    if (std::exchange(n->is_paused, false))
      for (auto& act : std::exchange(n->held, {})) act();
  }
  // Work is done again before long, and not only ended.
  const auto before = workload_.committed();
  const auto is_true_within = [&](std::chrono::milliseconds limit, const std::function<bool()>& holds) {
    for (auto waited = std::chrono::milliseconds(0); !holds() && waited < limit; waited += std::chrono::milliseconds(50))
      run(std::chrono::milliseconds(50));
    return holds();
  };
  if (!is_true_within(std::chrono::milliseconds(8'000), [&] { return workload_.committed() >= before + 10; }))
    return "hardly anything is committed any more";
  workload_.calm_down(true);
  std::string open;
  if (!is_true_within(patience, [&] { return (open = find_open()).empty(); })) return open;
  if (auto unread = workload_.read_final_lists(); !unread.empty()) return unread;
  for (int tries = 0; tries < 20; ++tries) {
    const auto difference = find_difference();
    if (!difference) return "";
    if (!difference->empty()) return *difference;
    run(std::chrono::milliseconds(100));
  }
  std::string where = "a replica does not catch up";
  for (auto& n : nodes_)
    for (auto& r : n->replicas) where += "\n  " + r->raft->core().describe() + "\n  " + r->core->describe();
  return where;
}

// What is not at an end, or does not serve; empty where nothing is.
std::string cluster_simulation::find_open() {
  for (int p = 0; p < options_.work.partitions; ++p) {
    auto* leader = leader_of(partition_id{static_cast<std::uint32_t>(p)});
    if (leader == nullptr) return "partition " + std::to_string(p) + " has no leader";
    const auto& r = *leader->replicas[static_cast<std::size_t>(p)];
    if (!r.core->is_serving()) return "partition does not serve: " + r.core->describe() + "; " + r.raft->core().describe();
    if (r.manager->open_transactions() != 0) return "a transaction is open: " + r.manager->describe();
    if (r.core->holds_transactions()) return "something is held: " + r.core->describe();
  }
  return workload_.is_idle() ? "" : "a client is still at work";
}

// Nothing: all replicas are level and hold the same bytes. Empty: they are not level yet.
std::optional<std::string> cluster_simulation::find_difference() {
  for (int p = 0; p < options_.work.partitions; ++p) {
    std::optional<log_index> level;
    std::set<std::string> alike;  // what all replicas so far hold, in one place or the other
    for (auto& n : nodes_) {
      auto& r = *n->replicas[static_cast<std::size_t>(p)];
      if (level && r.core->applied_index() != *level) return "";
      r.core->checkpoint();
      (void)r.store->open_snapshot();  // what is collected is written
      std::set<std::string> own;
      if (contents_of(*r.disk).empty()) own.insert("");
      for (auto& [place, contents] : contents_of(*r.disk)) own.insert(std::move(contents));
      if (level) std::erase_if(own, [&](const auto& contents) { return !alike.contains(contents); });
      if (own.empty()) return "replicas of partition " + std::to_string(p) + " differ at index " + std::to_string(r.core->applied_index().value);
      level = r.core->applied_index();
      alike = std::move(own);
    }
  }
  return std::nullopt;
}

}  // namespace kahuna::testing
