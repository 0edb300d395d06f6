#include "client/client_actor.hpp"

#include <deque>
#include <optional>
#include <random>
#include <unordered_map>
#include <utility>

#include "client/client_beat.hpp"
#include "client/client_core.hpp"
#include "client/cluster_inquiry.hpp"
#include "messages/connection/network_turns.hpp"
#include "messages/connection/outbound_connection.hpp"

namespace kahuna::client {

namespace {

struct hurried_tick {};
struct client_drain {};

}  // namespace

}  // namespace kahuna::client

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::hurried_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::client_drain)

namespace kahuna::client {

namespace {

// While something waits to be sent again. Where there are only deadlines to be looked at, the beat of all clients will do.
constexpr std::chrono::milliseconds hurried_tick_interval{20};

// Whoever leads partition 0 is looked for anew then; sooner where the one who was asked does not.
constexpr std::chrono::milliseconds change_retry_interval{250};
constexpr std::chrono::milliseconds change_refused_pause{20};

struct client_state {
  static inline const char* name = "kahuna_client";

  struct waiting_for_cluster {
    caf::typed_response_promise<cluster_found> promise;
    instant deadline;
  };

  std::chrono::milliseconds timeout{0};
  std::unique_ptr<client_core> core;
  messages::hello hello;
  std::uint64_t seed = 0;
  std::deque<std::unique_ptr<messages::outbound_connection>> connections;  // by slot
  std::unordered_map<std::uint64_t, std::function<void(kv::operation_response)>> callbacks;  // by token
  std::unordered_map<std::uint64_t, std::function<void(result<key_list>)>> list_callbacks;   // by token
  std::vector<waiting_for_cluster> waiting;
  struct inquiry {
    cluster_inquiry progress;
    std::function<void(result<cluster_overview>)> done;
  };
  std::vector<inquiry> inquiries;
  struct change {
    messages::membership_request request;
    instant deadline;
    instant sent_at{};  // instant{}: not yet
    std::function<void(std::optional<error>)> done;
  };
  std::vector<change> changes;
  std::vector<bool> is_unreachable;  // by slot: its last attempt to connect failed, or its connection broke
  std::function<void(bool is_connected)> connection_changed;
  bool was_connected = false;
  std::uint64_t next_token = 1;
  bool is_drain_sent = false;
  bool is_hurried = false;  // its own tick is on its way
};

using self_pointer = caf::stateful_actor<client_state, messages::turn_taking_broker>*;

instant now_of(self_pointer self) {
  return instant(std::chrono::duration_cast<duration>(self->clock().now().time_since_epoch()));
}

void want_drain(self_pointer self) {
  auto& state = self->state;
  if (state.is_drain_sent) return;
  state.is_drain_sent = true;
  self->send(self, client_drain{});
}

// --- connections --------------------------------------------------------------------------------------------------

// Who does not lead, or lost what it had begun, is asked again, or somebody else is: commands may be repeated.
void take_change_reply(self_pointer self, messages::membership_reply& reply) {
  auto& state = self->state;
  const auto found = std::find_if(state.changes.begin(), state.changes.end(), [&](const auto& c) { return c.request.token == reply.token; });
  if (found == state.changes.end()) return;
  if (reply.refusal && (reply.refusal->code == errc::not_leader || reply.refusal->code == errc::leadership_lost || reply.refusal->code == errc::overloaded)) {
    found->sent_at = now_of(self) - change_retry_interval + change_refused_pause;
    return;
  }
  if (!reply.refusal) state.core->map_came({reply.map.version, std::move(reply.map)}, now_of(self));
  const auto done = std::move(found->done);
  state.changes.erase(found);
  done(std::move(reply.refusal));
}

void send_changes(self_pointer self, bool is_closing) {
  auto& state = self->state;
  const auto now = now_of(self);
  std::vector<client_state::change> late;
  std::erase_if(state.changes, [&](client_state::change& change) {
    if (!is_closing && now < change.deadline) return false;
    late.push_back(std::move(change));
    return true;
  });
  for (auto& change : late)
    change.done(change.sent_at == instant{} ? error{errc::unavailable, "no node could be asked in time"}
                                            : error{errc::timeout, "partition 0 did not answer in time; it may have taken the change: ask for it again"});
  for (auto& change : state.changes) {
    if (change.sent_at != instant{} && now - change.sent_at < change_retry_interval) continue;
    const auto slot = state.core->system_slot();
    if (!slot || !state.connections[*slot]->has_room()) continue;
    change.sent_at = now;
    state.connections[*slot]->send(messages::frame_kind::membership_request, change.request);
    state.connections[*slot]->flush();
  }
}

std::optional<std::string> take_frame(self_pointer self, node_slot slot, messages::frame_kind kind, std::string_view body) {
  auto& core = *self->state.core;
  if (kind == messages::frame_kind::client_replies) {
    auto replies = messages::decode<messages::client_replies>(body);
    if (!replies) return replies.error().message;
    core.replies_came(slot, std::move(*replies), now_of(self));
  } else if (kind == messages::frame_kind::leaders) {
    const auto news = messages::decode<messages::leaders>(body);
    if (!news) return news.error().message;
    core.leaders_came(slot, *news, now_of(self));
  } else if (kind == messages::frame_kind::cluster_reply) {
    const auto reply = messages::decode<messages::cluster_reply>(body);
    if (!reply) return reply.error().message;
    for (auto& inquiry : self->state.inquiries) inquiry.progress.reply_came(slot, *reply);
  } else if (kind == messages::frame_kind::map_news) {
    const auto news = messages::decode<messages::map_news>(body);
    if (!news) return news.error().message;
    core.map_came(*news, now_of(self));
  } else if (kind == messages::frame_kind::membership_reply) {
    auto reply = messages::decode<messages::membership_reply>(body);
    if (!reply) return reply.error().message;
    take_change_reply(self, *reply);
  } else {
    return "sent a frame of kind " + std::to_string(static_cast<int>(kind)) + ", which is not for clients";
  }
  want_drain(self);
  return std::nullopt;
}

// Tells of the first connection and of the end of the last one.
void tell_connected(self_pointer self) {
  auto& state = self->state;
  const bool is_connected =
      std::any_of(state.connections.begin(), state.connections.end(), [](const auto& connection) { return connection->is_open(); });
  if (is_connected == std::exchange(state.was_connected, is_connected) || !state.connection_changed) return;
  state.connection_changed(is_connected);
}

void ask_where_it_stands(self_pointer self, node_slot slot, cluster_inquiry& inquiry) {
  auto& state = self->state;
  auto& connection = *state.connections[slot];
  if (connection.has_room()) {
    if (!inquiry.begin_asking(slot)) return;
    connection.send(messages::frame_kind::cluster_request, inquiry.question());
    connection.flush();
  } else if (state.is_unreachable[slot]) {
    inquiry.node_lost(slot);
  }
}

void open_connection(self_pointer self, node_slot slot, const std::string& address) {
  auto& state = self->state;
  messages::outbound_settings settings;
  settings.address = address;
  settings.hello = state.hello;
  settings.seed = state.seed;
  // A node's peers dial it within half a second; its clients, who may be thousands, spread over a longer time.
  settings.retry_pause_max = std::chrono::seconds(1);
  messages::outbound_events events;
  events.opened = [=](const messages::welcome& said) {
    self->state.core->node_opened(slot, said, now_of(self));
    self->state.is_unreachable[slot] = false;
    for (auto& inquiry : self->state.inquiries) ask_where_it_stands(self, slot, inquiry.progress);
    want_drain(self);
  };
  events.frame_came = [=](messages::frame_kind kind, std::string_view body) { return take_frame(self, slot, kind, body); };
  events.lost = [=](const messages::connection_loss& loss) {
    self->state.core->node_lost(slot, loss.reason, loss.is_final, now_of(self));
    self->state.is_unreachable[slot] = true;
    for (auto& inquiry : self->state.inquiries) inquiry.progress.node_lost(slot);
    want_drain(self);
  };
  state.is_unreachable.push_back(false);
  state.connections.push_back(
      std::make_unique<messages::outbound_connection>(self, slot + 1, std::move(settings), std::move(events)));
  state.connections.back()->start();
}

// --- the one place that sends and answers --------------------------------------------------------------------------

void settle_waiting(self_pointer self) {
  auto& state = self->state;
  const auto now = now_of(self);
  std::erase_if(state.waiting, [&](client_state::waiting_for_cluster& waiting) {
    if (state.core->has_met_cluster()) {
      waiting.promise.deliver(cluster_found{state.hello.client_id, state.core->map()->partitions});
    } else if (state.core->is_hopeless() || now >= waiting.deadline) {
      const auto& failure = state.core->last_failure();
      waiting.promise.deliver(to_caf_error(failure ? *failure : error{errc::unavailable, "no node answered"}));
    } else {
      return false;
    }
    return true;
  });
}

// Requires that the core's new slots have their connections: whoever is not known yet would not be waited for.
void settle_inquiries(self_pointer self, bool is_closing) {
  auto& state = self->state;
  const auto now = now_of(self);
  std::vector<client_state::inquiry> settled;
  std::erase_if(state.inquiries, [&](client_state::inquiry& inquiry) {
    if (!is_closing && !inquiry.progress.is_settled(state.connections.size(), now)) return false;
    settled.push_back(std::move(inquiry));
    return true;
  });
  for (auto& inquiry : settled) {
    const auto replies = inquiry.progress.replies();
    if (state.core->map() && !replies.empty())
      inquiry.done(merge_views(*state.core->map(), replies));
    else
      inquiry.done(error{errc::unavailable, "no node answered in time"});
  }
}

void hurry_if_due(self_pointer self) {
  auto& state = self->state;
  const bool is_calm = !state.core->has_waiting() && state.changes.empty() && state.waiting.empty() && state.inquiries.empty();
  if (is_calm || std::exchange(state.is_hurried, true)) return;
  self->delayed_send(self, hurried_tick_interval, hurried_tick{});
}

void honour(self_pointer self) {
  auto& state = self->state;
  auto ready = state.core->take_ready();
  for (auto& [slot, batch] : ready.send) {
    auto& connection = *state.connections[slot];
    // Closed since, which the core knows by now; or full, and then what is in it will time out and be retried.
    if (!connection.has_room()) continue;
    connection.send(messages::frame_kind::client_requests, batch);
    connection.flush();
  }
  for (auto& [slot, address] : ready.connect) open_connection(self, slot, address);
  for (const auto slot : ready.disconnect) {
    state.connections[slot]->stop();
    state.is_unreachable[slot] = true;
    for (auto& inquiry : state.inquiries) inquiry.progress.node_lost(slot);
  }
  send_changes(self, false);
  settle_waiting(self);
  settle_inquiries(self, false);
  tell_connected(self);
  for (auto& [token, response] : ready.answers)
    if (auto node = state.callbacks.extract(token)) node.mapped()(std::move(response));
  for (auto& [token, list] : ready.list_answers)
    if (auto node = state.list_callbacks.extract(token)) node.mapped()(std::move(list));
  hurry_if_due(self);
}

void take_tick(self_pointer self) {
  auto& state = self->state;
  for (auto& connection : state.connections) connection->tick();
  state.core->tick(now_of(self));
  honour(self);
}

// --- requests -----------------------------------------------------------------------------------------------------

void submit(self_pointer self, kv::operation op, std::chrono::milliseconds timeout,
            std::function<void(kv::operation_response)> done) {
  auto& state = self->state;
  const auto token = state.next_token++;
  state.callbacks.emplace(token, std::move(done));
  state.core->submit(token, std::move(op), timeout, now_of(self));
  want_drain(self);
}

void submit_list(self_pointer self, list_query query, std::chrono::milliseconds timeout,
                 std::function<void(result<key_list>)> done) {
  auto& state = self->state;
  const auto token = state.next_token++;
  state.list_callbacks.emplace(token, std::move(done));
  state.core->submit_list(token, std::move(query), timeout, now_of(self));
  want_drain(self);
}

void submit_inquiry(self_pointer self, cluster_submission& asked) {
  auto& state = self->state;
  messages::cluster_request question{state.next_token++, std::nullopt};
  if (asked.described) question.described = partition_id{*asked.described};
  client_state::inquiry inquiry{cluster_inquiry(question, now_of(self) + asked.patience), std::move(asked.done)};
  for (node_slot slot = 0; slot < state.connections.size(); ++slot) ask_where_it_stands(self, slot, inquiry.progress);
  state.inquiries.push_back(std::move(inquiry));
  want_drain(self);
}

// To every node: this client's idea of who leads may be old, and only who does takes it.
void order_transfer(self_pointer self, const leader_transfer_submission& order) {
  auto& state = self->state;
  const auto& map = state.core->map();
  const auto* member = map ? routing::find_member(*map, order.to) : nullptr;
  if (member == nullptr) return;
  for (auto& connection : state.connections) {
    if (!connection->has_room()) continue;
    connection->send(messages::frame_kind::transfer_leader, messages::transfer_leader{partition_id{order.partition}, member->id});
    connection->flush();
  }
}

// The handler of one operation of the typed interface.
template <class Request, class Response>
auto answering(self_pointer self) {
  return [=](const Request& request) -> caf::result<Response> {
    auto promise = self->make_response_promise<Response>();
    submit(self, request, self->state.timeout, [promise](kv::operation_response response) mutable {
      if (auto* answer = std::get_if<Response>(&response))
        promise.deliver(std::move(*answer));
      else if (const auto* failure = std::get_if<error>(&response))
        promise.deliver(to_caf_error(*failure));
      else
        promise.deliver(to_caf_error({errc::internal, "a node answered an operation with another one's answer"}));
    });
    return promise;
  };
}

std::uint64_t random_number() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

caf::behavior client_actor(self_pointer self, client_actor_options options) {
  auto& state = self->state;
  state.timeout = options.timeout;
  state.connection_changed = std::move(options.connection_changed);
  state.seed = random_number();
  state.hello.role = messages::connection_role::client;
  state.hello.client_id = std::max<std::uint64_t>(1, random_number());
  client_core_options core_options;
  core_options.endpoints = std::move(options.endpoints);
  state.core = std::make_unique<client_core>(std::move(core_options), prng(state.seed), now_of(self));
  honour(self);
  follow_beat(self->system(), caf::actor(self));

  const auto to_connection = [self](const auto& message) {
    for (auto& connection : self->state.connections)
      if (connection->take(message)) return;
  };
  return {
      // What comes with every operation first: CAF tries them one after the other.
      [=](const client_drain&) {
        self->state.is_drain_sent = false;
        honour(self);
      },
      [=](const caf::io::new_data_msg& message) { to_connection(message); },
      [=](const submissions_waiting& message) {
        std::vector<submission> submissions;
        {
          const std::lock_guard guard(message.queue->mutex);
          submissions.swap(message.queue->waiting);
        }
        for (auto& s : submissions) submit(self, std::move(s.op), s.timeout, std::move(s.done));
      },
      answering<kv::set_request, kv::set_response>(self),
      answering<kv::get_request, kv::get_response>(self),
      answering<kv::exists_request, kv::exists_response>(self),
      answering<kv::delete_request, kv::delete_response>(self),
      answering<kv::extend_request, kv::extend_response>(self),
      [=](const list_query& query) -> caf::result<key_list> {
        auto promise = self->make_response_promise<key_list>();
        submit_list(self, query, self->state.timeout, [promise](result<key_list> list) mutable {
          if (list)
            promise.deliver(std::move(*list));
          else
            promise.deliver(to_caf_error(list.error()));
        });
        return promise;
      },
      [=](const await_cluster& wanted) -> caf::result<cluster_found> {
        auto promise = self->make_response_promise<cluster_found>();
        self->state.waiting.push_back({promise, now_of(self) + wanted.patience});
        settle_waiting(self);
        return promise;
      },
      [=](list_submission& s) { submit_list(self, std::move(s.query), s.timeout, std::move(s.done)); },
      [=](cluster_submission& asked) { submit_inquiry(self, asked); },
      [=](const leader_transfer_submission& order) { order_transfer(self, order); },
      [=](membership_submission& asked) {
        auto& current = self->state;
        current.changes.push_back({{current.next_token++, std::move(asked.what)}, now_of(self) + asked.timeout, {}, std::move(asked.done)});
        want_drain(self);
      },
      [=](const client_errand& errand) { errand.run(); },
      [=](const client_tick&) { take_tick(self); },
      [=](const hurried_tick&) {
        self->state.is_hurried = false;
        take_tick(self);
      },
      [=](const stop_client&) {
        auto& current = self->state;
        current.core->close("the client was stopped");
        honour(self);
        settle_inquiries(self, true);
        send_changes(self, true);
        for (auto& connection : current.connections) connection->stop();
        self->quit();
      },
      [=](const messages::endpoint_resolved& message) { to_connection(message); },
      [=](const messages::dial_check& message) { to_connection(message); },
      [=](const caf::io::connection_closed_msg& message) { to_connection(message); },
      [=](const caf::io::data_transferred_msg& message) { to_connection(message); },
  };
}

}  // namespace

client_handle spawn_client(caf::actor_system& system, client_actor_options options) {
  return caf::actor_cast<client_handle>(system.middleman().spawn_broker(client_actor, std::move(options)));
}

caf::error to_caf_error(const error& e) {
  return caf::error{static_cast<std::uint8_t>(e.code), caf::atom("kahuna"), caf::make_message(e.message)};
}

error error_of(const caf::error& e) {
  if (e.category() != caf::atom("kahuna") || !is_errc(e.code()))
    return {errc::unavailable, "the client actor could not be asked: " + caf::to_string(e)};
  const auto& context = e.context();
  return {static_cast<errc>(e.code()), context.match_elements<std::string>() ? context.get_as<std::string>(0) : std::string()};
}

}  // namespace kahuna::client
