// Counts what a piece of code takes from operator new, on its own thread, and holds it to a bound.
//
// Linking it replaces the program's operator new and delete. Their memory still comes from malloc, so that
// AddressSanitizer sees every block; what it no longer sees is a delete of another form than its new.
#pragma once

#include <cstddef>
#include <utility>

#include "core/base/check.hpp"

namespace kahuna::fuzz {

// What reading `size` bytes may allocate in total, freed again or not: factor × size + constant. The total, because it
// bounds what is held at once, and the copying that a growing container does besides.
struct allocation_bound {
  std::size_t factor;
  std::size_t constant;
};

// Meters may be nested.
class allocation_meter {
 public:
  allocation_meter();

  // Since it was made.
  std::size_t total_bytes() const;

 private:
  std::size_t start_;
};

// The result of `read()`, which reads `size` bytes of input and is held to `bound`.
template <class Read>
auto read_within(allocation_bound bound, std::size_t size, Read&& read) {
  const allocation_meter meter;
  auto outcome = std::forward<Read>(read)();
  const auto total_bytes = meter.total_bytes();
  KAHUNA_CHECK(total_bytes <= bound.factor * size + bound.constant, "allocated", total_bytes, "for an input of", size);
  return outcome;
}

}  // namespace kahuna::fuzz
