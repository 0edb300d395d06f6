// What the clients of a simulated cluster saw, and whether it can have been.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "tests/checkers/append_history.hpp"
#include "tests/checkers/linearizability.hpp"

namespace kahuna::testing {

class history {
 public:
  std::int64_t next_value() { return next_value_++; }

  void add(const std::string& key, key_operation_record op) { persistent_[key].push_back(std::move(op)); }
  // Ephemeral keys live as long as a leadership: each is a history of its own. `era` 0: not known which.
  void add_ephemeral(const std::string& key, term_id era, key_operation_record op) {
    ephemeral_[key][era].push_back(std::move(op));
  }
  void add(append_transaction t) { transactions_.add(std::move(t)); }
  void add_final(const std::string& key, std::vector<std::uint64_t> list) { final_lists_[key] = std::move(list); }

  // What can't be, in words; empty where all can.
  std::string check();

  std::size_t operations() const;
  std::size_t transactions() const { return transactions_.size(); }
  std::size_t undecided() const { return undecided_; }

 private:
  std::string check_ephemeral(const std::string& key, const std::map<term_id, std::vector<key_operation_record>>& eras);
  std::string check_key(const std::string& key, const std::vector<key_operation_record>& operations);

  std::int64_t next_value_ = 1;
  std::map<std::string, std::vector<key_operation_record>> persistent_;
  std::map<std::string, std::map<term_id, std::vector<key_operation_record>>> ephemeral_;
  append_history transactions_;
  std::map<std::string, std::vector<std::uint64_t>> final_lists_;
  std::size_t undecided_ = 0;
};

}  // namespace kahuna::testing
