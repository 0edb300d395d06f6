// Who may touch what, until when: the locks that transactions hold on keys and buckets of one partition.
//
// Owned by the partition core of the leader, in memory: locks are lost with the leadership, and nothing that is correct rests on
// them (a commit is validated). Two kinds of holders: those that locked as they went (pessimistic), and those that have promised to
// commit if they are told to (prepared), whose holds are in the log and are restored from there.
//
// Resources are opaque names. Modes: shared, exclusive, and intent, which is taken on a bucket by whoever writes a key of it: shared
// goes with shared, intent with intent, nothing else goes together.
//
// Invariants:
//   1. of two that hold the same resource their modes go together.
//   2. nobody waits who could be granted.
//   3. in line the older stand before the younger, but for those who hold the resource already.
//   4. an owner waits for at most one resource.
//
// What is asked of one resource costs no more than the logarithm of how many hold it or wait for it: every writer of a bucket's keys holds
// the bucket. Only who is in the way is counted out.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/txn/transaction_id.hpp"

namespace kahuna::txn {

enum class lock_mode : std::uint8_t { shared = 1, intent = 2, exclusive = 4 };

class lock_table {
 public:
  // Holds the resource (true), or waits for it until granted or released. Repeated: the same.
  bool acquire(const transaction_id& owner, std::string_view resource, lock_mode mode);

  // Holds it if no other holder stands in the way, nor an older one who waits; never waits itself.
  bool try_acquire(const transaction_id& owner, std::string_view resource, lock_mode mode);

  // What the owner holds is held until it is released, whoever else needs it.
  void promise(const transaction_id& owner);
  // The same of a promise that is in the log.
  void restore(const transaction_id& owner, std::string_view resource, lock_mode mode);

  // Lets go of everything, and waits for nothing any more.
  void release(const transaction_id& owner);
  // Waits no longer; keeps what is held.
  void stop_waiting(const transaction_id& owner);
  // Lets go of what is held; goes on waiting.
  void release_held(const transaction_id& owner);

  // Owners whose claim was granted since this was called last, in the order in which they were.
  std::vector<transaction_id> take_granted();

  // Who has promised to write it, if anybody has and it is not `reader`.
  std::optional<transaction_id> promised_writer(std::string_view resource, const transaction_id& reader = {}) const;

  // Whether a waiting owner waits for an older one that holds what it wants, or stands in line for it.
  bool waits_for_older(const transaction_id& owner) const;
  // Whom a waiting owner waits for: the holders in its way, and in that of older ones who stand before it.
  std::vector<transaction_id> blockers_of(const transaction_id& owner) const;

  bool holds_any(const transaction_id& owner) const;
  bool holds(const transaction_id& owner, std::string_view resource) const;
  bool is_promised(const transaction_id& owner) const;
  bool is_waiting(const transaction_id& owner) const;
  bool has(const transaction_id& owner) const { return owners_.contains(owner); }
  bool is_empty() const { return owners_.empty(); }
  std::size_t owners() const { return owners_.size(); }
  void clear();
  void check_invariants() const;
  // The oldest owners, for people.
  std::string describe() const;

 private:
  struct resource_state {
    std::map<transaction_id, std::uint8_t> holders;          // their modes, or-ed
    std::array<std::uint32_t, 8> holders_with{};             // how many there are with these modes, or-ed
    std::array<std::set<transaction_id>, 3> waiters;         // by the mode that they want (place_of)
    std::set<transaction_id> upgrading;                      // of the waiters those that hold it already: they stand behind nobody
  };
  struct owner_state {
    std::vector<std::string> held;
    std::optional<std::string> waits_for;
    lock_mode wanted = lock_mode::shared;  // where it waits
    bool is_promised = false;
  };
  using resources = std::unordered_map<std::string, resource_state>;

  static bool go_together(std::uint8_t held, lock_mode wanted);
  static bool is_held_against(const resource_state& resource, const transaction_id& owner, lock_mode mode);
  static bool has_older_waiter(const resource_state& resource, const transaction_id& owner, lock_mode mode);
  static bool is_first_in_line(const resource_state& resource, const transaction_id& owner, lock_mode mode);
  static bool is_in_the_way(const resource_state& resource, std::uint8_t held, const transaction_id& owner, lock_mode wanted);
  void hold(resource_state& resource, const std::string& name, const transaction_id& owner, lock_mode mode);
  void let_go(resource_state& resource, const transaction_id& owner);
  void wait(resource_state& resource, const std::string& name, const transaction_id& owner, lock_mode mode);
  static void leave_line(resource_state& resource, const transaction_id& owner, lock_mode mode);
  void stop_waiting(const transaction_id& owner, owner_state& state);
  void grant_waiters(const std::string& name);
  std::optional<transaction_id> next_in_line(const resource_state& resource, const std::optional<transaction_id>& behind, std::uint8_t passed_over) const;
  void forget_if_idle(const transaction_id& owner);

  resources resources_;
  std::map<transaction_id, owner_state> owners_;
  std::vector<transaction_id> granted_;
};

}  // namespace kahuna::txn
