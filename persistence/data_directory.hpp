// A node's data directory: what it is, whose it is, and the two stores in it.
//
//   LOCK        held (flock) while a node runs on the directory
//   identity    one sealed record: format version, node, incarnation, partition maps; written before anything else, and whenever the
//               map has changed
//   log/        the Raft logs (raft_log_store.hpp)          log.synced   its last synced batch
//   data/       the key/value state (data_store.hpp)
//
// Creating it can be cut off anywhere: the identity says `is_complete` only at the end, and until then the directory
// holds nothing that was promised to anybody, so it is made anew.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "core/routing/partition_map.hpp"
#include "messages/codec/class_versions.hpp"
#include "persistence/fatal_handler.hpp"
#include "persistence/ordered_store.hpp"
#include "persistence/raft_log_store.hpp"

namespace kahuna::persistence {

struct identity {
  static constexpr std::uint32_t format_version_now = 1;

  std::uint32_t format_version = format_version_now;
  node_id node;
  std::uint64_t incarnation = 0;  // drawn at random when the directory was made; another number is another disk
  routing::partition_map map;     // as the cluster was formed, or as it was when the node joined it
  bool is_complete = false;
  bool is_founder = true;         // it was there when the cluster was formed, and holds what it was to hold then
  routing::partition_map newest;  // that the node has heard of

  template <class Archive>
  void serialize(Archive& archive, unsigned class_version) {
    archive& format_version& node& incarnation& map& is_complete;
    if (class_version >= 1) archive& is_founder& newest;
  }
};

struct open_failure {
  bool is_damage = false;  // the directory is damaged; otherwise the operator can mend it
  std::string message;     // one line: what, where, and what to do
};

template <class T>
using open_result = std::variant<T, open_failure>;

class data_directory {
 public:
  // What is there, without writing anything: nothing (a new or empty directory, or one whose making was cut off), or an
  // identity.
  static open_result<std::optional<identity>> inspect(const std::string& path);

  // Opens the stores, creating directory and stores where inspect() found nothing. Holds the lock.
  static open_result<std::unique_ptr<data_directory>> open(const std::string& path, const identity& expected, fatal_handler fatal);

  // Keeps the newest map for the next start; durable when it returns.
  std::optional<open_failure> remember(const routing::partition_map& newest);

  ~data_directory();
  data_directory(const data_directory&) = delete;
  data_directory& operator=(const data_directory&) = delete;

  const std::shared_ptr<ordered_store>& data() const { return data_; }
  const std::shared_ptr<raft_log_store>& log() const { return log_; }
  // What was found damaged and made good by what is kept twice, in words for the operator; mostly nothing.
  const std::string& repaired() const { return repaired_; }

 private:
  data_directory(int lock, std::string path) : lock_(lock), path_(std::move(path)) {}

  int lock_;
  std::string path_;
  identity identity_;
  std::shared_ptr<ordered_store> data_;
  std::shared_ptr<raft_log_store> log_;
  std::string repaired_;
};

}  // namespace kahuna::persistence

BOOST_CLASS_VERSION(kahuna::persistence::identity, 1)
