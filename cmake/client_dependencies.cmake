# What the client library needs of Debian's packages; installed with it, for find_package(kahuna).
find_package(Threads REQUIRED)

# Debian's libcaf-dev has neither a CMake package nor a pkg-config file.
find_path(CAF_INCLUDE_DIR caf/all.hpp REQUIRED)
file(STRINGS "${CAF_INCLUDE_DIR}/caf/config.hpp" caf_version_line REGEX "#define CAF_VERSION [0-9]+")
if(NOT caf_version_line MATCHES "CAF_VERSION 1706")
  message(FATAL_ERROR "CAF 0.17.6 is needed (Debian 12: apt install libcaf-dev), found: ${caf_version_line}")
endif()
foreach(component core io)
  find_library(CAF_LIBRARY_${component} caf_${component} REQUIRED)
  add_library(CAF::${component} UNKNOWN IMPORTED)
  set_target_properties(CAF::${component} PROPERTIES
    IMPORTED_LOCATION "${CAF_LIBRARY_${component}}"
    INTERFACE_INCLUDE_DIRECTORIES "${CAF_INCLUDE_DIR}")
endforeach()
set_property(TARGET CAF::core PROPERTY INTERFACE_LINK_LIBRARIES Threads::Threads)
set_property(TARGET CAF::io PROPERTY INTERFACE_LINK_LIBRARIES CAF::core)

# A library without a CMake package of its own: its header must be there, and it is linked by name.
function(kahuna_import name header)
  cmake_parse_arguments(arg "" "" "LIBRARIES;DEFINITIONS" ${ARGN})
  find_path(${name}_INCLUDE_DIR ${header} REQUIRED)
  add_library(${name} INTERFACE IMPORTED)
  target_include_directories(${name} SYSTEM INTERFACE ${${name}_INCLUDE_DIR})
  target_link_libraries(${name} INTERFACE ${arg_LIBRARIES})
  target_compile_definitions(${name} INTERFACE ${arg_DEFINITIONS})
endfunction()

kahuna_import(xxhash xxhash.h)
kahuna_import(boost_serialization boost/serialization/version.hpp)
