// The event log of a running node: spdlog to standard error, as text or as JSON, one event a line.
#pragma once

#include <memory>
#include <string>

#include "core/base/event_log.hpp"

namespace kahuna::node {

enum class log_format : unsigned char { text, json };

// `level`: trace, debug, info, warn, error or off. `node` is the node's name, in every line.
std::unique_ptr<event_log> make_event_log(const std::string& level, log_format format, const std::string& node);

}  // namespace kahuna::node
