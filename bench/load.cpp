#include "bench/load.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "core/base/prng.hpp"

namespace kahuna::bench {

namespace {

using clock = std::chrono::steady_clock;
using std::chrono::microseconds;

constexpr std::uint64_t keys_of_a_bucket = 100;

// 12 bytes; with the bucket workload 100 of them share a bucket.
std::string key_of(const bench_options& options, std::uint64_t number) {
  char text[32];
  const bool is_of_bucket = options.workload == workload::bucket || (options.workload == workload::transfer && options.is_same_bucket);
  if (is_of_bucket)
    std::snprintf(text, sizeof text, "b%06llu/k%02llu", static_cast<unsigned long long>(number / keys_of_a_bucket),
                  static_cast<unsigned long long>(number % keys_of_a_bucket));
  else
    std::snprintf(text, sizeof text, "key-%08llu", static_cast<unsigned long long>(number));
  return text;
}

// Printable, and not to be packed by more than a quarter. Ten characters of a throw: one for each would be a noticeable part of what an operation costs here.
std::string random_value(prng& dice, std::size_t bytes) {
  std::string value(bytes, '\0');
  std::uint64_t thrown = 0;
  for (std::size_t i = 0; i < bytes; ++i, thrown >>= 6) {
    if (i % 10 == 0) thrown = dice.next();
    value[i] = static_cast<char>('0' + thrown % 64);
  }
  return value;
}

kv::set_request set_of(const bench_options& options, std::uint64_t number, prng& dice) {
  kv::set_request set;
  set.key = key_of(options, number);
  set.value = random_value(dice, options.value_bytes);
  set.space = options.durability;
  set.expires_ms = options.expires_ms;
  return set;
}

double process_cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

struct worker {
  worker(std::uint64_t seed, std::uint64_t n) : dice(seed), number(n) { revisions.fill(kv::no_revision); }

  prng dice;
  std::uint64_t number;
  clock::time_point due{};  // of its next operation, in the open loop
  // The keys of its own that it swaps, and the revision that each was last seen at.
  std::array<std::int64_t, 8> revisions;
  std::size_t swapped = 0;  // which of them is under way
  std::map<std::string, operation_report> operations;
  // The transaction under way: what it reads and then writes, how far it is, and when it was first begun.
  std::vector<std::string> accounts;
  std::uint64_t attempts = 0;  // of the transaction that is under way
  kv::operation asked;         // that is under way, where there is a history
};

struct planned_operation {
  const char* name;
  kv::operation op;
};

planned_operation plan(const bench_options& options, worker& w) {
  auto& dice = w.dice;
  const auto number = dice.below(options.key_space);
  const bool is_ephemeral = options.durability == kv::durability::ephemeral;
  if (options.workload == workload::bucket) {
    char text[32];
    std::snprintf(text, sizeof text, "b%06llu", static_cast<unsigned long long>(number / keys_of_a_bucket));
    kv::get_by_bucket_request get;
    get.bucket = text;
    get.space = options.durability;
    return {is_ephemeral ? "eget by bucket" : "get by bucket", std::move(get)};
  }
  if (options.workload == workload::cas) {
    w.swapped = dice.below(w.revisions.size());
    auto set = set_of(options, w.number * w.revisions.size() + w.swapped, dice);
    set.if_revision = w.revisions[w.swapped];
    return {is_ephemeral ? "ecas" : "cas", std::move(set)};
  }
  const bool is_read = options.workload == workload::get || (options.workload == workload::mixed && dice.chance(options.read_percent, 100));
  if (!is_read) return {is_ephemeral ? "eset" : "set", set_of(options, number, dice)};
  kv::get_request get;
  get.key = key_of(options, number);
  get.space = options.durability;
  return {is_ephemeral ? "eget" : "get", std::move(get)};
}

// What all workers share. Callbacks come on the client's threads, one for each of its connections to a node.
class load {
 public:
  load(client::client& client, const bench_options& options, history_file* history)
      : client_(client), options_(options), history_(history), starts_at_(clock::now()), measures_from_(starts_at_ + options.warmup),
        ends_at_(measures_from_ + options.duration) {}

