// What is fuzzed: everything that reads bytes or text from outside the process. libFuzzer drives each target in a program
// of its own, unit_fuzz all of them with mutated seeds.
//
// A target must hold for every input: it ends soon, KAHUNA_CHECKs what it claims, and lets no exception out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kahuna::fuzz {

struct fuzz_target {
  std::string_view name;
  void (*run)(std::string_view input);
  std::vector<std::string> (*seeds)();  // valid inputs to start from
};

std::vector<fuzz_target> language_targets();
std::vector<fuzz_target> message_targets();
std::vector<fuzz_target> record_targets();
std::vector<fuzz_target> store_targets();
std::vector<fuzz_target> client_targets();
std::vector<fuzz_target> option_targets();
std::vector<fuzz_target> shell_targets();

inline std::vector<fuzz_target> all_targets() {
  std::vector<fuzz_target> all;
  for (const auto group :
       {language_targets, message_targets, record_targets, store_targets, client_targets, option_targets, shell_targets})
    for (const auto& target : group()) all.push_back(target);
  return all;
}

}  // namespace kahuna::fuzz
