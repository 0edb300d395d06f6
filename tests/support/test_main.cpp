// The main() of CAF's test framework, compiled once for all test programs.
#include "caf/test/unit_test_impl.hpp"
