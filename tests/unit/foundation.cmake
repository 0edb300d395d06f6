kahuna_test(unit_base
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/base/base_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/routing/partition_map_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/routing/next_hop_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/routing/placement_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/routing/membership_core_test.cpp
  DEPENDS core_base core_routing LABELS unit)
kahuna_test(unit_messages
  SOURCES
    ${CMAKE_CURRENT_SOURCE_DIR}/messages/batch_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/messages/codec_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/messages/frame_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/messages/handshake_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/messages/held_messages_test.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/messages/network_turns_test.cpp
  DEPENDS connection LABELS unit)
kahuna_test(unit_layering
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/layering/layering_test.cpp
  DEPENDS core_base LABELS unit)
target_compile_definitions(unit_layering PRIVATE KAHUNA_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
