kahuna_test(unit_kv
  SOURCES
    ${CMAKE_CURRENT_SOURCE_DIR}/kv/operations_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/kv/list_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/kv/request_window_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/kv/version_cache_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/kv/partition_core_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/kv/ephemeral_store_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/kv/history_sweep_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/kv/partition_transactions_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/kv/transaction_manager_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/kv/transaction_several_test.cpp
  DEPENDS core_kv codec persistence LABELS unit)
