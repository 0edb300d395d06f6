#include "tests/support/transaction_workload.hpp"

#include <algorithm>
#include <set>
#include <sstream>

#include "core/base/check.hpp"
#include "core/kv/answer_digest.hpp"
#include "core/kv/operation_routing.hpp"
#include "core/routing/partition_map.hpp"

namespace kahuna::testing {

namespace {

constexpr std::chrono::milliseconds attempt_timeout(300);
constexpr std::int64_t visit_us = 3'000'000;
constexpr std::chrono::milliseconds transaction_timeout(3'000);

std::vector<std::uint64_t> parse(std::string_view text) {
  std::vector<std::uint64_t> list;
  std::istringstream in{std::string(text)};
  for (std::uint64_t value = 0; in >> value;) list.push_back(value);
  return list;
}

std::string print(const std::vector<std::uint64_t>& list) {
  std::string out;
  for (const auto value : list) out += (out.empty() ? "" : " ") + std::to_string(value);
  return out;
}

}  // namespace

struct transaction_workload::client {
  std::uint64_t id = 0;
  std::uint64_t next_sequence = 1;
  std::uint64_t next_transaction = 1;
  hlc clock;  // the highest stamp that it has heard of
  append_transaction work;
  std::map<std::string, std::vector<std::uint64_t>> lists;  // as the transaction sees them
  kv::transaction_header header;
  std::uint32_t number = 0;
  std::uint64_t heard = 0;
  std::vector<std::string> keys;  // still to be touched
  std::optional<std::string> reading;
  bool is_bucket = false;
  std::vector<kv::step_operation> several;  // that are under way, in one step
  instant deadline;
  std::int64_t echo_us = 0;  // the requests of the transaction come again so much later
};

// --- clients ------------------------------------------------------------------------------------------------------

std::string transaction_workload_options::describe() const {
  std::ostringstream out;
  out << "partitions " << partitions << " clients " << clients << " buckets " << buckets << " keys " << keys_per_bucket << " optimistic "
      << optimistic_percent << "% snapshots " << snapshot_percent << "% single " << single_percent << "% several " << several_percent << "% swaps " << swap_percent << "% echoes " << echo_percent << "% give up "
      << give_up_percent << '%';
  return out.str();
}

transaction_workload::transaction_workload(transaction_workload_options options, std::uint64_t seed, virtual_time& time, ask_function ask)
    : options_(options), dice_(seed), time_(time), ask_(std::move(ask)) {
  for (int i = 0; i < options_.clients; ++i) {
    clients_.push_back(std::make_unique<client>());
    clients_.back()->id = static_cast<std::uint64_t>(i) + 100;
  }
}

transaction_workload::~transaction_workload() = default;

void transaction_workload::start() {
  for (auto& c : clients_) time_.at(static_cast<std::int64_t>(dice_.below(5'000)), [this, working = c.get()] { begin_work(*working); });
}

void transaction_workload::calm_down(bool is_over) {
  is_faulty_ = false;
  is_working_ = !is_over;
}

void transaction_workload::note(const std::string& what) {
  for (const auto c : what) digest_ = (digest_ ^ static_cast<unsigned char>(c)) * 1099511628211ull;
}

std::string transaction_workload::read_final_lists() {
  for (int b = 0; b < options_.buckets; ++b)
    for (int k = 0; k < options_.keys_per_bucket; ++k) {
      const auto key = "b" + std::to_string(b) + "/k" + std::to_string(k);
      kv::partition_request read;
      read.op = kv::get_request{.key = key};
      bool is_over = false, is_answered = false;
      ask_again(*clients_.front(), read, time_.steady_now() + std::chrono::seconds(2), [&, key](const kv::operation_response& response) {
        const auto* got = std::get_if<kv::get_response>(&response);
        is_over = true;
        is_answered = got != nullptr;
        if (got != nullptr) final_lists_[key] = parse(got->value.view());
      });
      while (!is_over) time_.run(std::chrono::milliseconds(5));
      if (!is_answered) return "key " + key + " can't be read";
    }
  return "";
}

std::string transaction_workload::random_key() {
  return "b" + std::to_string(dice_.below(static_cast<std::uint64_t>(options_.buckets))) + "/k" +
         std::to_string(dice_.below(static_cast<std::uint64_t>(options_.keys_per_bucket)));
}

// Repeats the request under its identity until it is answered for good, or the deadline has passed.
void transaction_workload::ask_again(client& c, kv::partition_request request, instant deadline, response_handler done) {
  const auto partition = *kv::partition_of(routing::partition_map{0, static_cast<std::uint32_t>(options_.partitions), 1, {}}, request.op);
  const bool has_echo = c.echo_us != 0 && request.attempt == 1 && std::holds_alternative<kv::transaction_request>(request.op);
  if (has_echo) request.attempt = 2;  // the echo is the first attempt
  ask_(partition, request, attempt_timeout, c.clock, [this, &c, request, deadline, done](const kv::operation_response& response) {
    const auto* failure = std::get_if<error>(&response);
    const bool is_worth_repeating = failure != nullptr && failure->code != errc::aborted && failure->code != errc::invalid_argument;
    if (!is_worth_repeating || time_.steady_now() >= deadline) return done(response);
    time_.at(static_cast<std::int64_t>(dice_.between(1'000, 30'000)), [this, &c, request, deadline, done] {
      auto again = request;
      ++again.attempt;
      ask_again(c, again, deadline, done);
    });
  }, has_echo ? c.echo_us : 0);
}

void transaction_workload::begin_work(client& c) {
  // The first one goes away for good after a while: what is remembered of it must be kept without its help.
  const bool is_gone = &c == clients_.front().get() && clients_.size() > 3 && time_.now_us() > visit_us;
  if (!is_working_ || is_gone) return;
  ++busy_;
  c.work = {};
  c.work.began = time_.now_us();
  c.deadline = time_.steady_now() + std::chrono::duration_cast<duration>(transaction_timeout);
  const auto kind = static_cast<int>(dice_.below(100));
  if (kind < options_.single_percent) return run_single(c);
  if (kind < options_.single_percent + options_.snapshot_percent) return run_snapshot(c);
  if (dice_.chance(static_cast<std::uint64_t>(options_.swap_percent), 100)) return run_swap(c);
  run_transaction(c);
}

void transaction_workload::end_work(client& c) {
  --busy_;
  c.work.ended = time_.now_us();
  switch (c.work.ended_as) {
    case append_transaction::outcome::committed: ++committed_; break;
    case append_transaction::outcome::aborted: ++aborted_; break;
    case append_transaction::outcome::unknown: ++unknown_; break;
  }
  note(std::to_string(c.id) + ':' + std::to_string(static_cast<int>(c.work.ended_as)) + '@' + std::to_string(time_.now_us()));
  if (!c.work.reads.empty() || !c.work.appends.empty()) history_.add(std::move(c.work));
  time_.at(static_cast<std::int64_t>(dice_.below(10'000)), [this, &c] { begin_work(c); });
}

// Reads a key and appends to it if nobody has changed it since: two operations, of which the second is a transaction by itself.
void transaction_workload::run_single(client& c) {
  c.work.note = "single";
  const auto key = random_key();
  kv::partition_request read;
  read.client = c.id;
  read.op = kv::get_request{.key = key};
  ask_again(c, read, c.deadline, [this, &c, key](const kv::operation_response& response) {
    const auto* got = std::get_if<kv::get_response>(&response);
    if (got == nullptr) return end_work(c);
    auto list = parse(got->value.view());
    append_transaction seen = c.work;
    seen.reads[key] = list;
    seen.ended = time_.now_us();
    seen.ended_as = append_transaction::outcome::committed;
    history_.add(seen);
    c.work.began = time_.now_us();
    const auto value = next_value_++;
    c.work.reads[key] = list;
    c.work.appends[key] = {value};
    list.push_back(value);
    kv::partition_request write;
    write.client = c.id;
    write.sequence = c.next_sequence++;
    write.floor = write.sequence;
    write.issued_at = timestamp_at(time_.wall_now_ms());
    write.op = kv::set_request{.key = key, .value = print(list), .if_revision = got->revision};
    ask_again(c, write, c.deadline, [this, &c](const kv::operation_response& answer) {
      const auto* set = std::get_if<kv::set_response>(&answer);
      if (set != nullptr) c.work.ended_as = set->is_set ? append_transaction::outcome::committed : append_transaction::outcome::aborted;
      end_work(c);
    });
  });
}

// All partitions are asked for their clocks, and then some keys and a bucket are read as of the latest.
void transaction_workload::run_snapshot(client& c) {
  c.work.note = "snapshot";
  c.work.is_snapshot = true;
  struct round {
    std::size_t missing = 0;
    timestamp moment;
    bool has_failed = false;
  };
  auto clocks = std::make_shared<round>();
  clocks->missing = static_cast<std::size_t>(options_.partitions);
  for (int p = 0; p < options_.partitions; ++p) {
    kv::partition_request question;
    question.client = c.id;
    question.op = kv::read_clock_request{partition_id{static_cast<std::uint32_t>(p)}};
    ask_again(c, question, c.deadline, [this, &c, clocks](const kv::operation_response& response) {
      const auto* clock = std::get_if<kv::clock_response>(&response);
      if (clock != nullptr)
        clocks->moment = std::max(clocks->moment, clock->now);
      else
        clocks->has_failed = true;
      if (--clocks->missing != 0) return;
      if (clocks->has_failed) return end_work(c);
      auto reads = std::make_shared<round>();
      std::set<std::string> keys;
      for (int i = 0; i < 3; ++i) keys.insert(random_key());
      reads->missing = keys.size();
      for (const auto& key : keys) {
        kv::partition_request read;
        read.client = c.id;
        read.op = kv::get_request{.key = key, .as_of = clocks->moment};
        ask_again(c, read, c.deadline, [this, &c, key, reads](const kv::operation_response& answer) {
          const auto* got = std::get_if<kv::get_response>(&answer);
          if (got != nullptr)
            c.work.reads[key] = parse(got->value.view());
          else
            reads->has_failed = true;
          if (--reads->missing != 0) return;
          if (reads->has_failed) c.work.reads.clear();
          if (!reads->has_failed) c.work.ended_as = append_transaction::outcome::committed;
          end_work(c);
        });
      }
    });
  }
}

void transaction_workload::begin_transaction(client& c) {
  c.lists.clear();
  c.several.clear();
  c.number = 0;
  c.heard = 0;
  c.header.id = {timestamp_at(time_.wall_now_ms()), c.id, c.next_transaction++};
  c.header.anchor = routing::partition_of_key(static_cast<std::uint32_t>(options_.partitions), c.keys.back());
  c.header.locking = dice_.chance(static_cast<std::uint64_t>(options_.optimistic_percent), 100) ? kv::locking_mode::optimistic
                                                                                                : kv::locking_mode::pessimistic;
  c.echo_us = dice_.chance(static_cast<std::uint64_t>(options_.echo_percent), 100) ? static_cast<std::int64_t>(dice_.below(400'000)) : 0;
  c.header.timeout_ms = static_cast<std::uint32_t>(transaction_timeout.count());
  c.reading.reset();
  c.is_bucket = false;
  c.work.note = c.header.locking == kv::locking_mode::optimistic ? "optimistic" : "pessimistic";
}

void transaction_workload::run_transaction(client& c) {
  c.keys.clear();
  for (auto count = dice_.between(1, 4); count > 0; --count) c.keys.push_back(random_key());
  begin_transaction(c);
  next_step(c);
}

// Reads two keys, and then appends to both if nobody has changed either since: a transaction that is one step.
void transaction_workload::run_swap(client& c) {
  c.keys = {random_key(), random_key()};
  begin_transaction(c);
  c.work.note += " swap";
  auto swap = std::make_shared<kv::write_and_commit_step>();
  const auto read = [this, &c, swap](const auto& self) -> void {
    if (c.keys.empty()) {
      c.work.began = time_.now_us();
      return ask_step(c, std::move(*swap));
    }
    const auto key = c.keys.back();
    c.keys.pop_back();
    if (c.lists.contains(key)) return self(self);
    kv::partition_request get;
    get.client = c.id;
    get.op = kv::get_request{.key = key};
    ask_again(c, get, c.deadline, [this, &c, key, swap, self](const kv::operation_response& response) {
      const auto* got = std::get_if<kv::get_response>(&response);
      if (got == nullptr) {
        c.work.ended_as = append_transaction::outcome::aborted;
        return end_work(c);
      }
      c.work.reads[key] = c.lists[key] = parse(got->value.view());
      append(c, key);
      swap->writes.push_back(kv::set_request{.key = key, .value = print(c.lists[key]), .if_revision = got->revision});
      self(self);
    });
  };
  read(read);
}

void transaction_workload::append(client& c, const std::string& key) {
  const auto value = next_value_++;
  c.lists[key].push_back(value);
  c.work.appends[key].push_back(value);
}

// What it has read it may append to; and what it reads it may lock for writing, or read once more.
kv::several_step transaction_workload::draw_several(client& c) {
  kv::several_step step;
  if (c.reading && !c.is_bucket && dice_.chance(1, 2)) {
    append(c, *c.reading);
    step.operations.push_back(kv::set_request{.key = *c.reading, .value = print(c.lists[*c.reading])});
    if (dice_.chance(1, 2)) step.operations.push_back(kv::get_request{.key = *c.reading});
  }
  c.reading.reset();
  c.is_bucket = false;
  for (auto count = dice_.between(1, c.keys.size()); count > 0; --count) {
    const auto key = c.keys.back();
    c.keys.pop_back();
    if (dice_.chance(1, 4)) step.operations.push_back(kv::wanted_lock{.key = key});
    step.operations.push_back(kv::get_request{.key = key});
    c.reading = key;
  }
  c.several = step.operations;
  return step;
}

// Some of what it has read it appends to with the commit, if it still reads as it was read, which it does. Now and then it asks for what
// can't be: then nothing of the commit may be done.
kv::transaction_step transaction_workload::draw_commit(client& c) {
  kv::write_and_commit_step last;
  const bool is_with_writes = dice_.chance(static_cast<std::uint64_t>(options_.several_percent), 100);
  for (auto& [key, list] : c.lists) {
    if (!is_with_writes || dice_.chance(1, 2)) continue;
    kv::set_request set{.key = key};
    if (!list.empty() && dice_.chance(1, 3)) set.if_value = print(list);
    if (dice_.chance(1, 20)) set.if_value = shared_bytes("what nobody has written");
    append(c, key);
    set.value = print(list);
    last.writes.push_back(std::move(set));
  }
  if (last.writes.empty()) return kv::commit_step{};
  return last;
}

void transaction_workload::next_step(client& c) {
  if (is_faulty_ && dice_.chance(static_cast<std::uint64_t>(options_.give_up_percent), 100)) {
    c.work.ended_as = append_transaction::outcome::aborted;
    return end_work(c);
  }
  c.several.clear();
  if (!c.keys.empty() && dice_.chance(static_cast<std::uint64_t>(options_.several_percent), 100)) return ask_step(c, draw_several(c));
  if (c.reading && dice_.chance(2, 3)) {
    // What it has read it appends to.
    const auto key = *std::exchange(c.reading, std::nullopt);
    c.is_bucket = false;
    append(c, key);
    return ask_step(c, kv::set_request{.key = key, .value = print(c.lists[key])});
  }
  if (c.number == 0 && dice_.chance(1, 4)) {
    kv::lock_step ahead;
    for (const auto& key : c.keys) ahead.locks.push_back({.key = key, .lock = dice_.chance(1, 2) ? kv::lock_demand::shared : kv::lock_demand::exclusive});
    return ask_step(c, std::move(ahead));
  }
  if (!c.keys.empty()) {
    const auto key = c.keys.back();
    c.keys.pop_back();
    c.is_bucket = dice_.chance(1, 5);
    c.reading = key;
    if (c.is_bucket) return ask_step(c, kv::get_by_bucket_request{.bucket = std::string(routing::bucket_of(key))});
    return ask_step(c, kv::get_request{.key = key});
  }
  c.reading.reset();
  if (dice_.chance(1, 20)) return ask_step(c, kv::rollback_step{});
  ask_step(c, draw_commit(c));
}

void transaction_workload::ask_step(client& c, kv::transaction_step step) {
  const bool is_commit = kv::is_commit(step);
  const bool is_writing = std::holds_alternative<kv::write_and_commit_step>(step);
  kv::partition_request request;
  request.client = c.id;
  if (is_commit) {
    request.sequence = c.next_sequence++;
    request.floor = request.sequence;
    request.issued_at = timestamp_at(time_.wall_now_ms());
  }
  request.op = kv::transaction_request{c.header, ++c.number, c.heard, std::move(step)};
  ask_again(c, request, c.deadline, [this, &c, is_commit, is_writing](const kv::operation_response& response) {
    if (std::holds_alternative<kv::commit_response>(response)) {
      if (is_writing) ++written_and_committed_;
      c.work.ended_as = append_transaction::outcome::committed;
      return end_work(c);
    }
    const auto* failure = std::get_if<error>(&response);
    const bool is_refused = std::holds_alternative<kv::commit_refusal>(response);
    if (failure != nullptr || is_refused || std::holds_alternative<kv::rollback_response>(response)) {
      if (is_refused) ++refused_;
      // Only of a commit can it be unknown whether it was done.
      const bool is_known = !is_commit || is_refused || (failure != nullptr && failure->code == errc::aborted);
      c.work.ended_as = is_known ? append_transaction::outcome::aborted : append_transaction::outcome::unknown;
      return end_work(c);
    }
    c.heard = kv::digest_of(c.heard, response);
    take_step_answer(c, response);
    next_step(c);
  });
}

void transaction_workload::take_step_answer(client& c, const kv::operation_response& response) {
  const auto took = [&](const std::string& key, const std::vector<std::uint64_t>& list) {
    // Its own appends it sees too; what stood before them was read.
    if (const auto known = c.lists.find(key); known != c.lists.end()) {
      KAHUNA_CHECK(known->second == list, "a transaction does not see what it saw before: " + key + " had " + print(known->second) + " has " + print(list), options_.describe(), c.id, c.number, c.is_bucket, c.header.id, static_cast<int>(c.header.locking));
      return;
    }
    c.lists[key] = list;
    c.work.reads[key] = list;
  };
  if (const auto* got = std::get_if<kv::get_response>(&response)) return took(*c.reading, parse(got->value.view()));
  if (const auto* several = std::get_if<kv::several_response>(&response)) {
    ++several_;
    KAHUNA_CHECK(several->answers.size() == c.several.size(), several->answers.size(), c.several.size());
    for (std::size_t i = 0; i < c.several.size(); ++i)
      if (const auto* get = std::get_if<kv::get_request>(&c.several[i]))
        took(get->key, parse(std::get<kv::get_response>(several->answers[i]).value.view()));
  }
  const auto* page = std::get_if<kv::list_response>(&response);
  if (page == nullptr) return;
  std::map<std::string, std::vector<std::uint64_t>> found;
  for (const auto& item : page->items) found[item.key] = parse(item.value.view());
  const std::string bucket(routing::bucket_of(*c.reading));
  for (int i = 0; i < options_.keys_per_bucket; ++i) {
    const auto key = bucket + "/k" + std::to_string(i);
    took(key, found[key]);
  }
}

}  // namespace kahuna::testing
