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

outcome inspected(const operator_command& command, client::cluster_overview overview) {
  if (command.what == inspection::cluster) return cluster_answer{std::move(overview)};
  if (command.what == inspection::status) return status_answer{std::move(overview)};
  if (command.partition >= overview.partitions.size())
    return error{errc::invalid_argument, "there is no partition " + std::to_string(command.partition) + "; the last one is " +
                                             std::to_string(overview.partitions.size() - 1)};
  return partition_answer{std::move(overview.partitions[command.partition])};
}

routing::membership_command change_of(const operator_command& command) {
  if (command.what == inspection::add) return routing::add_member{command.node, command.address};
  if (command.what == inspection::remove) return routing::remove_member{command.node};
  return routing::replace_member{command.node, command.by, command.address};
}

// What has become of it, as the cluster says.
change_answer changed(const operator_command& command, const client::cluster_overview& overview) {
  change_answer answer{change_answer::state::done, command.what == inspection::remove, command.node, command.by, {}};
  const auto& coming = command.what == inspection::replace ? command.by : command.node;
  std::string alive;
  for (const auto& member : overview.members) {
    if (member.is_alive && alive.empty()) alive = member.address;
    if (command.what != inspection::remove && member.name == coming && member.state == routing::member_state::joining)
      answer.what = change_answer::state::waits_for_node;
  }
  if (answer.what == change_answer::state::waits_for_node)
    answer.start_command = "kahuna-node --node-id " + coming + " --listen " + command.address + " --join " + alive;
  return answer;
}

}  // namespace

command_runner::~command_runner() {
  if (const auto open = open_->get()) open->rollback();
}

bool command_runner::has_transaction() const { return open_->get() != nullptr; }

void command_runner::begin(const kv::begin_command& command, done_function done) {
  if (const auto open = open_->get(); open != nullptr && open->is_open())
    return done(error{errc::invalid_argument, "a transaction is open; commit it or roll it back first"});
  open_->set(nullptr);
  client::transaction_options options;
  options.locking = command.locking;
  options.timeout = std::chrono::milliseconds(command.timeout_ms);
  options.as_of = command.as_of;
  options.is_as_of_now = command.is_as_of_now;
  connection_.submit_begin(options, [shared = open_, done = std::move(done)](result<client::transaction> begun) {
    if (!begun) return done(begun.error());
    auto id = begun->id();
    shared->set(std::make_shared<client::transaction>(std::move(*begun)));
    done(begun_answer{std::move(id)});
  });
}

void command_runner::end(kv::transaction_step step, done_function done) {
  const auto open = open_->get();
  if (open == nullptr) return done(error{errc::invalid_argument, "no transaction is open; begin one first"});
  open->submit(std::move(step), [shared = open_, open, done = std::move(done)](kv::operation_response response) {
    // One that was aborted stays until it is rolled back: what follows must not be taken for single operations.
    if (!std::holds_alternative<error>(response)) shared->set(nullptr);
    done(std::visit(to_outcome{}, response));
  });
}

void command_runner::start_statement(const kv::statement& statement, done_function done) {
  const auto open = open_->get();
  const auto answered = [done](kv::operation_response response) { done(std::visit(to_outcome{}, response)); };
  const auto listed = [done](result<client::key_list> list) { done(list ? outcome(std::move(*list)) : outcome(list.error())); };
  std::visit(
      [&](const auto& what) {
        using what_type = std::decay_t<decltype(what)>;
        if constexpr (std::is_same_v<what_type, kv::begin_command>) {
          begin(what, done);
        } else if constexpr (std::is_same_v<what_type, kv::commit_step> || std::is_same_v<what_type, kv::rollback_step>) {
          end(what, done);
        } else if constexpr (std::is_same_v<what_type, kv::list_command>) {
          const client::list_options options{.space = what.space, .limit = what.limit, .after = what.after, .as_of = what.as_of};
          if (open == nullptr)
            return connection_.submit_list({what.is_scan ? client::list_kind::scan : client::list_kind::bucket, what.prefix_or_bucket, options}, listed);
          if (what.is_scan && open->is_open())
            return done(error{errc::invalid_argument, "a scan is no consistent read, so a transaction can't have it; read buckets instead"});
          open->submit_list(what.prefix_or_bucket, options, listed);
        } else if (open != nullptr) {
          open->submit(what, answered);
        } else {
          connection_.submit(what, answered);
        }
      },
      statement.what);
}

void command_runner::start(const request& asked, done_function done) {
  if (const auto* statement = std::get_if<kv::statement>(&asked)) return start_statement(*statement, std::move(done));
  const auto& command = std::get<operator_command>(asked);
  if (command.what == inspection::transfer_leader)
    return connection_.submit_transfer(command.partition, command.node, [command, done = std::move(done)](result<client::cluster_overview> overview) {
      done(overview ? outcome(transfer_answer{command.partition, command.node}) : outcome(overview.error()));
    });
  if (command.what == inspection::add || command.what == inspection::remove || command.what == inspection::replace) {
    const auto tell = [notice = notice_](const client::cluster_overview& overview) {
      if (notice && overview.steps_left > 0) notice(std::to_string(overview.steps_left) + (overview.steps_left == 1 ? " partition" : " partitions") + " to go");
    };
    return connection_.submit_change(change_of(command), tell, [command, done = std::move(done)](result<client::cluster_overview> overview) {
      done(overview ? outcome(changed(command, *overview)) : outcome(overview.error()));
    });
  }
  const auto described = command.what == inspection::partition ? std::optional(command.partition) : std::nullopt;
  connection_.submit_inspection(described, [command, done = std::move(done)](result<client::cluster_overview> overview) {
    done(overview ? inspected(command, std::move(*overview)) : outcome(overview.error()));
  });
}

answer command_runner::run(const request& asked) {
  const auto began = std::chrono::steady_clock::now();
  // Shared: the waiter may be gone before set_value() has returned.
  auto answered = std::make_shared<std::promise<outcome>>();
  auto future = answered->get_future();
  start(asked, [answered](outcome what) { answered->set_value(std::move(what)); });
  return to_answer(asked, future.get(), began);
}

bool is_write(const request& asked) {
  const auto* statement = std::get_if<kv::statement>(&asked);
  return statement != nullptr &&
         (std::holds_alternative<kv::set_request>(statement->what) || std::holds_alternative<kv::delete_request>(statement->what) ||
          std::holds_alternative<kv::extend_request>(statement->what) || std::holds_alternative<kv::commit_step>(statement->what));
}

answer to_answer(const request& asked, outcome what, std::chrono::steady_clock::time_point began) {
  const auto elapsed = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
  if (const auto* statement = std::get_if<kv::statement>(&asked)) return {statement->op_name, statement->key, std::move(what), elapsed};
  return {std::get<operator_command>(asked).op_name, std::nullopt, std::move(what), elapsed};
}

}  // namespace kahuna::cli
