#include "bench/micro/microbench.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "core/base/prng.hpp"

namespace kahuna::microbench {

namespace {

prng& dice() {
  static prng dice(1);
  return dice;
}

}  // namespace

std::string key_of(std::uint64_t number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "key-%08llu", static_cast<unsigned long long>(number));
  return text.data();
}

const shared_bytes& any_value() {
  static const auto values = [] {
    std::vector<shared_bytes> drawn;
    for (int i = 0; i < 256; ++i) {
      std::string bytes(value_bytes, ' ');
      for (auto& byte : bytes) byte = static_cast<char>(dice().between('!', '~'));
      drawn.emplace_back(std::move(bytes));
    }
    return drawn;
  }();
  return values[dice().below(values.size())];
}

kv::set_request any_set() {
  kv::set_request set;
  set.key = key_of(dice().below(key_count));
  set.value = any_value();
  return set;
}

kv::write_batch batch_of_sets(std::size_t count) {
  static std::uint64_t last_number = 0;
  const auto first_stamp = timestamp_at(wall_ms) + last_number;
  kv::write_batch batch;
  for (std::uint64_t i = 1; i <= count; ++i) {
    const auto stamp = first_stamp + i;
    const auto revision = static_cast<std::int64_t>(++last_number);
    const auto set = any_set();
    batch.stamp = stamp;
    batch.mutations.push_back({set.key, {revision, false, stamp, stamp, 0, set.value}});
    // Other clients than those of partition.cpp, whose sequences these are not.
    batch.windows.push_back({0x2345'6789'ABCD'0000 + i, last_number, {{last_number, true, revision, stamp}}});
  }
  return batch;
}

void report_per_operation(benchmark::State& state, std::uint64_t operations) {
  using benchmark::Counter;
  state.counters["per_op"] = Counter(static_cast<double>(operations), Counter::kIsRate | Counter::kInvert);
}

scratch_directory::scratch_directory() {
  auto name = (std::filesystem::temp_directory_path() / "kahuna-microbench-XXXXXX").string();
  KAHUNA_CHECK(::mkdtemp(name.data()) != nullptr, name);
  path_ = name;
}

scratch_directory::~scratch_directory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void fail(const error& what) { KAHUNA_CHECK(false, what.message); }

}  // namespace kahuna::microbench
