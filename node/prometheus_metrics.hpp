// What a node shows at /metrics: counters and histograms that fill while it works, and what is read off it at a scrape.
//
// docs/operations.md says what each is and what to watch. Names follow Prometheus' conventions: seconds and bytes,
// counters end in _total.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "actors/interfaces.hpp"
#include "actors/node_metrics.hpp"
#include "core/routing/partition_map.hpp"

namespace kahuna::node {

// What is read off the node at a scrape.
struct node_reading {
  actors::node_status status;
  std::uint64_t log_disk_bytes = 0;
  std::uint64_t data_disk_bytes = 0;
  std::size_t ephemeral_bytes = 0;
  std::size_t ephemeral_bytes_max = 0;
};

class prometheus_metrics final : public actors::node_metrics {
 public:
  prometheus_metrics();

  void operation_answered(std::size_t operation, kv::durability space, const kv::operation_response& response,
                          duration took) override;
  void append_sent(std::size_t entries) override { append_entries_->Observe(static_cast<double>(entries)); }
  void synced(std::size_t partitions, duration took) override;
  void leader_changed() override { leader_changes_->Increment(); }
  void connections(std::size_t clients, std::size_t nodes) override;
  void connection_closed(std::string_view reason) override;
  void transactions_ended(std::uint64_t committed, std::uint64_t aborted) override;
  void mailbox_seen(std::string_view actor, std::size_t waiting) override;

  // Everything in Prometheus' text form. `reading` may be missing: then what stands in it is left out.
  std::string text(const routing::partition_map& map, const node_reading* reading) const;

 private:
  static constexpr std::size_t kinds = std::variant_size_v<kv::operation>;
  static constexpr std::size_t outcomes = 32;  // done, not done, and each errc behind them

  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>* operations_;
  std::array<std::array<std::array<prometheus::Counter*, outcomes>, 2>, kinds> operation_counts_{};
  std::array<std::array<prometheus::Histogram*, 2>, kinds> operation_seconds_{};
  prometheus::Histogram* append_entries_;
  prometheus::Histogram* sync_seconds_;
  prometheus::Histogram* sync_partitions_;
  prometheus::Counter* leader_changes_;
  prometheus::Counter* transactions_committed_;
  prometheus::Counter* transactions_aborted_;
  prometheus::Gauge* client_connections_;
  prometheus::Gauge* node_connections_;
  prometheus::Family<prometheus::Counter>* connections_closed_;
  std::map<std::string, prometheus::Histogram*, std::less<>> mailboxes_;
};

// Bytes of the files below a directory; those that vanish meanwhile don't count.
std::uint64_t directory_bytes(const std::string& path);

}  // namespace kahuna::node
