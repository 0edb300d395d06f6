// Every combination of a set's conditions on every state of a key, against the contract's rules written down one by one;
// and the limits of every argument of every operation.
#define CAF_SUITE conditions
#include "caf/test/unit_test.hpp"

#include "core/kv/operations/delete.hpp"
#include "core/kv/operations/extend.hpp"
#include "core/kv/operations/get.hpp"
#include "core/kv/operations/set.hpp"
#include "core/kv/operations/validation.hpp"

using namespace kahuna;
using namespace kahuna::kv;

namespace {

constexpr std::uint64_t now_ms = 5'000;
const timestamp now = timestamp_at(now_ms) + 3;

std::vector<std::optional<version>> states() {
  const auto of = [](std::int64_t revision, std::uint64_t expires_at_ms, const char* value, bool is_tombstone = false) {
    return version{revision, is_tombstone, timestamp{4}, timestamp{4}, expires_at_ms, value};
  };
  return {std::nullopt,
          of(0, 0, "a"),
          of(1, 0, "b"),
          of(2, 0, ""),
          of(1, now_ms + 1, "a"),
          of(1, now_ms, "a"),
          of(2, 1, "b"),
          of(0, 0, "", true),
          of(3, 0, "", true)};
}

// One row of the table after the other, as a person would read it.
bool is_set_by_the_contract(const set_request& request, const std::optional<version>& newest) {
  const bool is_live = newest && !newest->is_tombstone && (newest->expires_at_ms == 0 || newest->expires_at_ms > now_ms);
  if (request.if_absent && is_live) return false;
  if (request.if_present && !is_live) return false;
  if (request.if_value) {
    if (!is_live) return false;
    if (newest->value.str() != request.if_value->str()) return false;
  }
  if (request.if_revision) {
    if (!is_live && *request.if_revision != -1) return false;
    if (is_live && *request.if_revision != newest->revision) return false;
  }
  return true;
}

std::string reason_of(const operation& op, const limits& bounds = {}) {
  const auto e = validate(op, bounds);
  if (!e) return "fine";
  CAF_CHECK(e->code == errc::invalid_argument);
  return e->message;
}

bool says(const std::string& message, const std::string& part) { return message.find(part) != std::string::npos; }

// Every operation with this name where it takes one.
std::vector<operation> all_with_name(const std::string& name) {
  set_request set;
  set.key = name;
  get_request get;
  get.key = name;
  exists_request exists;
  exists.key = name;
  delete_request del;
  del.key = name;
  extend_request extend;
  extend.key = name;
  get_by_bucket_request bucket;
  bucket.bucket = name;
  scan_by_prefix_request scan;
  scan.prefix = name;
  return {set, get, exists, del, extend, bucket, scan};
}

}  // namespace

CAF_TEST(every combination of conditions on every state) {
  const std::vector<std::optional<shared_bytes>> values{std::nullopt, shared_bytes("a"), shared_bytes("b"), shared_bytes("")};
  const std::vector<std::optional<std::int64_t>> revisions{std::nullopt, -1, 0, 1, 2, 3, INT64_MAX};
  int accepted = 0;
  int refused = 0;
  for (const auto& newest : states())
    for (const bool nx : {false, true})
      for (const bool xx : {false, true})
        for (const auto& cmp : values)
          for (const auto& cmprev : revisions)
            for (const std::int64_t expires_ms : {0, 70}) {
              set_request request;
              request.key = "k";
              request.value = "new";
              request.if_absent = nx;
              request.if_present = xx;
              request.if_value = cmp;
              request.if_revision = cmprev;
              request.expires_ms = expires_ms;
              const auto [response, effect] = evaluate(request, newest, now);
              CAF_REQUIRE_EQUAL(response.is_set, is_set_by_the_contract(request, newest));
              CAF_REQUIRE_EQUAL(effect.has_value(), response.is_set);
              if (response.is_set) {
                ++accepted;
                const version expected{newest ? newest->revision + 1 : 0, false, now, now,
                                       expires_ms == 0 ? 0 : now_ms + 70, "new"};
                CAF_REQUIRE(*effect == expected);
                CAF_REQUIRE((response == set_response{true, expected.revision, now}));
              } else {
                ++refused;
                const bool is_live = newest && newest->is_live(now_ms);
                CAF_REQUIRE((response == set_response{false, is_live ? newest->revision : -1, {}}));
              }
            }
  CAF_CHECK(accepted > 50);
  CAF_CHECK(refused > 50);
}

