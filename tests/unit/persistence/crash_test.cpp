// kill -9 of a process that writes the log: what it had reported as committed is there afterwards.
#define CAF_SUITE store_crash
#include "caf/test/unit_test.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <thread>

#include "core/base/prng.hpp"
#include "persistence/data_directory.hpp"
#include "persistence/data_store.hpp"
#include "tests/support/process.hpp"

using namespace kahuna;
using namespace kahuna::persistence;

namespace {

const partition_id p{0};

identity some_identity() {
  identity id;
  id.node = node_id{1};
  id.incarnation = 1;
  id.map = routing::form_cluster({{"n1", "h:1"}}, 1, 1);
  return id;
}

std::unique_ptr<data_directory> open_directory(const std::string& path) {
  auto result = data_directory::open(path, some_identity(), [](const error&) { std::abort(); });
  if (auto* failure = std::get_if<open_failure>(&result)) CAF_FAIL(failure->message);
  return std::move(std::get<std::unique_ptr<data_directory>>(result));
}

raft::log_entry entry(std::uint64_t index) {
  return {term_id{index / 10 + 1}, log_index{index}, raft::entry_kind::command, std::string(index % 3000, static_cast<char>('a' + index % 26))};
}

std::string key_of(std::uint64_t index) { return "k" + std::to_string(index * 7 % 10); }

// The child: appends, commits, applies, and reports each index that is committed. Never returns.
[[noreturn]] void write_for_ever(const std::string& path, int reports) {
  const auto directory = open_directory(path);
  auto store = data_store::open(directory->data(), p, [](const error&) { std::abort(); }, {600, 150});
  const auto found = directory->log()->load(p, (*store)->applied_index());
  if (!found) std::abort();
  for (auto index = found->last_index.value + 1;; ++index) {
    raft::log_write write;
    write.state = raft::hard_state{entry(index).term, node_id{1}};
    write.entries = {entry(index)};
    directory->log()->add(p, write);
    if (directory->log()->commit()) std::abort();
    if (::write(reports, &index, sizeof index) != sizeof index) std::abort();
    // As a partition would: up to what is in the log, which after a restart may be several entries.
    while ((*store)->applied_index().value < index) {
      const auto next = (*store)->applied_index() + 1;
      const std::vector<kv::mutation> mutations{{key_of(next.value), {static_cast<std::int64_t>(next.value), false, timestamp{next.value}, {}, 0, "v"}}};
      (*store)->apply({next, timestamp{next.value}, &mutations});
      if (next.value % 3 == 0) (*store)->checkpoint({});
    }
    if (index % 100 == 0) (*store)->write_out();
    if (index % 40 == 0 && directory->data()->flush()) std::abort();
  }
}

}  // namespace

CAF_TEST(what was committed survives kill minus nine) {
  if (const char* path = std::getenv("KAHUNA_CRASH_CHILD")) write_for_ever(path, std::atoi(std::getenv("KAHUNA_CRASH_REPORTS")));
  const kahuna::testing::temporary_directory temporary;
  const auto path = (temporary.path() / "data").string();
  const std::uint64_t seed = static_cast<std::uint64_t>(::getpid());
  CAF_MESSAGE("seed " << seed);
  prng dice(seed);
  std::uint64_t reported = 0;
  for (int round = 0; round < 8; ++round) {
    int pipe_ends[2];
    CAF_REQUIRE_EQUAL(::pipe(pipe_ends), 0);
    const auto child = ::fork();
    CAF_REQUIRE(child >= 0);
    if (child == 0) {
      // Started anew: RocksDB's threads do not come along into a fork.
      ::setenv("KAHUNA_CRASH_CHILD", path.c_str(), 1);
      ::setenv("KAHUNA_CRASH_REPORTS", std::to_string(pipe_ends[1]).c_str(), 1);
      ::execl("/proc/self/exe", "unit_persistence", "-n", "-s", "store_crash", static_cast<char*>(nullptr));
      ::_exit(127);
    }
    ::close(pipe_ends[1]);
    // At least one report, and then a random while.
    std::uint64_t index = 0;
    CAF_REQUIRE_EQUAL(::read(pipe_ends[0], &index, sizeof index), static_cast<ssize_t>(sizeof index));
    reported = std::max(reported, index);
    std::this_thread::sleep_for(std::chrono::microseconds(dice.below(150'000)));
    ::kill(child, SIGKILL);
    while (::read(pipe_ends[0], &index, sizeof index) == static_cast<ssize_t>(sizeof index)) reported = index;
    ::close(pipe_ends[0]);
    ::waitpid(child, nullptr, 0);

    const auto directory = open_directory(path);
    auto store = data_store::open(directory->data(), p, [](const error& e) { CAF_FAIL(e.message); });
    const auto found = directory->log()->load(p, (*store)->applied_index());
    CAF_REQUIRE(found.has_value());
    CAF_CHECK(found->last_index.value >= reported);
    CAF_CHECK(found->last_index.value <= reported + 1);
    CAF_CHECK(found->state.term >= entry(reported).term);
    const auto reader = directory->log()->reader(p);
    for (std::uint64_t i = 1; i <= found->last_index.value; ++i) {
      const auto there = reader->read(log_index{i}, log_index{i + 1}, 1);
      CAF_REQUIRE_EQUAL(there.size(), 1u);
      CAF_REQUIRE(there[0] == entry(i));
    }
    // Nothing is missing of what the applied index stands for.
    for (std::uint64_t i = 1; i <= (*store)->applied_index().value; ++i)
      CAF_CHECK((*store)->at_revision(key_of(i), static_cast<std::int64_t>(i))->has_value());
  }
  CAF_MESSAGE(reported << " entries");
}
