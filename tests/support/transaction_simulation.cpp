#include "tests/support/transaction_simulation.hpp"

#include <algorithm>
#include <sstream>

#include "core/base/check.hpp"
#include "core/base/fault_point.hpp"
#include "core/kv/answer_digest.hpp"
#include "messages/codec/portable_archive.hpp"

namespace kahuna::testing {

namespace {

constexpr std::size_t replicas_per_group = 3;
constexpr std::int64_t lease_us = 60'000;

}  // namespace

struct transaction_simulation::replica {
  std::size_t number = 0;
  std::uint64_t life = 0;
  std::shared_ptr<persistence::memory_store> disk = std::make_shared<persistence::memory_store>();
  std::unique_ptr<persistence::data_store> store;
  std::unique_ptr<kv::partition_core> core;
  std::unique_ptr<kv::transaction_manager_core> manager;
  bool believes_to_lead = false;
  term_id term;
  hlc clock;
  std::int64_t skew_ms = 0;
  std::int64_t partition_hears_at = 0;  // what its manager says, in that order
};

struct transaction_simulation::group {
  partition_id id;
  std::vector<raft::log_entry> committed;
  std::deque<raft::log_entry> pending;  // of the leader, without their indexes
  std::vector<std::unique_ptr<replica>> replicas;
  std::size_t leader = 0;
  term_id term;
  bool is_commit_due = false;
  std::int64_t lease_until = 0;
  bool is_lease_frozen = false;
};

struct transaction_simulation::under_way {
  hlc* clock;
  response_handler done;
};

transaction_simulation_options transaction_simulation_options::drawn_from(std::uint64_t seed) {
  prng dice(seed * 2 + 1);
  transaction_simulation_options o;
  o.seed = seed;
  const auto draw = [&](std::uint64_t low, std::uint64_t high) { return static_cast<int>(dice.between(low, high)); };
  o.work.partitions = draw(1, 4);
  o.work.clients = draw(2, 10);
  o.work.buckets = draw(1, 5);
  o.work.keys_per_bucket = draw(1, 4);
  o.work.optimistic_percent = dice.chance(1, 4) ? 0 : dice.chance(1, 3) ? 100 : 50;
  o.work.snapshot_percent = draw(0, 30);
  o.work.single_percent = draw(0, 40);
  o.loss_percent = dice.chance(1, 3) ? 0 : draw(0, 8);
  o.double_percent = dice.chance(1, 3) ? 0 : draw(0, 8);
  o.late_permille = dice.chance(1, 2) ? 0 : draw(0, 60);
  o.work.echo_percent = dice.chance(1, 2) ? 0 : draw(1, 40);
  o.stall_permille = dice.chance(1, 2) ? 0 : draw(0, 30);
  o.belief_ms_max = dice.chance(1, 2) ? 100 : draw(100, 2'000);
  o.stale_percent = draw(0, 20);
  o.delay_ms_max = draw(1, 20);
  o.commit_ms_max = draw(1, 20);
  o.failover_interval_ms = dice.chance(1, 4) ? 0 : draw(60, 1'500);
  o.fault_point_permille = dice.chance(1, 2) ? 0 : draw(1, 20);
  o.work.give_up_percent = dice.chance(1, 2) ? 0 : draw(0, 5);
  o.skew_ms_max = dice.chance(1, 2) ? 0 : draw(0, 200);
  o.has_leases = dice.chance(1, 2);
  o.work.several_percent = dice.chance(1, 4) ? 0 : draw(1, 100);
  o.work.swap_percent = dice.chance(1, 3) ? 0 : draw(1, 50);
  return o;
}

std::string transaction_simulation_options::describe() const {
  std::ostringstream out;
  out << "seed " << seed << ' ' << work.describe() << " loss " << loss_percent << "% doubled " << double_percent << "% late " << late_permille
      << "/1000 stalled " << stall_permille << "/1000 belief " << belief_ms_max << " ms stale " << stale_percent << "% delay " << delay_ms_max
      << " ms commit " << commit_ms_max << " ms failover " << failover_interval_ms << " ms fault points " << fault_point_permille << "/1000 skew "
      << skew_ms_max << " ms leases " << has_leases;
  return out.str();
}

transaction_simulation::transaction_simulation(transaction_simulation_options options)
    : options_(options),
      dice_(options.seed),
      workload_(options.work, dice_.next(), time_,
                [this](auto partition, const auto& request, auto budget, auto& clock, auto done, auto echo_us) {
                  ask(partition, request, budget, clock, std::move(done), echo_us);
                }) {
  for (int p = 0; p < options_.work.partitions; ++p) {
    auto g = std::make_unique<group>();
    g->id = partition_id{static_cast<std::uint32_t>(p)};
    for (std::size_t i = 0; i < replicas_per_group; ++i) {
      auto r = std::make_unique<replica>();
      r->number = i;
      r->skew_ms = static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(options_.skew_ms_max) + 1));
      open(*g, *r);
      g->replicas.push_back(std::move(r));
    }
    groups_.push_back(std::move(g));
  }
  for (auto& g : groups_) lead(*g, dice_.below(replicas_per_group));
  workload_.start();
#ifdef KAHUNA_FAULT_POINTS
  set_fault_handler([this](std::string_view point) { reach(point); });
#endif
  time_.at(1'000, [this] { tick_all(); });
  if (options_.failover_interval_ms != 0) time_.at(options_.failover_interval_ms * 1000, [this] { inject_faults(); });
}

transaction_simulation::~transaction_simulation() {
#ifdef KAHUNA_FAULT_POINTS
  set_fault_handler({});
#endif
}

timestamp transaction_simulation::clock_of(const replica& r) {
  return const_cast<replica&>(r).clock.tick(time_.wall_now_ms() + static_cast<std::uint64_t>(r.skew_ms));
}

std::int64_t transaction_simulation::network_delay() {
  return 50 + static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(options_.delay_ms_max) * 1000));
}

