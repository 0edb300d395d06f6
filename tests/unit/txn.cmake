kahuna_test(unit_txn
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/txn/lock_table_test.cpp
  DEPENDS core_txn LABELS unit)
