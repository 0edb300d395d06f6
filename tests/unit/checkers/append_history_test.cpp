// The checker of append histories says yes to what can have happened, and to nothing else: each anomaly by its name.
#define CAF_SUITE append_history
#include "caf/test/unit_test.hpp"

#include "tests/checkers/append_history.hpp"

using namespace kahuna::testing;

namespace {

using lists = std::map<std::string, std::vector<std::uint64_t>>;
using outcome = append_transaction::outcome;

// All at the same time, unless a test says otherwise: so that only what was read and written orders them.
append_transaction committed(lists reads, lists appends, std::int64_t began = 0, std::int64_t ended = 100) {
  return {began, ended, outcome::committed, false, "", std::move(reads), std::move(appends)};
}

append_transaction with(outcome ended_as, lists reads, lists appends) {
  auto t = committed(std::move(reads), std::move(appends));
  t.ended_as = ended_as;
  return t;
}

std::string verdict(std::vector<append_transaction> transactions, const lists& final_lists) {
  append_history history;
  for (auto& t : transactions) history.add(std::move(t));
  return history.check(final_lists);
}

#define CHECK_VERDICT(found, anomaly)                                                                      \
  do {                                                                                                     \
    const std::string verdict_found = (found);                                                             \
    if (!verdict_found.starts_with(anomaly)) CAF_ERROR("expected " << (anomaly) << ", found " << verdict_found); \
  } while (false)

}  // namespace

CAF_TEST(what can have happened is accepted) {
  CAF_CHECK_EQUAL(verdict({}, {}), "");
  CAF_CHECK_EQUAL(verdict({committed({{"x", {}}}, {{"x", {1}}}, 0, 10), committed({{"x", {1}}}, {{"x", {2}}}, 11, 20),
                           committed({{"x", {1, 2}}, {"y", {}}}, {}, 21, 30)},
                          {{"x", {1, 2}}}),
                  "");
  // At the same time, in the order that nobody would guess from their beginnings.
  CAF_CHECK_EQUAL(verdict({committed({{"x", {2}}}, {{"x", {1}}}, 0, 100), committed({{"x", {}}}, {{"x", {2}}}, 50, 60)}, {{"x", {2, 1}}}), "");
  // Several values of one transaction, next to each other.
  CAF_CHECK_EQUAL(verdict({committed({{"x", {}}}, {{"x", {1, 2}}}), committed({{"x", {1, 2}}}, {{"x", {3}}})}, {{"x", {1, 2, 3}}}), "");
}

CAF_TEST(what ended with an unknown outcome may have been done or not) {
  CAF_CHECK_EQUAL(verdict({with(outcome::unknown, {{"x", {}}}, {{"x", {1}}})}, {}), "");
  CAF_CHECK_EQUAL(verdict({with(outcome::unknown, {{"x", {}}}, {{"x", {1}}})}, {{"x", {1}}}), "");
  // But then as a whole.
  CHECK_VERDICT(verdict({with(outcome::unknown, {{"x", {}}, {"y", {}}}, {{"x", {1}}, {"y", {2}}})}, {{"x", {1}}}), "lost write");
}

CAF_TEST(a dirty write) {
  CHECK_VERDICT(verdict({committed({}, {{"x", {1}}, {"y", {11}}}), committed({}, {{"x", {2}}, {"y", {12}}})}, {{"x", {1, 2}}, {"y", {12, 11}}}),
                "dirty write");
}

CAF_TEST(an aborted write and an aborted read) {
  CHECK_VERDICT(verdict({with(outcome::aborted, {}, {{"x", {1}}})}, {{"x", {1}}}), "aborted write");
  CHECK_VERDICT(verdict({with(outcome::aborted, {}, {{"x", {1}}}), committed({{"x", {1}}}, {})}, {}), "aborted read");
}

CAF_TEST(an intermediate read) {
  CHECK_VERDICT(verdict({committed({}, {{"x", {1, 2}}}), committed({{"x", {1}}}, {})}, {{"x", {1, 2}}}), "intermediate read");
}

CAF_TEST(circular information flow) {
  CHECK_VERDICT(verdict({committed({{"y", {12}}}, {{"x", {1}}}), committed({{"x", {1}}}, {{"y", {12}}})}, {{"x", {1}}, {"y", {12}}}),
                "circular information flow");
}

