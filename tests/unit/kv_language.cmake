kahuna_test(unit_command_language
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/kv_language/command_language_test.cpp
  DEPENDS core_kv LABELS unit)
