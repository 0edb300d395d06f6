kahuna_test(command_language_test
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/kv_language/command_language_test.cpp
  DEPENDS core_kv LABELS unit)
