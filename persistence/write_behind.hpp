// What an ordered store is to hold, written to it a while later, in the order of its keys and a little at a time.
//
// A place in a memtable costs some ten cache misses, wherever keys come in no order; beside the place of the record before it, it costs a part of
// that, the less the nearer the two are. So changes gather until there are many; then they leave, while the next ones gather: for every
// `slice_bytes` that are added, so much is written, in key order. What is not in slices: putting in order what gathered, what of it is of other families than
// `main`, and write_all().
//
// In a crash it is lost, as is what a store without a journal was not asked to flush: its owner has what it takes to put it in again.
// Of the changes that gathered together those of `main` go first, slice by slice, and those of the other families behind them, in one batch: so what the
// others say of `main` is never said too early, and what they say of each other never in part.
//
// Whoever reads the store through it sees everything that was put. Owned by one thread.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "persistence/fatal_handler.hpp"
#include "persistence/ordered_store.hpp"

namespace kahuna::persistence {

struct write_behind_limits {
  std::size_t gathered_bytes_max = 32 << 10;  // when so much has gathered, it leaves: so about twice of it is held
  std::size_t slice_bytes = 32 << 10;         // written at once: what shares the thread waits for it
};

class write_behind {
 public:
  // `fatal` is called where a write fails.
  write_behind(std::shared_ptr<ordered_store> store, const write_behind_limits& limits, fatal_handler fatal);

  // `mark`: a hash by which may_hold() is asked.
  void put(family f, std::string key, std::string value, std::size_t mark = 0) { add({f, std::move(key), std::move(value)}, mark); }
  void erase(family f, std::string key, std::size_t mark = 0) { add({f, std::move(key), std::nullopt}, mark); }

  // Writes as much as is due for what was added. Where several changes belong together for whoever may look at the store itself, behind the last of them.
  void keep_pace();
  void write_all();

  // False: nothing under this mark waits to be written, and it does to look at the store itself.
  bool may_hold(std::size_t mark) const { return gathering_.marks[mark % gathering_.marks.size()] || leaving_.marks[mark % leaving_.marks.size()]; }

  result<std::optional<std::string>> get(family f, std::string_view key) const;
  // Forward only, and good until something is added or written.
  std::unique_ptr<store_cursor> cursor(family f, reading how = reading::often) const;

  // Of keys and values that are not written yet.
  std::size_t bytes() const { return gathering_.bytes + leaving_.bytes; }

 private:
  struct change {
    family where;
    std::string key;
    std::optional<std::string> value;  // nothing: the key is erased

    std::size_t bytes() const { return key.size() + (value ? value->size() : 0); }
  };

  // What gathers, or leaves.
  struct generation {
    std::vector<change> changes;
    // Two runs in order, each with no key twice, and what came since. Who reads between writes has the second one merged, which is short.
    std::size_t first_run = 0;
    std::size_t second_run = 0;
    std::size_t written = 0;  // so many of the first run were written
    std::size_t bytes = 0;
    std::vector<bool> marks;

    bool is_empty() const { return written == changes.size(); }
    void sort_second_run();
    void sort_into_one();
    // What is not written of it, older first. Requires that one of the two was called since something was added.
    std::array<std::span<const change>, 2> runs() const;
  };
  class merged_cursor;

  // Requires that what gathers is sorted.
  std::array<std::span<const change>, 3> newest_first() const;
  void add(change made, std::size_t mark);
  generation nothing() const;
  // What gathered leaves. Requires that nothing else does.
  void turn_over();
  // Of what leaves, which is one run. Requires that something does.
  void write_slice(std::size_t bytes_max);

  std::shared_ptr<ordered_store> store_;
  write_behind_limits limits_;
  fatal_handler fatal_;
  generation leaving_;  // newer than what the store holds
  // Newer than what leaves. Sorted when somebody looks.
  mutable generation gathering_;
  std::size_t due_bytes_ = 0;
};

}  // namespace kahuna::persistence
