kahuna_test(unit_raft
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/raft/configuration_test.cpp
  DEPENDS core_raft LABELS unit)
