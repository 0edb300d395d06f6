kahuna_test(unit_config
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/config/node_options_test.cpp ${CMAKE_CURRENT_SOURCE_DIR}/config/latency_histogram_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/support/process.cpp
  DEPENDS config LABELS unit)
target_compile_definitions(unit_config PRIVATE KAHUNA_BIN_DIR="${CMAKE_BINARY_DIR}/bin" KAHUNA_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
  KAHUNA_PROJECT_VERSION="${PROJECT_VERSION}")
