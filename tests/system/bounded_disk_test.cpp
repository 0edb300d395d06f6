// Endless overwriting of the same keys: the log and the data of every node stay bounded on disk, however much was written.
//
// KAHUNA_FULL: ten minutes of it, some GiB. The short form writes little more than what may be there at any time: it sees a log that is
// never shortened, and data that grows beyond what was written.
#define CAF_SUITE system_bounded_disk
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/base/prng.hpp"
#include "tests/support/cluster_fixture.hpp"
#include "tests/support/register_load.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

constexpr std::size_t keys = 256;
constexpr std::size_t value_bytes = 16 << 10;
constexpr std::size_t mib = 1 << 20;

// What is kept for members that are away (64 MiB), what comes until the next flush (24 MiB), and the store's own copies of both while it
// writes them out and merges them.
constexpr std::uint64_t log_bytes_max = 300 * mib;
// What was superseded within the last 15 s and is not collected yet, at the pace below; what is live; and what the store merges.
constexpr std::uint64_t data_bytes_max = 600 * mib;
// 20 MiB/s at most, a batch being 1 MiB.
constexpr milliseconds batch_interval(50);

std::uint64_t bytes_of(const std::filesystem::path& directory) {
  std::uint64_t bytes = 0;
  std::error_code gone;
  for (std::filesystem::recursive_directory_iterator entry(directory, gone), end; entry != end; entry.increment(gone))
    if (entry->is_regular_file(gone)) bytes += entry->file_size(gone);
  return bytes;
}

}  // namespace

CAF_TEST(log and data stay bounded while the same keys are overwritten without end) {
  // Nothing compresses: then what is on disk is what was written.
  prng dice(7);
  std::string noise(value_bytes + keys, '\0');
  for (auto& byte : noise) byte = static_cast<char>(dice.below(256));
  cluster nodes({3, {"--history-max-revisions", "2"}});
  nodes.start_all_and_wait();
  auto writer = connect_or_fail(nodes.endpoints(), milliseconds(30'000));

  const auto began = steady_clock::now();
  const auto length = is_full() ? std::chrono::minutes(10) : std::chrono::seconds(15);
  auto next_look = began;
  std::uint64_t written = 0;
  std::vector<std::uint64_t> log_most(4), data_most(4);
  std::size_t looks = 0;
  auto next_batch = began;
  while (steady_clock::now() < began + length) {
    while (steady_clock::now() < next_batch) pause_briefly();
    next_batch = std::max(next_batch + batch_interval, steady_clock::now() - batch_interval);
    std::vector<kv::set_request> batch;
    for (std::size_t i = 0; i < 64; ++i) {
      const auto key = dice.below(keys);
      batch.push_back(set_of("key-" + std::to_string(key), noise.substr(dice.below(keys), value_bytes)));
    }
    for (const auto& answer : writer.set_many(std::move(batch))) {
      CAF_REQUIRE(answer.has_value());
      written += value_bytes;
    }
    if (steady_clock::now() < next_look) continue;
    next_look = steady_clock::now() + std::chrono::seconds(is_full() ? 5 : 1);
    ++looks;
    for (int node = 1; node <= nodes.size(); ++node) {
      const auto of = static_cast<std::size_t>(node);
      const auto log = bytes_of(nodes.data_directory(node) / "log");
      const auto data = bytes_of(nodes.data_directory(node) / "data");
      log_most[of] = std::max(log_most[of], log);
      data_most[of] = std::max(data_most[of], data);
      if (is_full() && looks % 12 == 0)
        CAF_MESSAGE(std::lround(elapsed_ms(began, steady_clock::now()) / 1000) << " s, " << written / mib << " MiB written: " << nodes.node_name(node)
                                                                                << " log " << log / mib << " MiB, data " << data / mib << " MiB");
    }
  }
  CAF_MESSAGE(written / mib << " MiB written over " << keys * value_bytes / mib << " MiB of keys in "
                            << std::lround(elapsed_ms(began, steady_clock::now()) / 1000) << " s");
  for (int node = 1; node <= nodes.size(); ++node) {
    const auto of = static_cast<std::size_t>(node);
    CAF_MESSAGE(nodes.node_name(node) << ": log at most " << log_most[of] / mib << " MiB, data at most " << data_most[of] / mib << " MiB, resident "
                                      << resident_bytes(nodes.process_id(node)) / mib << " MiB");
    CAF_CHECK(log_most[of] < log_bytes_max);
    CAF_CHECK(data_most[of] < data_bytes_max);
  }
  // Under a sanitizer less is written, and less proven.
  if (!is_sanitized) CAF_CHECK(written > 100 * mib);
}