// --- replicas -----------------------------------------------------------------------------------------------------

void transaction_simulation::open(group& g, replica& r) {
  ++r.life;
  r.believes_to_lead = false;
  r.manager = std::make_unique<kv::transaction_manager_core>(
      kv::manager_options{g.id, static_cast<std::uint32_t>(options_.work.partitions)}, prng(dice_.next()));
  r.core.reset();
  auto opened = persistence::data_store::open(r.disk, g.id, [](const error& e) { KAHUNA_CHECK(false, e.message); }, {400, 100});
  r.store = std::move(*opened);
  kv::partition_options options;
  options.checkpoint_entries = 7;
  r.core = std::make_unique<kv::partition_core>(g.id, options, *r.store,
                                                [](std::string_view payload) { return messages::decode<kv::write_batch>(payload); });
  catch_up(g, r);
}

void transaction_simulation::catch_up(group& g, replica& r) {
  kv::committed_entries entries;
  for (auto i = r.core->applied_index().value; i < g.committed.size(); ++i) entries.entries.push_back(g.committed[i]);
  if (!entries.entries.empty()) feed(g, r, std::move(entries));
}

void transaction_simulation::feed(group& g, replica& r, kv::partition_input input) {
  r.core->step(std::move(input), time_.steady_now());
  r.core->check_invariants();
  KAHUNA_CHECK(!r.core->fault(), r.core->describe());
  if (dies(g, r, false)) return;
  drain(g, r);
  dies(g, r, true);
}

void transaction_simulation::drain(group& g, replica& r) {
  auto ready = r.core->take_ready();
  r.clock.observe(r.core->last_stamp());
  if (&r == g.replicas[g.leader].get() && r.believes_to_lead && ready.proposal_term == g.term) {
    for (const auto& batch : ready.proposals)
      g.pending.push_back({g.term, log_index{}, raft::entry_kind::command, messages::encode(*batch)});
    commit_some(g);
  }
  const auto life = r.life;
  for (const auto& read : ready.reads) {
    // Safe where the one who asked still leads in the same term when a majority has said so.
    time_.at(network_delay(), [this, &g, &r, life, read, term = r.term] {
      if (r.life != life) return;
      const bool is_safe = &r == g.replicas[g.leader].get() && g.term == term && r.believes_to_lead;
      feed(g, r, std::vector<raft::read_answer>{{read.read_id, is_safe, {}}});
    });
  }
  for (auto& reply : ready.replies) replied(reply.origin, std::move(reply.response), r.clock.last());
  if (!ready.manager.is_empty())
    time_.at(5, [this, &g, &r, life, news = std::move(ready.manager)] {
      if (r.life == life) tell_manager(g, r, news);
    });
}

