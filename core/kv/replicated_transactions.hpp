// What a partition holds of transactions in its replicated state: promises that are not resolved, and decisions that not every
// participant has heard of.
//
// Changed only by applying log entries, and the same on every replica at the same index. Small: what is in it is on its way out.
#pragma once

#include <map>
#include <vector>

#include "core/kv/write_batch.hpp"

namespace kahuna::kv {

// As stored.
struct stored_transactions {
  std::vector<prepared_transaction> prepared;
  std::vector<transaction_record> records;
};

class replicated_transactions {
 public:
  // Takes what was stored before a restart.
  void load(stored_transactions stored) {
    for (auto& prepared : stored.prepared) prepared_[prepared.id] = std::move(prepared);
    for (auto& record : stored.records) records_[record.id] = std::move(record);
  }

  // Applied twice it does what applying it once does, once everything behind it is applied again too.
  void apply(const transaction_changes& changes) {
    for (const auto& prepared : changes.prepared) prepared_[prepared.id] = prepared;
    for (const auto& id : changes.resolved) prepared_.erase(id);
    for (const auto& record : changes.decided) records_[record.id] = record;
    for (const auto& id : changes.forgotten) records_.erase(id);
  }

  const std::map<txn::transaction_id, prepared_transaction>& prepared() const { return prepared_; }
  const std::map<txn::transaction_id, transaction_record>& records() const { return records_; }

 private:
  std::map<txn::transaction_id, prepared_transaction> prepared_;
  std::map<txn::transaction_id, transaction_record> records_;
};

}  // namespace kahuna::kv
