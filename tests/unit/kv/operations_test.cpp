// The table of the contract's §2, row by row, and the checks of §1.
#define CAF_SUITE operations
#include "caf/test/unit_test.hpp"

#include "core/kv/operations/delete.hpp"
#include "core/kv/operations/exists.hpp"
#include "core/kv/operations/extend.hpp"
#include "core/kv/operations/get.hpp"
#include "core/kv/operations/set.hpp"
#include "core/kv/operations/validation.hpp"

using namespace kahuna;
using namespace kahuna::kv;

namespace {

constexpr std::uint64_t now_ms = 1'000'000;
const timestamp now = timestamp_at(now_ms) + 7;

version live(std::int64_t revision, const char* value, std::uint64_t expires_at_ms = 0) {
  return {revision, false, timestamp{5}, timestamp{5}, expires_at_ms, value};
}

// The states of a key, by what a reader sees.
struct state {
  const char* name;
  std::optional<version> newest;
  std::int64_t last_revision;  // that it ever had; -1 where none
  bool is_live;
};

std::vector<state> states() {
  auto deleted = live(4, "");
  deleted.is_tombstone = true;
  return {{"never set", std::nullopt, -1, false},
          {"deleted", deleted, 4, false},
          {"expired", live(6, "v", now_ms), 6, false},
          {"live", live(3, "v"), 3, true},
          {"live with an expiry", live(9, "v", now_ms + 1), 9, true}};
}

set_request set(const char* value) {
  set_request request;
  request.key = "k";
  request.value = value;
  return request;
}

void check_set(const state& s, const set_request& request) {
  const auto decision = evaluate(request, s.newest, now);
  CAF_CHECK(decision.response.is_set);
  CAF_CHECK_EQUAL(decision.response.revision, s.last_revision + 1);
  CAF_CHECK(decision.response.modified == now);
  CAF_REQUIRE(decision.effect.has_value());
  CAF_CHECK(decision.effect->value == request.value);
  CAF_CHECK(!decision.effect->is_tombstone);
  CAF_CHECK(decision.effect->created == now);
  CAF_CHECK_EQUAL(decision.effect->expires_at_ms, request.expires_ms == 0 ? 0 : now_ms + static_cast<std::uint64_t>(request.expires_ms));
}

void check_not_set(const state& s, const set_request& request) {
  const auto decision = evaluate(request, s.newest, now);
  CAF_CHECK(!decision.response.is_set);
  CAF_CHECK_EQUAL(decision.response.revision, s.is_live ? s.last_revision : -1);
  CAF_CHECK(!decision.effect.has_value());
}

}  // namespace

CAF_TEST(set without conditions always sets) {
  for (const auto& s : states()) {
    check_set(s, set("new"));
    check_set(s, set(""));
    auto with_expiry = set("new");
    with_expiry.expires_ms = 500;
    check_set(s, with_expiry);
  }
}

CAF_TEST(set nx sets only an absent key and xx only a live one) {
  for (const auto& s : states()) {
    auto nx = set("new");
    nx.if_absent = true;
    s.is_live ? check_not_set(s, nx) : check_set(s, nx);
    auto xx = set("new");
    xx.if_present = true;
    s.is_live ? check_set(s, xx) : check_not_set(s, xx);
  }
}

CAF_TEST(set cmp compares the value of a live key) {
  for (const auto& s : states()) {
    auto same = set("new");
    same.if_value = shared_bytes("v");
    s.is_live ? check_set(s, same) : check_not_set(s, same);
    auto other = set("new");
    other.if_value = shared_bytes("w");
    check_not_set(s, other);
    // Absence is no value, not even the empty one.
    auto empty = set("new");
    empty.if_value = shared_bytes("");
    check_not_set(s, empty);
  }
  const state holds_nothing{"live and empty", live(2, ""), 2, true};
  auto empty = set("new");
  empty.if_value = shared_bytes("");
  check_set(holds_nothing, empty);
}

CAF_TEST(set cmprev compares the revision and takes minus one for absence) {
  for (const auto& s : states()) {
    auto absent = set("new");
    absent.if_revision = -1;
    s.is_live ? check_not_set(s, absent) : check_set(s, absent);
    auto last = set("new");
    last.if_revision = s.last_revision;
    // What a deleted or expired key had once counts for nothing.
    if (s.is_live || s.last_revision == -1)
      check_set(s, last);
    else
      check_not_set(s, last);
    auto other = set("new");
    other.if_revision = s.last_revision + 1;
    if (other.if_revision != 0 || s.last_revision != -1) check_not_set(s, other);
  }
}

CAF_TEST(several conditions must all hold) {
  const state s{"live", live(3, "v"), 3, true};
  auto both = set("new");
  both.if_value = shared_bytes("v");
  both.if_revision = 3;
  both.if_present = true;
  check_set(s, both);
  auto wrong_value = both;
  wrong_value.if_value = shared_bytes("w");
  check_not_set(s, wrong_value);
  auto wrong_revision = both;
  wrong_revision.if_revision = 2;
  check_not_set(s, wrong_revision);
  auto impossible = both;
  impossible.if_present = false;
  impossible.if_absent = true;
  check_not_set(s, impossible);
}

CAF_TEST(get and exists find live keys only) {
  for (const auto& s : states()) {
    get_request get;
    get.key = "k";
    const auto got = evaluate(get, s.newest, now_ms);
    CAF_CHECK_EQUAL(got.is_found, s.is_live);
    CAF_CHECK_EQUAL(got.revision, s.is_live ? s.last_revision : -1);
    CAF_CHECK(got.value == (s.is_live ? s.newest->value : shared_bytes()));
    CAF_CHECK_EQUAL(got.expires_at_ms, s.is_live ? s.newest->expires_at_ms : 0);
    exists_request exists;
    exists.key = "k";
    const auto there = evaluate(exists, s.newest, now_ms);
    CAF_CHECK_EQUAL(there.is_found, s.is_live);
    CAF_CHECK_EQUAL(there.revision, s.is_live ? s.last_revision : -1);
  }
}

