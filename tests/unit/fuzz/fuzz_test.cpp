// Every fuzz target over mutations of its seeds, for a moment: what scripts/fuzz does for longer, guided by coverage.
// KAHUNA_SEED repeats a run.
#define CAF_SUITE fuzz
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <stdexcept>

#include "core/base/check.hpp"
#include "core/base/prng.hpp"
#include "tests/fuzz/allocation_meter.hpp"
#include "tests/fuzz/fuzz_target.hpp"

using namespace kahuna;
using namespace kahuna::fuzz;

namespace {

std::uint64_t chosen_seed() {
  const char* given = std::getenv("KAHUNA_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 20'261'124;
}

std::string hex(std::string_view bytes) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes)
    out.append(1, digits[static_cast<unsigned char>(c) >> 4]).append(1, digits[static_cast<unsigned char>(c) & 15]);
  return out;
}

[[noreturn]] void throw_failure(const char* file, int line, const char* expression, const std::string& values) {
  throw std::logic_error(std::string(file) + ":" + std::to_string(line) + ": " + expression + values);
}

// Failed checks throw as long as it stands.
struct throwing_checks {
  throwing_checks() { set_check_handler(throw_failure); }
  ~throwing_checks() { set_check_handler(nullptr); }
};

class mutator {
 public:
  mutator(std::vector<std::string> seeds, prng& dice) : seeds_(std::move(seeds)), dice_(dice) {}

  std::string draw() {
    if (dice_.chance(1, 16)) return random_bytes(dice_.below(200));
    auto input = any_seed();
    for (auto changes = dice_.between(1, 6); changes > 0; --changes) change(input);
    return input;
  }

 private:
  const std::string& any_seed() { return seeds_[dice_.below(seeds_.size())]; }

  std::string random_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    for (auto& c : bytes) c = static_cast<char>(dice_.below(256));
    return bytes;
  }

  void change(std::string& input) {
    // Lengths and counts as an attacker forges them, as varints and little-endian, and what divides text.
    static const std::array<std::string, 10> pieces{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                                                    "\x80\x80\x80\x80\x08",
                                                    "\x80\x80\x04",
                                                    "\x7f",
                                                    "\xff\xff\xff\xff",
                                                    std::string(4, '\0'),
                                                    "\n",
                                                    "\"",
                                                    " ",
                                                    "="};
    const auto at = dice_.below(input.size() + 1);
    const auto length = std::min<std::size_t>(dice_.between(1, 16), input.size() - at);
    switch (dice_.below(7)) {
      case 0:
        input.replace(at, length, random_bytes(length));
        break;
      case 1:
        input.erase(at, length);
        break;
      case 2:
        input.insert(at, input.substr(at, length));
        break;
      case 3:
        input.resize(at);
        break;
      case 4:
        input.insert(at, pieces[dice_.below(pieces.size())]);
        break;
      case 5: {
        const auto& piece = pieces[dice_.below(pieces.size())];
        input.replace(at, std::min(piece.size(), input.size() - at), piece);
        break;
      }
      default: {
        const auto& other = any_seed();
        input.replace(at, std::string::npos, other.substr(dice_.below(other.size() + 1)));
      }
    }
  }

  std::vector<std::string> seeds_;
  prng& dice_;
};

// Whether it held; if not, what to run it with again.
bool holds(const fuzz_target& target, const std::string& input) {
  try {
    target.run(input);
    return true;
  } catch (const std::exception& e) {
    CAF_ERROR(target.name << ": " << e.what() << "; input " << hex(input));
    return false;
  }
}

}  // namespace

CAF_TEST(every target is built) {
  std::string names;
  for (const auto& target : all_targets()) names += (names.empty() ? "" : " ") + std::string(target.name);
  CAF_CHECK_EQUAL(names, KAHUNA_FUZZ_TARGETS);
}

CAF_TEST(every target holds for valid and mutated inputs) {
  const throwing_checks guard;
  const auto root_seed = chosen_seed();
  CAF_MESSAGE("KAHUNA_SEED=" << root_seed);
  prng root(root_seed);
  // A fixed number rather than a time, so that a seed repeats the run.
  constexpr int inputs_per_target = 10'000;
  for (const auto& target : all_targets()) {
    prng dice(root.next());
    bool is_good = true;
    const auto seeds = target.seeds();
    for (const auto& seed : seeds) is_good = is_good && holds(target, seed);
    mutator draws(seeds, dice);
    for (int i = 0; i < inputs_per_target && is_good; ++i) is_good = holds(target, draws.draw());
    CAF_CHECK(is_good);
  }
}

CAF_TEST(a reader that trusts a length is caught) {
  const throwing_checks guard;
  const auto is_caught = [](std::size_t reserved_bytes) {
    try {
      read_within({4, 1024}, 100, [=] {
        std::string bytes;
        bytes.reserve(reserved_bytes);
        return bytes;
      });
      return false;
    } catch (const std::exception&) {
      return true;
    }
  };
  CAF_CHECK(!is_caught(1000));
  CAF_CHECK(is_caught(2000));
  CAF_CHECK(is_caught(std::size_t{1} << 40));
}
