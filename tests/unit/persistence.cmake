kahuna_test(unit_persistence
  SOURCES
    ${CMAKE_CURRENT_SOURCE_DIR}/persistence/record_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/persistence/write_behind_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/persistence/ordered_store_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/persistence/raft_log_store_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/persistence/journal_end_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/persistence/data_store_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/persistence/data_directory_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/persistence/crash_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/support/process.cpp
  DEPENDS persistence LABELS unit)
target_compile_definitions(unit_persistence PRIVATE KAHUNA_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
