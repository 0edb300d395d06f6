#include "persistence/write_behind.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <tuple>

#include "core/base/check.hpp"

namespace kahuna::persistence {

namespace {

// A change has some 200 bytes, so that one mark in a hundred is set: who looks for a key that is not there rarely has to put in order what gathers.
constexpr std::size_t bytes_a_mark = 2;

// The second run is merged with the first when it is longer than so many-th of it.
constexpr std::size_t short_run_part = 8;

constexpr auto place_of = [](const auto& change) { return std::tuple<family, std::string_view>(change.where, change.key); };

// [from, end) becomes a run, of which [from, sorted) is one already.
template <class Changes>
void make_run(Changes& changes, std::size_t from, std::size_t sorted) {
  const auto by_place = [](const auto& a, const auto& b) { return place_of(a) < place_of(b); };
  const auto begin = changes.begin() + static_cast<std::ptrdiff_t>(from);
  const auto tail = changes.begin() + static_cast<std::ptrdiff_t>(sorted);
  std::stable_sort(tail, changes.end(), by_place);
  std::inplace_merge(begin, tail, changes.end(), by_place);
  // The last one of a key is what counts.
  const auto is_same = [](const auto& a, const auto& b) { return place_of(a) == place_of(b); };
  changes.erase(begin, std::unique(changes.rbegin(), std::make_reverse_iterator(begin), is_same).base());
}

}  // namespace

void write_behind::generation::sort_second_run() {
  if (first_run + second_run == changes.size()) return;
  if ((changes.size() - first_run) * short_run_part > first_run) return sort_into_one();
  make_run(changes, first_run, first_run + second_run);
  second_run = changes.size() - first_run;
}

void write_behind::generation::sort_into_one() {
  KAHUNA_CHECK(written == 0, written);
  make_run(changes, 0, first_run);
  first_run = changes.size();
  second_run = 0;
}

std::array<std::span<const write_behind::change>, 2> write_behind::generation::runs() const {
  KAHUNA_CHECK(first_run + second_run == changes.size(), first_run, second_run, changes.size());
  const std::span all(changes);
  return {all.subspan(written, first_run - written), all.subspan(first_run)};
}

write_behind::write_behind(std::shared_ptr<ordered_store> store, const write_behind_limits& limits, fatal_handler fatal)
    : store_(std::move(store)), limits_(limits), fatal_(std::move(fatal)), leaving_(nothing()), gathering_(nothing()) {
  KAHUNA_CHECK(limits_.slice_bytes != 0);
}

write_behind::generation write_behind::nothing() const {
  generation g;
  g.marks.resize(limits_.gathered_bytes_max / bytes_a_mark + 1);
  return g;
}

void write_behind::add(change made, std::size_t mark) {
  gathering_.bytes += made.bytes();
  due_bytes_ += made.bytes();
  gathering_.marks[mark % gathering_.marks.size()] = true;
  gathering_.changes.push_back(std::move(made));
}

void write_behind::keep_pace() {
  for (; due_bytes_ >= limits_.slice_bytes && !leaving_.is_empty(); due_bytes_ -= limits_.slice_bytes) write_slice(limits_.slice_bytes);
  if (gathering_.bytes < limits_.gathered_bytes_max) return;
  while (!leaving_.is_empty()) write_slice(limits_.slice_bytes);
  turn_over();
}

void write_behind::write_all() {
  constexpr auto everything = std::numeric_limits<std::size_t>::max();
  if (!leaving_.is_empty()) write_slice(everything);
  turn_over();
  if (!leaving_.is_empty()) write_slice(everything);
}

void write_behind::turn_over() {
  leaving_ = std::exchange(gathering_, nothing());
  leaving_.sort_into_one();
  due_bytes_ = 0;
}

void write_behind::write_slice(std::size_t bytes_max) {
  const auto batch = store_->make_batch();
  std::size_t bytes = 0;
  auto written = leaving_.written;
  for (; written != leaving_.changes.size(); ++written) {
    const auto& change = leaving_.changes[written];
    if (change.where == family::main && bytes >= bytes_max) break;
    change.value ? batch->put(change.where, change.key, *change.value) : batch->erase(change.where, change.key);
    bytes += change.bytes();
  }
  if (const auto failure = store_->write(*batch, sync::no)) return fatal_(*failure);
  leaving_.written = written;
  leaving_.bytes -= std::min(leaving_.bytes, bytes);
  if (leaving_.is_empty()) leaving_ = nothing();
}

result<std::optional<std::string>> write_behind::get(family f, std::string_view key) const {
  gathering_.sort_second_run();
  for (const auto& run : newest_first()) {
    const auto found = std::ranges::lower_bound(run, std::tuple(f, key), {}, place_of);
    if (found != run.end() && found->where == f && found->key == key) return found->value;
  }
  return store_->get(f, key);
}

std::array<std::span<const write_behind::change>, 3> write_behind::newest_first() const {
  const auto [first, second] = gathering_.runs();
  return {second, first, leaving_.runs()[0]};
}

// Of the store and what is not written to it yet: where several have a key, the newest one says what stands there.
class write_behind::merged_cursor final : public store_cursor {
 public:
  merged_cursor(family f, std::unique_ptr<store_cursor> stored, const std::array<std::span<const change>, 3>& newest_first)
      : family_(f), stored_(std::move(stored)), unwritten_{place{newest_first[0]}, place{newest_first[1]}, place{newest_first[2]}} {}

