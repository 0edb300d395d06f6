#include "tests/checkers/linearizability.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <unordered_set>

namespace kahuna::testing {

namespace {

using what = key_operation_record::what;
using when = key_operation_record::when;

struct key_state {
  std::int64_t last_revision = -1;
  std::int64_t value = 0;
  bool is_live = false;
};

std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

struct answer {
  bool is_done = false;
  std::int64_t revision = -1;
  std::int64_t value = 0;
};

// The contract of a key without expiry.
answer apply(const key_operation_record& op, key_state& key) {
  const auto current = key.is_live ? key.last_revision : -1;
  switch (op.asked) {
    case what::read:
    case what::exists:
      return {key.is_live, current, key.value};
    case what::erase: {
      const answer given{key.is_live, current, 0};
      key.is_live = false;
      return given;
    }
    case what::set:
      break;
  }
  const bool is_met = op.condition == when::always || (op.condition == when::absent && !key.is_live) ||
                      (op.condition == when::present && key.is_live) ||
                      (op.condition == when::value_is && key.is_live && key.value == op.condition_number) ||
                      (op.condition == when::revision_is && current == op.condition_number);
  if (!is_met) return {false, current, 0};
  key = {key.last_revision + 1, op.value, true};
  return {true, key.last_revision, 0};
}

std::string describe(const key_operation_record& op) {
  std::ostringstream out;
  switch (op.asked) {
    case what::set: out << "set " << op.value; break;
    case what::erase: out << "delete"; break;
    case what::read: out << "get"; break;
    case what::exists: out << "exists"; break;
  }
  switch (op.condition) {
    case when::always: break;
    case when::absent: out << " if absent"; break;
    case when::present: out << " if present"; break;
    case when::value_is: out << " if value " << op.condition_number; break;
    case when::revision_is: out << " if revision " << op.condition_number; break;
  }
  out << " from " << op.began;
  if (!op.is_known) {
    out << ", outcome unknown";
  } else {
    out << " to " << op.ended << (op.is_done ? ": yes, r" : ": no, r") << op.revision;
    if (op.asked == what::read && op.is_done) out << " value " << op.value;
  }
  if (!op.note.empty()) out << " (" << op.note << ')';
  return out.str();
}

class search {
 public:
  search(const std::vector<key_operation_record>& history, std::uint64_t steps_max) : history_(history), steps_left_(steps_max) {
    for (std::size_t i = 0; i < history.size(); ++i) {
      const auto& op = history[i];
      events_.push_back({op.began, false, i});
      if (op.is_known) {
        events_.push_back({op.ended, true, i});
        ++required_;
      }
      if (op.condition == when::value_is) named_values_.insert(op.condition_number);
      if (op.is_known && op.is_done && (op.asked == what::read || op.asked == what::set)) note_seen(op.revision, op.value);
    }
    std::stable_sort(events_.begin(), events_.end(), [](const event& a, const event& b) {
      return a.at != b.at ? a.at < b.at : a.is_end < b.is_end;
    });
    begin_of_.resize(history.size());
    end_of_.resize(history.size(), 0);
    next_.resize(events_.size() + 1);
    before_.resize(events_.size() + 2);
    for (std::size_t i = 0; i < events_.size(); ++i) (events_[i].is_end ? end_of_ : begin_of_)[events_[i].operation] = i + 1;
    // A ring of places: 0 is before the first event, events_.size() + 1 behind the last.
    for (std::size_t i = 0; i <= events_.size(); ++i) next_[i] = i + 1;
    for (std::size_t i = 1; i <= events_.size() + 1; ++i) before_[i] = i - 1;
  }

  linearizability_verdict run() {
    if (!contradiction_.empty()) return {false, true, contradiction_ + all_seen()};
    auto place = next_[0];
    std::optional<std::size_t> tried_unseen;  // at the state at hand
    while (required_ != 0) {
      if (steps_left_-- == 0) return {true, false, "given up"};
      const bool is_at_end = place > events_.size();
      if (is_at_end || events_[place - 1].is_end) {
        note_blocked(place);
        if (done_.empty()) return {false, true, explain()};
        const auto last = done_.back();
        done_.pop_back();
        undo(last);
        tried_unseen = last.tried_unseen;
        place = next_[begin_of_[last.operation]];
        continue;
      }
      const auto operation = events_[place - 1].operation;
      const auto& op = history_[operation];
      auto after = state_;
      const bool is_unseen = !op.is_known && op.asked == what::set && op.condition == when::always && !seen_values_.contains(op.value) && !named_values_.contains(op.value);
      const bool may_try = !(is_unseen && tried_unseen);
      if (may_try && fits(op, after)) {
        if (is_unseen) tried_unseen = operation;
        const auto hash = hash_ ^ mixed(operation + 1);
        const auto remembered = hash ^ mixed(static_cast<std::uint64_t>(after.last_revision * 4 + (after.is_live ? 1 : 0)) ^
                                             mixed(static_cast<std::uint64_t>(after.is_live ? after.value : 0)));
        if (tried_.insert(remembered).second) {
          done_.push_back({operation, state_, tried_unseen});
          unlink(begin_of_[operation]);
          if (op.is_known) {
            unlink(end_of_[operation]);
            --required_;
          }
          state_ = after;
          hash_ = hash;
          tried_unseen.reset();
          place = next_[0];
          continue;
        }
      }
      place = next_[place];
    }
    return {};
  }

