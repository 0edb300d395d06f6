#include "node/prometheus_metrics.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include "core/base/check.hpp"

namespace kahuna::node {

namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::array<const char*, std::variant_size_v<kv::operation>> operation_names{
    "set", "get", "exists", "delete", "extend", "get_by_bucket", "scan_by_prefix", "read_clock", "transaction", "participant"};

const prometheus::Histogram::BucketBoundaries second_bounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                            0.05,   0.1,     0.25,   0.5,   1,      2.5,   5};
const prometheus::Histogram::BucketBoundaries count_bounds{1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096, 16384};

double seconds_of(duration d) { return std::chrono::duration<double>(d).count(); }

// 0 done, 1 judged and not done (not set, not found), else 1 + the error's code.
std::size_t outcome_of(const kv::operation_response& response) {
  struct judge {
    std::size_t operator()(const error& e) const { return 1 + static_cast<std::size_t>(e.code); }
    std::size_t operator()(const kv::set_response& r) const { return r.is_set ? 0 : 1; }
    std::size_t operator()(const kv::get_response& r) const { return r.is_found ? 0 : 1; }
    std::size_t operator()(const kv::exists_response& r) const { return r.is_found ? 0 : 1; }
    std::size_t operator()(const kv::delete_response& r) const { return r.is_deleted ? 0 : 1; }
    std::size_t operator()(const kv::extend_response& r) const { return r.is_extended ? 0 : 1; }
    std::size_t operator()(const kv::list_response&) const { return 0; }
    std::size_t operator()(const kv::clock_response&) const { return 0; }
    std::size_t operator()(const kv::commit_response&) const { return 0; }
    std::size_t operator()(const kv::rollback_response&) const { return 0; }
    std::size_t operator()(const kv::lock_response&) const { return 0; }
    std::size_t operator()(const kv::several_response&) const { return 0; }
    std::size_t operator()(const kv::commit_refusal&) const { return 1; }
    std::size_t operator()(const kv::participant_response&) const { return 0; }
  };
  return std::visit(judge{}, response);
}

std::string outcome_name(std::size_t outcome) {
  if (outcome == 0) return "done";
  if (outcome == 1) return "not_done";
  return std::string(to_string(static_cast<errc>(outcome - 1)));
}

// One family that is read at a scrape.
class family_builder {
 public:
  family_builder(std::vector<MetricFamily>& out, const char* name, const char* help, MetricType type) : out_(out) {
    family_.name = name;
    family_.help = help;
    family_.type = type;
  }
  ~family_builder() { out_.push_back(std::move(family_)); }
  family_builder(const family_builder&) = delete;
  family_builder& operator=(const family_builder&) = delete;

  void add(double value, std::vector<prometheus::ClientMetric::Label> labels = {}) {
    prometheus::ClientMetric metric;
    metric.label = std::move(labels);
    metric.gauge.value = value;
    metric.counter.value = value;
    family_.metric.push_back(std::move(metric));
  }

 private:
  std::vector<MetricFamily>& out_;
  MetricFamily family_;
};

prometheus::ClientMetric::Label label(const char* name, std::string value) {
  prometheus::ClientMetric::Label made;
  made.name = name;
  made.value = std::move(value);
  return made;
}

std::string name_of(const routing::partition_map& map, node_id id) {
  const auto* member = routing::find_member(map, id);
  return member != nullptr ? member->name : "?";
}

void read_replicas(std::vector<MetricFamily>& out, const routing::partition_map& map, const actors::node_status& status) {
  const auto partition_of = [](const actors::replica_status& r) { return label("partition", std::to_string(r.partition.value)); };
  const auto each = [&](const char* name, const char* help, MetricType type, auto value) {
    family_builder family(out, name, help, type);
    for (const auto& r : status.replicas) family.add(static_cast<double>(value(r)), {partition_of(r)});
  };
  using replica = actors::replica_status;
  each("kahuna_raft_term", "Raft term of the replica on this node.", MetricType::Gauge, [](const replica& r) { return r.term.value; });
  each("kahuna_raft_is_leader", "1 where this node leads the partition.", MetricType::Gauge,
       [](const replica& r) { return r.role == raft::role_kind::leader ? 1 : 0; });
  each("kahuna_raft_has_leader", "1 where the replica knows a leader.", MetricType::Gauge,
       [](const replica& r) { return r.leader != no_node ? 1 : 0; });
  each("kahuna_raft_commit_index", "Highest log index known to be committed.", MetricType::Gauge,
       [](const replica& r) { return r.commit_index.value; });
  each("kahuna_raft_applied_index", "Highest log index applied to the data.", MetricType::Gauge,
       [](const replica& r) { return r.applied_index.value; });
  each("kahuna_raft_apply_lag_entries", "Committed entries that are not applied yet.", MetricType::Gauge,
       [](const replica& r) { return r.commit_index.value - std::min(r.applied_index.value, r.commit_index.value); });
  {
    family_builder family(out, "kahuna_raft_follower_lag_entries",
                          "On the leader's node: log entries that a follower has not acknowledged.", MetricType::Gauge);
    for (const auto& r : status.replicas)
      for (const auto& [follower, match] : r.followers)
        family.add(static_cast<double>(r.last_index.value - std::min(match.value, r.last_index.value)),
                   {partition_of(r), label("follower", name_of(map, follower))});
  }
  {
    family_builder family(out, "kahuna_peer_alive", "1 where this node reaches the other one.", MetricType::Gauge);
    for (const auto& member : map.members)
      family.add(std::find(status.alive.begin(), status.alive.end(), member.id) != status.alive.end() ? 1 : 0,
                 {label("node", member.name)});
  }
}

