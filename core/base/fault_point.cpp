#include "core/base/fault_point.hpp"

#ifdef KAHUNA_FAULT_POINTS

#include <utility>

namespace kahuna {

namespace {

std::function<void(std::string_view)> handler;

}  // namespace

void set_fault_handler(std::function<void(std::string_view point)> to_call) { handler = std::move(to_call); }

void detail::reach_fault_point(std::string_view point) {
  if (handler) handler(point);
}

}  // namespace kahuna

#endif
