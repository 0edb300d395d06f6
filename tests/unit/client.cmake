kahuna_test(unit_client
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/client/client_core_test.cpp
          ${CMAKE_CURRENT_SOURCE_DIR}/client/transaction_test.cpp
          ${CMAKE_CURRENT_SOURCE_DIR}/client/transaction_attempts_test.cpp
          ${CMAKE_CURRENT_SOURCE_DIR}/client/cluster_overview_test.cpp
          ${CMAKE_CURRENT_SOURCE_DIR}/client/hostile_node_test.cpp
  DEPENDS client LABELS unit)
