#define CAF_SUITE base
#include "caf/test/unit_test.hpp"

#include <set>

#include "core/base/check.hpp"
#include "core/base/deadline_wheel.hpp"
#include "core/base/backoff.hpp"
#include "core/base/errc.hpp"
#include "core/base/hlc.hpp"
#include "core/base/prng.hpp"
#include "core/base/shared_bytes.hpp"

using namespace kahuna;

CAF_TEST(the clock follows the wall and never falls) {
  hlc clock;
  const auto first = clock.tick(1000);
  CAF_CHECK(first == timestamp_at(1000));
  CAF_CHECK(clock.tick(1000) > first);
  CAF_CHECK(clock.tick(999) > timestamp_at(1000) + 1);
  CAF_CHECK(clock.tick(2000) == timestamp_at(2000));
  clock.observe(timestamp_at(3000) + 5);
  CAF_CHECK(clock.tick(2500) == timestamp_at(3000) + 6);
  clock.observe(timestamp_at(10));
  CAF_CHECK(clock.next() == timestamp_at(3000) + 7);
}

CAF_TEST(a full counter carries into the milliseconds) {
  hlc clock;
  clock.observe(timestamp_at(1000) + 0xFFFF);
  CAF_CHECK_EQUAL(unix_ms(clock.tick(1000)), 1001u);
}

CAF_TEST(a seed gives the same numbers everywhere) {
  // xoshiro256** from splitmix64 of 42, as its authors' code gives them.
  prng dice(42);
  CAF_CHECK_EQUAL(dice.next(), 1546998764402558742u);
  CAF_CHECK_EQUAL(dice.next(), 6990951692964543102u);
  CAF_CHECK_EQUAL(dice.next(), 12544586762248559009u);
}

CAF_TEST(numbers stay within their bounds and reach them) {
  prng dice(7);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const auto n = dice.between(3, 7);
    CAF_REQUIRE(n >= 3 && n <= 7);
    seen.insert(n);
  }
  CAF_CHECK_EQUAL(seen.size(), 5u);
  CAF_CHECK_EQUAL(dice.below(1), 0u);
  CAF_CHECK(!dice.chance(0, 5));
  CAF_CHECK(dice.chance(5, 5));
}

CAF_TEST(a deadline is noticed once and not before it) {
  const instant start(std::chrono::seconds(50));
  deadline_wheel wheel(start);
  wheel.add(1, start + std::chrono::milliseconds(100));
  wheel.add(2, start + std::chrono::milliseconds(5000));
  wheel.add(3, start - std::chrono::seconds(1));
  wheel.add(4, start + std::chrono::hours(5));
  std::vector<std::uint64_t> expired;
  const auto advance = [&](auto after) {
    expired.clear();
    wheel.advance(start + after, [&](std::uint64_t token) { expired.push_back(token); });
    std::sort(expired.begin(), expired.end());
  };
  advance(std::chrono::milliseconds(99));
  CAF_CHECK((expired == std::vector<std::uint64_t>{3}));
  advance(std::chrono::milliseconds(125));
  CAF_CHECK((expired == std::vector<std::uint64_t>{1}));
  // A pause longer than the wheel.
  advance(std::chrono::hours(1));
  CAF_CHECK((expired == std::vector<std::uint64_t>{2, 4}));
  advance(std::chrono::hours(2));
  CAF_CHECK(expired.empty());
  wheel.add(5, start + std::chrono::hours(2) + std::chrono::milliseconds(30));
  advance(std::chrono::hours(2) + std::chrono::milliseconds(80));
  CAF_CHECK((expired == std::vector<std::uint64_t>{5}));
}

CAF_TEST(bytes are shared and compared as bytes) {
  const shared_bytes a(std::string("x\0y", 3));
  const auto b = a;
  CAF_CHECK(a.view().data() == b.view().data());
  CAF_CHECK(a == shared_bytes(std::string("x\0y", 3)));
  CAF_CHECK_EQUAL(a.size(), 3u);
  CAF_CHECK(shared_bytes() == shared_bytes(""));
  CAF_CHECK(shared_bytes().empty());
}

CAF_TEST(codes have the names that users see and say whether the outcome is known) {
  CAF_CHECK_EQUAL(to_string(errc::invalid_argument), "invalid_argument");
  CAF_CHECK_EQUAL(to_string(errc::data_corrupted), "data_corrupted");
  CAF_CHECK(is_outcome_unknown(errc::timeout));
  CAF_CHECK(is_outcome_unknown(errc::leadership_lost));
  CAF_CHECK(!is_outcome_unknown(errc::unavailable));
  CAF_CHECK(!is_errc(0));
  CAF_CHECK(is_errc(12));
  CAF_CHECK(!is_errc(13));
}

CAF_TEST(pauses grow to their bound and two who failed together part) {
  const auto ms = [](int n) { return std::chrono::milliseconds(n); };
  prng dice(1);
  std::vector<duration> first(12, duration::max()), last(12, duration::zero());
  for (int run = 0; run < 2000; ++run) {
    backoff pauses(ms(20), ms(1000));
    for (std::size_t i = 0; i < first.size(); ++i) {
      const auto pause = pauses.next(dice);
      first[i] = std::min(first[i], pause);
      last[i] = std::max(last[i], pause);
    }
    pauses.reset();
    CAF_CHECK(pauses.next(dice) <= ms(40));
  }
  const int bounds[] = {40, 80, 160, 320, 640, 1000, 1000};
  for (std::size_t i = 0; i < std::size(bounds); ++i) {
    CAF_CHECK(first[i] >= ms(20));
    CAF_CHECK(last[i] <= ms(bounds[i]));
    // Drawn over the whole of it.
    CAF_CHECK(first[i] < ms(20) + ms(bounds[i]) / 20);
    CAF_CHECK(last[i] > ms(bounds[i]) * 19 / 20);
  }
}

CAF_TEST(a failed check says what and where) {
  static std::string said;
  set_check_handler([](const char* file, int, const char* expression, const std::string& values) {
    said = std::string(file) + ' ' + expression + values;
    throw std::runtime_error(said);
  });
  const int a = 1;
  bool has_failed = false;
  try {
    KAHUNA_CHECK(a == 2, "a is", a);
  } catch (const std::runtime_error&) {
    has_failed = true;
  }
  set_check_handler(nullptr);
  CAF_CHECK(has_failed);
  CAF_CHECK(said.find("a == 2 a is 1") != std::string::npos);
}