CAF_TEST(a refused delete or extend says nothing of what the key had) {
  for (const auto& newest : states()) {
    if (newest && newest->is_live(now_ms)) continue;
    delete_request del;
    del.key = "k";
    CAF_CHECK((evaluate(del, newest, now).response == delete_response{}));
    extend_request extend;
    extend.key = "k";
    extend.expires_ms = 10;
    CAF_CHECK((evaluate(extend, newest, now).response == extend_response{}));
    get_request get;
    get.key = "k";
    CAF_CHECK((evaluate(get, newest, now_ms) == get_response{}));
  }
}

CAF_TEST(the longest expiry is reached and does not wrap) {
  set_request request;
  request.key = "k";
  request.expires_ms = expires_ms_max;
  const auto effect = evaluate(request, std::nullopt, timestamp_at(1'800'000'000'000)).effect;
  CAF_REQUIRE(effect.has_value());
  CAF_CHECK_EQUAL(effect->expires_at_ms, 1'800'000'000'000u + 3'155'760'000'000u);
  CAF_CHECK(effect->is_live(effect->expires_at_ms - 1));
  CAF_CHECK(!effect->is_live(effect->expires_at_ms));
}

CAF_TEST(names have the same limits wherever they are taken) {
  for (const auto& op : all_with_name("")) CAF_CHECK(says(reason_of(op), "empty"));
  for (const auto& op : all_with_name(std::string(4096, 'n'))) CAF_CHECK_EQUAL(reason_of(op), "fine");
  for (const auto& op : all_with_name(std::string(4097, 'n'))) CAF_CHECK(says(reason_of(op), "4097"));
  for (const auto& op : all_with_name(std::string("\0", 1))) CAF_CHECK(says(reason_of(op), "NUL"));
  for (const auto& op : all_with_name(std::string("tail\0", 5))) CAF_CHECK(says(reason_of(op), "NUL"));
  for (const auto& op : all_with_name("__kahuna:")) CAF_CHECK(says(reason_of(op), "reserved"));
  for (const auto& op : all_with_name("__kahuna:map")) CAF_CHECK(says(reason_of(op), "reserved"));
  // Close to the reserved names, and bytes of every other sort.
  for (const std::string name : {"__kahuna", "__kahuna/x", "__Kahuna:x", "x__kahuna:", "/", "//", "\xff\xfe", "\x01\n ", "\xc3\xa9"})
    for (const auto& op : all_with_name(name)) CAF_CHECK_EQUAL(reason_of(op), "fine");
}

CAF_TEST(a value that is compared has the limit of one that is set) {
  set_request request;
  request.key = "k";
  request.if_value = shared_bytes(std::string(1 << 20, 'v'));
  CAF_CHECK_EQUAL(reason_of(request), "fine");
  request.if_value = shared_bytes(std::string((1 << 20) + 1, 'v'));
  CAF_CHECK(says(reason_of(request), "cmp value"));
  CAF_CHECK_EQUAL(reason_of(request, {1 << 21}), "fine");
  request.if_value = shared_bytes("");
  CAF_CHECK_EQUAL(reason_of(request, {0}), "fine");
}

CAF_TEST(numbers at the ends of their types are judged) {
  set_request request;
  request.key = "k";
  request.if_revision = INT64_MIN;
  CAF_CHECK(says(reason_of(request), "cmprev"));
  request.if_revision = INT64_MAX;
  CAF_CHECK_EQUAL(reason_of(request), "fine");
  request.expires_ms = INT64_MIN;
  CAF_CHECK(says(reason_of(request), "expiry"));
  request.expires_ms = INT64_MAX;
  CAF_CHECK(says(reason_of(request), "expiry"));
  get_request get;
  get.key = "k";
  get.at_revision = INT64_MIN;
  CAF_CHECK(says(reason_of(get), "revision"));
  get.at_revision = INT64_MAX;
  CAF_CHECK_EQUAL(reason_of(get), "fine");
}