CAF_TEST(read skew) {
  CHECK_VERDICT(verdict({committed({}, {{"x", {1}}, {"y", {11}}}), committed({{"x", {}}, {"y", {11}}}, {})}, {{"x", {1}}, {"y", {11}}}),
                "read skew");
}

CAF_TEST(write skew) {
  CHECK_VERDICT(verdict({committed({{"x", {}}, {"y", {}}}, {{"x", {1}}}), committed({{"x", {}}, {"y", {}}}, {{"y", {11}}})},
                        {{"x", {1}}, {"y", {11}}}),
                "write skew");
  // Of three, each of which reads what the next one writes.
  CHECK_VERDICT(verdict({committed({{"y", {}}}, {{"x", {1}}}), committed({{"z", {}}}, {{"y", {2}}}), committed({{"x", {}}}, {{"z", {3}}})},
                        {{"x", {1}}, {"y", {2}}, {"z", {3}}}),
                "write skew");
}

CAF_TEST(a lost update) {
  // Both read nothing; the second one's value stands behind the first one's, which it has not seen.
  CHECK_VERDICT(verdict({committed({{"x", {}}}, {{"x", {1}}}), committed({{"x", {}}}, {{"x", {2}}})}, {{"x", {1, 2}}}), "lost update");
  // The first one's value is gone.
  CHECK_VERDICT(verdict({committed({{"x", {}}}, {{"x", {1}}}), committed({{"x", {}}}, {{"x", {2}}})}, {{"x", {2}}}), "lost write");
}

CAF_TEST(a real time violation) {
  // Serializable, but not strictly: the reader began after the writer had been answered.
  CHECK_VERDICT(verdict({committed({}, {{"x", {1}}}, 0, 10), committed({{"x", {}}}, {}, 11, 20)}, {{"x", {1}}}), "real-time violation");
  // By way of one that had ended between: neither read nor wrote what the others did.
  CHECK_VERDICT(verdict({committed({}, {{"x", {1}}}, 0, 10), committed({}, {{"y", {9}}}, 11, 20), committed({{"x", {}}}, {}, 21, 30)},
                        {{"x", {1}}, {"y", {9}}}),
                "real-time violation");
  // A write of unknown outcome has no end, but a beginning.
  CHECK_VERDICT(verdict({committed({{"x", {1}}}, {}, 0, 10),
                         {11, 20, outcome::unknown, false, "", {}, {{"x", {1}}}}},
                        {{"x", {1}}}),
                "real-time violation");
}

CAF_TEST(reads as of a moment see one moment and all that had ended before) {
  const auto snapshot = [](lists reads, std::int64_t began, std::int64_t ended) {
    auto t = committed(std::move(reads), {}, began, ended);
    t.is_snapshot = true;
    return t;
  };
  const auto first = committed({}, {{"x", {1}}}, 0, 10);
  const auto second = committed({}, {{"y", {2}}}, 11, 20);
  const lists all{{"x", {1}}, {"y", {2}}};
  CAF_CHECK_EQUAL(verdict({first, second, snapshot({{"x", {1}}, {"y", {2}}}, 21, 30)}, all), "");
  // Begun while they were under way: of two that know nothing of each other either may be the one that is seen.
  CAF_CHECK_EQUAL(verdict({first, second, snapshot({{"x", {}}, {"y", {2}}}, 5, 30)}, all), "");
  CHECK_VERDICT(verdict({first, second, snapshot({{"x", {}}, {"y", {2}}}, 11, 30)}, all), "real-time violation");
  // Of what one transaction wrote everything or nothing.
  CHECK_VERDICT(verdict({committed({}, {{"x", {1}}, {"y", {2}}}), snapshot({{"x", {}}, {"y", {2}}}, 0, 100)}, all), "read skew");
}

CAF_TEST(values that nobody wrote and lists that never were) {
  CAF_CHECK(verdict({}, {{"x", {7}}}).find("nobody wrote") != std::string::npos);
  CAF_CHECK(!verdict({committed({{"x", {7}}}, {})}, {}).empty());
  CAF_CHECK(!verdict({committed({}, {{"x", {1}}}), committed({}, {{"x", {2}}}), committed({{"x", {2, 1}}}, {})}, {{"x", {1, 2}}}).empty());
  // One transaction's values with another's between them.
  CHECK_VERDICT(verdict({committed({}, {{"x", {1, 3}}}), committed({}, {{"x", {2}}})}, {{"x", {1, 2, 3}}}), "lost write");
}