  void seek(std::string_view key) override {
    stored_->seek(key);
    for (auto& place : unwritten_) place.next = std::ranges::lower_bound(place.all, std::tuple(family_, key), {}, place_of);
    settle();
  }
  void seek_back(std::string_view key) override { KAHUNA_CHECK(false, key); }
  void next() override {
    pass();
    settle();
  }
  bool is_valid() const override { return is_valid_; }
  std::string_view key() const override { return newest_ != nullptr ? std::string_view(newest_->key) : stored_->key(); }
  std::string_view value() const override { return newest_ != nullptr ? std::string_view(*newest_->value) : stored_->value(); }
  std::optional<error> damage() const override { return stored_->damage(); }

 private:
  struct place {
    std::span<const change> all;
    std::span<const change>::iterator next = all.end();
  };

  bool has_more(const place& p) const { return p.next != p.all.end() && p.next->where == family_; }

  // To the first key from here on that is not erased.
  void settle() {
    for (;; pass()) {
      newest_ = nullptr;
      is_valid_ = stored_->is_valid();
      // Behind damage there may be more than what is not written yet.
      if (!is_valid_ && stored_->damage()) return;
      for (const auto& place : unwritten_) {
        if (!has_more(place) || (newest_ != nullptr && newest_->key <= place.next->key)) continue;
        if (newest_ == nullptr && is_valid_ && stored_->key() < place.next->key) continue;
        newest_ = &*place.next;
        is_valid_ = true;
      }
      if (newest_ == nullptr || newest_->value) return;
    }
  }

  // Wherever the key stands.
  void pass() {
    if (newest_ == nullptr) return stored_->next();
    const auto& passed = newest_->key;
    if (stored_->is_valid() && stored_->key() == passed) stored_->next();
    for (auto& place : unwritten_)
      if (has_more(place) && place.next->key == passed) ++place.next;
  }

  family family_;
  std::unique_ptr<store_cursor> stored_;
  std::array<place, 3> unwritten_;  // newest first
  const change* newest_ = nullptr;  // where the cursor stands, unless what is stored says what stands there
  bool is_valid_ = false;
};

std::unique_ptr<store_cursor> write_behind::cursor(family f, reading how) const {
  auto stored = store_->cursor(f, how);
  if (bytes() == 0) return stored;
  gathering_.sort_second_run();
  return std::make_unique<merged_cursor>(f, std::move(stored), newest_first());
}

}  // namespace kahuna::persistence