CAF_TEST(get at a revision finds what the history has) {
  CAF_CHECK(!answer_from_history(std::nullopt).is_found);
  CAF_CHECK_EQUAL(answer_from_history(std::nullopt).revision, -1);
  const auto found = answer_from_history(live(2, "old", 10));
  CAF_CHECK(found.is_found);
  CAF_CHECK_EQUAL(found.revision, 2);
  CAF_CHECK(found.value == shared_bytes("old"));
}

CAF_TEST(delete leaves a tombstone of the revision that it deleted) {
  for (const auto& s : states()) {
    delete_request request;
    request.key = "k";
    const auto decision = evaluate(request, s.newest, now);
    CAF_CHECK_EQUAL(decision.response.is_deleted, s.is_live);
    CAF_CHECK_EQUAL(decision.response.revision, s.is_live ? s.last_revision : -1);
    CAF_CHECK_EQUAL(decision.effect.has_value(), s.is_live);
    if (!s.is_live) continue;
    CAF_CHECK(decision.effect->is_tombstone);
    CAF_CHECK_EQUAL(decision.effect->revision, s.last_revision);
    CAF_CHECK(decision.effect->created == now);
    CAF_CHECK(decision.response.modified == now);
  }
}

CAF_TEST(extend moves the expiry and nothing else) {
  for (const auto& s : states())
    for (const std::int64_t ms : {0, 250}) {
      extend_request request;
      request.key = "k";
      request.expires_ms = ms;
      const auto decision = evaluate(request, s.newest, now);
      CAF_CHECK_EQUAL(decision.response.is_extended, s.is_live);
      CAF_CHECK_EQUAL(decision.response.revision, s.is_live ? s.last_revision : -1);
      CAF_CHECK_EQUAL(decision.effect.has_value(), s.is_live);
      if (!s.is_live) continue;
      CAF_CHECK_EQUAL(decision.effect->expires_at_ms, ms == 0 ? 0 : now_ms + static_cast<std::uint64_t>(ms));
      CAF_CHECK_EQUAL(decision.effect->revision, s.last_revision);
      CAF_CHECK(decision.effect->value == s.newest->value);
      CAF_CHECK(decision.effect->created == s.newest->created);
      CAF_CHECK(decision.effect->modified == now);
    }
}

CAF_TEST(a key expires at its millisecond and not before) {
  const auto v = live(0, "v", now_ms);
  CAF_CHECK(v.is_live(now_ms - 1));
  CAF_CHECK(!v.is_live(now_ms));
}

CAF_TEST(bad requests are refused with a reason) {
  const limits bounds{16};
  const auto reason_of = [&](const operation& op) {
    const auto e = validate(op, bounds);
    if (e) CAF_CHECK(e->code == errc::invalid_argument);
    return e ? e->message : std::string("fine");
  };
  const auto with_key = [](std::string key) {
    set_request request;
    request.key = std::move(key);
    return request;
  };
  CAF_CHECK_EQUAL(reason_of(with_key("k")), "fine");
  CAF_CHECK_EQUAL(reason_of(with_key(std::string(4096, 'k'))), "fine");
  CAF_CHECK(reason_of(with_key(std::string(4097, 'k'))).find("4097") != std::string::npos);
  CAF_CHECK(reason_of(with_key("")).find("empty") != std::string::npos);
  CAF_CHECK(reason_of(with_key(std::string("a\0b", 3))).find("NUL") != std::string::npos);
  CAF_CHECK(reason_of(with_key("__kahuna:x")).find("reserved") != std::string::npos);
  CAF_CHECK_EQUAL(reason_of(with_key("__kahuna")), "fine");

  auto request = with_key("k");
  request.value = std::string(16, 'v');
  CAF_CHECK_EQUAL(reason_of(request), "fine");
  request.value = std::string(17, 'v');
  CAF_CHECK(reason_of(request).find("17") != std::string::npos);

  request = with_key("k");
  request.if_absent = request.if_present = true;
  CAF_CHECK(reason_of(request).find("nx") != std::string::npos);
  request = with_key("k");
  request.if_revision = -2;
  CAF_CHECK(reason_of(request).find("cmprev") != std::string::npos);
  request.if_revision = -1;
  CAF_CHECK_EQUAL(reason_of(request), "fine");
  for (const std::int64_t ms : {std::int64_t{-1}, expires_ms_max + 1}) {
    request = with_key("k");
    request.expires_ms = ms;
    CAF_CHECK(reason_of(request).find("expiry") != std::string::npos);
    extend_request extend;
    extend.key = "k";
    extend.expires_ms = ms;
    CAF_CHECK(reason_of(extend).find("expiry") != std::string::npos);
  }
  request.expires_ms = expires_ms_max;
  CAF_CHECK_EQUAL(reason_of(request), "fine");

  get_request get;
  get.key = "k";
  get.at_revision = -1;
  CAF_CHECK(reason_of(get).find("revision") != std::string::npos);
  get.at_revision = 0;
  CAF_CHECK_EQUAL(reason_of(get), "fine");
  CAF_CHECK(reason_of(get_by_bucket_request{}).find("bucket") != std::string::npos);
  CAF_CHECK(reason_of(scan_by_prefix_request{}).find("prefix") != std::string::npos);
}
