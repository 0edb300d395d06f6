#include "tests/support/cluster_simulation/cluster_simulation.hpp"

#include <algorithm>
#include <utility>

#include "core/base/check.hpp"
#include "core/routing/placement.hpp"

namespace kahuna::testing {

namespace {

constexpr std::int64_t ms = 1'000;
constexpr std::int64_t faults_us = 6'000 * ms;
constexpr std::int64_t patience_us = 15'000 * ms;
// Some ten steps of replicas, each of several rounds over a network that may be slow.
constexpr std::int64_t patience_with_members_us = 60'000 * ms;

partition_id nth_partition(int p) { return partition_id{static_cast<std::uint32_t>(p)}; }

map_pointer form(const cluster_options& options) {
  std::vector<std::pair<std::string, std::string>> founders;
  for (int i = 1; i <= options.nodes; ++i) founders.emplace_back("n" + std::to_string(i), "n" + std::to_string(i) + ":1");
  const auto replicas = options.has_members() ? options.replication : options.nodes;
  return std::make_shared<const routing::partition_map>(
      routing::form_cluster(founders, static_cast<std::uint32_t>(options.partitions), static_cast<std::uint32_t>(replicas)));
}

void throw_violation(const char* file, int line, const char* expression, const std::string& values) {
  throw violation("check failed: " + std::string(file) + ':' + std::to_string(line) + ": " + expression + ' ' + values);
}

}  // namespace

cluster_simulation::cluster_simulation(const cluster_options& options) : world_(options) {
  const auto formed = form(options);
  for (int i = 0; i < options.nodes; ++i) board_.nodes.push_back(std::make_unique<node>(board_, i, formed, true));
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
    if (const auto* r = n->find_replica(partition); r != nullptr && !n->is_paused() && r->raft().role() == raft::role_kind::leader) return *n;
  return any;
}

void cluster_simulation::inject_faults() {
  const auto& options = world_.options;
  every(options.crash_interval_ms, [this] { victim().crash(world_.draw(1, 800) * ms); });
  every(options.pause_interval_ms, [this] { victim().pause(world_.draw(50, 1'500) * ms); });
  every(options.cut_interval_ms, [this] {
    if (!board_.net.is_whole()) return;
    const auto& alone = victim();
    board_.net.cut_off(static_cast<int>(alone.id().value) - 1, static_cast<int>(board_.nodes.size()), world_.draw(100, 2'000) * ms);
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
    for (auto* r : from.replicas()) r->transfer_leadership(to, world_.dice.chance(1, 2));
    // Whoever is asked to campaign may find it much later.
    auto& asked = *board_.nodes[to.value - 1];
    if (world_.options.pause_interval_ms != 0 && world_.dice.chance(1, 3)) asked.pause(world_.draw(200, 700) * ms);
  });
  every(options.member_interval_ms, [this] { changes_.want_something(); });
  every(options.zone_interval_ms, [this] { changes_.move_to_another_zone(); });
  restart_the_crashed();
}

void cluster_simulation::restart_the_crashed() {
  world_.at(20 * ms, [this] {
    if (world_.options.has_members()) changes_.start_the_expected();
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
    if (!n->is_up() && !n->is_gone()) n->start();
  }
}

// --- the end ------------------------------------------------------------------------------------------------------

void cluster_simulation::run_until(std::int64_t deadline, const char* what, const std::function<bool()>& is_reached) {
  const auto are_all_up = [&] {
    return std::all_of(board_.nodes.begin(), board_.nodes.end(), [](const auto& n) { return n->is_up() || n->is_gone(); });
  };
  while (!are_all_up() || !is_reached()) {
    if (world_.now() >= deadline) {
      throw violation(std::string("liveness: ") + what + describe_all());
    }
    world_.run_until(world_.now() + 20 * ms);
  }
}

std::string cluster_simulation::describe_all() {
  std::string states = world_.options.has_members() ? "\n  " + changes_.describe() : "";
  for (auto& n : board_.nodes) {
    if (!n->is_up()) states += "\n  node " + std::to_string(n->id().value) + (n->is_gone() ? " is gone" : " is down");
    if (!n->is_up()) continue;
    if (world_.options.has_members()) states += "\n  " + n->members().driver().describe() + ", goes by version " + std::to_string(n->known_map()->version);
    for (const auto* r : n->replicas())
      states += "\n  node " + std::to_string(n->id().value) + ' ' + r->raft().describe() + "\n    " + r->partition().describe() + "\n    " +
                r->manager().describe();
  }
  return states;
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
      for (auto& n : board_.nodes)
        if (const auto* r = n->find_replica(nth_partition(p)); r != nullptr) is_served = is_served || r->partition().is_serving();
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
  if (world_.options.has_members())
    run_until(world_.now() + patience_with_members_us, "members do not come to what was asked for", [&] { return are_members_as_wanted(); });
  run_until(std::max(deadline, world_.now() + 5'000 * ms), "transactions stay open", [&] {
    for (auto& n : board_.nodes)
      for (const auto* r : n->replicas())
        if (r->manager().open_transactions() != 0 || r->partition().holds_transactions()) return false;
    return true;
  });

  auditor_->learn(board_.newest_map());
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

  for (int p = 0; p < world_.options.partitions; ++p) compare_replicas(nth_partition(p), patience);
}

void cluster_simulation::compare_replicas(partition_id partition, std::int64_t patience) {
  std::vector<std::pair<node*, replica*>> all;
  run_until(world_.now() + patience, "a replica does not catch up", [&] {
    all.clear();
    for (auto& n : board_.nodes)
      if (auto* r = n->find_replica(partition)) all.emplace_back(n.get(), r);
    return std::all_of(all.begin(), all.end(), [&](const auto& one) {
      return one.second->partition().applied_index() == all.front().second->partition().applied_index();
    });
  });
  for (const auto& [n, r] : all)
    if (n->note_applied(partition, r->partition().applied_index()))
      board_.watch.applied(partition, r->partition().applied_index(), r->state_digest(), n->id());
}

// Nobody waits to be let in or to go, everybody goes by the same map, and there is nothing left to be done about it.
bool cluster_simulation::are_members_as_wanted() {
  if (!changes_.is_idle()) return false;
  const auto newest = board_.newest_map();
  const auto& map = *newest;
  stop_the_forgotten(map);
  for (const auto& n : board_.nodes)
    if (!n->is_gone() && n->known_map()->version != map.version) return false;
  for (const auto& m : map.members)
    if (m.state != routing::member_state::active || m.zone != board_.nodes[m.id.value - 1]->zone()) return false;
  if (routing::steps_left(map) != 0) return false;
  for (int p = 0; p < world_.options.partitions; ++p)
    if (!is_settled(map, nth_partition(p))) return false;
  return true;
}

// Who was removed while it was cut off, and knows nobody who is left, never hears of it: whoever removed it stops it.
void cluster_simulation::stop_the_forgotten(const routing::partition_map& map) {
  for (const auto& n : board_.nodes) {
    const auto& known = n->known_map()->members;
    const bool is_removed = routing::is_former(map, n->id());
    const bool is_anybody_left = std::any_of(known.begin(), known.end(), [&](const auto& m) { return routing::find_member(map, m.id) != nullptr; });
    if (is_removed && !is_anybody_left && !n->is_gone()) n->end_for_good();
  }
}

// Whether those hold it whom the map names, nobody else, and its group says the same.
bool cluster_simulation::is_settled(const routing::partition_map& map, partition_id partition) {
  const auto& held = map.placements[partition.value];
  std::vector<node_id> holders;
  bool is_led = false;
  for (const auto& n : board_.nodes)
    if (const auto* r = n->find_replica(partition)) {
      holders.push_back(n->id());
      is_led = is_led || r->raft().role() == raft::role_kind::leader;
      const auto& members = r->raft().members();
      if (members.voters != held.voters || members.is_joint() || !members.learners.empty()) return false;
    }
  return is_led && held.is_settled() && holders == held.voters;
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
  result.map_versions = simulation->map_versions();
  return result;
}

}  // namespace kahuna::testing
