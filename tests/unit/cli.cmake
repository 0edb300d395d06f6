# The folder of a program may be missing from a configuration, and its library with it.
if(TARGET kahuna_cli)
  kahuna_test(unit_cli
    SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/cli/output_test.cpp
            ${CMAKE_CURRENT_SOURCE_DIR}/cli/cluster_report_test.cpp
            ${CMAKE_CURRENT_SOURCE_DIR}/cli/completion_test.cpp
            ${CMAKE_CURRENT_SOURCE_DIR}/cli/history_file_test.cpp
            ${CMAKE_CURRENT_SOURCE_DIR}/cli/shell_language_test.cpp
            ${CMAKE_CURRENT_SOURCE_DIR}/cli/options_test.cpp
            ${CMAKE_CURRENT_SOURCE_DIR}/cli/session_test.cpp
    DEPENDS cli LABELS unit)
endif()
