#include "tests/support/append_load.hpp"

#include <algorithm>
#include <set>
#include <sstream>
#include <utility>

#include "core/base/check.hpp"
#include "core/base/prng.hpp"
#include "tests/support/register_load.hpp"

namespace kahuna::testing {

namespace {

using list = std::vector<std::uint64_t>;

list parse_list(const kv::get_response& response) {
  list values;
  std::istringstream in(response.value.str());
  for (std::uint64_t value = 0; in >> value;) values.push_back(value);
  return values;
}

std::string text_of(const list& values) {
  std::string text;
  for (const auto value : values) text += (text.empty() ? "" : " ") + std::to_string(value);
  return text;
}

bool is_transient(errc code) { return code == errc::aborted || code == errc::unavailable || code == errc::overloaded; }

}  // namespace

append_load::append_load(std::vector<std::string> endpoints, append_load_options options) : options_(std::move(options)) {
  for (int i = 0; i < options_.clients; ++i) {
    auto& self = *workers_.emplace_back(std::make_unique<worker>());
    auto rotated = endpoints;
    std::rotate(rotated.begin(), rotated.begin() + i % static_cast<int>(rotated.size()), rotated.end());
    self.connection = std::make_unique<client::client>(connect_or_fail(std::move(rotated), options_.timeout));
  }
}

append_load::~append_load() { stop(); }

void append_load::start() {
  prng root(options_.seed);
  for (auto& self : workers_) self->thread = std::thread([this, &self = *self, seed = root.next()] { work(self, seed); });
}

void append_load::stop() {
  should_stop_ = true;
  for (auto& self : workers_)
    if (self->thread.joinable()) self->thread.join();
}

bool append_load::wait_for_commits(std::uint64_t count, milliseconds patience) const {
  const auto goal = committed_ + count;
  return eventually(patience, [&] { return committed_ >= goal; });
}

// Keys of no bucket: each is placed by its whole name.
std::string append_load::key_of(std::uint64_t number) {
  const auto generation = next_value_ / static_cast<std::uint64_t>(options_.keys * options_.appends_per_key);
  return options_.key_prefix + std::to_string(generation) + "-" + std::to_string(number);
}

void append_load::work(worker& self, std::uint64_t seed) {
  prng dice(seed);
  while (!should_stop_) {
    std::set<std::string> keys;
    for (auto wanted = dice.between(1, 4); keys.size() < wanted;) keys.insert(key_of(dice.below(static_cast<std::uint64_t>(options_.keys))));
    // In an order of its own: that is what deadlocks are made of.
    std::vector<std::string> order(keys.begin(), keys.end());
    for (auto i = order.size(); i > 1; --i) std::swap(order[i - 1], order[dice.below(i)]);

    append_transaction record;
    record.is_snapshot = dice.chance(1, 6);
    client::transaction_options options;
    options.is_as_of_now = record.is_snapshot;
    const bool is_optimistic = options_.locking == locking_choice::optimistic || (options_.locking == locking_choice::mixed && dice.chance(1, 2));
    options.locking = is_optimistic ? kv::locking_mode::optimistic : kv::locking_mode::pessimistic;
    record.note = record.is_snapshot ? "as of now" : is_optimistic ? "optimistic" : "pessimistic";

    std::optional<error> failure;
    const auto complain = [&](const std::string& what) { self.complaints.push_back(record.note + ": " + what); };
    record.began = history_now();
    auto t = self.connection->begin(options);
    if (!t) {
      if (!is_transient(t.error().code)) complain("begin: " + t.error().message);
      continue;
    }
    for (const auto& key : order) {
      auto found = t->get({.key = key});
      if (!found) {
        failure = found.error();
        break;
      }
      auto values = parse_list(*found);
      record.reads[key] = values;
      if (record.is_snapshot || !dice.chance(1, 2)) continue;
      // Once or twice: the second time upon what the first one left.
      for (auto times = dice.between(1, 2); times > 0 && !failure; --times) {
        const auto value = next_value_++;
        record.appends[key].push_back(value);
        values.push_back(value);
        if (const auto set = t->set({.key = key, .value = text_of(values)}); !set)
          failure = set.error();
        else if (set->revision != found->revision + 1)
          complain(key + ": a set upon revision " + std::to_string(found->revision) + " answered " + std::to_string(set->revision));
        if (failure || !dice.chance(1, 4)) continue;
        const auto own = t->get({.key = key});
        if (!own)
          failure = own.error();
        else if (parse_list(*own) != values)
          complain(key + ": its own writes were not read back, but " + own->value.str());
      }
      if (failure) break;
    }
    if (failure) {
      // Steps before the commit are never applied: nothing is open about them.
      record.ended_as = append_transaction::outcome::aborted;
      if (!is_transient(failure->code)) complain("a step: " + std::string(to_string(failure->code)) + ": " + failure->message);
    } else if (const auto committed = t->commit()) {
      record.ended_as = append_transaction::outcome::committed;
      ++committed_;
    } else {
      const auto code = committed.error().code;
      record.ended_as = is_outcome_unknown(code) ? append_transaction::outcome::unknown : append_transaction::outcome::aborted;
      if (!is_transient(code) && code != errc::timeout) complain("commit: " + std::string(to_string(code)) + ": " + committed.error().message);
    }
    record.ended = history_now();
    self.done.push_back(std::move(record));
  }
}

append_counts append_load::counts() const {
  append_counts all;
  for (const auto& self : workers_)
    for (const auto& t : self->done) {
      using outcome = append_transaction::outcome;
      all.snapshots += t.is_snapshot ? 1 : 0;
      all.committed += t.ended_as == outcome::committed ? 1 : 0;
      all.aborted += t.ended_as == outcome::aborted ? 1 : 0;
      all.unknown += t.ended_as == outcome::unknown ? 1 : 0;
    }
  return all;
}

std::string append_load::summary() const {
  const auto all = counts();
  return std::to_string(all.committed) + " committed, " + std::to_string(all.aborted) + " aborted, " + std::to_string(all.unknown) +
         " of unknown outcome; " + std::to_string(all.snapshots) + " as of now";
}

std::string append_load::violation(client::client& reader) const {
  append_history history;
  std::vector<std::string> complaints;
  std::set<std::string> keys;
  for (const auto& self : workers_) {
    complaints.insert(complaints.end(), self->complaints.begin(), self->complaints.end());
    for (const auto& t : self->done) {
      history.add(t);
      for (const auto& [key, values] : t.reads) keys.insert(key);
    }
  }
  std::map<std::string, list> final_lists;
  for (const auto& key : keys) {
    const auto found = reader.get(get_of(key));
    if (!found) return "the list " + key + " can't be read: " + found.error().message;
    final_lists[key] = parse_list(*found);
  }
  return joined(complaints) + history.check(final_lists);
}

}  // namespace kahuna::testing
