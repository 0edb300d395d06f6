# What `cmake --install` puts where. Components: `library` (the client library) and `programs`.
include(GNUInstallDirs)

set(exported kahuna_options)
foreach(part core_base core_raft core_routing core_txn core_kv codec messages connection client)
  set_target_properties(kahuna_${part} PROPERTIES EXPORT_NAME ${part})
  list(APPEND exported kahuna_${part})
endforeach()
set_target_properties(kahuna_options PROPERTIES EXPORT_NAME options)
install(TARGETS ${exported} EXPORT kahunaTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(EXPORT kahunaTargets NAMESPACE kahuna:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kahuna COMPONENT library)

include(CMakePackageConfigHelpers)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/kahunaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/kahunaConfig.cmake cmake/client_dependencies.cmake ${CMAKE_BINARY_DIR}/kahunaConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kahuna COMPONENT library)
install(DIRECTORY core messages client DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kahuna COMPONENT library
  FILES_MATCHING PATTERN "*.hpp")
install(DIRECTORY client/examples DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT library)

install(TARGETS kahuna-node kahuna-cli kahuna-bench RUNTIME COMPONENT programs)
install(FILES config/kahuna-node.conf DESTINATION ${CMAKE_INSTALL_SYSCONFDIR}/kahuna COMPONENT programs)