  load_report run(const std::function<void(std::chrono::seconds, std::uint64_t)>& progress) {
    const auto cpu_before = process_cpu_seconds();
    prng root(options_.seed);
    workers_.reserve(options_.concurrency);
    for (std::uint32_t i = 0; i < options_.concurrency; ++i) workers_.push_back(std::make_unique<worker>(root.next(), i));
    under_way_ = options_.concurrency;
    for (std::uint32_t i = 0; i < options_.concurrency; ++i) {
      if (options_.rate != 0) workers_[i]->due = starts_at_ + interval() * i / options_.concurrency;
      next(*workers_[i]);
    }
    std::uint64_t before = 0;
    for (auto second = std::chrono::seconds(1); !wait_for_end(starts_at_ + second); ++second) {
      const auto answered = answered_.load(std::memory_order_relaxed);
      progress(second, answered - before);
      before = answered;
    }
    load_report report;
    report.measured = std::chrono::duration_cast<microseconds>(options_.duration);
    report.cpu_cores = (process_cpu_seconds() - cpu_before) / std::chrono::duration<double>(clock::now() - starts_at_).count();
    for (auto& worker : workers_)
      for (auto& [name, part] : worker->operations) {
        auto& whole = report.operations[name];
        whole.latency.merge(part.latency);
        for (const auto& [code, count] : part.errors) whole.errors[code] += count;
        whole.retries += part.retries;
      }
    return report;
  }

 private:
  // Of one worker's operations.
  clock::duration interval() const {
    return std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(static_cast<double>(options_.concurrency) / options_.rate));
  }

  bool wait_for_end(clock::time_point until) {
    std::unique_lock guard(mutex_);
    return ended_.wait_until(guard, until, [&] { return under_way_ == 0; });
  }

  void end_worker() {
    const std::lock_guard guard(mutex_);
    if (--under_way_ == 0) ended_.notify_all();
  }

  void next(worker& w) {
    const auto now = clock::now();
    if (now >= ends_at_) return end_worker();
    auto started = now;
    if (options_.rate != 0) {
      started = w.due;
      w.due += interval();
      if (now < started) {
        // Sleeping on the client's thread would hold up the others: a thread of its own waits.
        std::thread([this, &w, started] {
          std::this_thread::sleep_until(started);
          submit(w, started);
        }).detach();
        return;
      }
    }
    submit(w, started);
  }

  void submit(worker& w, clock::time_point started) {
    if (options_.workload == workload::rmw || options_.workload == workload::transfer) {
      choose_accounts(w);
      return transact(w, started);
    }
    auto planned = plan(options_, w);
    if (history_ != nullptr) w.asked = planned.op;
    client_.submit(std::move(planned.op), [this, &w, started, name = planned.name](const kv::operation_response& response) {
      const auto now = clock::now();
      // In the open loop it may have been sent later than this, which is no lie.
      if (history_ != nullptr) history_->note(w.asked, started, response);
      answered_.fetch_add(1, std::memory_order_relaxed);
      if (started >= measures_from_ && now <= ends_at_) {
        auto& part = w.operations[name];
        if (const auto* failure = std::get_if<error>(&response))
          ++part.errors[failure->code];
        else
          part.latency.record(std::chrono::duration_cast<microseconds>(now - started));
      }
      // A swap that was not done tells the revision, too: the next one of that key is.
      if (const auto* set = std::get_if<kv::set_response>(&response)) w.revisions[w.swapped] = set->revision;
      next(w);
    });
  }

  // --- transactions: read all accounts in one step, write them with the commit; begun again where they are aborted

