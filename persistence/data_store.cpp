#include "persistence/data_store.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/base/check.hpp"
#include "persistence/record.hpp"

namespace kahuna::persistence {

namespace {

// Kinds of records about transactions.
constexpr char prepared_kind = 'P';
constexpr char record_kind = 'R';

constexpr std::size_t partition_bytes = 4;
constexpr std::size_t version_suffix_bytes = 1 + 8 + 1;  // NUL, revision, kind

// So many versions of a key are passed one by one before it is jumped over.
constexpr int linear_steps_max = 8;

void append_version(std::string& key, std::int64_t revision, bool is_tombstone) {
  append_be64(key, ~static_cast<std::uint64_t>(revision));
  key.push_back(is_tombstone ? 0 : 1);
}

std::size_t mark_of(std::string_view user_key) { return std::hash<std::string_view>()(user_key); }

// The user's key inside a stored one; empty where it is none of ours. Only with one NUL, in its place, do stored keys order
// as users' keys do, which walks rely on to come to an end.
std::string_view user_key(std::string_view stored) {
  if (stored.size() <= partition_bytes + version_suffix_bytes) return {};
  const auto size = stored.size() - partition_bytes - version_suffix_bytes;
  return stored.find('\0', partition_bytes) == partition_bytes + size ? stored.substr(partition_bytes, size) : std::string_view();
}

}  // namespace

result<std::unique_ptr<data_store>> data_store::open(std::shared_ptr<ordered_store> store, partition_id partition, fatal_handler fatal,
                                                     const write_behind_limits& limits) {
  std::unique_ptr<data_store> opened(new data_store(std::move(store), partition, std::move(fatal), limits));
  const auto key = opened->meta_key();
  const auto found = opened->store_->get(family::meta, key);
  if (!found) return found.error();
  if (*found) {
    const auto applied = decode_record<applied_state>(key, **found);
    if (!applied)
      return error{errc::data_corrupted, "the data of partition " + std::to_string(partition.value) +
                                             " does not say how far it was applied: " + applied.error().message};
    opened->applied_ = *applied;
  }
  // Of a snapshot that did not come to its end, or that one which took the place of.
  const bool other_place = !opened->applied_.is_in_second_place;
  if (!opened->is_empty_place(other_place)) opened->erase_place(other_place);
  return opened;
}

std::string data_store::meta_key() const {
  std::string key;
  append_be32(key, partition_.value);
  return key;
}

std::string data_store::window_key(std::uint64_t client) const {
  auto key = prefix();
  append_be64(key, client);
  return key;
}

std::string data_store::transaction_key(char kind, const txn::transaction_id& id) const {
  auto key = prefix() + kind;
  append_be64(key, id.began_at.value);
  append_be64(key, id.client);
  append_be64(key, id.number);
  return key;
}

std::string data_store::versions_key(std::string_view key) const {
  auto stored = prefix();
  stored.append(key).push_back('\0');
  return stored;
}

error data_store::damaged(std::string_view key, const std::string& what) const {
  return {errc::data_corrupted,
          "partition " + std::to_string(partition_.value) + ", key " + printable(key) + ": " + what};
}

result<kv::version> data_store::decode_version(std::string_view stored_key, std::string_view record) const {
  if (user_key(stored_key).empty()) return damaged(stored_key, "no version of a key is stored so");
  auto version = decode_record<kv::version>(stored_key, record);
  if (!version) return damaged(user_key(stored_key), version.error().message);
  return version;
}

std::unique_ptr<store_cursor> data_store::cursor_for(std::string_view user_key) const {
  return unwritten_.may_hold(mark_of(user_key)) ? unwritten_.cursor(family::main) : store_->cursor(family::main);
}

result<std::optional<kv::version>> data_store::latest(std::string_view key) const {
  const auto start = versions_key(key);
  const auto cursor = cursor_for(key);
  cursor->seek(start);
  if (!cursor->is_valid()) {
    if (auto damage = cursor->damage()) return damaged(key, damage->message);
    return std::optional<kv::version>();
  }
  if (!cursor->key().starts_with(start)) return std::optional<kv::version>();
  auto version = decode_version(cursor->key(), cursor->value());
  if (!version) return version.error();
  return std::optional(std::move(*version));
}

result<std::optional<kv::version>> data_store::at_revision(std::string_view key, std::int64_t revision) const {
  auto stored_key = versions_key(key);
  append_version(stored_key, revision, false);
  const auto record =
      unwritten_.may_hold(mark_of(key)) ? unwritten_.get(family::main, stored_key) : store_->get(family::main, stored_key);
  if (!record) return damaged(key, record.error().message);
  if (!*record) return std::optional<kv::version>();
  auto version = decode_version(stored_key, **record);
  if (!version) return version.error();
  return std::optional(std::move(*version));
}

std::optional<error> data_store::walk_keys(std::string_view prefix_of_keys, std::string_view after, timestamp visible,
                                           const visitor& visit) const {
  // 0x01 behind a key comes behind all of its versions, and before or at every greater key.
  const auto behind = [](std::string_view key) { return std::string(key) + '\x01'; };
  const auto partition_prefix = prefix();
  std::string target(prefix_of_keys);
  if (!after.empty()) target = std::max(target, behind(after));

  const auto cursor = unwritten_.cursor(family::main);
  cursor->seek(partition_prefix + target);
  while (cursor->is_valid() && cursor->key().starts_with(partition_prefix)) {
    const std::string key(user_key(cursor->key()));
    if (key.empty()) return damaged(cursor->key(), "no version of a key is stored so");
    if (!std::string_view(key).starts_with(prefix_of_keys)) return std::nullopt;

    const auto newest = newest_created_by(visible, *cursor, versions_key(key));
    if (!newest) return newest.error();
    // To the next key: past a long history at once.
    int steps = 0;
    while (cursor->is_valid() && cursor->key().starts_with(partition_prefix) && user_key(cursor->key()) == key)
      ++steps < linear_steps_max ? cursor->next() : cursor->seek(partition_prefix + behind(key));
    const auto step = visit(key, *newest ? &**newest : nullptr);
    if (step.what == walk::stop) return std::nullopt;
    if (step.what == walk::skip_to) {
      const auto skip_target = partition_prefix + step.target;
      if (cursor->is_valid() && cursor->key() < skip_target) cursor->seek(skip_target);
    }
  }
  if (auto damage = cursor->damage())
    return error{errc::data_corrupted, "partition " + std::to_string(partition_.value) + ": " + damage->message};
  return std::nullopt;
}

// Linear for a while; then, where many are newer, by bisection: stamps rise with revisions. So a list that reads a moment that
// is past is not held up by a key that is written all the time.
result<std::optional<kv::version>> data_store::newest_created_by(timestamp visible, store_cursor& cursor,
                                                                 const std::string& versions_key) const {
  const auto is_here = [&] { return cursor.is_valid() && cursor.key().starts_with(versions_key); };
  // The first visible one of the next few, else the last of them.
  const auto look_at_next = [&](int steps_max) -> result<std::optional<kv::version>> {
    std::optional<kv::version> seen;
    for (; steps_max > 0 && is_here() && (!seen || seen->created > visible); --steps_max, cursor.next()) {
      auto version = decode_version(cursor.key(), cursor.value());
      if (!version) return version.error();
      seen = std::move(*version);
    }
    return seen;
  };
  auto found = look_at_next(linear_steps_max);
  if (!found || !*found) return found;
  if ((*found)->created <= visible) return found;
  if (!is_here()) return std::optional<kv::version>();

  const auto seek = [&](std::int64_t revision) {
    auto place = versions_key;
    append_version(place, revision, true);
    cursor.seek(place);
  };
  // The first version at or below `low` is visible, or there is none; the first at or below `high` is not.
  std::int64_t low = kv::no_revision, high = (*found)->revision;
  while (low + 1 < high) {
    const auto middle = std::midpoint(low, high);
    seek(middle);
    if (is_here()) {
      auto version = decode_version(cursor.key(), cursor.value());
      if (!version) return version.error();
      (version->created <= visible ? low : high) = middle;
    } else {
      low = middle;
    }
  }
  // What is wanted comes right behind the invisible ones of revision `high`: a tombstone and a value.
  seek(high);
  found = look_at_next(3);
  if (found && *found && (*found)->created > visible) return std::optional<kv::version>();
  return found;
}

std::optional<error> data_store::walk_versions(const std::optional<kv::version_position>& from,
                                               const version_visitor& visit) const {
  const auto partition_prefix = prefix();
  const auto cursor = unwritten_.cursor(family::main, reading::once);
  if (!from) {
    cursor->seek(partition_prefix);
  } else {
    auto place = versions_key(from->key);
    append_version(place, from->revision, from->is_tombstone);
    cursor->seek(place);
    if (cursor->is_valid() && cursor->key() == place) cursor->next();
  }
  for (; cursor->is_valid() && cursor->key().starts_with(partition_prefix); cursor->next()) {
    auto version = decode_version(cursor->key(), cursor->value());
    if (!version) return version.error();
    if (!visit(user_key(cursor->key()), *version)) return std::nullopt;
  }
  if (auto damage = cursor->damage())
    return error{errc::data_corrupted, "partition " + std::to_string(partition_.value) + ": " + damage->message};
  return std::nullopt;
}

void data_store::apply(const kv::applied_effects& effects) {
  KAHUNA_CHECK(effects.index == applied_.index + 1, effects.index, applied_.index);
  if (effects.removals != nullptr) {
    for (const auto& removal : *effects.removals) {
      auto key = versions_key(removal.key);
      append_version(key, removal.revision, removal.is_tombstone);
      unwritten_.erase(family::main, std::move(key), mark_of(removal.key));
    }
  }
  for (const auto& mutation : *effects.mutations) {
    auto key = versions_key(mutation.key);
    append_version(key, mutation.version.revision, mutation.version.is_tombstone);
    auto record = encode_record(key, mutation.version);
    unwritten_.put(family::main, std::move(key), std::move(record), mark_of(mutation.key));
  }
  if (effects.transactions != nullptr) put(*effects.transactions);
  applied_.index = effects.index;
  applied_.stamp = effects.stamp;
  applied_.collected_below_ms = effects.collected_below_ms;
  unwritten_.keep_pace();
}

void data_store::put(const kv::transaction_changes& changes) {
  const auto put = [&](char kind, const auto& entry) {
    auto key = transaction_key(kind, entry.id);
    auto record = encode_record(key, entry);
    unwritten_.put(family::transaction, std::move(key), std::move(record));
  };
  for (const auto& prepared : changes.prepared) put(prepared_kind, prepared);
  for (const auto& id : changes.resolved) unwritten_.erase(family::transaction, transaction_key(prepared_kind, id));
  for (const auto& record : changes.decided) put(record_kind, record);
  for (const auto& id : changes.forgotten) unwritten_.erase(family::transaction, transaction_key(record_kind, id));
}

void data_store::checkpoint(const kv::window_changes& windows) {
  for (const auto& window : windows.replaced) {
    auto key = window_key(window.client);
    auto record = encode_record(key, window);
    unwritten_.put(family::window, std::move(key), std::move(record));
  }
  for (const auto client : windows.forgotten) unwritten_.erase(family::window, window_key(client));
  unwritten_.put(family::meta, meta_key(), encode_record(meta_key(), applied_));
}

result<kv::stored_transactions> data_store::load_transactions() const {
  kv::stored_transactions stored;
  const auto cursor = unwritten_.cursor(family::transaction);
  const auto load_all = [&](char kind, auto& into) -> std::optional<error> {
    const auto start = prefix() + kind;
    for (cursor->seek(start); cursor->is_valid() && cursor->key().starts_with(start); cursor->next()) {
      auto entry = decode_record<typename std::decay_t<decltype(into)>::value_type>(cursor->key(), cursor->value());
      if (!entry)
        return error{errc::data_corrupted, "the transactions of partition " + std::to_string(partition_.value) +
                                               " are damaged: " + entry.error().message};
      into.push_back(std::move(*entry));
    }
    return cursor->damage();
  };
  if (auto damage = load_all(prepared_kind, stored.prepared)) return *damage;
  if (auto damage = load_all(record_kind, stored.records)) return *damage;
  return stored;
}

result<std::vector<kv::client_window>> data_store::load_windows() const {
  std::vector<kv::client_window> windows;
  const auto cursor = unwritten_.cursor(family::window);
  const auto partition_prefix = prefix();
  for (cursor->seek(partition_prefix); cursor->is_valid() && cursor->key().starts_with(partition_prefix); cursor->next()) {
    auto window = decode_record<kv::client_window>(cursor->key(), cursor->value());
    if (!window)
      return error{errc::data_corrupted, "the request window of partition " + std::to_string(partition_.value) +
                                             " is damaged: " + window.error().message};
    windows.push_back(std::move(*window));
  }
  if (auto damage = cursor->damage()) return *damage;
  return windows;
}

}  // namespace kahuna::persistence
