# find_package(kahuna): the target kahuna::client, and what it needs.
include("${CMAKE_CURRENT_LIST_DIR}/client_dependencies.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/kahunaTargets.cmake")
