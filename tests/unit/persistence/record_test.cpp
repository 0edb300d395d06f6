#define CAF_SUITE record
#include "caf/test/unit_test.hpp"

#include "persistence/record.hpp"

using namespace kahuna;
using namespace kahuna::persistence;

CAF_TEST(the checksum is CRC32C) {
  CAF_CHECK_EQUAL(crc32c("123456789"), 0xE3069283u);
  CAF_CHECK_EQUAL(crc32c("1234", "56789"), 0xE3069283u);
  CAF_CHECK_EQUAL(crc32c(""), 0u);
}

CAF_TEST(every flipped bit and every other key is noticed) {
  const std::string key = "key";
  std::string record = "some record";
  seal(key, record);
  CAF_CHECK_EQUAL(std::string(*unseal(key, record)), "some record");
  for (std::size_t bit = 0; bit < 8 * record.size(); ++bit) {
    auto damaged = record;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    CAF_REQUIRE(!unseal(key, damaged));
  }
  CAF_CHECK(!unseal("kez", record));
  for (std::size_t length = 0; length < record.size(); ++length) CAF_REQUIRE(!unseal(key, std::string_view(record).substr(0, length)));
}

CAF_TEST(numbers in keys order as numbers) {
  std::string low, high;
  append_be64(low, 255);
  append_be64(high, 256);
  CAF_CHECK(low < high);
  CAF_CHECK_EQUAL(read_be64(high.data()), 256u);
  CAF_CHECK_EQUAL(printable(std::string("a\0\\b", 4)), "a\\x00\\x5cb");
}
