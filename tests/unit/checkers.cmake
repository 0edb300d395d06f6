kahuna_test(unit_checkers
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/checkers/register_checker_test.cpp
  DEPENDS core_base LABELS unit)
