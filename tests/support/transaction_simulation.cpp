#include "tests/support/transaction_simulation.hpp"

#include <algorithm>
#include <sstream>

#include "core/base/check.hpp"
#include "core/base/fault_point.hpp"
#include "core/kv/answer_digest.hpp"
#include "messages/codec/portable_archive.hpp"

namespace kahuna::testing {

namespace {

constexpr std::uint64_t wall_ms = 1'700'000'000'000;
constexpr std::size_t replicas_per_group = 3;
constexpr std::chrono::milliseconds attempt_timeout(300);
constexpr std::chrono::milliseconds transaction_timeout(3'000);
constexpr std::int64_t lease_us = 60'000;

std::vector<std::uint64_t> parse(std::string_view text) {
  std::vector<std::uint64_t> list;
  std::istringstream in{std::string(text)};
  for (std::uint64_t value = 0; in >> value;) list.push_back(value);
  return list;
}

std::string print(const std::vector<std::uint64_t>& list) {
  std::string out;
  for (const auto value : list) out += (out.empty() ? "" : " ") + std::to_string(value);
  return out;
}

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

struct transaction_simulation::client {
  std::uint64_t id = 0;
  std::uint64_t next_sequence = 1;
  std::uint64_t next_transaction = 1;
  hlc clock;  // the highest stamp that it has heard of
  append_transaction work;
  std::map<std::string, std::vector<std::uint64_t>> lists;  // as the transaction sees them
  kv::transaction_header header;
  std::uint32_t number = 0;
  std::uint64_t heard = 0;
  std::vector<std::string> keys;  // still to be touched
  std::optional<std::string> reading;
  bool is_bucket = false;
  instant deadline;
  std::int64_t echo_us = 0;  // the requests of the transaction come again so much later
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
  o.partitions = draw(1, 4);
  o.clients = draw(2, 10);
  o.buckets = draw(1, 5);
  o.keys_per_bucket = draw(1, 4);
  o.optimistic_percent = dice.chance(1, 4) ? 0 : dice.chance(1, 3) ? 100 : 50;
  o.snapshot_percent = draw(0, 30);
  o.single_percent = draw(0, 40);
  o.loss_percent = dice.chance(1, 3) ? 0 : draw(0, 8);
  o.double_percent = dice.chance(1, 3) ? 0 : draw(0, 8);
  o.late_permille = dice.chance(1, 2) ? 0 : draw(0, 60);
  o.echo_percent = dice.chance(1, 2) ? 0 : draw(1, 40);
  o.stall_permille = dice.chance(1, 2) ? 0 : draw(0, 30);
  o.belief_ms_max = dice.chance(1, 2) ? 100 : draw(100, 2'000);
  o.stale_percent = draw(0, 20);
  o.delay_ms_max = draw(1, 20);
  o.commit_ms_max = draw(1, 20);
  o.failover_interval_ms = dice.chance(1, 4) ? 0 : draw(60, 1'500);
  o.fault_point_permille = dice.chance(1, 2) ? 0 : draw(1, 20);
  o.give_up_percent = dice.chance(1, 2) ? 0 : draw(0, 5);
  o.skew_ms_max = dice.chance(1, 2) ? 0 : draw(0, 200);
  o.has_leases = dice.chance(1, 2);
  return o;
}

std::string transaction_simulation_options::describe() const {
  std::ostringstream out;
  out << "seed " << seed << " partitions " << partitions << " clients " << clients << " buckets " << buckets << " keys "
      << keys_per_bucket << " optimistic " << optimistic_percent << "% snapshots " << snapshot_percent << "% single " << single_percent
      << "% loss " << loss_percent << "% doubled " << double_percent << "% late " << late_permille << "/1000 echoes " << echo_percent << "% stalled " << stall_permille << "/1000 belief " << belief_ms_max
      << " ms stale " << stale_percent << "% delay " << delay_ms_max
      << " ms commit " << commit_ms_max << " ms failover " << failover_interval_ms << " ms fault points " << fault_point_permille << "/1000 give up " << give_up_percent << "% skew "
      << skew_ms_max << " ms leases " << has_leases;
  return out.str();
}

transaction_simulation::transaction_simulation(transaction_simulation_options options) : options_(options), dice_(options.seed) {
  for (int p = 0; p < options_.partitions; ++p) {
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
  for (int i = 0; i < options_.clients; ++i) {
    auto c = std::make_unique<client>();
    c->id = static_cast<std::uint64_t>(i) + 100;
    auto* working = c.get();
    at(static_cast<std::int64_t>(dice_.below(5'000)), [this, working] { begin_work(*working); });
    clients_.push_back(std::move(c));
  }
#ifdef KAHUNA_FAULT_POINTS
  set_fault_handler([this](std::string_view point) { reach(point); });
#endif
  at(1'000, [this] { tick_all(); });
  if (options_.failover_interval_ms != 0) at(options_.failover_interval_ms * 1000, [this] { inject_faults(); });
}

transaction_simulation::~transaction_simulation() {
#ifdef KAHUNA_FAULT_POINTS
  set_fault_handler({});
#endif
}

void transaction_simulation::at(std::int64_t delay_us, std::function<void()> what) {
  events_.emplace(std::pair(now_ + delay_us, ++order_), std::move(what));
}

timestamp transaction_simulation::clock_of(const replica& r) {
  return const_cast<replica&>(r).clock.tick(wall_ms + static_cast<std::uint64_t>(now_ / 1000 + r.skew_ms));
}

std::int64_t transaction_simulation::network_delay() {
  return 50 + static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(options_.delay_ms_max) * 1000));
}

void transaction_simulation::note(const std::string& what) {
  for (const auto c : what) digest_ = (digest_ ^ static_cast<unsigned char>(c)) * 1099511628211ull;
}

// --- replicas -----------------------------------------------------------------------------------------------------

void transaction_simulation::open(group& g, replica& r) {
  ++r.life;
  r.believes_to_lead = false;
  r.manager = std::make_unique<kv::transaction_manager_core>(
      kv::manager_options{g.id, static_cast<std::uint32_t>(options_.partitions)}, prng(dice_.next()));
  r.core.reset();
  auto opened = persistence::data_store::open(r.disk, g.id, [](const error& e) { KAHUNA_CHECK(false, e.message); });
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
  r.core->step(std::move(input), steady_now());
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
    at(network_delay(), [this, &g, &r, life, read, term = r.term] {
      if (r.life != life) return;
      const bool is_safe = &r == g.replicas[g.leader].get() && g.term == term && r.believes_to_lead;
      feed(g, r, std::vector<raft::read_answer>{{read.read_id, is_safe, {}}});
    });
  }
  for (auto& reply : ready.replies) replied(reply.origin, std::move(reply.response), r.clock.last());
  if (!ready.manager.is_empty())
    at(5, [this, &g, &r, life, news = std::move(ready.manager)] {
      if (r.life == life) tell_manager(g, r, news);
    });
}

void transaction_simulation::tell_partition(group& g, replica& r, std::vector<kv::partition_request> own) {
  const bool is_stalled = is_faulty_ && dice_.chance(static_cast<std::uint64_t>(options_.stall_permille), 1000);
  const auto delay = is_stalled ? static_cast<std::int64_t>(dice_.below(500'000)) : 5;
  r.partition_hears_at = std::max(r.partition_hears_at, now_ + delay);
  at(r.partition_hears_at - now_, [this, &g, &r, life = r.life, own = std::move(own)] {
    if (r.life == life) feed(g, r, kv::operations{own, clock_of(r)});
  });
}

void transaction_simulation::tell_manager(group& g, replica& r, kv::manager_input input) {
  r.manager->step(std::move(input), clock_of(r), steady_now());
  r.manager->check_invariants();
  if (dies(g, r, false)) return;
  auto ready = r.manager->take_ready();
  const auto life = r.life;
  if (!ready.own.empty()) tell_partition(g, r, std::move(ready.own));
  for (auto& reply : ready.replies) replied(reply.origin, std::move(reply.response), r.clock.last());
  for (auto& asked : ready.remote) {
    kv::partition_request request;
    request.op = asked.op;
    const auto partition = *kv::partition_of(routing::partition_map{0, static_cast<std::uint32_t>(options_.partitions), 1, {}}, asked.op);
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
  at(100 + static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(options_.commit_ms_max) * 1000)), [this, &g] {
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
        at(network_delay(), [this, &g, follower = r.get(), life] {
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
  at(static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(options_.belief_ms_max) * 1000)), [this, &g, &deposed, life, term = g.term, next] {
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
  g.lease_until = now_ + lease_us;
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
  at(20'000, [this] { tick_all(); });
}

void transaction_simulation::inject_faults() {
  if (!is_faulty_) return;
  auto& g = *groups_[dice_.below(groups_.size())];
  if (!g.is_lease_frozen) {
    // A leader that is to be deposed first loses its lease: nobody is elected before.
    g.is_lease_frozen = true;
    const auto wait = std::max<std::int64_t>(0, g.lease_until - now_) + 1 + static_cast<std::int64_t>(dice_.below(50'000));
    at(wait, [this, &g] { elect(g); });
  }
  at(static_cast<std::int64_t>(dice_.between(1, 2 * static_cast<std::uint64_t>(options_.failover_interval_ms))) * 1000,
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
  const auto wait = std::max<std::int64_t>(0, g.lease_until - now_) + 1 + static_cast<std::int64_t>(dice_.below(50'000));
  at(wait, [this, &g] { elect(g); });
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
  request.deadline = steady_now() + budget;
  const auto percent = [&](int p) { return is_faulty_ && dice_.chance(static_cast<std::uint64_t>(p), 100); };
  const int copies = percent(options_.loss_percent) ? 0 : percent(options_.double_percent) ? 2 : 1;
  // No attempt comes twice: what comes twice are two attempts, of which the later one is waited for.
  if (copies == 2) request.attempt = std::max(2u, request.attempt);
  for (int i = 0; i < copies; ++i) {
    const bool is_stale = percent(options_.stale_percent);
    const auto other = dice_.below(replicas_per_group);
    const bool is_late = (is_faulty_ && dice_.chance(static_cast<std::uint64_t>(options_.late_permille), 1000)) || (i > 0 && dice_.chance(1, 4));
    const auto lateness = is_late ? 200'000 + static_cast<std::int64_t>(dice_.below(2'000'000)) : 0;
    at(network_delay() + lateness, [this, &g, request, is_stale, other, observed = clock.last()] {
      auto& r = *g.replicas[is_stale ? other : g.leader];
      r.clock.observe(observed);
      feed(g, r, kv::operations{{request}, clock_of(r)});
    });
  }
  if (is_faulty_ && echo_us != 0)
    at(echo_us + static_cast<std::int64_t>(dice_.below(1'000)), [this, &g, request, observed = clock.last()]() mutable {
      auto& r = *g.replicas[g.leader];
      request.attempt = 1;
      r.clock.observe(observed);
      feed(g, r, kv::operations{{request}, clock_of(r)});
    });
  at(std::chrono::duration_cast<duration>(budget).count(), [this, token] {
    replied(token, error{errc::timeout, "the budget passed"}, {});
  });
}

// The first answer counts. One that is lost on its way is as if it had never been given.
void transaction_simulation::replied(std::uint64_t token, kv::operation_response response, timestamp now) {
  if (!requests_.contains(token)) return;
  const auto* failure = std::get_if<error>(&response);
  const bool is_own = failure != nullptr && failure->code == errc::timeout;
  if (!is_own && is_faulty_ && dice_.chance(static_cast<std::uint64_t>(options_.loss_percent), 100)) return;
  at(network_delay(), [this, token, now, response = std::move(response)] {
    const auto found = requests_.find(token);
    if (found == requests_.end()) return;
    found->second.clock->observe(now);
    auto done = std::move(found->second.done);
    requests_.erase(found);
    done(response);
  });
}

// --- clients ------------------------------------------------------------------------------------------------------

std::string transaction_simulation::random_key() {
  return "b" + std::to_string(dice_.below(static_cast<std::uint64_t>(options_.buckets))) + "/k" +
         std::to_string(dice_.below(static_cast<std::uint64_t>(options_.keys_per_bucket)));
}

// Repeats the request under its identity until it is answered for good, or the deadline has passed.
void transaction_simulation::ask_again(client& c, kv::partition_request request, instant deadline, response_handler done) {
  const auto partition = *kv::partition_of(routing::partition_map{0, static_cast<std::uint32_t>(options_.partitions), 1, {}}, request.op);
  const bool has_echo = c.echo_us != 0 && request.attempt == 1 && std::holds_alternative<kv::transaction_request>(request.op);
  if (has_echo) request.attempt = 2;  // the echo is the first attempt
  ask(partition, request, attempt_timeout, c.clock, [this, &c, request, deadline, done](const kv::operation_response& response) {
    const auto* failure = std::get_if<error>(&response);
    const bool is_worth_repeating = failure != nullptr && failure->code != errc::aborted && failure->code != errc::invalid_argument;
    if (!is_worth_repeating || steady_now() >= deadline) return done(response);
    at(static_cast<std::int64_t>(dice_.between(1'000, 30'000)), [this, &c, request, deadline, done] {
      auto again = request;
      ++again.attempt;
      ask_again(c, again, deadline, done);
    });
  }, has_echo ? c.echo_us : 0);
}

void transaction_simulation::begin_work(client& c) {
  if (!is_working_) return;
  c.work = {};
  c.work.began = now_;
  c.deadline = steady_now() + std::chrono::duration_cast<duration>(transaction_timeout);
  const auto kind = static_cast<int>(dice_.below(100));
  if (kind < options_.single_percent) return run_single(c);
  if (kind < options_.single_percent + options_.snapshot_percent) return run_snapshot(c);
  run_transaction(c);
}

void transaction_simulation::end_work(client& c) {
  c.work.ended = now_;
  switch (c.work.ended_as) {
    case append_transaction::outcome::committed: ++committed_; break;
    case append_transaction::outcome::aborted: ++aborted_; break;
    case append_transaction::outcome::unknown: ++unknown_; break;
  }
  note(std::to_string(c.id) + ':' + std::to_string(static_cast<int>(c.work.ended_as)) + '@' + std::to_string(now_));
  if (!c.work.reads.empty() || !c.work.appends.empty()) history_.add(std::move(c.work));
  at(static_cast<std::int64_t>(dice_.below(10'000)), [this, &c] { begin_work(c); });
}

// Reads a key and appends to it if nobody has changed it since: two operations, of which the second is a transaction by itself.
void transaction_simulation::run_single(client& c) {
  c.work.note = "single";
  const auto key = random_key();
  kv::partition_request read;
  read.client = c.id;
  read.op = kv::get_request{.key = key};
  ask_again(c, read, c.deadline, [this, &c, key](const kv::operation_response& response) {
    const auto* got = std::get_if<kv::get_response>(&response);
    if (got == nullptr) return end_work(c);
    auto list = parse(got->value.view());
    append_transaction seen = c.work;
    seen.reads[key] = list;
    seen.ended = now_;
    seen.ended_as = append_transaction::outcome::committed;
    history_.add(seen);
    c.work.began = now_;
    const auto value = next_value_++;
    c.work.reads[key] = list;
    c.work.appends[key] = {value};
    list.push_back(value);
    kv::partition_request write;
    write.client = c.id;
    write.sequence = c.next_sequence++;
    write.floor = write.sequence;
    write.issued_at = timestamp_at(wall_ms + static_cast<std::uint64_t>(now_ / 1000));
    write.op = kv::set_request{.key = key, .value = print(list), .if_revision = got->revision};
    ask_again(c, write, c.deadline, [this, &c](const kv::operation_response& answer) {
      const auto* set = std::get_if<kv::set_response>(&answer);
      if (set != nullptr) c.work.ended_as = set->is_set ? append_transaction::outcome::committed : append_transaction::outcome::aborted;
      end_work(c);
    });
  });
}

// All partitions are asked for their clocks, and then some keys and a bucket are read as of the latest.
void transaction_simulation::run_snapshot(client& c) {
  c.work.note = "snapshot";
  c.work.is_snapshot = true;
  struct round {
    std::size_t missing = 0;
    timestamp moment;
    bool has_failed = false;
  };
  auto clocks = std::make_shared<round>();
  clocks->missing = groups_.size();
  for (const auto& g : groups_) {
    kv::partition_request question;
    question.client = c.id;
    question.op = kv::read_clock_request{g->id};
    ask_again(c, question, c.deadline, [this, &c, clocks](const kv::operation_response& response) {
      const auto* clock = std::get_if<kv::clock_response>(&response);
      if (clock != nullptr)
        clocks->moment = std::max(clocks->moment, clock->now);
      else
        clocks->has_failed = true;
      if (--clocks->missing != 0) return;
      if (clocks->has_failed) return end_work(c);
      auto reads = std::make_shared<round>();
      std::set<std::string> keys;
      for (int i = 0; i < 3; ++i) keys.insert(random_key());
      reads->missing = keys.size();
      for (const auto& key : keys) {
        kv::partition_request read;
        read.client = c.id;
        read.op = kv::get_request{.key = key, .as_of = clocks->moment};
        ask_again(c, read, c.deadline, [this, &c, key, reads](const kv::operation_response& answer) {
          const auto* got = std::get_if<kv::get_response>(&answer);
          if (got != nullptr)
            c.work.reads[key] = parse(got->value.view());
          else
            reads->has_failed = true;
          if (--reads->missing != 0) return;
          if (reads->has_failed) c.work.reads.clear();
          if (!reads->has_failed) c.work.ended_as = append_transaction::outcome::committed;
          end_work(c);
        });
      }
    });
  }
}

void transaction_simulation::run_transaction(client& c) {
  c.lists.clear();
  c.keys.clear();
  for (auto count = dice_.between(1, 4); count > 0; --count) c.keys.push_back(random_key());
  c.number = 0;
  c.heard = 0;
  c.header.id = {timestamp_at(wall_ms + static_cast<std::uint64_t>(now_ / 1000)), c.id, c.next_transaction++};
  c.header.anchor = routing::partition_of_key(static_cast<std::uint32_t>(options_.partitions), c.keys.back());
  c.header.locking = dice_.chance(static_cast<std::uint64_t>(options_.optimistic_percent), 100) ? kv::locking_mode::optimistic
                                                                                                : kv::locking_mode::pessimistic;
  c.echo_us = dice_.chance(static_cast<std::uint64_t>(options_.echo_percent), 100) ? static_cast<std::int64_t>(dice_.below(400'000)) : 0;
  c.header.timeout_ms = static_cast<std::uint32_t>(transaction_timeout.count());
  c.reading.reset();
  c.is_bucket = false;
  c.work.note = c.header.locking == kv::locking_mode::optimistic ? "optimistic" : "pessimistic";
  next_step(c);
}

void transaction_simulation::next_step(client& c) {
  if (is_faulty_ && dice_.chance(static_cast<std::uint64_t>(options_.give_up_percent), 100)) {
    c.work.ended_as = append_transaction::outcome::aborted;
    return end_work(c);
  }
  kv::partition_request request;
  request.client = c.id;
  kv::transaction_request step{c.header, ++c.number, c.heard, kv::commit_step{}};
  if (c.reading && dice_.chance(2, 3)) {
    // What it has read it appends to.
    const auto& key = *c.reading;
    const auto value = next_value_++;
    c.lists[key].push_back(value);
    c.work.appends[key].push_back(value);
    step.step = kv::set_request{.key = key, .value = print(c.lists[key])};
    c.reading.reset();
    c.is_bucket = false;
  } else if (!c.keys.empty()) {
    const auto key = c.keys.back();
    c.keys.pop_back();
    c.is_bucket = dice_.chance(1, 5);
    c.reading = key;
    if (c.is_bucket)
      step.step = kv::get_by_bucket_request{.bucket = std::string(routing::bucket_of(key))};
    else
      step.step = kv::get_request{.key = key};
  } else if (dice_.chance(1, 20)) {
    step.step = kv::rollback_step{};
    c.reading.reset();
  } else {
    request.sequence = c.next_sequence++;
    request.floor = request.sequence;
    request.issued_at = timestamp_at(wall_ms + static_cast<std::uint64_t>(now_ / 1000));
    c.reading.reset();
  }
  request.op = step;
  ask_again(c, request, c.deadline, [this, &c, step](const kv::operation_response& response) {
    if (std::holds_alternative<kv::commit_response>(response)) {
      c.work.ended_as = append_transaction::outcome::committed;
      return end_work(c);
    }
    const auto* failure = std::get_if<error>(&response);
    const bool is_commit = std::holds_alternative<kv::commit_step>(step.step);
    if (failure != nullptr || std::holds_alternative<kv::rollback_response>(response)) {
      // Only of a commit can it be unknown whether it was done.
      const bool is_known = !is_commit || (failure != nullptr && failure->code == errc::aborted);
      c.work.ended_as = is_known ? append_transaction::outcome::aborted : append_transaction::outcome::unknown;
      return end_work(c);
    }
    c.heard = kv::digest_of(c.heard, response);
    take_step_answer(c, response);
    next_step(c);
  });
}

void transaction_simulation::take_step_answer(client& c, const kv::operation_response& response) {
  const auto took = [&](const std::string& key, const std::vector<std::uint64_t>& list) {
    // Its own appends it sees too; what stood before them was read.
    if (const auto known = c.lists.find(key); known != c.lists.end()) {
      KAHUNA_CHECK(known->second == list, "a transaction does not see what it saw before: " + key + " had " + print(known->second) + " has " + print(list), options_.describe(), c.id, c.number, c.is_bucket, c.header.id, static_cast<int>(c.header.locking));
      return;
    }
    c.lists[key] = list;
    c.work.reads[key] = list;
  };
  if (const auto* got = std::get_if<kv::get_response>(&response)) return took(*c.reading, parse(got->value.view()));
  const auto* page = std::get_if<kv::list_response>(&response);
  if (page == nullptr) return;
  std::map<std::string, std::vector<std::uint64_t>> found;
  for (const auto& item : page->items) found[item.key] = parse(item.value.view());
  const std::string bucket(routing::bucket_of(*c.reading));
  for (int i = 0; i < options_.keys_per_bucket; ++i) {
    const auto key = bucket + "/k" + std::to_string(i);
    took(key, found[key]);
  }
}

// --- running ------------------------------------------------------------------------------------------------------

void transaction_simulation::run(std::chrono::milliseconds length) {
  const auto until = now_ + std::chrono::duration_cast<duration>(length).count();
  while (!events_.empty() && events_.begin()->first.first <= until) {
    auto what = std::move(events_.begin()->second);
    now_ = events_.begin()->first.first;
    events_.erase(events_.begin());
    what();
  }
  now_ = until;
}

std::string transaction_simulation::settle(std::chrono::milliseconds patience) {
  is_faulty_ = false;
  is_working_ = false;
  run(patience);
  for (const auto& g : groups_) {
    const auto& r = *g->replicas[g->leader];
    if (!r.core->is_serving()) return "partition does not serve: " + r.core->describe();
    if (r.manager->open_transactions() != 0) return "a transaction is open: " + r.manager->describe();
    if (r.core->holds_transactions()) return "something is held: " + r.core->describe();
  }
  for (int b = 0; b < options_.buckets; ++b)
    for (int k = 0; k < options_.keys_per_bucket; ++k) {
      const auto key = "b" + std::to_string(b) + "/k" + std::to_string(k);
      kv::partition_request read;
      read.op = kv::get_request{.key = key};
      bool is_answered = false;
      auto& reader = *clients_.front();
      ask_again(reader, read, steady_now() + std::chrono::seconds(2), [&, key](const kv::operation_response& response) {
        const auto* got = std::get_if<kv::get_response>(&response);
        is_answered = got != nullptr;
        if (got != nullptr) final_lists_[key] = parse(got->value.view());
      });
      run(std::chrono::milliseconds(3'000));
      if (!is_answered) return "key " + key + " can't be read";
    }
  return "";
}

std::string transaction_simulation::check() const { return history_.check(final_lists_); }

}  // namespace kahuna::testing