void read_partitions(std::vector<MetricFamily>& out, const actors::node_status& status) {
  const auto each = [&](const char* name, const char* help, MetricType type, auto value) {
    family_builder family(out, name, help, type);
    for (const auto& p : status.partitions)
      family.add(static_cast<double>(value(p.figures)), {label("partition", std::to_string(p.partition.value))});
  };
  using figures = kv::partition_core::figures;
  each("kahuna_cache_hits_total", "Newest versions found in the cache.", MetricType::Counter, [](const figures& f) { return f.cache_hits; });
  each("kahuna_cache_misses_total", "Newest versions read from the store.", MetricType::Counter, [](const figures& f) { return f.cache_misses; });
  each("kahuna_cache_bytes", "Bytes of newest versions in the cache.", MetricType::Gauge, [](const figures& f) { return f.cache_bytes; });
  each("kahuna_versions_collected_total", "Old versions that were taken away.", MetricType::Counter,
       [](const figures& f) { return f.versions_collected; });
  each("kahuna_ephemeral_keys", "Ephemeral keys held here.", MetricType::Gauge, [](const figures& f) { return f.ephemeral_keys; });
  each("kahuna_ephemeral_partition_bytes", "Memory of the ephemeral keys held here.", MetricType::Gauge,
       [](const figures& f) { return f.ephemeral_bytes; });
  each("kahuna_ephemeral_evictions_total", "Ephemeral keys that were evicted because ephemeral-max-bytes was reached.",
       MetricType::Counter, [](const figures& f) { return f.ephemeral_evictions; });
  each("kahuna_pending_requests", "Requests that wait for an entry, a read or a no-op.", MetricType::Gauge,
       [](const figures& f) { return f.pending_requests; });
  each("kahuna_transaction_promises", "Transactions that are prepared here and not decided.", MetricType::Gauge,
       [](const figures& f) { return f.promises; });
  each("kahuna_lock_holders", "Transactions that hold locks here or have promised.", MetricType::Gauge,
       [](const figures& f) { return f.lock_holders; });
  each("kahuna_lock_waiters", "Transactions and single writes that wait for a lock.", MetricType::Gauge,
       [](const figures& f) { return f.lock_waiters; });
  each("kahuna_request_window_clients", "Clients whose answers are remembered.", MetricType::Gauge,
       [](const figures& f) { return f.window_clients; });
}

void read_process(std::vector<MetricFamily>& out) {
  std::size_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  std::error_code ignored;
  std::size_t descriptors = 0;
  for (auto entry = std::filesystem::directory_iterator("/proc/self/fd", ignored); entry != std::filesystem::directory_iterator();
       entry.increment(ignored))
    ++descriptors;
  family_builder(out, "process_resident_memory_bytes", "Resident memory.", MetricType::Gauge)
      .add(static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)));
  family_builder(out, "process_cpu_seconds_total", "CPU time, user and system.", MetricType::Counter)
      .add(seconds(used.ru_utime) + seconds(used.ru_stime));
  family_builder(out, "process_open_fds", "Open file descriptors.", MetricType::Gauge).add(static_cast<double>(descriptors));
}

}  // namespace

