#include "tests/support/cluster_simulation/cluster_simulation.hpp"

#include <algorithm>
#include <utility>

#include "core/base/check.hpp"

namespace kahuna::testing {

namespace {

constexpr std::int64_t ms = 1'000;
constexpr std::int64_t faults_us = 6'000 * ms;
constexpr std::int64_t patience_us = 15'000 * ms;

void throw_violation(const char* file, int line, const char* expression, const std::string& values) {
  throw violation("check failed: " + std::string(file) + ':' + std::to_string(line) + ": " + expression + ' ' + values);
}

}  // namespace

cluster_simulation::cluster_simulation(const cluster_options& options) : world_(options) {
  for (int i = 0; i < options.nodes; ++i) board_.nodes.push_back(std::make_unique<node>(board_, i));
  for (auto& n : board_.nodes) n->start();
  std::uint64_t id = 100;
  for (int i = 0; i < options.register_clients; ++i) clients_.push_back(std::make_unique<register_client>(board_, ++id, history_));
  for (int i = 0; i < options.append_clients; ++i) clients_.push_back(std::make_unique<append_client>(board_, ++id, history_));
  auditor_ = std::make_unique<register_client>(board_, ++id, history_);
  for (auto& c : clients_) world_.at(world_.draw(0, 500 * ms), [working = c.get()] { working->begin_work(); });
  inject_faults();
}

// --- faults -------------------------------------------------------------------------------------------------------

// About so often; 0: never.
void cluster_simulation::every(int interval_ms, event what) {
  if (interval_ms == 0) return;
  world_.at(world_.draw(1, 2 * interval_ms) * ms, [this, interval_ms, what] {
    if (!world_.is_faulty) return;
    what();
    every(interval_ms, what);
  });
}

// Every other time one that leads something, whom it hurts most.
node& cluster_simulation::victim() {
  auto& any = *board_.nodes[world_.dice.below(board_.nodes.size())];
  if (world_.dice.chance(1, 2)) return any;
  const auto partition = partition_id{static_cast<std::uint32_t>(world_.dice.below(static_cast<std::uint64_t>(world_.options.partitions)))};
  for (auto& n : board_.nodes)
    if (n->is_up() && !n->is_paused() && n->replica_of(partition).raft().role() == raft::role_kind::leader) return *n;
  return any;
}

void cluster_simulation::inject_faults() {
  const auto& options = world_.options;
  every(options.crash_interval_ms, [this] { victim().crash(world_.draw(1, 800) * ms); });
  every(options.pause_interval_ms, [this] { victim().pause(world_.draw(50, 1'500) * ms); });
  every(options.cut_interval_ms, [this] {
    if (!board_.net.is_whole()) return;
    const auto& alone = victim();
    board_.net.cut_off(static_cast<int>(alone.id().value) - 1, world_.options.nodes, world_.draw(100, 2'000) * ms);
  });
  every(options.slow_interval_ms, [this] {
    const auto from = static_cast<int>(world_.dice.below(board_.nodes.size()));
    const auto to = static_cast<int>(world_.dice.below(board_.nodes.size()));
    board_.net.slow_down(from, to, world_.draw(0, 200) * ms);
  });
  every(options.jump_interval_ms, [this] {
    auto& jumper = *board_.nodes[world_.dice.below(board_.nodes.size())];
    jumper.set_wall_offset(world_.draw(-3'000, 3'000));
  });
  every(options.transfer_interval_ms, [this] {
    const auto to = node_id{static_cast<std::uint32_t>(world_.dice.below(board_.nodes.size())) + 1};
    auto& from = victim();
    if (!from.is_up() || from.is_paused()) return;
    for (int p = 0; p < world_.options.partitions; ++p)
      from.replica_of(partition_id{static_cast<std::uint32_t>(p)}).transfer_leadership(to, world_.dice.chance(1, 2));
    // Whoever is asked to campaign may find it much later.
    auto& asked = *board_.nodes[to.value - 1];
    if (world_.options.pause_interval_ms != 0 && world_.dice.chance(1, 3)) asked.pause(world_.draw(200, 700) * ms);
  });
  restart_the_crashed();
}

void cluster_simulation::restart_the_crashed() {
  world_.at(20 * ms, [this] {
    for (auto& n : board_.nodes)
      if (n->is_due_to_start()) n->start();
    restart_the_crashed();
  });
}

void cluster_simulation::run_under_faults(std::int64_t length_us) { world_.run_until(world_.now() + length_us); }

void cluster_simulation::heal() {
  world_.is_faulty = false;
  board_.net.heal();
  for (auto& n : board_.nodes) {
    n->resume();
    if (!n->is_up()) n->start();
  }
}

// --- the end ------------------------------------------------------------------------------------------------------

void cluster_simulation::run_until(std::int64_t deadline, const char* what, const std::function<bool()>& is_reached) {
  const auto are_all_up = [&] {
    return std::all_of(board_.nodes.begin(), board_.nodes.end(), [](const auto& n) { return n->is_up(); });
  };
  while (!are_all_up() || !is_reached()) {
    if (world_.now() >= deadline) {
      std::string states;
      for (auto& n : board_.nodes)
        for (int p = 0; n->is_up() && p < world_.options.partitions; ++p) {
          const auto& r = n->replica_of(partition_id{static_cast<std::uint32_t>(p)});
          states += "\n  node " + std::to_string(n->id().value) + ' ' + r.raft().describe() + "\n    " + r.partition().describe() +
                    "\n    " + r.manager().describe();
        }
      throw violation(std::string("liveness: ") + what + states);
    }
    world_.run_until(world_.now() + 20 * ms);
  }
}

kv::operation_response cluster_simulation::ask_for_sure(kv::operation op, std::int64_t patience) {
  std::optional<outcome> ended;
  auditor_->ask(std::move(op), patience, [&](const outcome& o) { ended = o; });
  run_until(world_.now() + patience + 1'000 * ms, "an operation has no end", [&] { return ended.has_value(); });
  if (!ended->response) throw violation("liveness: an operation finds no leader though nothing fails any more");
  return *ended->response;
}

void cluster_simulation::settle(std::int64_t patience) {
  heal();
  const auto deadline = world_.now() + patience;
  // Clients go on meanwhile; each partition must come to serve.
  run_until(deadline, "a partition does not serve", [&] {
    for (int p = 0; p < world_.options.partitions; ++p) {
      bool is_served = false;
      for (auto& n : board_.nodes) is_served = is_served || n->replica_of(partition_id{static_cast<std::uint32_t>(p)}).partition().is_serving();
      if (!is_served) return false;
    }
    return true;
  });
  world_.run_until(world_.now() + 500 * ms);
  for (auto& c : clients_) c->stop();
  run_until(deadline, "a client has no end", [&] {
    for (const auto& c : clients_)
      if (!c->is_idle()) return false;
    return true;
  });
  run_until(deadline, "transactions stay open", [&] {
    for (auto& n : board_.nodes)
      for (int p = 0; p < world_.options.partitions; ++p) {
        const auto& r = n->replica_of(partition_id{static_cast<std::uint32_t>(p)});
        if (r.manager().open_transactions() != 0 || r.partition().holds_transactions()) return false;
      }
    return true;
  });

  // What is there at the end, of every key.
  for (int i = 0; i < world_.options.keys; ++i) {
    const auto key = register_client::key_name(i);
    key_operation_record read;
    read.began = world_.now();
    const auto response = ask_for_sure(kv::get_request{.key = key}, 5'000 * ms);
    const auto* got = std::get_if<kv::get_response>(&response);
    if (got == nullptr) throw violation("liveness: key " + key + " can't be read");
    read.ended = world_.now();
    read.is_known = true;
    read.is_done = got->is_found;
    read.revision = got->revision;
    if (got->is_found) read.value = std::stoll(std::string(got->value.view()));
    read.note = "at the end";
    history_.add(key, read);
  }
  for (int b = 0; b < append_client::buckets && world_.options.append_clients > 0; ++b)
    for (int k = 0; k < append_client::keys_per_bucket; ++k) {
      const auto key = append_client::key_name(b, k);
      const auto response = ask_for_sure(kv::get_request{.key = key}, 5'000 * ms);
      const auto* got = std::get_if<kv::get_response>(&response);
      if (got == nullptr) throw violation("liveness: key " + key + " can't be read");
      history_.add_final(key, append_client::parse(got->value.view()));
    }

  for (int p = 0; p < world_.options.partitions; ++p) {
    const auto partition = partition_id{static_cast<std::uint32_t>(p)};
    const auto applied_on = [&](std::size_t i) { return board_.nodes[i]->replica_of(partition).partition().applied_index(); };
    run_until(world_.now() + patience, "a replica does not catch up", [&] {
      for (std::size_t i = 1; i < board_.nodes.size(); ++i)
        if (applied_on(i) != applied_on(0)) return false;
      return true;
    });
    for (auto& n : board_.nodes) {
      auto& r = n->replica_of(partition);
      if (n->note_applied(partition, r.partition().applied_index()))
        board_.watch.applied(partition, r.partition().applied_index(), r.state_digest(), n->id());
    }
  }
}

void cluster_simulation::check() {
  if (const auto wrong = history_.check(); !wrong.empty()) throw violation(wrong);
}

simulation_result run_cluster_simulation(const cluster_options& options) {
  set_check_handler(throw_violation);
  simulation_result result;
  const auto simulation = std::make_unique<cluster_simulation>(options);
  try {
    simulation->run_under_faults(faults_us);
    simulation->settle(patience_us);
    simulation->check();
  } catch (const violation& v) {
    result.violation = v.what();
  }
  result.digest = simulation->digest();
  result.operations = simulation->seen().operations();
  result.transactions = simulation->seen().transactions();
  result.undecided = simulation->seen().undecided();
  result.terms_led = simulation->watch().terms_led();
  result.states_compared = simulation->watch().states_compared();
  result.virtual_us = simulation->now();
  return result;
}

}  // namespace kahuna::testing
