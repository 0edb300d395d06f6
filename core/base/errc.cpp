#include "core/base/errc.hpp"

namespace kahuna {

std::string_view to_string(errc code) {
  switch (code) {
    case errc::invalid_argument: return "invalid_argument";
    case errc::unavailable: return "unavailable";
    case errc::overloaded: return "overloaded";
    case errc::aborted: return "aborted";
    case errc::timeout: return "timeout";
    case errc::permission_denied: return "permission_denied";
    case errc::unauthenticated: return "unauthenticated";
    case errc::data_corrupted: return "data_corrupted";
    case errc::internal: return "internal";
    case errc::not_leader: return "not_leader";
    case errc::leadership_lost: return "leadership_lost";
    case errc::view_lost: return "view_lost";
  }
  return "unknown";
}

bool is_errc(std::uint8_t number) {
  return number >= static_cast<std::uint8_t>(errc::invalid_argument) && number <= static_cast<std::uint8_t>(errc::view_lost);
}

}  // namespace kahuna
