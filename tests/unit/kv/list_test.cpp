#define CAF_SUITE lists
#include "caf/test/unit_test.hpp"

#include <map>

#include "core/base/prng.hpp"
#include "core/kv/operations/list.hpp"
#include "core/routing/partition_map.hpp"
#include "persistence/data_store.hpp"
#include "persistence/memory_store.hpp"

using namespace kahuna;
using namespace kahuna::kv;

namespace {

struct fixture {
  fixture() {
    auto opened = persistence::data_store::open(std::make_shared<persistence::memory_store>(), partition_id{3}, [](const error& e) {
      CAF_FAIL(e.message);
    });
    store = std::move(*opened);
  }

  void put(const std::string& key, std::int64_t revision, const std::string& value, std::uint64_t expires_at_ms = 0, bool is_tombstone = false) {
    ++stamp;
    const std::vector<mutation> mutations{{key, {revision, is_tombstone, timestamp{stamp}, timestamp{stamp}, expires_at_ms, value}}};
    store->apply({store->applied_index() + 1, timestamp{stamp}, &mutations});
  }

  std::string bucket(const std::string& name, const std::string& after = "", std::uint32_t limit = 0, read_view view = {}) {
    get_by_bucket_request request;
    request.bucket = name;
    request.after = after;
    request.limit = limit;
    request.view = view;
    return text(evaluate(request, *store, chosen(view)));
  }

  read_view chosen(read_view view = {}) const { return view.visible == timestamp{} ? read_view{store->applied_stamp(), 100} : view; }

  std::string scan(const std::string& prefix) {
    scan_by_prefix_request request;
    request.prefix = prefix;
    return text(evaluate(request, *store, chosen()));
  }

  static std::string text(const result<list_page>& page) {
    if (!page) return page.error().message;
    std::string out;
    for (const auto& item : page->response.items) out += item.key + '=' + item.value.str() + ' ';
    return out + (page->response.has_more ? "more" : "end");
  }

  std::unique_ptr<persistence::data_store> store;
  std::uint64_t stamp = 0;
};

}  // namespace

CAF_TEST_FIXTURE_SCOPE(list_tests, fixture)

CAF_TEST(a bucket lists its own live keys in order) {
  put("a/k2", 0, "2");
  put("a/k1", 0, "1");
  put("a/k1", 1, "1b");
  put("a/gone", 0, "x");
  put("a/gone", 0, "", 0, true);
  put("a/expired", 0, "x", 100);
  put("a/later", 0, "x", 101);
  put("a/b/deeper", 0, "x");
  put("ab", 0, "x");
  put("a", 0, "x");
  put("a//k", 0, "slash");
  CAF_CHECK_EQUAL(bucket("a"), "a/k1=1b a/k2=2 a/later=x end");
  CAF_CHECK_EQUAL(bucket("a/b"), "a/b/deeper=x end");
  CAF_CHECK_EQUAL(bucket("a/"), "a//k=slash end");
  CAF_CHECK_EQUAL(bucket("nothing"), "end");
}

CAF_TEST(a scan lists all live keys with the prefix but the reserved ones) {
  put("a/k", 0, "1");
  put("ab", 0, "2");
  put("b", 0, "3");
  put("__kahuna:partition_map", 0, "x");
  put("__visible", 0, "4");
  CAF_CHECK_EQUAL(scan("a"), "a/k=1 ab=2 end");
  CAF_CHECK_EQUAL(scan("_"), "__visible=4 end");
  CAF_CHECK_EQUAL(scan("c"), "end");
}

CAF_TEST(limit and after cut a list and go on with it) {
  for (int i = 0; i < 5; ++i) put("a/k" + std::to_string(i), 0, "v");
  CAF_CHECK_EQUAL(bucket("a", "", 2), "a/k0=v a/k1=v more");
  CAF_CHECK_EQUAL(bucket("a", "a/k1", 2), "a/k2=v a/k3=v more");
  CAF_CHECK_EQUAL(bucket("a", "a/k3", 2), "a/k4=v end");
  CAF_CHECK_EQUAL(bucket("a", "a/k4", 2), "end");
  // A list that ends exactly at its limit has no more.
  CAF_CHECK_EQUAL(bucket("a", "", 5), "a/k0=v a/k1=v a/k2=v a/k3=v a/k4=v end");
}

