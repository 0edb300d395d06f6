// Latencies counted in a histogram of fixed size: each power of two of microseconds is cut into 1,024 equal buckets, so
// that a value is off by at most 0.1 %. Debian has no package of an HDR histogram for C or C++.
#pragma once

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdint>
#include <vector>

namespace kahuna::bench {

class latency_histogram {
 public:
  using duration = std::chrono::microseconds;

  latency_histogram() : counts_(bucket_of(value_max) + 1) {}

  // Below 0 counts as 0; above 1,000 s as 1,000 s.
  void record(duration latency) {
    const auto value = static_cast<std::uint64_t>(std::clamp<std::int64_t>(latency.count(), 0, value_max));
    ++counts_[bucket_of(value)];
    ++count_;
    max_ = std::max(max_, value);
  }

  void merge(const latency_histogram& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
  }

  std::uint64_t count() const { return count_; }
  duration max() const { return duration(static_cast<std::int64_t>(max_)); }

  // The smallest value that `percent` of all recorded ones do not exceed, to the histogram's resolution; 0 where it is
  // empty. 0 <= percent <= 100.
  duration percentile(double percent) const {
    if (count_ == 0) return duration(0);
    const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(percent / 100.0 * static_cast<double>(count_) + 0.5));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen >= rank) return duration(static_cast<std::int64_t>(std::min(highest_of(i), max_)));
    }
    return max();
  }

 private:
  static constexpr std::uint64_t value_max = 1'000'000'000;
  static constexpr unsigned sub_bits = 10;

  // Values below 2^10 have a bucket each; above, the top 10 bits behind the highest one choose it.
  static std::size_t bucket_of(std::uint64_t value) {
    if (value < (1u << sub_bits)) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - sub_bits;
    return ((static_cast<std::size_t>(shift) + 1) << sub_bits) + (value >> shift) - (1u << sub_bits);
  }

  static std::uint64_t highest_of(std::size_t bucket) {
    if (bucket < (1u << sub_bits)) return bucket;
    const auto shift = (bucket >> sub_bits) - 1;
    const auto lowest = ((bucket & ((1u << sub_bits) - 1)) + (1u << sub_bits)) << shift;
    return lowest + (1ull << shift) - 1;
  }

  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace kahuna::bench