 private:
  struct event {
    std::int64_t at;
    bool is_end;
    std::size_t operation;
  };
  struct step {
    std::size_t operation;
    key_state before;
    std::optional<std::size_t> tried_unseen;
  };

  void note_seen(std::int64_t revision, std::int64_t value) {
    const auto [by_revision, is_new] = seen_.emplace(revision, value);
    if (!is_new && by_revision->second != value && contradiction_.empty()) {
      contradicting_ = {revision};
      contradiction_ = "revision " + std::to_string(revision) + " was seen with value " + std::to_string(by_revision->second) +
                       " and with value " + std::to_string(value);
    }
    const auto [by_value, is_first] = seen_values_.emplace(value, revision);
    if (!is_first && by_value->second != revision && contradiction_.empty()) {
      contradicting_ = {revision, by_value->second};
      contradiction_ = "value " + std::to_string(value) + " was seen as revision " + std::to_string(by_value->second) + " and as revision " +
                       std::to_string(revision);
    }
  }

  // Whether the operation can come next; then `key` is what it leaves.
  bool fits(const key_operation_record& op, key_state& key) const {
    const auto given = apply(op, key);
    if (op.asked == what::set && given.is_done) {
      const auto made = seen_.find(given.revision);
      if (made != seen_.end() && made->second != op.value) return false;
      const auto as = seen_values_.find(op.value);
      if (as != seen_values_.end() && as->second != given.revision) return false;
    }
    // What changes nothing and tells nobody anything need not be done.
    if (!op.is_known) return given.is_done && op.asked != what::read && op.asked != what::exists;
    if (op.is_done != given.is_done || op.revision != given.revision) return false;
    return op.asked != what::read || !op.is_done || op.value == given.value;
  }

  void unlink(std::size_t place) {
    next_[before_[place]] = next_[place];
    before_[next_[place]] = before_[place];
  }
  void link(std::size_t place) {
    next_[before_[place]] = place;
    before_[next_[place]] = place;
  }
  void undo(const step& last) {
    if (history_[last.operation].is_known) {
      link(end_of_[last.operation]);
      ++required_;
    }
    link(begin_of_[last.operation]);
    hash_ ^= mixed(last.operation + 1);
    state_ = last.before;
  }

  // The furthest that any order came, for the explanation.
  void note_blocked(std::size_t place) {
    if (done_.size() < furthest_ || place > events_.size()) return;
    furthest_ = done_.size();
    furthest_state_ = state_;
    furthest_blocked_ = events_[place - 1].operation;
    furthest_last_.clear();
    for (auto i = done_.size(); i-- > 0 && furthest_last_.size() < 6;) furthest_last_.push_back(done_[i].operation);
  }

  // Of a history that contradicts itself: the operations that say what was seen.
  std::string all_seen() const {
    std::string out;
    for (const auto& op : history_)
      if (contradicting_.contains(op.revision) && op.is_known && op.is_done) out += "\n  " + describe(op);
    return out;
  }

  std::string explain() const {
    std::ostringstream out;
    out << "no order of the operations gives the answers; at best " << furthest_ << " come one behind another, to revision "
        << furthest_state_.last_revision << (furthest_state_.is_live ? ", value " + std::to_string(furthest_state_.value) : ", absent")
        << ", and then can't come\n  " << describe(history_[furthest_blocked_]) << "\n  the last before it:";
    for (const auto i : furthest_last_) out << "\n  " << describe(history_[i]);
    return out.str();
  }

  const std::vector<key_operation_record>& history_;
  std::uint64_t steps_left_;
  std::vector<event> events_;
  std::vector<std::size_t> begin_of_, end_of_, next_, before_;
  std::size_t required_ = 0;
  std::map<std::int64_t, std::int64_t> seen_;         // by revision: the value
  std::map<std::int64_t, std::int64_t> seen_values_;  // by value: the revision
  std::set<std::int64_t> named_values_;               // in conditions
  std::string contradiction_;
  std::set<std::int64_t> contradicting_;              // the revisions of which that is said

  key_state state_;
  std::uint64_t hash_ = 0;
  std::vector<step> done_;
  std::unordered_set<std::uint64_t> tried_;

  std::size_t furthest_ = 0;
  key_state furthest_state_;
  std::size_t furthest_blocked_ = 0;
  std::vector<std::size_t> furthest_last_;
};

}  // namespace

linearizability_verdict check_linearizability(const std::vector<key_operation_record>& history, std::uint64_t steps_max) {
  return search(history, steps_max).run();
}

}  // namespace kahuna::testing
