#include "cli/run_command.hpp"

#include <chrono>
#include <future>
#include <memory>
#include <type_traits>
#include <utility>
#include <variant>

namespace kahuna::cli {

namespace {

using done_function = std::function<void(outcome)>;

struct to_outcome {
  template <class Response>
  outcome operator()(Response& response) const {
    if constexpr (std::is_constructible_v<outcome, Response&&>) return std::move(response);
    return error{errc::internal, "a node answered an operation with another one's answer"};
  }
};

struct starter {
  client::client& connection;
  done_function done;

  template <class Operation>
  void operator()(const Operation& op) {
    connection.submit(op, [done = std::move(done)](kv::operation_response response) { done(std::visit(to_outcome{}, response)); });
  }

  void operator()(const kv::list_command& c) {
    client::list_query query{c.is_scan ? client::list_kind::scan : client::list_kind::bucket, c.prefix_or_bucket,
                             {.space = c.space, .limit = c.limit, .after = c.after}};
    connection.submit_list(std::move(query), [done = std::move(done)](result<client::key_list> list) {
      done(list ? outcome(std::move(*list)) : outcome(list.error()));
    });
  }

  void operator()(const kv::transaction_command&) {
    done(error{errc::unavailable, "transactions are not available in this version"});
  }
};

outcome inspected(const operator_command& command, client::cluster_overview overview) {
  if (command.what == inspection::cluster) return cluster_answer{std::move(overview)};
  if (command.what == inspection::status) return status_answer{std::move(overview)};
  if (command.partition >= overview.partitions.size())
    return error{errc::invalid_argument, "there is no partition " + std::to_string(command.partition) + "; the last one is " +
                                             std::to_string(overview.partitions.size() - 1)};
  return partition_answer{std::move(overview.partitions[command.partition])};
}

}  // namespace

void start_command(client::client& connection, const request& asked, done_function done) {
  if (const auto* statement = std::get_if<kv::statement>(&asked)) return std::visit(starter{connection, std::move(done)}, statement->what);
  const auto& command = std::get<operator_command>(asked);
  if (command.what == inspection::transfer_leader)
    return connection.submit_transfer(command.partition, command.node, [command, done = std::move(done)](result<client::cluster_overview> overview) {
      done(overview ? outcome(transfer_answer{command.partition, command.node}) : outcome(overview.error()));
    });
  const auto described = command.what == inspection::partition ? std::optional(command.partition) : std::nullopt;
  connection.submit_inspection(described, [command, done = std::move(done)](result<client::cluster_overview> overview) {
    done(overview ? inspected(command, std::move(*overview)) : outcome(overview.error()));
  });
}

answer run_command(client::client& connection, const request& asked) {
  const auto began = std::chrono::steady_clock::now();
  // Shared: the waiter may be gone before set_value() has returned.
  auto answered = std::make_shared<std::promise<outcome>>();
  auto future = answered->get_future();
  start_command(connection, asked, [answered](outcome what) { answered->set_value(std::move(what)); });
  return to_answer(asked, future.get(), began);
}

bool is_write(const request& asked) {
  const auto* statement = std::get_if<kv::statement>(&asked);
  return statement != nullptr &&
         (std::holds_alternative<kv::set_request>(statement->what) || std::holds_alternative<kv::delete_request>(statement->what) ||
          std::holds_alternative<kv::extend_request>(statement->what));
}

answer to_answer(const request& asked, outcome what, std::chrono::steady_clock::time_point began) {
  const auto elapsed = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
  if (const auto* statement = std::get_if<kv::statement>(&asked)) return {statement->op_name, statement->key, std::move(what), elapsed};
  return {std::get<operator_command>(asked).op_name, std::nullopt, std::move(what), elapsed};
}

}  // namespace kahuna::cli
