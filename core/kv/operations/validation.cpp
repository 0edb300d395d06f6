#include "core/kv/operations/validation.hpp"

#include <string>

#include "core/routing/partition_map.hpp"

namespace kahuna::kv {

namespace {

error invalid(std::string message) { return {errc::invalid_argument, std::move(message)}; }

std::optional<error> validate_value(const shared_bytes& value, std::string_view what, const limits& bounds) {
  if (value.size() > bounds.value_bytes_max)
    return invalid(std::string(what) + " has " + std::to_string(value.size()) + " bytes; at most " +
                   std::to_string(bounds.value_bytes_max) + " are allowed");
  return std::nullopt;
}

// What any key may be, reserved ones too.
std::optional<error> validate_bytes(std::string_view name, std::string_view what) {
  if (name.empty()) return invalid(std::string(what) + " is empty; give 1 to " + std::to_string(key_bytes_max) + " bytes");
  if (name.size() > key_bytes_max)
    return invalid(std::string(what) + " has " + std::to_string(name.size()) + " bytes; at most " +
                   std::to_string(key_bytes_max) + " are allowed");
  if (name.find('\0') != std::string_view::npos)
    return invalid(std::string(what) + " contains a NUL byte, which no key may contain");
  return std::nullopt;
}

std::optional<error> validate_expiry(std::int64_t expires_ms) {
  if (expires_ms < 0 || expires_ms > expires_ms_max)
    return invalid("expiry " + std::to_string(expires_ms) + " ms is out of range; it must be 0 (none) to " +
                   std::to_string(expires_ms_max));
  return std::nullopt;
}

// Ephemeral keys keep no history that a moment could be found in.
std::optional<error> validate_moment(timestamp as_of, durability space) {
  if (as_of != timestamp{} && space == durability::ephemeral)
    return invalid("ephemeral keys can't be read as of a moment; only persistent ones keep their history");
  return std::nullopt;
}

struct validator {
  const limits& bounds;

  std::optional<error> operator()(const set_request& r) const {
    if (auto e = validate_name(r.key, "key")) return e;
    if (auto e = validate_value(r.value, "value", bounds)) return e;
    if (r.if_value)
      if (auto e = validate_value(*r.if_value, "cmp value", bounds)) return e;
    if (r.if_absent && r.if_present) return invalid("nx and xx contradict each other; give one of them");
    if (r.if_revision && *r.if_revision < no_revision)
      return invalid("cmprev " + std::to_string(*r.if_revision) + " is out of range; it must be -1 (absent) or more");
    return validate_expiry(r.expires_ms);
  }

  std::optional<error> operator()(const get_request& r) const {
    if (auto e = validate_name(r.key, "key")) return e;
    if (r.at_revision && *r.at_revision < 0)
      return invalid("revision " + std::to_string(*r.at_revision) + " is out of range; it must be 0 or more");
    if (r.at_revision && r.as_of != timestamp{})
      return invalid("a revision and a moment contradict each other; give one of them");
    return validate_moment(r.as_of, r.space);
  }

  std::optional<error> operator()(const exists_request& r) const {
    if (auto e = validate_name(r.key, "key")) return e;
    return validate_moment(r.as_of, r.space);
  }
  std::optional<error> operator()(const delete_request& r) const { return validate_name(r.key, "key"); }

  std::optional<error> operator()(const extend_request& r) const {
    if (auto e = validate_name(r.key, "key")) return e;
    return validate_expiry(r.expires_ms);
  }

  template <class List>
  std::optional<error> validate_list(const List& r, std::string_view name, std::string_view what) const {
    if (auto e = validate_name(name, what)) return e;
    return r.after.empty() ? std::nullopt : validate_bytes(r.after, "after");
  }
  std::optional<error> operator()(const get_by_bucket_request& r) const {
    if (auto e = validate_list(r, r.bucket, "bucket")) return e;
    return validate_moment(r.as_of, r.space);
  }
  std::optional<error> operator()(const scan_by_prefix_request& r) const { return validate_list(r, r.prefix, "prefix"); }
  std::optional<error> operator()(const read_clock_request&) const { return std::nullopt; }

  std::optional<error> operator()(const commit_step&) const { return std::nullopt; }
  std::optional<error> operator()(const rollback_step&) const { return std::nullopt; }
  std::optional<error> operator()(const wanted_lock& r) const {
    if (auto e = validate_name(r.key, "key")) return e;
    if (r.lock == lock_demand::none) return invalid("key " + r.key + " is to be locked shared or exclusive");
    return std::nullopt;
  }
  std::optional<error> operator()(const lock_step& r) const {
    if (r.locks.empty() || r.locks.size() > locks_max)
      return invalid("a transaction locks 1 to " + std::to_string(locks_max) + " keys at once, not " + std::to_string(r.locks.size()));
    for (const auto& wanted : r.locks)
      if (auto e = (*this)(wanted)) return e;
    return std::nullopt;
  }
  template <class Operations>
  std::optional<error> validate_several(const Operations& operations) const {
    if (operations.empty() || operations.size() > operations_max)
      return invalid("a step has 1 to " + std::to_string(operations_max) + " operations, not " + std::to_string(operations.size()));
    for (const auto& operation : operations)
      if (auto e = std::visit(*this, operation)) return e;
    const auto bytes_max = 2 * bounds.value_bytes_max + step_bytes_above_values;
    if (payload_bytes(operations) <= bytes_max) return std::nullopt;
    return invalid("the operations of a step have at most " + std::to_string(bytes_max) + " bytes together; make it several steps");
  }
  std::optional<error> operator()(const several_step& r) const {
    for (const auto& operation : r.operations) {
      const auto* get = std::get_if<get_request>(&operation);
      const auto* exists = std::get_if<exists_request>(&operation);
      const bool is_of_history = (get != nullptr && (get->at_revision || get->as_of != timestamp{})) ||
                                 (exists != nullptr && exists->as_of != timestamp{});
      if (is_of_history) return invalid("history is read in steps of its own, not in one of several operations");
    }
    return validate_several(r.operations);
  }
  std::optional<error> operator()(const write_and_commit_step& r) const { return validate_several(r.writes); }
  std::optional<error> operator()(const transaction_request& r) const {
    if (r.transaction.timeout_ms == 0 || r.transaction.timeout_ms > transaction_timeout_ms_max)
      return invalid("transaction timeout " + std::to_string(r.transaction.timeout_ms) +
                     " ms is out of range; it must be 1 to " + std::to_string(transaction_timeout_ms_max));
    if ((r.transaction.id.number >> 63) != 0) return invalid("a transaction's number must be below 2^63");
    if (r.number == 0) return invalid("steps of a transaction are numbered from 1");
    return std::visit(*this, r.step);
  }
  std::optional<error> operator()(const participant_request&) const { return std::nullopt; }
};

}  // namespace

std::optional<error> validate_name(std::string_view name, std::string_view what) {
  if (auto e = validate_bytes(name, what)) return e;
  if (name.starts_with(routing::reserved_prefix))
    return invalid(std::string(what) + " starts with " + std::string(routing::reserved_prefix) + ", which is reserved");
  return std::nullopt;
}

std::optional<error> validate(const operation& op, const limits& bounds) { return std::visit(validator{bounds}, op); }

}  // namespace kahuna::kv
