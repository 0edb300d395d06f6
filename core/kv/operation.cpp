#include "core/kv/operation.hpp"

#include <type_traits>

namespace kahuna::kv {

namespace {

std::size_t bytes_of(const version& v) { return sizeof v + v.value.size(); }
std::size_t bytes_of(const list_response& page) {
  std::size_t bytes = 0;
  for (const auto& item : page.items) bytes += sizeof item + item.key.size() + item.value.size();
  return bytes;
}

std::size_t bytes_of(const set_request& r) { return r.key.size() + r.value.size() + (r.if_value ? r.if_value->size() : 0); }
std::size_t bytes_of(const get_by_bucket_request& r) { return r.bucket.size() + r.after.size(); }
std::size_t bytes_of(const scan_by_prefix_request& r) { return r.prefix.size() + r.after.size(); }
std::size_t bytes_of(const read_clock_request&) { return 0; }
std::size_t bytes_of(const commit_step&) { return 0; }
std::size_t bytes_of(const rollback_step&) { return 0; }
std::size_t bytes_of(const wanted_lock& r) { return sizeof r + r.key.size(); }
std::size_t bytes_of(const lock_step& r) {
  std::size_t bytes = 0;
  for (const auto& wanted : r.locks) bytes += bytes_of(wanted);
  return bytes;
}
template <class Request>
std::size_t bytes_of(const Request& r) {
  return r.key.size();
}
template <class Operations>
std::size_t bytes_of_all(const Operations& operations) {
  std::size_t bytes = 0;
  for (const auto& operation : operations) bytes += sizeof operation + std::visit([](const auto& request) { return bytes_of(request); }, operation);
  return bytes;
}
std::size_t bytes_of(const several_step& r) { return bytes_of_all(r.operations); }
std::size_t bytes_of(const write_and_commit_step& r) { return bytes_of_all(r.writes); }

std::size_t bytes_of(const transaction_request& r) {
  return std::visit([](const auto& step) { return bytes_of(step); }, r.step);
}

std::size_t bytes_of(const several_response& r) {
  std::size_t bytes = 0;
  for (const auto& answer : r.answers) {
    const auto* found = std::get_if<get_response>(&answer);
    bytes += sizeof answer + (found != nullptr ? found->value.size() : 0);
  }
  return bytes;
}

std::size_t bytes_of(const observation& seen) {
  std::size_t bytes = 0;
  for (const auto& key : seen.keys) bytes += sizeof key + key.key.size();
  for (const auto& bucket : seen.buckets) bytes += sizeof bucket + bucket.bucket.size();
  return bytes;
}

std::size_t bytes_of(const std::vector<intended_write>& writes) {
  std::size_t bytes = 0;
  for (const auto& write : writes) bytes += sizeof write + write.key.size() + write.version.value.size();
  return bytes;
}

std::size_t bytes_of(const participant_request& r) {
  return std::visit(
      [](const auto& body) -> std::size_t {
        using body_type = std::decay_t<decltype(body)>;
        if constexpr (std::is_same_v<body_type, participant_read>)
          return body.key.size();
        else if constexpr (std::is_same_v<body_type, participant_list>)
          return bytes_of(body.list);
        else if constexpr (std::is_same_v<body_type, participant_validate>)
          return bytes_of(body.seen);
        else if constexpr (std::is_same_v<body_type, participant_prepare> || std::is_same_v<body_type, participant_commit>)
          return bytes_of(body.seen) + bytes_of(body.writes);
        else
          return 0;
      },
      r.body);
}

}  // namespace

std::size_t payload_bytes(const operation& op) {
  return std::visit([](const auto& request) { return bytes_of(request); }, op);
}

std::size_t payload_bytes(const operation_response& response) {
  if (const auto* found = std::get_if<get_response>(&response)) return found->value.size();
  if (const auto* page = std::get_if<list_response>(&response)) return bytes_of(*page);
  if (const auto* several = std::get_if<several_response>(&response)) return bytes_of(*several);
  const auto* answer = std::get_if<participant_response>(&response);
  if (answer == nullptr) return 0;
  if (const auto* list = std::get_if<list_answer>(answer)) return bytes_of(list->page);
  const auto* read = std::get_if<read_answer>(answer);
  return read != nullptr && read->newest ? bytes_of(*read->newest) : 0;
}

std::size_t payload_bytes(const std::vector<step_operation>& operations) { return bytes_of_all(operations); }
std::size_t payload_bytes(const std::vector<write_request>& writes) { return bytes_of_all(writes); }

durability space_of(const operation& op) {
  const auto space_named = [](const auto& request) {
    if constexpr (requires { request.space; })
      return request.space;
    else
      return durability::persistent;
  };
  if (const auto* step = std::get_if<transaction_request>(&op)) return std::visit(space_named, step->step);
  return std::visit(space_named, op);
}

bool is_write(const operation& op) {
  if (const auto* step = std::get_if<transaction_request>(&op)) return is_commit(step->step);
  return std::holds_alternative<set_request>(op) || std::holds_alternative<delete_request>(op) ||
         std::holds_alternative<extend_request>(op);
}

bool is_internal(const operation& op) { return std::holds_alternative<participant_request>(op); }

}  // namespace kahuna::kv