void transaction_simulation::tell_partition(group& g, replica& r, std::vector<kv::partition_request> own) {
  const bool is_stalled = is_faulty_ && dice_.chance(static_cast<std::uint64_t>(options_.stall_permille), 1000);
  const auto delay = is_stalled ? static_cast<std::int64_t>(dice_.below(500'000)) : 5;
  r.partition_hears_at = std::max(r.partition_hears_at, time_.now_us() + delay);
  time_.at(r.partition_hears_at - time_.now_us(), [this, &g, &r, life = r.life, own = std::move(own)] {
    if (r.life == life) feed(g, r, kv::operations{own, clock_of(r)});
  });
}

void transaction_simulation::tell_manager(group& g, replica& r, kv::manager_input input) {
  r.manager->step(std::move(input), clock_of(r), time_.steady_now());
  r.manager->check_invariants();
  if (dies(g, r, false)) return;
  auto ready = r.manager->take_ready();
  const auto life = r.life;
  if (!ready.own.empty()) tell_partition(g, r, std::move(ready.own));
  for (auto& reply : ready.replies) replied(reply.origin, std::move(reply.response), r.clock.last());
  for (auto& asked : ready.remote) {
    kv::partition_request request;
    request.op = asked.op;
    const auto partition = *kv::partition_of(routing::partition_map{0, static_cast<std::uint32_t>(options_.work.partitions), 1, {}}, asked.op);
    ask(partition, request, std::chrono::milliseconds(std::min<std::uint32_t>(asked.budget_ms, 1'000)), r.clock,
        [this, &g, &r, life, token = asked.token](const kv::operation_response& response) {
          if (r.life != life) return;
          kv::remote_answers answers;
          answers.replies.push_back({token, response});
          tell_manager(g, r, std::move(answers));
        });
  }
  dies(g, r, true);
}

void transaction_simulation::commit_some(group& g) {
  if (g.is_commit_due || g.pending.empty()) return;
  g.is_commit_due = true;
  time_.at(100 + static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(options_.commit_ms_max) * 1000)), [this, &g] {
    g.is_commit_due = false;
    auto count = dice_.between(1, std::max<std::uint64_t>(1, g.pending.size()));
    for (; count > 0 && !g.pending.empty(); --count) {
      auto entry = std::move(g.pending.front());
      g.pending.pop_front();
      entry.index = log_index{g.committed.size() + 1};
      g.committed.push_back(std::move(entry));
    }
    for (auto& r : g.replicas) {
      if (r->number == g.leader) {
        catch_up(g, *r);
      } else {
        const auto life = r->life;
        time_.at(network_delay(), [this, &g, follower = r.get(), life] {
          if (follower->life == life) catch_up(g, *follower);
        });
      }
    }
    commit_some(g);
  });
}

// Its predecessor may go on in its belief for a while, and has no lease any more. What it proposed last is lost from some entry on.
void transaction_simulation::elect(group& g) {
  ++failovers_;
  const auto old = g.leader;
  auto next = (old + 1 + dice_.below(replicas_per_group - 1)) % replicas_per_group;
  auto& deposed = *g.replicas[old];
  const auto kept = dice_.below(g.pending.size() + 1);
  g.pending.resize(kept);
  lead(g, next);
  const auto life = deposed.life;
  const bool is_crashed = dice_.chance(1, 3);
  if (is_crashed) {
    deposed.disk->lose_unsynced();
    open(g, deposed);
    return;
  }
  time_.at(static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(options_.belief_ms_max) * 1000)), [this, &g, &deposed, life, term = g.term, next] {
    if (deposed.life != life || deposed.term >= g.term || &deposed == g.replicas[g.leader].get()) return;
    deposed.believes_to_lead = false;
    deposed.term = term;
    feed(g, deposed, raft::role_change{raft::role_kind::follower, term, node_id{static_cast<std::uint32_t>(next) + 1}, {}});
    catch_up(g, deposed);
  });
}

