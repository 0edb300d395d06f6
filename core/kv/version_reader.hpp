// How versions of keys are read, wherever they are kept: persistent ones in a partition_store, ephemeral ones in memory.
//
// A record that fails its check is an error `data_corrupted` that names the key: never a wrong value.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/errc.hpp"
#include "core/kv/write_batch.hpp"

namespace kahuna::kv {

class version_reader {
 public:
  virtual ~version_reader() = default;

  // The newest version of a key, which may be a tombstone or expired; nothing where the key was never set.
  virtual result<std::optional<version>> latest(std::string_view key) const = 0;

  // The version of that revision (not its tombstone).
  virtual result<std::optional<version>> at_revision(std::string_view key, std::int64_t revision) const = 0;

  // Calls `visit` for the keys that start with `prefix` and are greater than `after`, in key order, each with its newest
  // version whose `created` is not above `visible`, tombstones and expired ones included; with nullptr where there is none,
  // so that the visitor can bound the walk by what was looked at. Goes on while `visit` says so; where it returns a non-empty
  // skip target, continues at the first key >= that target.
  enum class walk : std::uint8_t { next, skip_to, stop };
  struct step {
    walk what = walk::next;
    std::string target;  // for skip_to
  };
  using visitor = std::function<step(std::string_view key, const version* newest)>;
  virtual std::optional<error> walk_keys(std::string_view prefix, std::string_view after, timestamp visible,
                                         const visitor& visit) const = 0;
};

}  // namespace kahuna::kv
