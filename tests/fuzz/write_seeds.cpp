// fuzz_seeds DIRECTORY: writes every target's seeds, as DIRECTORY/<target>/seed-<number>.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/fuzz/fuzz_target.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("fuzz_seeds DIRECTORY\n", stderr);
    return 2;
  }
  for (const auto& target : kahuna::fuzz::all_targets()) {
    const auto directory = std::filesystem::path(argv[1]) / target.name;
    std::filesystem::create_directories(directory);
    int number = 0;
    for (const auto& seed : target.seeds()) {
      std::ofstream out(directory / ("seed-" + std::to_string(number++)), std::ios::binary);
      out << seed;
      out.close();
      if (!out) {
        std::fprintf(stderr, "%s: can't be written\n", directory.c_str());
        return 1;
      }
    }
  }
  return 0;
}
