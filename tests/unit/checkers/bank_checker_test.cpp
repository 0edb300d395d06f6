#define CAF_SUITE bank_checker
#include "caf/test/unit_test.hpp"

#include "tests/checkers/bank_checker.hpp"

using namespace kahuna::testing;

namespace {

using outcome = bank_transfer::outcome;

const balances opened{{"a", 100}, {"b", 100}, {"c", 100}};

std::string wrong_total(const balances& seen) { return find_wrong_total(opened, seen).value_or(""); }
std::string wrong_balance(const std::vector<bank_transfer>& transfers, const balances& closed) {
  return find_wrong_balance(opened, transfers, closed).value_or("");
}

}  // namespace

CAF_TEST(totals) {
  CAF_CHECK_EQUAL(wrong_total(opened), "");
  CAF_CHECK_EQUAL(wrong_total({{"a", 0}, {"b", 200}, {"c", 100}}), "");
  CAF_CHECK_EQUAL(wrong_total({{"a", 90}, {"b", 100}, {"c", 100}}), "the total is 290 instead of 300");
  CAF_CHECK_EQUAL(wrong_total({{"a", 110}, {"b", 100}, {"c", 100}}), "the total is 310 instead of 300");
  CAF_CHECK_EQUAL(wrong_total({{"a", 200}, {"b", 100}}), "account c is missing");
  CAF_CHECK_EQUAL(wrong_total({{"a", -1}, {"b", 201}, {"c", 100}}), "account a is overdrawn: -1");
  CAF_CHECK_EQUAL(wrong_total({{"a", 100}, {"b", 100}, {"c", 100}, {"d", 0}}), "there are 4 accounts instead of 3");
}

CAF_TEST(balances in the end) {
  CAF_CHECK_EQUAL(wrong_balance({{"a", "b", 10, outcome::committed}}, {{"a", 90}, {"b", 110}, {"c", 100}}), "");
  // An acknowledged transfer that is not there, and an aborted one that is: the total alone would not tell.
  CAF_CHECK_EQUAL(wrong_balance({{"a", "b", 10, outcome::committed}}, opened), "account a holds 100, by its transfers it must hold 90");
  CAF_CHECK_EQUAL(wrong_balance({{"a", "b", 10, outcome::aborted}}, {{"a", 90}, {"b", 110}, {"c", 100}}),
                  "account a holds 90, by its transfers it must hold 100");
  CAF_CHECK_EQUAL(wrong_balance({{"a", "b", 10, outcome::unknown}}, opened), "");
  CAF_CHECK_EQUAL(wrong_balance({{"a", "b", 10, outcome::unknown}}, {{"a", 90}, {"b", 110}, {"c", 100}}), "");
  CAF_CHECK_EQUAL(wrong_balance({{"a", "b", 10, outcome::unknown}}, {{"a", 80}, {"b", 120}, {"c", 100}}),
                  "account a holds 80, by its transfers it must hold 90 to 100");
}
