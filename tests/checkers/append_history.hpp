// A history of transactions over lists that only grow, and whether it is strictly serializable.
//
// Every value is appended once, by one transaction, so the final list of a key tells in which order its writers came; a transaction
// that has read a list stands behind the writer of its last value and before the writer of the next. With the order of real time
// (what had ended before another began comes before it) this gives a graph; a cycle in it can't have happened. After Elle
// [Kingsbury20], for the case in which every append reads first.
//
// Reads as of a moment are promised less: all that had ended before they began, and one moment of a serial order. Of two others
// that know nothing of each other they may see the later and not the earlier one, where the stamps of two clocks stand so. So the
// graph is looked at twice: without them, in real time; and with them, where real time counts only for what they had to see.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace kahuna::testing {

struct append_transaction {
  enum class outcome : std::uint8_t { committed, aborted, unknown };

  std::int64_t began = 0;  // any unit
  std::int64_t ended = 0;
  outcome ended_as = outcome::unknown;
  bool is_snapshot = false;  // read as of a moment
  std::string note;          // for people
  std::map<std::string, std::vector<std::uint64_t>> reads;    // the list as it was found, without its own appends
  std::map<std::string, std::vector<std::uint64_t>> appends;  // in their order
};

class append_history {
 public:
  void add(append_transaction t) { transactions_.push_back(std::move(t)); }
  std::size_t size() const { return transactions_.size(); }

  // `final_lists`: every key's list after everything. Returns the anomaly in words, with the transactions in it by their number;
  // empty where there is none.
  std::string check(const std::map<std::string, std::vector<std::uint64_t>>& final_lists) const;

 private:
  std::string find_cycle(const std::map<std::string, std::vector<std::uint64_t>>& final_lists, bool has_snapshots) const;

  std::vector<append_transaction> transactions_;
};

}  // namespace kahuna::testing
