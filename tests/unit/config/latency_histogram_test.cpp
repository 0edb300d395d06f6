#define CAF_SUITE latency_histogram
#include "caf/test/unit_test.hpp"

#include <algorithm>

#include "bench/latency_histogram.hpp"
#include "core/base/prng.hpp"

using kahuna::prng;
using kahuna::bench::latency_histogram;
using std::chrono::microseconds;

CAF_TEST(percentiles are those of the sorted values to a thousandth) {
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    prng dice(seed);
    latency_histogram histogram;
    std::vector<std::int64_t> values;
    for (auto count = dice.between(1, 3000); count > 0; --count) {
      values.push_back(static_cast<std::int64_t>(dice.below(std::uint64_t{1} << dice.between(1, 29))));
      histogram.record(microseconds(values.back()));
    }
    std::sort(values.begin(), values.end());
    for (const double percent : {0.0, 1.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
      const auto rank = std::max<std::size_t>(1, static_cast<std::size_t>(percent / 100 * static_cast<double>(values.size()) + 0.5));
      const auto exact = static_cast<double>(values[rank - 1]);
      const auto found = static_cast<double>(histogram.percentile(percent).count());
      CAF_CHECK(found >= exact && found <= exact * 1.001 + 0.5);
    }
    CAF_CHECK_EQUAL(histogram.max().count(), values.back());
  }
}

CAF_TEST(merging is recording everything in one) {
  latency_histogram one, other, both;
  for (int i = 0; i < 1000; ++i) {
    (i % 3 == 0 ? one : other).record(microseconds(i * 37));
    both.record(microseconds(i * 37));
  }
  one.merge(other);
  CAF_CHECK_EQUAL(one.count(), 1000u);
  CAF_CHECK(one.percentile(99) == both.percentile(99));
  CAF_CHECK(one.max() == both.max());
}

CAF_TEST(extremes are counted and nothing is zero) {
  latency_histogram histogram;
  CAF_CHECK_EQUAL(histogram.percentile(50).count(), 0);
  histogram.record(microseconds(-5));
  histogram.record(std::chrono::hours(99));
  CAF_CHECK_EQUAL(histogram.count(), 2u);
  CAF_CHECK_EQUAL(histogram.percentile(100).count(), 1'000'000'000);
}
