#include "tests/support/cluster_simulation/log_disk.hpp"

#include <utility>

#include "core/base/planted_bug.hpp"
#include "core/base/sometimes.hpp"

namespace kahuna::testing {

void log_disk::start(owner o) {
  owner_ = std::move(o);
  waiting_.clear();
  being_written_.clear();
  is_busy_ = false;
  has_hole_ = false;
  visible_ = durable_;
}

void log_disk::crash() {
  if (!has_hole_)
    for (std::size_t i = 0, kept = world_.dice.below(being_written_.size() + 1); i < kept; ++i)
      durable_.take(being_written_[i]);
  waiting_.clear();
  being_written_.clear();
  is_busy_ = false;
}

void log_disk::append(partition_id partition, raft::log_write write) { enqueue({partition, std::move(write), std::nullopt}); }

void log_disk::record(partition_id partition, bool is_hosted) { enqueue({partition, {}, is_hosted}); }

std::optional<bool> log_disk::is_hosted(partition_id partition) const {
  const auto found = durable_.hosted.find(partition);
  if (found == durable_.hosted.end()) return std::nullopt;
  return found->second;
}

void log_disk::contents::take(const pending& what) {
  auto& log = logs[what.partition];
  if (!what.is_hosted) return log.write(what.write);
  hosted[what.partition] = *what.is_hosted;
  if (*what.is_hosted) return;
  log.drop();
}

void log_disk::enqueue(pending what) {
  waiting_.push_back(std::move(what));
  if (!is_busy_) commit();
}

void log_disk::commit() {
  is_busy_ = true;
  const auto& options = world_.options;
  auto delay = world_.draw(50, options.disk_ms_max * 1000);
  if (world_.is_faulty && world_.percent(options.stall_percent)) delay += world_.draw(0, 500'000);
  const bool has_failed =
      world_.is_faulty && options.sync_error_per_10k > 0 && world_.dice.chance(static_cast<std::uint64_t>(options.sync_error_per_10k), 10'000);
  being_written_ = std::exchange(waiting_, {});
  owner_.post(delay, [this, has_failed] { finish(has_failed); });
}

void log_disk::finish(bool has_failed) {
  if (has_failed) KAHUNA_SOMETIMES("disk.sync_failed");
  if (has_failed && !KAHUNA_PLANTED("disk.sync_error_ignored")) return owner_.sync_failed();
  if (owner_.dies_here()) {
    KAHUNA_SOMETIMES("died.before_a_write_was_durable");
    return;
  }
  has_hole_ = has_hole_ || has_failed;
  const auto done = std::exchange(being_written_, {});
  for (const auto& what : done) {
    visible_.take(what);
    if (!has_hole_) durable_.take(what);
  }
  if (owner_.dies_here()) {
    KAHUNA_SOMETIMES("died.when_a_write_was_durable");
    return;
  }
  is_busy_ = false;
  if (!waiting_.empty()) commit();
  for (const auto& what : done)
    what.is_hosted ? owner_.recorded(what.partition, *what.is_hosted) : owner_.persisted(what.partition, what.write.number);
}

}  // namespace kahuna::testing
