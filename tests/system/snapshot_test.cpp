// A member is away for longer than the others' logs reach back, and comes back.
#define CAF_SUITE system_snapshot
#include "caf/test/unit_test.hpp"

#include <filesystem>

#include "tests/support/cluster_fixture.hpp"
#include "tests/support/register_load.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

std::uint64_t bytes_of(const std::filesystem::path& directory) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
    if (std::error_code gone; entry.is_regular_file(gone)) bytes += entry.file_size(gone);
  return bytes;
}

// Overwrites a few large keys, `total` bytes in all, many at a time.
void overwrite(client::client& writer, std::size_t total) {
  const std::string value(64 << 10, 'v');
  for (std::size_t written = 0; written < total;) {
    std::vector<kv::set_request> batch;
    for (int i = 0; i < 32; ++i, written += value.size()) batch.push_back(set_of("large-" + std::to_string(i), value));
    for (const auto& answer : writer.set_many(std::move(batch))) CAF_REQUIRE(answer.has_value());
  }
}

}  // namespace

CAF_TEST(the log stays bounded while a member is away and the member gets a snapshot under load) {
  cluster nodes({3, {"--history-max-revisions", "2"}});
  nodes.start_all_and_wait();
  register_load load(nodes.endpoints());
  load.start();
  CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));
  auto writer = connect_or_fail(nodes.endpoints(), milliseconds(20'000));
  overwrite(writer, 16 << 20);
  constexpr int away = 3;
  nodes.kill(away);
  overwrite(writer, 400 << 20);
  for (int node = 1; node <= 2; ++node) {
    const auto bytes = bytes_of(nodes.data_directory(node) / "log");
    CAF_MESSAGE(nodes.node_name(node) << ": a log of " << (bytes >> 20) << " MiB after 400 MiB of writes");
    // What is kept, what comes until the next flush, and what the store of the log needs to give place back.
    CAF_CHECK(bytes < (300u << 20));
  }
  nodes.start_all_and_wait();
  CAF_CHECK_EQUAL(nodes.wait_until_caught_up(away, milliseconds(30'000)).value_or(""), "");
  CAF_CHECK(nodes.log(away).find("snapshot installed") != std::string::npos);
  CAF_REQUIRE(load.wait_for_answers(200, milliseconds(10'000)));

  // It is as good as any other: without one of those that had everything all the time, everything is there.
  nodes.kill(nodes.busiest_leader() == 1 ? 1 : 2);
  CAF_REQUIRE(load.wait_for_answers(500, milliseconds(10'000)));
  load.stop();
  auto reader = connect_or_fail(nodes.endpoints());
  for (int i = 0; i < 32; ++i) {
    const auto read = reader.get(get_of("large-" + std::to_string(i)));
    CAF_REQUIRE(read.has_value());
    CAF_CHECK_EQUAL(read->value.size(), std::size_t{64} << 10);
  }
  CAF_CHECK_EQUAL(load.counts().writes_unknown, 0u);
}
