#include "actors/node_metrics.hpp"

namespace kahuna::actors {

namespace {

class silence final : public node_metrics {
 public:
  void operation_answered(std::size_t, kv::durability, const kv::operation_response&, duration) override {}
  void append_sent(std::size_t) override {}
  void synced(std::size_t, duration) override {}
  void leader_changed() override {}
  void connections(std::size_t, std::size_t) override {}
  void connection_closed(std::string_view) override {}
  void transactions_ended(std::uint64_t, std::uint64_t) override {}
  void mailbox_seen(std::string_view, std::size_t) override {}
};

}  // namespace

node_metrics& silent_metrics() {
  static silence instance;
  return instance;
}

}  // namespace kahuna::actors
