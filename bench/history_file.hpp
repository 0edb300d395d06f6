// Every single-key operation of a run, a line of JSON each, so that a checker can say whether what was measured was also right.
//
//   {"op":"set","key":K,"began":ns,"ended":ns,"value":N,"answered":true,"done":true,"revision":R}     of a swap also "if_revision":R
//   {"op":"get","key":K,"began":ns,"ended":ns,"value":N,"done":true,"revision":R}                    done: found
//
// A value is told by a number that hardly another one of the run shares. A set that was refused as a whole (overloaded, unavailable) and a
// get without an answer are left out: they say nothing. A set that may have been applied is not "answered".
#pragma once

#include <chrono>
#include <cstdint>
#include <fstream>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>

#include "core/kv/operation.hpp"

namespace kahuna::bench {

// Thread safe.
class history_file {
 public:
  using clock = std::chrono::steady_clock;

  explicit history_file(const std::string& path) : out_(path, std::ios::trunc) {}

  bool is_open() const { return out_.is_open(); }
  // Whether everything has reached the file so far.
  bool is_good() {
    out_.flush();
    return out_.good();
  }

  void note(const kv::operation& asked, clock::time_point began, const kv::operation_response& response) {
    nlohmann::json line;
    if (const auto* set = std::get_if<kv::set_request>(&asked)) {
      line = {{"op", "set"}, {"key", set->key}, {"value", number_of(set->value.view())}};
      if (set->if_revision) line["if_revision"] = *set->if_revision;
      if (const auto* failure = std::get_if<error>(&response)) {
        if (failure->code != errc::timeout && failure->code != errc::internal) return;
        line["answered"] = false;
      } else if (const auto* answer = std::get_if<kv::set_response>(&response)) {
        line["answered"] = true;
        line["done"] = answer->is_set;
        line["revision"] = answer->revision;
      }
    } else if (const auto* get = std::get_if<kv::get_request>(&asked)) {
      const auto* answer = std::get_if<kv::get_response>(&response);
      if (answer == nullptr) return;
      line = {{"op", "get"}, {"key", get->key}, {"done", answer->is_found}, {"revision", answer->revision}, {"value", number_of(answer->value.view())}};
    } else {
      return;
    }
    line["began"] = nanoseconds(began);
    line["ended"] = nanoseconds(clock::now());
    const std::lock_guard guard(mutex_);
    out_ << line << '\n';
  }

 private:
  static std::int64_t number_of(std::string_view value) { return static_cast<std::int64_t>(std::hash<std::string_view>()(value) >> 1); }
  static std::int64_t nanoseconds(clock::time_point t) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count();
  }

  std::mutex mutex_;
  std::ofstream out_;
};

}  // namespace kahuna::bench
