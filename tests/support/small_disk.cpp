#include "tests/support/small_disk.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "core/base/check.hpp"

namespace kahuna::testing {

std::unique_ptr<small_disk> small_disk::mount(const std::filesystem::path& directory, std::size_t bytes) {
  // Once a program: what it mounts from here on nobody else sees.
  static const bool is_apart = ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  if (!is_apart) return nullptr;
  std::filesystem::create_directories(directory);
  const auto options = "size=" + std::to_string(bytes);
  if (::mount("none", directory.c_str(), "tmpfs", 0, options.c_str()) != 0) return nullptr;
  return std::unique_ptr<small_disk>(new small_disk(directory));
}

// Lazily: a node that a failed test left behind may still be on it.
small_disk::~small_disk() { ::umount2(directory_.c_str(), MNT_DETACH); }

std::size_t small_disk::free_bytes() const { return std::filesystem::space(directory_).available; }

void small_disk::fill(std::size_t left_bytes) {
  const int file = ::open(filler().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  KAHUNA_CHECK(file >= 0, std::strerror(errno));
  // A node may be writing meanwhile: piece by piece, until there is none left.
  off_t size = 0;
  for (std::size_t piece = 1 << 20; piece >= 4096;) {
    if (free_bytes() >= left_bytes + piece && ::posix_fallocate(file, size, static_cast<off_t>(piece)) == 0)
      size += static_cast<off_t>(piece);
    else
      piece /= 2;
  }
  ::close(file);
}

void small_disk::free_again() { std::filesystem::remove(filler()); }

}  // namespace kahuna::testing