CAF_TEST(the pages of one view are one consistent read) {
  put("a/k1", 0, "1");
  put("a/k2", 0, "2");
  put("a/k3", 0, "3");
  get_by_bucket_request request;
  request.bucket = "a";
  request.limit = 1;
  const auto view = chosen();
  const auto first = evaluate(request, *store, view);
  CAF_REQUIRE(first.has_value());
  put("a/k2", 1, "2 changed");
  put("a/k3", 0, "", 0, true);
  put("a/k4", 0, "new");
  CAF_CHECK_EQUAL(bucket("a", first->response.continue_after, 0, first->response.view), "a/k2=2 a/k3=3 end");
  CAF_CHECK_EQUAL(bucket("a", "a/k1"), "a/k2=2 changed a/k4=new end");
}

CAF_TEST(a page ends where enough keys were looked at and the list goes on behind it) {
  for (std::size_t i = 0; i < page_keys_examined_max + 5; ++i) put("a/gone" + std::to_string(100'000 + i), 0, "", 50);
  put("a/live", 0, "v");
  get_by_bucket_request request;
  request.bucket = "a";
  auto page = evaluate(request, *store, chosen());
  CAF_REQUIRE(page.has_value());
  CAF_CHECK(page->response.items.empty());
  CAF_CHECK(!page->response.has_more);
  CAF_CHECK_EQUAL(+page->expired_ms, 50u);
  request.after = page->response.continue_after;
  CAF_CHECK_EQUAL(request.after, "a/gone" + std::to_string(100'000 + page_keys_examined_max - 1));
  page = evaluate(request, *store, chosen());
  CAF_CHECK_EQUAL(text(page), "a/live=v end");
  CAF_CHECK(page->response.continue_after.empty());
}

CAF_TEST(a page is cut by the bytes that it looked at) {
  for (int i = 0; i < 50; ++i) put("a/gone" + std::to_string(100 + i), 0, std::string(200'000, 'x'), 50);
  put("a/live", 0, "v");
  get_by_bucket_request request;
  request.bucket = "a";
  const auto page = evaluate(request, *store, {timestamp{stamp}, 100});
  CAF_REQUIRE(page.has_value());
  CAF_CHECK(page->response.items.empty());
  CAF_CHECK_EQUAL(page->response.continue_after, "a/gone120");
  request.after = "a/gone149";
  CAF_CHECK_EQUAL(+evaluate(request, *store, {timestamp{stamp}, 100})->response.items.size(), 1u);
}

CAF_TEST(keys that a view does not see are looked at too) {
  for (std::size_t i = 0; i < page_keys_examined_max + 5; ++i) put("a/new" + std::to_string(100'000 + i), 0, "");
  get_by_bucket_request request;
  request.bucket = "a";
  const auto page = evaluate(request, *store, {timestamp{1}, 100});
  CAF_REQUIRE(page.has_value());
  CAF_CHECK_EQUAL(page->response.continue_after, "a/new" + std::to_string(100'000 + page_keys_examined_max - 1));
}

CAF_TEST(pages are bounded by bytes but never empty) {
  const std::string large(600'000, 'v');
  for (int i = 0; i < 3; ++i) put("a/k" + std::to_string(i), 0, large);
  put("b/k", 0, std::string(2 * page_bytes_max, 'v'));
  get_by_bucket_request request;
  request.bucket = "a";
  auto page = evaluate(request, *store, chosen());
  CAF_REQUIRE(page.has_value());
  CAF_CHECK_EQUAL(page->response.items.size(), 1u);
  CAF_CHECK(page->response.has_more);
  CAF_CHECK_EQUAL(page->response.continue_after, "a/k0");
  request.bucket = "b";
  page = evaluate(request, *store, chosen());
  CAF_CHECK_EQUAL(page->response.items.size(), 1u);
  CAF_CHECK(!page->response.has_more);
  CAF_CHECK(page->response.continue_after.empty());
}

CAF_TEST(random buckets equal a walk over all keys) {
  prng dice(11);
  std::map<std::string, std::string> live;
  const std::string alphabet = "ab/0";
  for (int i = 0; i < 400; ++i) {
    std::string key;
    for (auto length = dice.between(1, 6); length > 0; --length) key += alphabet[dice.below(alphabet.size())];
    put(key, i, std::to_string(i));
    live[key] = std::to_string(i);
  }
  for (const std::string name : {"a", "b", "a/", "a/a", "0", "/", "//", "a/b", "ab"}) {
    std::string expected;
    for (const auto& [key, value] : live)
      if (routing::bucket_of(key) == name) expected += key + '=' + value + ' ';
    CAF_CHECK_EQUAL(bucket(name), expected + "end");
  }
}

CAF_TEST_FIXTURE_SCOPE_END()
