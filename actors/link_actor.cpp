#include "actors/link_actor.hpp"

#include <utility>

#include "actors/fatal.hpp"
#include "messages/batch.hpp"

namespace kahuna::actors {

namespace {

using self_pointer = caf::stateful_actor<link_state, messages::turn_taking_broker>*;
using messages::frame_kind;

void want_drain(self_pointer self) {
  auto& state = self->state;
  if (state.is_drain_sent) return;
  state.is_drain_sent = true;
  self->send(self, drain{});
}

// Whoever forwarded something over this link must not wait for its answer.
void drop_everything(self_pointer self) {
  auto& state = self->state;
  state.peer_messages.envelopes.clear();
  state.held.clear();
  state.requests.requests.clear();
  state.replies.replies.clear();
  self->send(state.gateway, link_broken{state.settings.peer});
}

void take_opened(self_pointer self) {
  auto& state = self->state;
  state.is_connected = true;
  state.settings.events->write(severity::info, "connected to node", {{"node", state.settings.peer_name}});
  self->send(state.cluster, peer_seen{state.settings.peer, true});
  self->send(state.gateway, link_changed{state.settings.peer, true});
}

void take_lost(self_pointer self, const messages::connection_loss& loss,
               const std::function<void(const std::string&)>& refused_for_good) {
  auto& state = self->state;
  const auto& settings = state.settings;
  if (loss.is_final) refused_for_good(loss.reason.message);
  if (!std::exchange(state.is_connected, false)) return;
  settings.events->write(severity::warn, "connection to node lost",
                         {{"node", settings.peer_name}, {"reason", loss.reason.message}});
  self->send(state.cluster, peer_seen{settings.peer, false});
  self->send(state.gateway, link_changed{settings.peer, false});
  drop_everything(self);
}

void send_held(link_state& state) {
  auto& connection = *state.connection;
  while (connection.is_open()) {
    auto next = state.held.next(connection.unsent_bytes());
    if (!next) return;
    messages::peer_messages body{state.settings.clock->now(), {}};
    body.envelopes.push_back(std::move(*next));
    connection.send(frame_kind::peer_messages, body);
    connection.flush();
  }
}

// As few frames as it takes for everything that has collected. A peer that does not take what it is sent gets no more: Raft's
// messages repeat themselves, requests are refused.
void on_drain(self_pointer self) {
  auto& state = self->state;
  state.is_drain_sent = false;
  auto& connection = *state.connection;
  // Raft bounds what of a partition is on its way, but repeats itself where nothing is acknowledged.
  if (!connection.has_room() || state.held.bytes() > connection.settings().unsent_bytes_max) return drop_everything(self);
  state.held.hold_back(state.peer_messages.envelopes, connection.unsent_bytes());
  const auto now = state.settings.clock->now();
  state.peer_messages.now = state.requests.observed = state.replies.now = now;
  const auto send_as = [&](frame_kind kind) { return [&connection, kind](const auto& body) { connection.send(kind, body); }; };
  messages::send_in_batches(state.peer_messages, &messages::peer_messages::envelopes, send_as(frame_kind::peer_messages));
  messages::send_in_batches(state.requests, &messages::forwarded_requests::requests, send_as(frame_kind::forwarded_requests));
  messages::send_in_batches(state.replies, &messages::forwarded_replies::replies, send_as(frame_kind::forwarded_replies));
  connection.flush();
  send_held(state);
}

template <class Body>
void send_at_once(self_pointer self, frame_kind kind, const Body& body) {
  auto& connection = *self->state.connection;
  if (!self->state.is_connected || !connection.has_room()) return;
  connection.send(kind, body);
  connection.flush();
}

template <class T>
void append_all(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

caf::behavior link_actor(self_pointer self, link_settings settings, gateway_handle gateway, cluster_handle cluster,
                         std::function<void(const std::string&)> refused_for_good) {
  die_on_exceptions(self);
  auto& state = self->state;
  state.settings = std::move(settings);
  state.gateway = std::move(gateway);
  state.cluster = std::move(cluster);
  messages::outbound_events events;
  events.opened = [self](const messages::welcome& said) {
    self->state.settings.clock->observe_remote(said.now);
    self->send(self->state.cluster, map_heard{said.node, {said.map.version, said.map}});
    // Another node at this address: this one was replaced. The map, where it is not known here yet, comes with the welcome.
    if (said.node == self->state.settings.peer) take_opened(self);
  };
  // What this node sends is answered over the connection that the other one dialed: nothing but pongs comes back.
  events.frame_came = [](frame_kind kind, std::string_view) -> std::optional<std::string> {
    return "sent a frame of kind " + std::to_string(static_cast<int>(kind)) + " over a connection that it did not dial";
  };
  events.lost = [self, refused_for_good](const messages::connection_loss& loss) { take_lost(self, loss, refused_for_good); };
  state.connection =
      std::make_unique<messages::outbound_connection>(self, 1, state.settings.connection, std::move(events));
  state.connection->start();

  return {
      // What comes with every operation first: CAF tries them one after the other.
      [=](peer_output& output) {
        auto& current = self->state;
        if (!current.is_connected) return;
        for (auto& body : output.bodies) current.peer_messages.envelopes.push_back({output.partition, std::move(body)});
        want_drain(self);
      },
      [=](const drain&) { on_drain(self); },
      [=](forward_requests& forward) {
        auto& current = self->state;
        if (!current.is_connected) {
          self->send(current.gateway, link_broken{current.settings.peer});
          return;
        }
        append_all(current.requests.requests, forward.requests);
        want_drain(self);
      },
      [=](forward_replies& forward) {
        auto& current = self->state;
        if (!current.is_connected) return;
        append_all(current.replies.replies, forward.replies);
        want_drain(self);
      },
      [=](const leaders_changed& news) {
        send_at_once(self, frame_kind::leaders, messages::leaders{news.partitions});
      },
      [=](const messages::map_news& news) { send_at_once(self, frame_kind::map_news, news); },
      [=](const messages::group_order& order) { send_at_once(self, frame_kind::group_order, order); },
      [=](const messages::group_report& report) { send_at_once(self, frame_kind::group_report, report); },
      [=](const node_tick&) { self->state.connection->tick(); },
      [=](const stop&) {
        drop_everything(self);
        self->state.connection->stop();
        self->quit();
      },
      [=](const messages::endpoint_resolved& resolved) { self->state.connection->take(resolved); },
      [=](const messages::dial_check& check) { self->state.connection->take(check); },
      [=](const caf::io::new_data_msg& message) { self->state.connection->take(message); },
      [=](const caf::io::connection_closed_msg& message) { self->state.connection->take(message); },
      [=](const caf::io::data_transferred_msg& message) {
        self->state.connection->take(message);
        send_held(self->state);
      },
  };
}

}  // namespace kahuna::actors