void transaction_simulation::lead(group& g, std::size_t leader) {
  g.leader = leader;
  g.term = g.term + 1;
  g.is_lease_frozen = false;
  g.lease_until = 0;
  auto& r = *g.replicas[leader];
  // It may be in its belief of an older term still.
  if (r.believes_to_lead) feed(g, r, raft::role_change{raft::role_kind::follower, g.term, no_node, {}});
  catch_up(g, r);
  r.believes_to_lead = true;
  r.term = g.term;
  g.pending.push_back({g.term, log_index{}, raft::entry_kind::no_op, {}});
  feed(g, r, raft::role_change{raft::role_kind::leader, g.term, node_id{static_cast<std::uint32_t>(leader) + 1},
                               log_index{g.committed.size() + g.pending.size()}});
  commit_some(g);
}

void transaction_simulation::grant_lease(group& g) {
  if (!options_.has_leases || g.is_lease_frozen) return;
  g.lease_until = time_.now_us() + lease_us;
  feed(g, *g.replicas[g.leader], raft::lease_grant{g.term, instant(duration(g.lease_until))});
}

void transaction_simulation::tick_all() {
  for (auto& g : groups_) {
    grant_lease(*g);
    for (auto& r : g->replicas) {
      if (r->believes_to_lead) feed(*g, *r, kv::sweep{clock_of(*r)});
      tell_manager(*g, *r, kv::manager_tick{});
    }
  }
  time_.at(20'000, [this] { tick_all(); });
}

void transaction_simulation::inject_faults() {
  if (!is_faulty_) return;
  auto& g = *groups_[dice_.below(groups_.size())];
  if (!g.is_lease_frozen) {
    // A leader that is to be deposed first loses its lease: nobody is elected before.
    g.is_lease_frozen = true;
    const auto wait = std::max<std::int64_t>(0, g.lease_until - time_.now_us()) + 1 + static_cast<std::int64_t>(dice_.below(50'000));
    time_.at(wait, [this, &g] { elect(g); });
  }
  time_.at(static_cast<std::int64_t>(dice_.between(1, 2 * static_cast<std::uint64_t>(options_.failover_interval_ms))) * 1000,
     [this] { inject_faults(); });
}

void transaction_simulation::reach(std::string_view fault_point) {
  if (!is_faulty_ || !fatal_point_.empty() || !dice_.chance(static_cast<std::uint64_t>(options_.fault_point_permille), 1000)) return;
  fatal_point_ = fault_point;
  is_silenced_ = dice_.chance(1, 2);
}

bool transaction_simulation::dies(group& g, replica& r, bool has_spoken) {
  if (fatal_point_.empty() || (!has_spoken && !is_silenced_)) return false;
  const auto point = std::exchange(fatal_point_, {});
  // Followers die elsewhere.
  if (&r != g.replicas[g.leader].get() || !r.believes_to_lead) return false;
  ++deaths_[point];
  r.disk->lose_unsynced();
  open(g, r);
  if (g.is_lease_frozen) return true;  // another is about to be elected anyway
  g.is_lease_frozen = true;
  const auto wait = std::max<std::int64_t>(0, g.lease_until - time_.now_us()) + 1 + static_cast<std::int64_t>(dice_.below(50'000));
  time_.at(wait, [this, &g] { elect(g); });
  return true;
}

// --- the gateway --------------------------------------------------------------------------------------------------

void transaction_simulation::ask(partition_id partition, const kv::partition_request& like, std::chrono::milliseconds budget,
                                 hlc& clock, response_handler done, std::int64_t echo_us) {
  const auto token = next_token_++;
  requests_[token] = {&clock, std::move(done)};
  auto& g = *groups_[partition.value];
  auto request = like;
  request.origin = token;
  request.deadline = time_.steady_now() + budget;
  const auto percent = [&](int p) { return is_faulty_ && dice_.chance(static_cast<std::uint64_t>(p), 100); };
  const int copies = percent(options_.loss_percent) ? 0 : percent(options_.double_percent) ? 2 : 1;
  // No attempt comes twice: what comes twice are two attempts, of which the later one is waited for.
  if (copies == 2) request.attempt = std::max(2u, request.attempt);
  for (int i = 0; i < copies; ++i) {
    const bool is_stale = percent(options_.stale_percent);
    const auto other = dice_.below(replicas_per_group);
    const bool is_late = (is_faulty_ && dice_.chance(static_cast<std::uint64_t>(options_.late_permille), 1000)) || (i > 0 && dice_.chance(1, 4));
    const auto lateness = is_late ? 200'000 + static_cast<std::int64_t>(dice_.below(2'000'000)) : 0;
    time_.at(network_delay() + lateness, [this, &g, request, is_stale, other, observed = clock.last()] {
      auto& r = *g.replicas[is_stale ? other : g.leader];
      r.clock.observe(observed);
      feed(g, r, kv::operations{{request}, clock_of(r)});
    });
  }
  if (is_faulty_ && echo_us != 0)
    time_.at(echo_us + static_cast<std::int64_t>(dice_.below(1'000)), [this, &g, request, observed = clock.last()]() mutable {
      auto& r = *g.replicas[g.leader];
      request.attempt = 1;
      r.clock.observe(observed);
      feed(g, r, kv::operations{{request}, clock_of(r)});
    });
  time_.at(std::chrono::duration_cast<duration>(budget).count(), [this, token] {
    replied(token, error{errc::timeout, "the budget passed"}, {});
  });
}

// The first answer counts. One that is lost on its way is as if it had never been given.
void transaction_simulation::replied(std::uint64_t token, kv::operation_response response, timestamp now) {
  if (!requests_.contains(token)) return;
  const auto* failure = std::get_if<error>(&response);
  const bool is_own = failure != nullptr && failure->code == errc::timeout;
  if (!is_own && is_faulty_ && dice_.chance(static_cast<std::uint64_t>(options_.loss_percent), 100)) return;
  time_.at(network_delay(), [this, token, now, response = std::move(response)] {
    const auto found = requests_.find(token);
    if (found == requests_.end()) return;
    found->second.clock->observe(now);
    auto done = std::move(found->second.done);
    requests_.erase(found);
    done(response);
  });
}

// --- running ------------------------------------------------------------------------------------------------------

void transaction_simulation::run(std::chrono::milliseconds length) { time_.run(length); }

std::string transaction_simulation::run_to_the_end() {
  run(std::chrono::milliseconds(6'000));
  const auto stuck = settle(std::chrono::milliseconds(15'000));
  return stuck.empty() ? check() : stuck;
}

// What is not at an end, or does not serve; empty where nothing is.
std::string transaction_simulation::find_open() const {
  for (const auto& g : groups_) {
    const auto& r = *g->replicas[g->leader];
    if (!r.core->is_serving()) return "partition does not serve: " + r.core->describe();
    if (r.manager->open_transactions() != 0) return "a transaction is open: " + r.manager->describe();
    if (r.core->holds_transactions()) return "something is held: " + r.core->describe();
  }
  return workload_.is_idle() ? "" : "a client is still at work";
}

std::string transaction_simulation::settle(std::chrono::milliseconds patience) {
  is_faulty_ = false;
  workload_.calm_down(true);
  std::string open;
  for (auto waited = std::chrono::milliseconds(0); waited < patience; waited += std::chrono::milliseconds(50)) {
    run(std::chrono::milliseconds(50));
    if ((open = find_open()).empty()) return workload_.read_final_lists();
  }
  return open;
}

}  // namespace kahuna::testing
