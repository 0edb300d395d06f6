// A library to be loaded before a node (LD_PRELOAD): syncs of its files fail, as those of a disk that is failing do.
//
// While the file exists that the environment names in FAILING_SYNC_WHILE, fsync and fdatasync of files whose path contains
// FAILING_SYNC_OF answer EIO. What was written before is lost to nobody here: that a failed sync may also have dropped it is why a
// node may not go on.
#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

bool is_to_fail(int descriptor) {
  const char* while_exists = std::getenv("FAILING_SYNC_WHILE");
  const char* of = std::getenv("FAILING_SYNC_OF");
  if (while_exists == nullptr || of == nullptr || ::access(while_exists, F_OK) != 0) return false;
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  char path[4096];
  const auto length = ::readlink(link, path, sizeof path - 1);
  if (length <= 0) return false;
  path[length] = '\0';
  return std::strstr(path, of) != nullptr;
}

using sync_function = int (*)(int);

int sync_or_fail(const char* name, int descriptor) {
  if (is_to_fail(descriptor)) {
    errno = EIO;
    return -1;
  }
  return reinterpret_cast<sync_function>(::dlsym(RTLD_NEXT, name))(descriptor);
}

}  // namespace

extern "C" int fsync(int descriptor) { return sync_or_fail("fsync", descriptor); }
extern "C" int fdatasync(int descriptor) { return sync_or_fail("fdatasync", descriptor); }
