#include "actors/fatal.hpp"

#include <unistd.h>

#include <cstdio>

namespace kahuna::actors {

void die(fatal_status status, const std::string& message) {
  std::fprintf(stderr, "kahuna-node: %s\n", message.c_str());
  std::fflush(stderr);
  ::_exit(static_cast<int>(status));
}

}  // namespace kahuna::actors
