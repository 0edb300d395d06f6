#define CAF_SUITE request_window
#include "caf/test/unit_test.hpp"

#include <map>

#include "core/base/prng.hpp"
#include "core/kv/request_window.hpp"

using namespace kahuna;
using namespace kahuna::kv;

namespace {

using verdict = request_window::verdict;

timestamp at_ms(std::uint64_t ms) { return timestamp_at(ms); }

}  // namespace

CAF_TEST(an accepted write is answered again with its own result) {
  request_window window;
  window.apply({{7, 1, {{3, true, 10, at_ms(5)}}}}, at_ms(5));
  const auto found = window.lookup(7, 3);
  CAF_CHECK(found.what == verdict::answered);
  CAF_CHECK_EQUAL(found.result.revision, 10);
  CAF_CHECK(window.lookup(7, 2).what == verdict::fresh);
  CAF_CHECK(window.lookup(7, 4).what == verdict::fresh);
  CAF_CHECK(window.lookup(8, 3).what == verdict::fresh);
}

CAF_TEST(what is below the floor is forgotten and the floor never falls) {
  request_window window;
  window.apply({{7, 1, {{3, true, 10, {}}, {4, true, 11, {}}}}}, at_ms(5));
  window.apply({{7, 4, {{5, true, 12, {}}}}}, at_ms(6));
  CAF_CHECK(window.lookup(7, 3).what == verdict::forgotten);
  CAF_CHECK(window.lookup(7, 4).what == verdict::answered);
  CAF_CHECK_EQUAL(window.results_of(7, 0), 2u);
  window.apply({{7, 2, {}}}, at_ms(7));
  CAF_CHECK(window.lookup(7, 3).what == verdict::forgotten);
}

CAF_TEST(a client that was not heard of for the retention is forgotten) {
  request_window window;
  window.apply({{1, 1, {{1, true, 0, {}}}}}, at_ms(0));
  window.apply({{2, 1, {{1, true, 0, {}}}}}, at_ms(request_window::retention_ms));
  CAF_CHECK(window.has_client(1));
  window.apply({{2, 1, {{2, true, 1, {}}}}}, at_ms(request_window::retention_ms + 1));
  const auto changes = window.take_changes();
  CAF_CHECK(!window.has_client(1));
  CAF_CHECK_EQUAL(changes.forgotten.size(), 1u);
  CAF_CHECK_EQUAL(changes.replaced.size(), 1u);
  CAF_CHECK_EQUAL(changes.replaced[0].results.size(), 2u);
}

CAF_TEST(a window that was stored and loaded answers the same) {
  request_window window;
  prng dice(5);
  std::map<std::uint64_t, client_window> stored;
  std::uint64_t sequence = 1;
  for (std::uint64_t ms = 1; ms < 2000; ++ms) {
    const auto client = dice.between(1, 5);
    window.apply({{client, sequence > 20 ? sequence - 20 : 0, {{sequence, true, static_cast<std::int64_t>(ms), at_ms(ms)}}}}, at_ms(ms));
    ++sequence;
    if (dice.below(3) != 0 && ms != 1999) continue;
    const auto changes = window.take_changes();
    for (const auto& replaced : changes.replaced) stored[replaced.client] = replaced;
    for (const auto client_id : changes.forgotten) stored.erase(client_id);
  }
  request_window loaded;
  std::vector<client_window> windows;
  for (const auto& [client, one] : stored) windows.push_back(one);
  loaded.load(std::move(windows));
  for (std::uint64_t client = 1; client <= 6; ++client)
    for (std::uint64_t s = 1; s < sequence + 2; ++s) {
      CAF_REQUIRE(window.lookup(client, s).what == loaded.lookup(client, s).what);
      CAF_REQUIRE(window.lookup(client, s).result == loaded.lookup(client, s).result);
    }
}
