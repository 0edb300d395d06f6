// Asks every partition of a cluster for a write, to see when all of them serve.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "client/client.hpp"
#include "tests/support/eventually.hpp"

namespace kahuna::testing {

class partition_probe {
 public:
  // Learns the partitions from the first endpoint that answers; ends the test where none does.
  explicit partition_probe(std::vector<std::string> endpoints);

  // A key on each partition, by partition.
  const std::vector<std::string>& keys() const { return keys_; }

  // Writes to every partition, and again where the answer was an error, until each has acknowledged one write that was
  // asked for after this call began. When the last did; nothing where `patience` ends first.
  std::optional<steady_clock::time_point> wait_until_all_serve(milliseconds patience);

 private:
  client::client client_;
  std::vector<std::string> keys_;
};

}  // namespace kahuna::testing
