kahuna_test(unit_checkers
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/checkers/register_checker_test.cpp
          ${CMAKE_CURRENT_SOURCE_DIR}/checkers/append_history_test.cpp
          ${CMAKE_CURRENT_SOURCE_DIR}/checkers/bank_checker_test.cpp
          ${CMAKE_CURRENT_SOURCE_DIR}/checkers/linearizability_test.cpp
          ${CMAKE_CURRENT_SOURCE_DIR}/../checkers/append_history.cpp
          ${CMAKE_CURRENT_SOURCE_DIR}/../checkers/linearizability.cpp
  DEPENDS core_base LABELS unit)
