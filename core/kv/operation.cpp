#include "core/kv/operation.hpp"

namespace kahuna::kv {

namespace {

std::size_t bytes_of(const set_request& r) { return r.key.size() + r.value.size() + (r.if_value ? r.if_value->size() : 0); }
std::size_t bytes_of(const get_by_bucket_request& r) { return r.bucket.size() + r.after.size(); }
std::size_t bytes_of(const scan_by_prefix_request& r) { return r.prefix.size() + r.after.size(); }
template <class Request>
std::size_t bytes_of(const Request& r) {
  return r.key.size();
}

}  // namespace

std::size_t payload_bytes(const operation& op) {
  return std::visit([](const auto& request) { return bytes_of(request); }, op);
}

std::size_t payload_bytes(const operation_response& response) {
  if (const auto* found = std::get_if<get_response>(&response)) return found->value.size();
  const auto* page = std::get_if<list_response>(&response);
  if (page == nullptr) return 0;
  std::size_t bytes = 0;
  for (const auto& item : page->items) bytes += sizeof item + item.key.size() + item.value.size();
  return bytes;
}

durability space_of(const operation& op) {
  return std::visit([](const auto& request) { return request.space; }, op);
}

bool is_write(const operation& op) {
  return std::holds_alternative<set_request>(op) || std::holds_alternative<delete_request>(op) ||
         std::holds_alternative<extend_request>(op);
}

}  // namespace kahuna::kv