  void choose_accounts(worker& w) {
    const auto first = w.dice.below(options_.key_space);
    w.accounts = {key_of(options_, first)};
    if (options_.workload == workload::rmw) return;
    auto low = std::uint64_t{0};
    auto count = options_.key_space;
    if (options_.is_same_bucket) {
      low = first / keys_of_a_bucket * keys_of_a_bucket;
      count = std::min(keys_of_a_bucket, options_.key_space - low);
    }
    // A bucket that the key space cuts down to one key has no pair: that key is moved onto itself then.
    const auto second = count < 2 ? first : low + (first - low + 1 + w.dice.below(count - 1)) % count;
    w.accounts.push_back(key_of(options_, second));
  }

  void transact(worker& w, clock::time_point started) {
    client::transaction_options options;
    options.locking = options_.locking;
    w.attempts = 0;
    client_.submit_transaction(
        [this, &w](client::transaction& t, client::client::attempt_ended ended) {
          ++w.attempts;
          move_amounts(w, t, std::move(ended));
        },
        options, [this, &w, started](const result<kv::commit_response>& committed) { end_transaction(w, started, committed); });
  }

  void move_amounts(worker& w, client::transaction& t, client::client::attempt_ended ended) {
    kv::several_step read;
    for (const auto& account : w.accounts) {
      read.operations.push_back(kv::wanted_lock{.space = options_.durability, .key = account});
      read.operations.push_back(kv::get_request{.key = account, .space = options_.durability});
    }
    t.submit(std::move(read), [this, &w, &t, ended = std::move(ended)](const kv::operation_response& response) {
      if (const auto* failure = std::get_if<error>(&response)) return ended(*failure);
      for (const auto& account : w.accounts)
        t.set_at_commit({.key = account, .value = random_value(w.dice, options_.value_bytes), .space = options_.durability});
      ended(std::nullopt);
    });
  }

  void end_transaction(worker& w, clock::time_point started, const result<kv::commit_response>& committed) {
    const auto now = clock::now();
    answered_.fetch_add(1, std::memory_order_relaxed);
    if (started >= measures_from_ && now <= ends_at_) {
      auto& part = w.operations[options_.workload == workload::rmw ? "rmw" : "transfer"];
      part.retries += w.attempts - 1;
      if (committed)
        part.latency.record(std::chrono::duration_cast<microseconds>(now - started));
      else
        ++part.errors[committed.error().code];
    }
    next(w);
  }

  client::client& client_;
  const bench_options& options_;
  history_file* history_;
  const clock::time_point starts_at_;
  const clock::time_point measures_from_;
  const clock::time_point ends_at_;
  std::vector<std::unique_ptr<worker>> workers_;
  std::atomic<std::uint64_t> answered_{0};
  std::mutex mutex_;
  std::condition_variable ended_;
  std::uint32_t under_way_ = 0;
};

}  // namespace

result<std::uint64_t> fill(client::client& client, const bench_options& options, history_file* history) {
  constexpr std::uint64_t at_once = 256;
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t under_way = 0;
  std::optional<error> failure;
  prng dice(options.seed);
  for (std::uint64_t number = 0; number < options.key_space; ++number) {
    const kv::operation op = set_of(options, number, dice);
    std::unique_lock guard(mutex);
    changed.wait(guard, [&] { return under_way < at_once; });
    if (failure) break;
    ++under_way;
    guard.unlock();
    const auto began = clock::now();
    client.submit(op, [&, began, asked = history != nullptr ? op : kv::operation()](const kv::operation_response& response) {
      if (history != nullptr) history->note(asked, began, response);
      const std::lock_guard inner(mutex);
      --under_way;
      if (const auto* e = std::get_if<error>(&response)) failure = *e;
      changed.notify_all();
    });
  }
  std::unique_lock guard(mutex);
  changed.wait(guard, [&] { return under_way == 0; });
  if (failure) return *failure;
  return options.key_space;
}

load_report run_load(client::client& client, const bench_options& options, history_file* history,
                     const std::function<void(std::chrono::seconds, std::uint64_t)>& progress) {
  return load(client, options, history).run(progress);
}

}  // namespace kahuna::bench
