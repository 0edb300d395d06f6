// Everything that may be asked of a partition, and every answer.
//
// What clients ask of keys is in key_operation.hpp, what is said of transactions in transaction_operation.hpp.
#pragma once

#include <variant>
#include <vector>

#include "core/base/errc.hpp"
#include "core/kv/key_operation.hpp"
#include "core/kv/transaction_operation.hpp"

namespace kahuna::kv {

// The order is on the wire: append only.
using operation = std::variant<set_request, get_request, exists_request, delete_request, extend_request, get_by_bucket_request,
                               scan_by_prefix_request, read_clock_request, transaction_request, participant_request>;
using operation_response =
    std::variant<error, set_response, get_response, exists_response, delete_response, extend_response, list_response,
                 clock_response, commit_response, rollback_response, participant_response, lock_response, several_response,
                 commit_refusal>;

// Bytes of keys and values in it: what bounds on queues count.
std::size_t payload_bytes(const operation& op);
std::size_t payload_bytes(const operation_response& response);
std::size_t payload_bytes(const std::vector<step_operation>& operations);
std::size_t payload_bytes(const std::vector<write_request>& writes);

// Of what names no space, or more than one: persistent.
durability space_of(const operation& op);

// Whether it can change a key. Of a transaction's steps only a commit can.
bool is_write(const operation& op);

// Whether only nodes may ask it.
bool is_internal(const operation& op);

}  // namespace kahuna::kv
