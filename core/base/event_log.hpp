// Where the system says what happened: structured events for operators, never one per request.
//
// An interface, so that cores and actors name no logging library. Implementations are thread safe.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace kahuna {

enum class severity : unsigned char { trace, debug, info, warn, error };

struct event_field {
  std::string_view name;
  std::string value;
};

class event_log {
 public:
  virtual ~event_log() = default;
  // `event` is a short constant phrase ("connection refused"), the fields carry what varies.
  virtual void write(severity level, std::string_view event, std::initializer_list<event_field> fields) = 0;
};

// Takes everything and keeps nothing; for tests.
event_log& silent_log();

}  // namespace kahuna
