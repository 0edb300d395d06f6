#include "cli/run_command.hpp"

#include <chrono>
#include <utility>
#include <variant>

namespace kahuna::cli {

namespace {

template <class Response>
outcome to_outcome(result<Response> answered) {
  if (!answered) return answered.error();
  return std::move(*answered);
}

struct runner {
  client::client& connection;

  outcome operator()(const kv::set_request& r) const { return to_outcome(connection.set(r)); }
  outcome operator()(const kv::get_request& r) const { return to_outcome(connection.get(r)); }
  outcome operator()(const kv::exists_request& r) const { return to_outcome(connection.exists(r)); }
  outcome operator()(const kv::delete_request& r) const { return to_outcome(connection.erase(r)); }
  outcome operator()(const kv::extend_request& r) const { return to_outcome(connection.extend(r)); }

  outcome operator()(const kv::list_command& c) const {
    const client::list_options options{.space = c.space, .limit = c.limit, .after = c.after};
    return to_outcome(c.is_scan ? connection.scan_by_prefix(c.prefix_or_bucket, options)
                                : connection.get_by_bucket(c.prefix_or_bucket, options));
  }

  outcome operator()(const kv::transaction_command&) const {
    return error{errc::unavailable, "transactions are not available in this version"};
  }
};

}  // namespace

answer run_command(client::client& connection, const kv::statement& statement) {
  const auto began = std::chrono::steady_clock::now();
  auto what = std::visit(runner{connection}, statement.what);
  const auto elapsed = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
  return {statement.op_name, statement.key, std::move(what), elapsed};
}

}  // namespace kahuna::cli
