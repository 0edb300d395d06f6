// One piece of work that is tried in transactions until one of them commits: what each attempt is to be like.
//
// All have the age of the first one, so that its turn comes. An attempt that is lost tells which keys the work needs: the next one
// locks them before anything else, in the order in which nobody waits in a circle, also where the first one was optimistic. So of
// many that want the same few keys each loses about one attempt, and then they go in turn.
#pragma once

#include <chrono>
#include <vector>

#include "client/transaction.hpp"
#include "core/base/prng.hpp"

namespace kahuna::client {

class transaction_attempts {
 public:
  // `options.began_at` is the age, unless it is 0: then `now`, of the wall clock.
  transaction_attempts(transaction_options options, timestamp now, prng dice);

  // Of the next attempt.
  const transaction_options& options() const { return options_; }
  // What it is to lock first; empty: nothing.
  const std::vector<kv::wanted_lock>& locks() const { return locks_; }

  // The attempt was aborted, having touched these keys: how long to wait before the next one.
  std::chrono::microseconds lost(const std::vector<kv::wanted_lock>& touched);

 private:
  transaction_options options_;
  prng dice_;
  std::vector<kv::wanted_lock> locks_;  // in the order of names, each key once
  std::uint64_t pause_us_max_ = 1'000;
};

}  // namespace kahuna::client
