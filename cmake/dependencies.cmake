# Everything that comes from Debian's packages, as imported targets. Their headers are SYSTEM: our warnings are for our code.
include(${CMAKE_CURRENT_LIST_DIR}/client_dependencies.cmake)
find_package(Boost 1.74 REQUIRED COMPONENTS program_options serialization)

# RocksDB and the allocator are linked into the programs: without a jump through a table for each call and each look at a thread's own variables
# a write takes 0.95 of the time (docs/performance.md).
kahuna_import(rocksdb rocksdb/db.h LIBRARIES -l:librocksdb.a -lsnappy -lz -lbz2 -llz4 -lzstd Threads::Threads)
kahuna_import(isal isa-l/crc.h LIBRARIES -lisal)
kahuna_import(httplib httplib.h LIBRARIES -lcpp-httplib Threads::Threads)
kahuna_import(nlohmann_json nlohmann/json.hpp)
kahuna_import(spdlog spdlog/spdlog.h LIBRARIES -lspdlog -lfmt DEFINITIONS SPDLOG_COMPILED_LIB SPDLOG_FMT_EXTERNAL)
# The node's allocator: what it no longer needs goes back to the system, which glibc's keeps. Sanitizers bring their own.
if(NOT KAHUNA_SANITIZE)
  kahuna_import(jemalloc jemalloc/jemalloc.h LIBRARIES -l:libjemalloc.a -lm Threads::Threads)
endif()
kahuna_import(prometheus prometheus/registry.h LIBRARIES -lprometheus-cpp-core)
kahuna_import(readline readline/readline.h LIBRARIES -lreadline)
