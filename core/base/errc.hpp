// What can go wrong for a caller, and the one way to react to each.
//
// The list is closed: a code is added only where some caller would do something else with it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace kahuna {

// The numbers travel on the wire: never change or reuse one.
enum class errc : std::uint8_t {
  invalid_argument = 1,  // the caller's mistake
  unavailable = 2,       // not applied; safe to retry
  overloaded = 3,        // not applied; retry after a pause
  aborted = 4,           // a transaction lost; begin it again
  timeout = 5,           // outcome unknown
  permission_denied = 6,
  unauthenticated = 7,
  data_corrupted = 8,    // a stored record failed its check
  internal = 9,          // a defect; outcome unknown
  not_leader = 10,       // not applied; ask the node that leads. Never shown to a user: it becomes `unavailable`
  leadership_lost = 11,  // outcome unknown; repeat under the same request identity. Becomes `timeout` for a user
  view_lost = 12,        // a list's read view is gone: begin the list again. Becomes `unavailable` for a user
};

// The lower-case name that users see, e.g. "invalid_argument"; "unknown" for a number that is none of ours.
std::string_view to_string(errc code);

// Whether a number received from outside is one of the codes.
bool is_errc(std::uint8_t number);

// Whether a request that ended so may have taken effect.
constexpr bool is_outcome_unknown(errc code) {
  return code == errc::timeout || code == errc::internal || code == errc::leadership_lost;
}

struct error {
  errc code = errc::internal;
  std::string message;  // for people: what is wrong and what to do

  friend bool operator==(const error&, const error&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& code& message;
  }
};

// A value or the error that prevented it.
template <class T>
class [[nodiscard]] result {
 public:
  result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  result(kahuna::error e) : state_(std::in_place_index<1>, std::move(e)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  // Requires has_value().
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Requires !has_value().
  const kahuna::error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, kahuna::error> state_;
};

}  // namespace kahuna
