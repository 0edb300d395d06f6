#include "node/spdlog_event_log.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace kahuna::node {

namespace {

spdlog::level::level_enum level_of(severity level) {
  switch (level) {
    case severity::trace: return spdlog::level::trace;
    case severity::debug: return spdlog::level::debug;
    case severity::info: return spdlog::level::info;
    case severity::warn: return spdlog::level::warn;
    case severity::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

bool needs_quotes(const std::string& value) {
  return value.empty() || value.find_first_of(" =\"\n\t") != std::string::npos;
}

class spdlog_event_log final : public event_log {
 public:
  spdlog_event_log(const std::string& level, log_format format, std::string node)
      : format_(format), node_(std::move(node)), logger_("kahuna", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.set_level(spdlog::level::from_str(level));
    logger_.set_pattern(format == log_format::json ? "%v" : "%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    logger_.flush_on(spdlog::level::trace);
  }

  void write(severity level, std::string_view event, std::initializer_list<event_field> fields) override {
    const auto spd_level = level_of(level);
    if (!logger_.should_log(spd_level)) return;
    logger_.log(spd_level, format_ == log_format::json ? json_line(level, event, fields) : text_line(event, fields));
  }

 private:
  std::string text_line(std::string_view event, std::initializer_list<event_field> fields) const {
    auto line = node_ + ' ' + std::string(event);
    // What strangers sent may hold anything: dump() quotes and escapes it.
    for (const auto& field : fields)
      line += ' ' + std::string(field.name) + '=' + (needs_quotes(field.value) ? quoted(field.value) : field.value);
    return line;
  }

  std::string json_line(severity level, std::string_view event, std::initializer_list<event_field> fields) const {
    nlohmann::ordered_json line;
    line["time_ms"] =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    line["level"] = spdlog::level::to_string_view(level_of(level)).data();
    line["node"] = node_;
    line["event"] = event;
    for (const auto& field : fields) line[std::string(field.name)] = field.value;
    return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  static std::string quoted(const std::string& value) {
    return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  log_format format_;
  std::string node_;
  spdlog::logger logger_;
};

}  // namespace

std::unique_ptr<event_log> make_event_log(const std::string& level, log_format format, const std::string& node) {
  return std::make_unique<spdlog_event_log>(level, format, node);
}

}  // namespace kahuna::node
