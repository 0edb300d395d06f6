#define CAF_SUITE version_cache
#include "caf/test/unit_test.hpp"

#include "core/base/prng.hpp"
#include "core/kv/version_cache.hpp"

using namespace kahuna;
using namespace kahuna::kv;

namespace {

version of(std::int64_t revision, std::size_t bytes) { return {revision, false, {}, {}, 0, std::string(bytes, 'v')}; }

}  // namespace

CAF_TEST(it gives what was put and knows absence) {
  version_cache cache(10'000);
  CAF_CHECK(cache.find("k") == nullptr);
  cache.put("k", of(3, 10));
  CAF_REQUIRE(cache.find("k") != nullptr);
  CAF_CHECK_EQUAL((*cache.find("k"))->revision, 3);
  cache.put("k", std::nullopt);
  CAF_REQUIRE(cache.find("k") != nullptr);
  CAF_CHECK(!cache.find("k")->has_value());
  cache.drop("k");
  CAF_CHECK(cache.find("k") == nullptr);
  CAF_CHECK_EQUAL(cache.bytes(), 0u);
}

CAF_TEST(the least recently used goes first) {
  version_cache cache(3000);
  cache.put("a", of(0, 800));
  cache.put("b", of(0, 800));
  static_cast<void>(cache.find("a"));
  cache.put("c", of(0, 800));
  cache.put("d", of(0, 800));
  CAF_CHECK(cache.find("b") == nullptr);
  CAF_CHECK(cache.find("d") != nullptr);
}

CAF_TEST(it never holds more than its bound) {
  version_cache cache(5000);
  prng dice(1);
  for (int i = 0; i < 5000; ++i) {
    const auto key = "key" + std::to_string(dice.below(100));
    if (dice.chance(1, 5))
      cache.drop(key);
    else
      cache.put(key, of(i, dice.below(7000)));
    CAF_REQUIRE(cache.bytes() <= 5000);
  }
  cache.clear();
  CAF_CHECK_EQUAL(cache.bytes(), 0u);
  version_cache none(0);
  none.put("k", of(0, 1));
  CAF_CHECK(none.find("k") == nullptr);
}
