// A disk of a few MiB of its own, as a directory of a test: a tmpfs in a mount namespace of the test program's.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>

namespace kahuna::testing {

class small_disk {
 public:
  // Mounted on the directory, which is made. Nothing where the privilege is missing. The mount is seen by the calling thread and by what
  // it starts from then on, and ends with this object, or with the test program.
  static std::unique_ptr<small_disk> mount(const std::filesystem::path& directory, std::size_t bytes);
  ~small_disk();
  small_disk(const small_disk&) = delete;
  small_disk& operator=(const small_disk&) = delete;

  std::size_t free_bytes() const;
  // Takes what is left, but for so much.
  void fill(std::size_t left_bytes = 0);
  // Gives back what fill() took.
  void free_again();

 private:
  explicit small_disk(std::filesystem::path directory) : directory_(std::move(directory)) {}

  std::filesystem::path filler() const { return directory_ / "filler"; }

  std::filesystem::path directory_;
};

}  // namespace kahuna::testing
