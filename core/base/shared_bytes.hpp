// Immutable bytes shared by reference: a value is decoded once, and log, cache, store and reply hold the same bytes.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace kahuna {

class shared_bytes {
 public:
  shared_bytes() = default;
  shared_bytes(std::string bytes) : bytes_(bytes.empty() ? nullptr : std::make_shared<const std::string>(std::move(bytes))) {}
  shared_bytes(const char* text) : shared_bytes(std::string(text)) {}

  std::string_view view() const { return bytes_ ? std::string_view(*bytes_) : std::string_view(); }
  std::string str() const { return std::string(view()); }
  std::size_t size() const { return bytes_ ? bytes_->size() : 0; }
  bool empty() const { return size() == 0; }

  friend bool operator==(const shared_bytes& a, const shared_bytes& b) { return a.view() == b.view(); }

 private:
  std::shared_ptr<const std::string> bytes_;  // null stands for no bytes
};

}  // namespace kahuna
