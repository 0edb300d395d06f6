// The name of a transaction, and its age.
//
// Drawn by the client, so that no node has to be asked to begin one. Ordered by age: of two transactions the smaller is the
// older one, whose claims come first (wound-wait, lock_table.hpp). A transaction that is begun again after it was aborted
// keeps `began_at` and takes a new number: it grows old, and cannot be starved.
#pragma once

#include <compare>
#include <cstdint>
#include <ostream>

#include "core/base/ids.hpp"

namespace kahuna::txn {

struct transaction_id {
  timestamp began_at;        // the client's estimate of the cluster's clock; a skewed one costs fairness only
  std::uint64_t client = 0;  // the client's random number
  std::uint64_t number = 0;  // unique and rising within a client

  friend constexpr auto operator<=>(const transaction_id&, const transaction_id&) = default;

  friend std::ostream& operator<<(std::ostream& out, const transaction_id& id) {
    return out << id.began_at << '-' << id.client << '-' << id.number;
  }

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& began_at& client& number;
  }
};

}  // namespace kahuna::txn
