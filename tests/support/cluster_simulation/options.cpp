#include "tests/support/cluster_simulation/options.hpp"

#include <algorithm>
#include <sstream>

#include "core/base/prng.hpp"

namespace kahuna::testing {

// Each kind of fault is left out of many runs, so that what it hides is seen [Groce12]. Some runs are of a kind: leaderships that
// are cut short again and again, with few entries in a message, which is how entries of older terms come to be replicated late.
cluster_options cluster_options::drawn_from(std::uint64_t seed) {
  prng dice(seed * 0x9e3779b97f4a7c15ull + 1);
  cluster_options o;
  o.seed = seed;
  const auto draw = [&](std::uint64_t low, std::uint64_t high) { return static_cast<int>(dice.between(low, high)); };
  const auto maybe = [&](std::uint64_t of_four, int value) { return dice.chance(of_four, 4) ? value : 0; };
  o.nodes = dice.chance(1, 4) ? 5 : 3;
  o.partitions = draw(1, 3);
  o.reads = dice.chance(1, 3) ? raft::read_mode::read_index : raft::read_mode::lease;
  o.tick_ms = dice.chance(1, 2) ? 50 : draw(10, 50);
  o.has_small_bounds = dice.chance(3, 4);
  o.checkpoint_entries = dice.chance(1, 3) ? 1 << 10 : draw(2, 40);
  o.register_clients = draw(2, 6);
  o.append_clients = draw(0, 4);
  o.keys = draw(1, 6);
  o.ephemeral_percent = maybe(2, draw(5, 60));
  o.optimistic_percent = dice.chance(1, 4) ? 0 : dice.chance(1, 3) ? 100 : 50;
  o.think_ms_max = dice.chance(1, 3) ? draw(1, 5) : draw(5, 80);
  o.attempt_ms = dice.chance(1, 2) ? 300 : draw(100, 1'200);

  o.delay_ms_max = dice.chance(1, 5) ? draw(20, 120) : draw(1, 10);
  // Long enough for a question to be answered.
  o.attempt_ms = std::max(o.attempt_ms, 5 * o.delay_ms_max);
  o.loss_percent = maybe(2, draw(1, 12));
  o.double_percent = maybe(2, draw(1, 20));
  // A late acknowledgement is what a read may wrongly take for one of its own round.
  o.late_percent = maybe(o.reads == raft::read_mode::read_index ? 3 : 1, draw(1, 8));
  o.slow_interval_ms = maybe(1, draw(300, 3'000));
  o.cut_interval_ms = maybe(3, draw(200, 2'000));
  o.disk_ms_max = dice.chance(1, 4) ? draw(10, 80) : draw(1, 6);
  o.stall_percent = maybe(1, draw(1, 10));
  o.sync_error_per_10k = maybe(1, draw(1, 40));
  o.flush_interval_ms = maybe(3, draw(50, 1'000));
  o.drift_percent = maybe(2, draw(1, 4));
  o.skew_ms_max = maybe(2, draw(1, 400));
  o.jump_interval_ms = maybe(1, draw(200, 3'000));
  o.crash_interval_ms = maybe(3, draw(200, 3'000));
  o.pause_interval_ms = maybe(2, draw(200, 3'000));
  o.transfer_interval_ms = maybe(2, draw(200, 2'000));
  o.strike_percent = maybe(1, draw(20, 90));
  if (dice.chance(1, 5)) {
    o.nodes = 3;
    o.partitions = draw(1, 2);
    o.strike_percent = draw(60, 95);
    o.has_small_bounds = true;
    o.think_ms_max = draw(1, 5);
    o.delay_ms_max = draw(1, 4);
    o.loss_percent = maybe(2, draw(1, 10));
    o.cut_interval_ms = o.transfer_interval_ms = o.pause_interval_ms = 0;
  }
  o.forget_percent = maybe(2, draw(1, 60));
  if (dice.chance(2, 5)) o.draw_members(dice);
  o.dies_at_points = dice.chance(1, 3);
  o.unwritten_bytes = dice.chance(1, 4) ? 64 << 10 : draw(1, 4'000);
  return o;
}

void cluster_options::draw_members(prng& dice) {
  const auto draw = [&](std::uint64_t low, std::uint64_t high) { return static_cast<int>(dice.between(low, high)); };
  replication = dice.chance(1, 6) ? draw(1, 2) : 3;
  nodes = replication + draw(0, 2);
  member_interval_ms = dice.chance(3, 4) ? draw(50, 1'000) : 0;
  zone_interval_ms = dice.chance(2, 3) || member_interval_ms == 0 ? draw(30, 500) : 0;
  silence_ms = dice.chance(1, 2) ? 10'000 : draw(100, 1'000);
}

std::string cluster_options::describe() const {
  std::ostringstream out;
  out << "seed " << seed << ": " << nodes << " nodes, " << partitions << " partitions, reads by "
      << (reads == raft::read_mode::lease ? "lease" : "read-index") << ", tick " << tick_ms << " ms, small bounds " << has_small_bounds
      << ", checkpoint every " << checkpoint_entries << " unwritten " << unwritten_bytes << " bytes; clients " << register_clients << '+' << append_clients << " keys " << keys
      << " ephemeral " << ephemeral_percent << "% optimistic " << optimistic_percent << "% think " << think_ms_max << " ms attempts " << attempt_ms << " ms forget "
      << forget_percent << "%; delay "
      << delay_ms_max << " ms loss " << loss_percent << "% doubled " << double_percent << "% late " << late_percent << "% slow links "
      << slow_interval_ms << " cuts " << cut_interval_ms << "; disk " << disk_ms_max << " ms stalls " << stall_percent << "% sync errors "
      << sync_error_per_10k << "/10k flush " << flush_interval_ms << "; drift " << drift_percent << "% skew " << skew_ms_max << " ms jumps "
      << jump_interval_ms << "; crashes " << crash_interval_ms << " pauses " << pause_interval_ms << " transfers " << transfer_interval_ms
      << " strikes " << strike_percent << "% deaths at points " << dies_at_points;
  if (has_members())
    out << "; replicas " << replication << " members change " << member_interval_ms << " zones " << zone_interval_ms << " silence borne " << silence_ms
        << " ms";
  return out.str();
}

}  // namespace kahuna::testing
