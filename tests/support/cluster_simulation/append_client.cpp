#include <algorithm>
#include <sstream>
#include <utility>

#include "core/kv/answer_digest.hpp"
#include "core/kv/operation_routing.hpp"
#include "tests/support/cluster_simulation/client.hpp"

namespace kahuna::testing {

namespace {

constexpr std::uint32_t timeout_ms = 2'500;

std::string print(const std::vector<std::uint64_t>& list) {
  std::string out;
  for (const auto value : list) out += (out.empty() ? "" : " ") + std::to_string(value);
  return out;
}

}  // namespace

std::vector<std::uint64_t> append_client::parse(std::string_view text) {
  std::vector<std::uint64_t> list;
  std::istringstream in{std::string(text)};
  for (std::uint64_t value = 0; in >> value;) list.push_back(value);
  return list;
}

void append_client::begin_work() {
  is_idle_ = false;
  auto& w = board_.w;
  work_ = {};
  work_.began = w.now();
  deadline_ = w.now() + timeout_ms * 1'000;
  lists_.clear();
  keys_.clear();
  reading_.reset();
  for (auto count = w.dice.between(1, 3); count > 0; --count)
    keys_.push_back(key_name(static_cast<int>(w.dice.below(buckets)), static_cast<int>(w.dice.below(keys_per_bucket))));
  number_ = 0;
  heard_ = 0;
  header_.id = {std::max(clock_.last(), timestamp_at(wall_ms() - 10'000)), id_, next_transaction_++};
  header_.anchor = routing::partition_of_key(static_cast<std::uint32_t>(w.options.partitions), keys_.back());
  header_.locking = w.percent(w.options.optimistic_percent) ? kv::locking_mode::optimistic : kv::locking_mode::pessimistic;
  header_.timeout_ms = timeout_ms;
  work_.note = header_.locking == kv::locking_mode::optimistic ? "optimistic" : "pessimistic";
  next_step();
}

void append_client::append(const std::string& key) {
  const auto value = static_cast<std::uint64_t>(history_.next_value());
  lists_[key].push_back(value);
  work_.appends[key].push_back(value);
}

kv::transaction_step append_client::draw_step() {
  auto& w = board_.w;
  several_.clear();
  if (!keys_.empty() && w.dice.chance(1, 3)) {
    // All that it still wants, and maybe an append to what it has read.
    kv::several_step step;
    if (reading_ && w.dice.chance(1, 2)) {
      append(*reading_);
      step.operations.push_back(kv::set_request{.key = *reading_, .value = print(lists_[*reading_])});
    }
    for (const auto& key : keys_) step.operations.push_back(kv::get_request{.key = key});
    if (w.dice.chance(1, 2)) step.operations.push_back(kv::wanted_lock{.key = keys_.front()});
    reading_ = keys_.back();
    keys_.clear();
    several_ = step.operations;
    return step;
  }
  if (reading_ && w.dice.chance(1, 2)) {
    // What it has read it appends to.
    const auto key = *std::exchange(reading_, std::nullopt);
    append(key);
    return kv::set_request{.key = key, .value = print(lists_[key])};
  }
  if (number_ == 1 && w.dice.chance(1, 4)) {
    kv::lock_step ahead;
    for (const auto& key : keys_) ahead.locks.push_back({.key = key, .lock = w.dice.chance(1, 2) ? kv::lock_demand::shared : kv::lock_demand::exclusive});
    return ahead;
  }
  if (!keys_.empty()) {
    reading_ = keys_.back();
    keys_.pop_back();
    return kv::get_request{.key = *reading_};
  }
  if (w.dice.chance(1, 25)) return kv::rollback_step{};
  return draw_commit();
}

// With writes or without, and now and then with one that is to be refused.
kv::transaction_step append_client::draw_commit() {
  auto& w = board_.w;
  kv::write_and_commit_step last;
  for (auto& [key, list] : lists_) {
    if (w.dice.chance(1, 2)) continue;
    kv::set_request set{.key = key};
    if (w.dice.chance(1, 15)) set.if_revision = 1'000'000;
    append(key);
    set.value = print(list);
    last.writes.push_back(std::move(set));
  }
  if (last.writes.empty()) return kv::commit_step{};
  return last;
}

void append_client::take_read(const std::string& key, const kv::get_response& got) {
  const auto list = parse(got.value.view());
  const auto known = lists_.find(key);
  if (known != lists_.end() && known->second != list)
    throw violation("a transaction does not see what it saw before of " + key + ": " + print(known->second) + ", then " + print(list));
  if (known == lists_.end()) work_.reads[key] = lists_[key] = list;
}

void append_client::next_step() {
  auto& w = board_.w;
  ++number_;
  kv::transaction_request step{header_, number_, heard_, draw_step()};
  const bool is_commit = kv::is_commit(step.step);
  ask(step, std::max<std::int64_t>(deadline_ - w.now(), 1), [this, is_commit](const outcome& o) {
    using ending = append_transaction::outcome;
    if (o.response && std::holds_alternative<kv::commit_response>(*o.response)) return end_work(ending::committed);
    const auto* failure = o.response ? std::get_if<error>(&*o.response) : nullptr;
    const bool is_refused = o.response && std::holds_alternative<kv::commit_refusal>(*o.response);
    const bool is_over = !o.response || failure != nullptr || is_refused || std::holds_alternative<kv::rollback_response>(*o.response);
    if (is_over) {
      // Only of a commit can it be unknown whether it was done.
      const bool is_known = !is_commit || is_refused || (failure != nullptr && failure->code == errc::aborted);
      return end_work(is_known ? ending::aborted : ending::unknown);
    }
    heard_ = kv::digest_of(heard_, *o.response);
    if (const auto* got = std::get_if<kv::get_response>(&*o.response)) take_read(*reading_, *got);
    if (const auto* all = std::get_if<kv::several_response>(&*o.response))
      for (std::size_t i = 0; i < several_.size(); ++i)
        if (const auto* get = std::get_if<kv::get_request>(&several_[i])) take_read(get->key, std::get<kv::get_response>(all->answers.at(i)));
    next_step();
  });
}

void append_client::end_work(append_transaction::outcome as) {
  work_.ended = board_.w.now();
  work_.ended_as = as;
  board_.w.note(static_cast<std::uint64_t>(work_.ended) * 4 + static_cast<std::uint64_t>(as));
  if (!work_.reads.empty() || !work_.appends.empty()) history_.add(std::move(work_));
  rest();
}

}  // namespace kahuna::testing
