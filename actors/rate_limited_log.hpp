// Events that a stranger can cause at will: each kind is written at most once a second, with how often it came.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/base/event_log.hpp"
#include "core/base/time.hpp"

namespace kahuna::actors {

class rate_limited_log {
 public:
  explicit rate_limited_log(event_log& events) : events_(events) {}

  // `event` and `reason` are short and from a closed set; `detail` is the latest occurrence's.
  void write(severity level, std::string_view event, std::string_view reason, std::string detail, instant now) {
    auto& kind = kinds_[std::string(event) + '/' + std::string(reason)];
    ++kind.total;
    ++kind.since_written;
    if (kind.is_written && now < kind.written_at + std::chrono::seconds(1)) return;
    events_.write(level, event,
                  {{"reason", std::string(reason)},
                   {"detail", std::move(detail)},
                   {"times", std::to_string(kind.since_written)},
                   {"total", std::to_string(kind.total)}});
    kind.is_written = true;
    kind.written_at = now;
    kind.since_written = 0;
  }

 private:
  struct kind_state {
    std::uint64_t total = 0;
    std::uint64_t since_written = 0;
    bool is_written = false;
    instant written_at{};
  };

  event_log& events_;
  std::map<std::string, kind_state> kinds_;
};

}  // namespace kahuna::actors