prometheus_metrics::prometheus_metrics() {
  using namespace prometheus;
  operations_ = &BuildCounter()
                     .Name("kahuna_operations_total")
                     .Help("Operations answered to clients of this node, by kind, durability and result.")
                     .Register(registry_);
  auto& seconds = BuildHistogram()
                      .Name("kahuna_operation_seconds")
                      .Help("From a request's arrival at this node to its answer.")
                      .Register(registry_);
  for (std::size_t kind = 0; kind < kinds; ++kind)
    for (const auto space : {kv::durability::persistent, kv::durability::ephemeral})
      operation_seconds_[kind][static_cast<std::size_t>(space)] =
          &seconds.Add({{"operation", operation_names[kind]},
                        {"durability", space == kv::durability::persistent ? "persistent" : "ephemeral"}},
                       second_bounds);
  append_entries_ = &BuildHistogram()
                         .Name("kahuna_raft_append_entries")
                         .Help("Entries of each append request sent to a follower.")
                         .Register(registry_)
                         .Add({}, count_bounds);
  sync_seconds_ = &BuildHistogram().Name("kahuna_log_sync_seconds").Help("Writing and syncing the log, once.").Register(registry_).Add({}, second_bounds);
  sync_partitions_ = &BuildHistogram()
                          .Name("kahuna_log_sync_partitions")
                          .Help("Partitions whose appends one sync made durable.")
                          .Register(registry_)
                          .Add({}, count_bounds);
  auto& transactions = BuildCounter().Name("kahuna_transactions_total").Help("Transactions that this node coordinated to their end.").Register(registry_);
  transactions_committed_ = &transactions.Add({{"result", "committed"}});
  transactions_aborted_ = &transactions.Add({{"result", "aborted"}});
  leader_changes_ = &BuildCounter().Name("kahuna_leader_changes_total").Help("New leaders that this node heard of, over all partitions.").Register(registry_).Add({});
  auto& connections = BuildGauge().Name("kahuna_connections").Help("Accepted connections.").Register(registry_);
  client_connections_ = &connections.Add({{"role", "client"}});
  node_connections_ = &connections.Add({{"role", "node"}});
  connections_closed_ = &BuildCounter().Name("kahuna_connections_closed_total").Help("Connections that this node closed, by reason.").Register(registry_);
  auto& mailboxes = BuildHistogram().Name("kahuna_mailbox_depth").Help("Messages waiting for an actor, seen at its ticks.").Register(registry_);
  for (const char* actor : {"gateway", "partition", "raft_peer", "log_writer"})
    mailboxes_[actor] = &mailboxes.Add({{"actor", actor}}, Histogram::BucketBoundaries{0, 1, 4, 16, 64, 256, 1024, 4096, 16384});
}

void prometheus_metrics::operation_answered(std::size_t operation, kv::durability space, const kv::operation_response& response,
                                            duration took) {
  const auto outcome = outcome_of(response);
  KAHUNA_CHECK(operation < kinds && outcome < outcomes, operation, outcome);
  const auto s = static_cast<std::size_t>(space);
  // Called on the gateway's thread alone, so the pointers need no guard; a series is made when it first counts.
  auto*& count = operation_counts_[operation][s][outcome];
  if (count == nullptr)
    count = &operations_->Add({{"operation", operation_names[operation]},
                               {"durability", space == kv::durability::persistent ? "persistent" : "ephemeral"},
                               {"result", outcome_name(outcome)}});
  count->Increment();
  operation_seconds_[operation][s]->Observe(seconds_of(took));
}

void prometheus_metrics::synced(std::size_t partitions, duration took) {
  sync_seconds_->Observe(seconds_of(took));
  sync_partitions_->Observe(static_cast<double>(partitions));
}

void prometheus_metrics::connections(std::size_t clients, std::size_t nodes) {
  client_connections_->Set(static_cast<double>(clients));
  node_connections_->Set(static_cast<double>(nodes));
}

void prometheus_metrics::connection_closed(std::string_view reason) {
  connections_closed_->Add({{"reason", std::string(reason)}}).Increment();
}

void prometheus_metrics::transactions_ended(std::uint64_t committed, std::uint64_t aborted) {
  transactions_committed_->Increment(static_cast<double>(committed));
  transactions_aborted_->Increment(static_cast<double>(aborted));
}

void prometheus_metrics::mailbox_seen(std::string_view actor, std::size_t waiting) {
  if (const auto found = mailboxes_.find(actor); found != mailboxes_.end()) found->second->Observe(static_cast<double>(waiting));
}

std::string prometheus_metrics::text(const routing::partition_map& map, const node_reading* reading) const {
  auto families = registry_.Collect();
  read_process(families);
  if (reading != nullptr) {
    read_replicas(families, map, reading->status);
    read_partitions(families, reading->status);
    {
      family_builder disk(families, "kahuna_disk_bytes", "Bytes of files on disk.", MetricType::Gauge);
      disk.add(static_cast<double>(reading->log_disk_bytes), {label("store", "log")});
      disk.add(static_cast<double>(reading->data_disk_bytes), {label("store", "data")});
    }
    family_builder(families, "kahuna_ephemeral_bytes", "Memory of all ephemeral keys of this node.", MetricType::Gauge)
        .add(static_cast<double>(reading->ephemeral_bytes));
    family_builder(families, "kahuna_ephemeral_max_bytes", "What ephemeral keys may take (ephemeral-max-bytes).", MetricType::Gauge)
        .add(static_cast<double>(reading->ephemeral_bytes_max));
  }
  return prometheus::TextSerializer().Serialize(families);
}

std::uint64_t directory_bytes(const std::string& path) {
  std::uint64_t bytes = 0;
  std::error_code ignored;
  for (auto entry = std::filesystem::recursive_directory_iterator(path, ignored);
       entry != std::filesystem::recursive_directory_iterator(); entry.increment(ignored)) {
    const auto size = entry->file_size(ignored);
    if (!ignored) bytes += size;
    ignored.clear();
  }
  return bytes;
}

}  // namespace kahuna::node
