// Which numbers of an enumeration are valid when they are read: minimum to maximum, without gaps.
//
// An enumeration without its pair here does not compile where it is decoded.
#pragma once

#include <cstdint>

#include "core/base/errc.hpp"
#include "core/kv/operation.hpp"
#include "core/raft/raft_input.hpp"
#include "core/raft/raft_types.hpp"
#include "core/routing/partition_map.hpp"

namespace kahuna {

constexpr std::uint64_t enum_minimum(errc) { return static_cast<std::uint64_t>(errc::invalid_argument); }
constexpr std::uint64_t enum_maximum(errc) { return static_cast<std::uint64_t>(errc::view_lost); }

namespace kv {
constexpr std::uint64_t enum_minimum(durability) { return 0; }
constexpr std::uint64_t enum_maximum(durability) { return static_cast<std::uint64_t>(durability::ephemeral); }

constexpr std::uint64_t enum_minimum(locking_mode) { return 0; }
constexpr std::uint64_t enum_maximum(locking_mode) { return static_cast<std::uint64_t>(locking_mode::optimistic); }

constexpr std::uint64_t enum_minimum(wait_order) { return 0; }
constexpr std::uint64_t enum_maximum(wait_order) { return static_cast<std::uint64_t>(wait_order::first); }
constexpr std::uint64_t enum_minimum(lock_demand) { return 0; }
constexpr std::uint64_t enum_maximum(lock_demand) { return static_cast<std::uint64_t>(lock_demand::exclusive); }

constexpr std::uint64_t enum_minimum(transaction_state) { return 0; }
constexpr std::uint64_t enum_maximum(transaction_state) { return static_cast<std::uint64_t>(transaction_state::aborted); }
}  // namespace kv

namespace raft {
constexpr std::uint64_t enum_minimum(role_kind) { return 0; }
constexpr std::uint64_t enum_maximum(role_kind) { return static_cast<std::uint64_t>(role_kind::leader); }

constexpr std::uint64_t enum_minimum(entry_kind) { return 0; }
constexpr std::uint64_t enum_maximum(entry_kind) { return static_cast<std::uint64_t>(entry_kind::configuration); }
}  // namespace raft

namespace routing {
constexpr std::uint64_t enum_minimum(member_state) { return 0; }
constexpr std::uint64_t enum_maximum(member_state) { return static_cast<std::uint64_t>(member_state::leaving); }
}  // namespace routing

}  // namespace kahuna
