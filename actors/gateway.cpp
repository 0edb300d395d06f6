#include "actors/gateway.hpp"

#include <algorithm>
#include <utility>

#include "actors/fatal.hpp"
#include "actors/partition_actor.hpp"
#include "actors/raft_peer_actor.hpp"
#include "core/kv/operation_routing.hpp"
#include "core/routing/next_hop.hpp"
#include "messages/batch.hpp"
#include "messages/connection/handshake.hpp"

namespace kahuna::actors {

namespace {

using self_pointer = caf::stateful_actor<gateway_state, messages::turn_taking_broker>*;
using phase = gateway_session::phase;

// Longer than the cluster actor waits for its replicas.
constexpr std::chrono::seconds cluster_answer_timeout{2};

void want_drain(self_pointer self) {
  auto& state = self->state;
  if (state.is_drain_sent) return;
  state.is_drain_sent = true;
  self->send(self, drain{});
}

gateway_session* find_session(gateway_state& state, std::uint64_t number) {
  const auto found = state.by_number.find(number);
  return found == state.by_number.end() ? nullptr : found->second;
}

template <class Body>
void send_frame(self_pointer self, gateway_session& session, messages::frame_kind kind, const Body& body) {
  session.writer.append(kind, body);
  session.writer.flush(*self, session.handle);
}

void count_connection(gateway_state& state, const gateway_session& session, int change) {
  if (session.in == phase::client)
    state.client_sessions += static_cast<std::size_t>(change);
  else if (session.in == phase::node)
    state.node_sessions += static_cast<std::size_t>(change);
  else
    return;
  state.settings.metrics->connections(state.client_sessions, state.node_sessions);
}

// Forgets the session; what it asked goes on, and its answers find nobody.
void forget(self_pointer self, gateway_session& session) {
  auto& state = self->state;
  if (session.in == phase::handshake || session.in == phase::checking_peer) --state.handshakes;
  const auto handle = session.handle;
  count_connection(state, session, -1);
  state.by_number.erase(session.number);
  state.sessions.erase(handle);
}

// `reason` is one of a few; `detail` says more. The session is gone afterwards.
void close_for(self_pointer self, gateway_session& session, std::string_view reason, const std::string& detail) {
  auto& state = self->state;
  state.log->write(severity::warn, "connection closed", reason, self->remote_addr(session.handle) + ' ' + detail, now_of(*self));
  state.settings.metrics->connection_closed(reason);
  const auto handle = session.handle;
  forget(self, session);
  self->close(handle);
}

void refuse_hello(self_pointer self, gateway_session& session, const messages::refusal& refusal) {
  send_frame(self, session, messages::frame_kind::refusal, refusal);
  close_for(self, session, "refused hello", refusal.reason.message);
}

// --- answering ----------------------------------------------------------------------------------------------------

void answer_client(self_pointer self, std::uint64_t session_number, std::uint64_t sequence, std::uint32_t attempt,
                   kv::operation_response response) {
  auto& state = self->state;
  auto* session = find_session(state, session_number);
  if (session == nullptr) return;
  if (session->replies.replies.empty()) state.sessions_with_replies.push_back(session_number);
  session->replies.replies.push_back({sequence, attempt, std::move(response)});
  want_drain(self);
}

// Ends the request behind the token, where it has not ended yet.
void answer(self_pointer self, std::uint64_t token, kv::operation_response response) {
  auto& state = self->state;
  const auto found = state.requests.find(token);
  if (found == state.requests.end()) return;  // its deadline has passed, or this answer came before
  const auto request = found->second;
  state.requests.erase(found);
  if (request.session == 0 && request.from == state.settings.self) {
    state.to_managers[request.manager].push_back({request.sequence, std::move(response)});
    want_drain(self);
    return;
  }
  if (request.session == 0) {
    state.to_return[request.from].push_back({request.sequence, std::move(response)});
    want_drain(self);
    return;
  }
  state.settings.metrics->operation_answered(request.operation, request.space, response, now_of(*self) - request.arrived_at);
  if (auto* session = find_session(state, request.session)) --session->requests;
  answer_client(self, request.session, request.sequence, request.attempt, std::move(response));
}

// Under its identity, by which the client's own log can be searched.
void tell_late(gateway_state& state, const gateway_request& request, instant now) {
  const auto* leader = routing::find_member(state.settings.map, request.forwarded_to);
  state.log->write(severity::warn, "request late", "a deadline passed while the request was under way",
                   "client " + std::to_string(request.client) + " sequence " + std::to_string(request.sequence) + " attempt " +
                       std::to_string(request.attempt) + " partition " + std::to_string(request.partition.value) +
                       (request.session == 0 ? " forwarded here" : "") + (leader != nullptr ? " forwarded to " + leader->name : ""),
                   now);
}

error deadline_error() { return {errc::timeout, "the deadline passed while the request was under way"}; }

// --- routing ------------------------------------------------------------------------------------------------------

struct arrived_request {
  gateway_request origin;
  std::uint64_t client = 0;
  messages::client_request request;
  routing::may_go may_go = routing::may_go::anywhere;
};

void route(self_pointer self, arrived_request arrived) {
  auto& state = self->state;
  const auto& map = state.settings.map;
  auto& request = arrived.request;
  const auto token = state.next_token++;
  arrived.origin.is_write = kv::is_write(request.op);
  arrived.origin.operation = static_cast<std::uint8_t>(request.op.index());
  arrived.origin.space = kv::space_of(request.op);
  arrived.origin.client = arrived.client;
  arrived.origin.arrived_at = now_of(*self);
  auto& entry = state.requests.emplace(token, arrived.origin).first->second;
  const auto budget_ms = std::min(request.budget_ms, state.settings.budget_ms_max);
  state.deadlines->add(token, now_of(*self) + std::chrono::milliseconds(budget_ms));

  const auto partition = kv::partition_of(map, request.op);
  if (!partition) return answer(self, token, error{errc::invalid_argument, "there is no such partition"});
  entry.partition = *partition;
  const auto leader = state.leaders[partition->value].leader;
  // A replica of this node is asked also when its leadership is only suspected: it knows best.
  if (leader == state.settings.self && state.wiring.partitions.contains(*partition)) {
    state.to_partitions[*partition].push_back({token, arrived.client, request.sequence, request.attempt, request.floor, request.issued_at,
                                               request.term, std::move(request.op), false,
                                               now_of(*self) + std::chrono::milliseconds(budget_ms)});
    return want_drain(self);
  }
  const auto next = routing::next_hop(leader == state.settings.self ? no_node : leader, arrived.may_go, state.connected,
                                      [&](node_id node) { return state.wiring.links.contains(node); });
  if (next == no_node)
    return answer(self, token, error{errc::not_leader, leader == no_node ? "partition " + std::to_string(partition->value) + " has no leader now"
                                                                         : "this node does not lead partition " +
                                                                               std::to_string(partition->value)});
  entry.forwarded_to = next;
  request.budget_ms = budget_ms;
  // Also where it goes to the leader: that one may lead no more, and know who does.
  const bool may_pass_on = routing::after(arrived.may_go) == routing::may_go::to_leader;
  state.to_forward[next].push_back({token, arrived.client, may_pass_on, std::move(request)});
  want_drain(self);
}

// --- frames -------------------------------------------------------------------------------------------------------

// Each handler returns why the connection must be closed, or nothing.
using complaint = std::optional<std::string>;

template <class Body, class Take>
complaint take_body(std::string_view body, Take take) {
  auto decoded = messages::decode<Body>(body);
  if (!decoded) return decoded.error().message;
  return take(*decoded);
}

void observe(self_pointer self, timestamp stamp) {
  auto& state = self->state;
  if (!state.settings.clock->observe_remote(stamp))
    state.log->write(severity::warn, "clock refused", "a received stamp is too far ahead",
                     std::to_string(unix_ms(stamp)) + " ms", now_of(*self));
}

// A node dials one connection at a time. What an earlier one still delivers was sent before this one was made, perhaps long before: what a closed
// socket holds is sent again and again until it gets through, and says who led when it was written (docs/incidents/0013).
void close_earlier(self_pointer self, const gateway_session& newest) {
  auto& state = self->state;
  std::vector<std::uint64_t> earlier;
  for (const auto& [handle, session] : state.sessions)
    if (session->in == phase::node && session->hello.node == newest.hello.node && session->number != newest.number) earlier.push_back(session->number);
  for (const auto number : earlier) close_for(self, *find_session(state, number), "a newer connection took its place", "");
}

messages::leaders known_leaders(const gateway_state& state) { return {state.leaders}; }

void accept(self_pointer self, gateway_session& session, std::uint16_t version) {
  auto& state = self->state;
  const auto& settings = state.settings;
  --state.handshakes;
  session.in = session.hello.role == messages::connection_role::client ? phase::client : phase::node;
  count_connection(state, session, +1);
  if (session.in == phase::node && !session.hello.is_probe) close_earlier(self, session);
  const auto bound = messages::frame_bytes_max(settings.value_bytes_max);
  session.reader.set_bound(bound);
  send_frame(self, session, messages::frame_kind::welcome,
             messages::welcome{version, settings.self, settings.incarnation, settings.clock->now(), settings.map,
                               settings.value_bytes_max, bound});
  session.map_version = settings.map.version;
  if (session.in == phase::client) send_frame(self, session, messages::frame_kind::leaders, known_leaders(state));
  if (session.in == phase::node) self->send(state.cluster, zone_heard{session.hello.node, session.hello.zone});
}

void send_map(self_pointer self, gateway_session& session) {
  const auto& map = self->state.settings.map;
  if (session.map_version >= map.version) return;
  session.map_version = map.version;
  send_frame(self, session, messages::frame_kind::map_news, messages::map_news{map.version, map, 0});
}

complaint take_hello(self_pointer self, gateway_session& session, const messages::hello& hello) {
  auto& state = self->state;
  const auto& settings = state.settings;
  session.hello = hello;
  if (!state.is_wired) {
    refuse_hello(self, session, {{errc::unavailable, "this node is starting; retry"}, false});
    return std::nullopt;
  }
  const auto verdict = messages::check_hello(hello, {settings.map, settings.self, settings.election_timeout_ms});
  if (const auto* refusal = std::get_if<messages::refusal>(&verdict)) {
    refuse_hello(self, session, *refusal);
    return std::nullopt;
  }
  const auto version = std::get<std::uint16_t>(verdict);
  if (hello.role == messages::connection_role::client) {
    accept(self, session, version);
    return std::nullopt;
  }
  session.in = phase::checking_peer;
  self->send(state.wiring.log_writer, check_peer{session.number, hello.node, hello.incarnation, hello.is_probe});
  return std::nullopt;
}

complaint take_client_requests(self_pointer self, gateway_session& session, messages::client_requests& body) {
  auto& state = self->state;
  observe(self, body.observed);
  const auto number = session.number;
  const auto refuse = [&](const messages::client_request& request, error why) {
    state.settings.metrics->operation_answered(request.op.index(), kv::space_of(request.op), why, duration{});
    answer_client(self, number, request.sequence, request.attempt, std::move(why));
  };
  for (auto& request : body.requests) {
    if (state.is_stopping) {
      refuse(request, {errc::unavailable, "this node is stopping; ask another"});
    } else if (kv::is_internal(request.op)) {
      refuse(request, {errc::invalid_argument, "only nodes may ask this"});
    } else if (session.requests >= state.settings.session_requests_max || state.requests.size() >= state.settings.requests_max ||
               session.writer.unsent_bytes() > state.settings.session_unread_bytes_max) {
      refuse(request, {errc::overloaded, "this node has too much under way; retry after 50 ms"});
    } else {
      ++session.requests;
      const auto sequence = request.sequence;
      const auto attempt = request.attempt;
      gateway_request origin;
      origin.session = number;
      origin.sequence = sequence;
      origin.attempt = attempt;
      route(self, {origin, session.hello.client_id, std::move(request), routing::may_go::anywhere});
    }
  }
  return std::nullopt;
}

messages::cluster_reply cluster_reply_of(node_id self, const messages::cluster_request& asked, const node_status& status) {
  messages::cluster_reply reply{asked.token, self, status.alive, status.leaders, {}};
  for (const auto& replica : status.replicas)
    reply.replicas.push_back({replica.partition, replica.role, replica.term, replica.commit_index, replica.applied_index,
                              asked.described == replica.partition ? replica.description : std::string()});
  return reply;
}

// Whoever asks more than is answered is not listened to for a while; what is not answered, the client's deadline ends.
complaint take_cluster_request(self_pointer self, gateway_session& session, const messages::cluster_request& asked) {
  auto& state = self->state;
  if (session.cluster_requests >= state.settings.session_cluster_requests_max ||
      session.writer.unsent_bytes() > state.settings.session_unread_bytes_max)
    return std::nullopt;
  ++session.cluster_requests;
  const auto finish = [self, number = session.number](const auto& answer_session) {
    auto* asking = find_session(self->state, number);
    if (asking == nullptr) return;
    --asking->cluster_requests;
    answer_session(*asking);
  };
  self->request(state.cluster, cluster_answer_timeout, get_status{})
      .then(
          [=](const node_status& status) {
            finish([&](gateway_session& asking) {
              send_map(self, asking);
              send_frame(self, asking, messages::frame_kind::cluster_reply,
                         cluster_reply_of(self->state.settings.self, asked, status));
            });
          },
          [=](const caf::error&) { finish([](gateway_session&) {}); });
  return std::nullopt;
}

// Answered once it is durable, or refused; whoever asks more than is answered is not listened to for a while.
complaint take_membership_request(self_pointer self, gateway_session& session, messages::membership_request& asked) {
  auto& state = self->state;
  if (session.cluster_requests >= state.settings.session_cluster_requests_max) return std::nullopt;
  ++session.cluster_requests;
  self->send(state.cluster, membership_asked{session.number, std::move(asked)});
  return std::nullopt;
}

void take_membership_answered(self_pointer self, const membership_answered& answered) {
  auto* session = find_session(self->state, answered.session);
  if (session == nullptr) return;
  --session->cluster_requests;
  send_frame(self, *session, messages::frame_kind::membership_reply, answered.reply);
}

complaint take_transfer_leader(self_pointer self, const messages::transfer_leader& order) {
  const auto& peers = self->state.wiring.raft_peers;
  if (const auto peer = peers.find(order.partition); peer != peers.end() && order.to != no_node) {
    raft_inputs news;
    news.inputs.emplace_back(raft::transfer_leadership{order.to, false});
    self->send(peer->second, std::move(news));
  }
  return std::nullopt;
}

complaint take_peer_messages(self_pointer self, gateway_session& session, messages::peer_messages& body) {
  auto& state = self->state;
  observe(self, body.now);
  for (auto& envelope : body.envelopes)
    if (state.wiring.raft_peers.contains(envelope.partition))
      state.to_raft_peers[envelope.partition].push_back({session.hello.node, std::move(envelope.body)});
  want_drain(self);
  return std::nullopt;
}

// Why nothing more is taken from other nodes and from transaction managers, where it is so. Clients have bounds of their own besides.
std::optional<errc> refusal_now(const gateway_state& state) {
  if (state.is_stopping) return errc::unavailable;
  if (state.requests.size() >= state.settings.requests_max) return errc::overloaded;
  return std::nullopt;
}

complaint take_forwarded_requests(self_pointer self, gateway_session& session, messages::forwarded_requests& body) {
  auto& state = self->state;
  observe(self, body.observed);
  for (auto& forwarded : body.requests) {
    if (const auto code = refusal_now(state)) {
      state.to_return[session.hello.node].push_back({forwarded.token, error{*code, "the leader's node takes nothing more now; retry"}});
      want_drain(self);
      continue;
    }
    gateway_request origin;
    origin.sequence = forwarded.token;
    origin.from = session.hello.node;
    using routing::may_go;
    route(self, {origin, forwarded.client, std::move(forwarded.request), forwarded.may_pass_on ? may_go::to_leader : may_go::nowhere});
  }
  return std::nullopt;
}

void take_manager_requests(self_pointer self, manager_requests& asked) {
  auto& state = self->state;
  for (auto& request : asked.requests) {
    if (const auto code = refusal_now(state)) {
      state.to_managers[asked.manager].push_back({request.token, error{*code, "this node takes nothing more now; retry"}});
      want_drain(self);
      continue;
    }
    gateway_request origin;
    origin.sequence = request.token;
    origin.from = state.settings.self;
    origin.manager = asked.manager;
    messages::client_request forwarded;
    forwarded.issued_at = state.settings.clock->now();
    forwarded.budget_ms = request.budget_ms;
    forwarded.op = std::move(request.op);
    route(self, {origin, 0, std::move(forwarded), routing::may_go::anywhere});
  }
}

complaint take_frame(self_pointer self, gateway_session& session, messages::frame_kind kind, std::string_view body) {
  auto& state = self->state;
  using messages::frame_kind;
  if (session.in == phase::handshake) {
    if (kind != frame_kind::hello) return "a frame before its hello";
    return take_body<messages::hello>(body, [&](const messages::hello& h) { return take_hello(self, session, h); });
  }
  if (session.in == phase::checking_peer) return "a frame before its welcome";
  if (kind == frame_kind::ping)
    return take_body<messages::ping>(body, [&](const messages::ping& p) -> complaint {
      send_frame(self, session, frame_kind::pong, messages::pong{p.token, state.settings.clock->now()});
      return std::nullopt;
    });
  if (session.in == phase::client && kind == frame_kind::client_requests)
    return take_body<messages::client_requests>(
        body, [&](messages::client_requests& b) { return take_client_requests(self, session, b); });
  if (session.in == phase::client && kind == frame_kind::cluster_request)
    return take_body<messages::cluster_request>(
        body, [&](const messages::cluster_request& asked) { return take_cluster_request(self, session, asked); });
  if (session.in == phase::client && kind == frame_kind::membership_request)
    return take_body<messages::membership_request>(body, [&](auto& asked) { return take_membership_request(self, session, asked); });
  if (session.in == phase::client && kind == frame_kind::transfer_leader)
    return take_body<messages::transfer_leader>(body, [&](const messages::transfer_leader& order) { return take_transfer_leader(self, order); });
  if (session.in == phase::node) {
    switch (kind) {
      case frame_kind::peer_messages:
        return take_body<messages::peer_messages>(body, [&](auto& b) { return take_peer_messages(self, session, b); });
      case frame_kind::forwarded_requests:
        return take_body<messages::forwarded_requests>(body, [&](auto& b) { return take_forwarded_requests(self, session, b); });
      case frame_kind::forwarded_replies:
        return take_body<messages::forwarded_replies>(body, [&](messages::forwarded_replies& b) -> complaint {
          observe(self, b.now);
          for (auto& reply : b.replies) {
            // Only from whom it was forwarded to: nobody else can know.
            const auto asked = state.requests.find(reply.token);
            if (asked != state.requests.end() && asked->second.forwarded_to == session.hello.node)
              answer(self, reply.token, std::move(reply.response));
          }
          return std::nullopt;
        });
      case frame_kind::leaders:
        return take_body<messages::leaders>(body, [&](messages::leaders& b) -> complaint {
          // A node may only speak for itself.
          std::erase_if(b.partitions, [&](const auto& entry) { return entry.leader != session.hello.node; });
          self->send(state.cluster, leaders_heard{std::move(b.partitions)});
          return std::nullopt;
        });
      case frame_kind::map_news:
        return take_body<messages::map_news>(body, [&](messages::map_news& b) -> complaint {
          self->send(state.cluster, map_heard{session.hello.node, std::move(b)});
          return std::nullopt;
        });
      case frame_kind::group_order:
        return take_body<messages::group_order>(body, [&](messages::group_order& b) -> complaint {
          self->send(state.cluster, group_ordered{session.hello.node, std::move(b)});
          return std::nullopt;
        });
      case frame_kind::group_report:
        return take_body<messages::group_report>(body, [&](messages::group_report& b) -> complaint {
          self->send(state.cluster, group_reported{state.settings.self, std::move(b)});
          return std::nullopt;
        });
      default: break;
    }
  }
  return "a frame of kind " + std::to_string(static_cast<int>(kind)) + ", which this connection may not send";
}

void take_data(self_pointer self, const caf::io::new_data_msg& message) {
  auto& state = self->state;
  const auto found = state.sessions.find(message.handle);
  if (found == state.sessions.end()) return;
  auto* session = found->second.get();
  const auto number = session->number;
  const auto now = now_of(*self);
  session->heard_at = now;
  session->reader.feed(message.buf.data(), message.buf.size());
  for (;;) {
    const auto frame = session->reader.next();
    if (!frame) break;
    const auto wrong = take_frame(self, *session, frame->kind, frame->body);
    // The handler may have closed the connection.
    session = find_session(state, number);
    if (session == nullptr) return;
    if (wrong) return close_for(self, *session, "malformed input", *wrong);
  }
  if (const auto& wrong = session->reader.failure()) return close_for(self, *session, "malformed input", wrong->message);
  if (const auto size = session->reader.take_read_size()) self->configure_read(session->handle, caf::io::receive_policy::at_most(*size));
  if (!session->reader.has_partial_frame())
    session->frame_began_at = instant{};
  else if (session->frame_began_at == instant{})
    session->frame_began_at = now;
}

// --- connections --------------------------------------------------------------------------------------------------

void open_session(self_pointer self, caf::io::connection_handle handle) {
  auto& state = self->state;
  if (state.is_stopping || state.sessions.size() >= state.settings.sessions_max ||
      state.handshakes >= state.settings.handshakes_max) {
    state.log->write(severity::warn, "connection closed", "too many connections", self->remote_addr(handle), now_of(*self));
    state.settings.metrics->connection_closed("too many connections");
    self->close(handle);
    return;
  }
  auto session = std::make_unique<gateway_session>(state.next_session++, handle, now_of(*self));
  state.by_number.emplace(session->number, session.get());
  state.sessions.emplace(handle, std::move(session));
  ++state.handshakes;
  self->ack_writes(handle, true);
  self->configure_read(handle, caf::io::receive_policy::at_most(messages::read_bytes_max));
}

void close_the_overdue(self_pointer self, instant now) {
  auto& state = self->state;
  const auto& settings = state.settings;
  std::vector<std::pair<std::uint64_t, std::string_view>> overdue;
  for (const auto& [handle, session] : state.sessions) {
    const bool is_handshake = session->in == phase::handshake || session->in == phase::checking_peer;
    if (is_handshake && now > session->opened_at + settings.handshake_timeout)
      overdue.emplace_back(session->number, "no hello in time");
    else if (session->frame_began_at != instant{} && now > session->frame_began_at + settings.frame_timeout)
      overdue.emplace_back(session->number, "a frame took too long");
    else if (now > session->heard_at + settings.silence_timeout)
      overdue.emplace_back(session->number, "silence");
    else if (session->writer.unsent_bytes() > 2 * settings.session_unread_bytes_max)
      overdue.emplace_back(session->number, "answers are not read");
  }
  for (const auto& [number, reason] : overdue)
    if (auto* session = find_session(state, number)) close_for(self, *session, reason, "");
}

// --- the node's side ----------------------------------------------------------------------------------------------

void on_drain(self_pointer self) {
  auto& state = self->state;
  state.is_drain_sent = false;
  for (auto& [partition, requests] : std::exchange(state.to_partitions, {}))
    self->send(state.wiring.partitions.at(partition), client_operations{std::move(requests)});
  for (auto& [partition, input] : std::exchange(state.to_raft_peers, {}))
    self->send(state.wiring.raft_peers.at(partition), peer_input{std::move(input)});
  for (auto& [peer, requests] : std::exchange(state.to_forward, {}))
    self->send(state.wiring.links.at(peer), forward_requests{std::move(requests)});
  for (auto& [partition, replies] : std::exchange(state.to_managers, {}))
    if (const auto manager = state.wiring.partitions.find(partition); manager != state.wiring.partitions.end())
      self->send(manager->second, manager_answers{std::move(replies)});
  for (auto& [peer, replies] : std::exchange(state.to_return, {}))
    if (const auto link = state.wiring.links.find(peer); link != state.wiring.links.end())
      self->send(link->second, forward_replies{std::move(replies)});
  for (const auto number : std::exchange(state.sessions_with_replies, {})) {
    auto* session = find_session(state, number);
    if (session == nullptr) continue;
    auto replies = std::exchange(session->replies, {});
    replies.now = state.settings.clock->now();
    messages::send_in_batches(replies, &messages::client_replies::replies, [&](const messages::client_replies& batch) {
      send_frame(self, *session, messages::frame_kind::client_replies, batch);
    });
  }
}

void take_leaders(self_pointer self, const leaders_changed& news) {
  auto& state = self->state;
  for (const auto& entry : news.partitions) state.leaders.at(entry.partition.value) = entry;
  const messages::leaders body{news.partitions};
  for (const auto& [handle, session] : state.sessions)
    if (session->in == phase::client) send_frame(self, *session, messages::frame_kind::leaders, body);
}

void take_peer_checked(self_pointer self, const peer_checked& checked) {
  auto* session = find_session(self->state, checked.token);
  if (session == nullptr || session->in != phase::checking_peer) return;
  if (checked.is_known_otherwise) {
    const auto* member = routing::find_member(self->state.settings.map, session->hello.node);
    return refuse_hello(self, *session,
                        {{errc::permission_denied,
                          "node " + (member != nullptr ? member->name : std::string("?")) +
                              " is known here with other data: its data directory was lost or replaced; start it with its own "
                              "directory, or with --rejoin"},
                         true});
  }
  accept(self, *session, std::min(session->hello.version_max, messages::protocol_version_max));
}

// Clients hear of members that come and go; who holds what they are told with what they ask of the cluster. Who was a member and is none
// any more is told so when it dials again.
void take_map(self_pointer self, const map_changed& news) {
  auto& state = self->state;
  const bool are_members_others = state.settings.map.members != news.map.members;
  state.settings.map = news.map;
  std::vector<std::uint64_t> former;
  for (const auto& [handle, session] : state.sessions) {
    if (session->in == phase::client && are_members_others && session->writer.unsent_bytes() <= state.settings.session_unread_bytes_max) send_map(self, *session);
    if (session->in == phase::node && routing::is_former(news.map, session->hello.node)) former.push_back(session->number);
  }
  for (const auto number : former)
    if (auto* session = find_session(state, number)) close_for(self, *session, "no member any more", "");
}

// What waits for a replica that is gone is asked of others by whoever asked.
void take_replicas(self_pointer self, const replicas_changed& news) {
  auto& wiring = self->state.wiring;
  on_drain(self);
  std::vector<std::pair<std::uint64_t, bool>> affected;
  for (const auto& [token, request] : self->state.requests)
    if (request.forwarded_to == no_node && !news.partitions.contains(request.partition)) affected.emplace_back(token, request.is_write);
  wiring.partitions = news.partitions;
  wiring.raft_peers = news.raft_peers;
  for (const auto& [token, is_write] : affected)
    answer(self, token, error{is_write ? errc::leadership_lost : errc::not_leader, "this node does not hold the partition any more; retry"});
}

// What was forwarded to a node that can't be reached will not be answered: say so now, so that the client tries elsewhere.
void take_link_broken(self_pointer self, const link_broken& broken) {
  auto& state = self->state;
  std::vector<std::pair<std::uint64_t, bool>> affected;
  for (const auto& [token, request] : state.requests)
    if (request.forwarded_to == broken.peer) affected.emplace_back(token, request.is_write);
  for (const auto& [token, is_write] : affected)
    answer(self, token,
           error{is_write ? errc::leadership_lost : errc::not_leader, "the connection to the leader's node broke; retry"});
}

void on_tick(self_pointer self) {
  auto& state = self->state;
  const auto now = now_of(*self);
  state.settings.metrics->mailbox_seen(self->name(), self->mailbox().size());
  state.deadlines->advance(now, [&](std::uint64_t token) {
    if (const auto late = state.requests.find(token); late != state.requests.end()) tell_late(state, late->second, now);
    answer(self, token, deadline_error());
  });
  close_the_overdue(self, now);
}

void on_stop(self_pointer self) {
  auto& state = self->state;
  state.is_stopping = true;
  std::vector<std::uint64_t> tokens;
  for (const auto& [token, request] : state.requests) tokens.push_back(token);
  // The writes among them may still come to be applied.
  for (const auto token : tokens) {
    const auto code = state.requests.at(token).is_write ? errc::leadership_lost : errc::unavailable;
    answer(self, token, error{code, "the node is stopping; ask another"});
  }
  on_drain(self);
  self->quit();  // the broker flushes what it was given and closes
}

}  // namespace

caf::behavior gateway_actor(self_pointer self, gateway_settings settings, cluster_handle cluster,
                            std::function<void(bool)> listening) {
  die_on_exceptions(self);
  // A node writes events, and has no use for CAF's logger; which would note for this thread, under a lock, whose turn it is.
  caf::logger::set_current_actor_system(nullptr);
  auto& state = self->state;
  for (std::uint32_t i = 0; i < settings.map.partitions; ++i) state.leaders.push_back({partition_id{i}, {}, no_node});
  state.deadlines = std::make_unique<deadline_wheel>(now_of(*self));
  state.log = std::make_unique<rate_limited_log>(*settings.events);
  state.settings = std::move(settings);
  state.next_token = state.settings.first_token & ~(kv::manager_origin | system_origin);
  state.cluster = std::move(cluster);
  // SO_REUSEADDR: a restarted node takes its port back at once.
  const auto doorman = self->add_tcp_doorman(state.settings.port, state.settings.host.c_str(), true);
  listening(static_cast<bool>(doorman));
  if (!doorman) return {};

  return {
      // What comes with every operation first: CAF tries them one after the other.
      [=](const caf::io::new_data_msg& message) { take_data(self, message); },
      [=](partition_replies& replies) {
        for (auto& reply : replies.replies) answer(self, reply.origin, std::move(reply.response));
      },
      [=](const drain&) { on_drain(self); },
      [=](const caf::io::new_connection_msg& message) { open_session(self, message.handle); },
      [=](const caf::io::connection_closed_msg& message) {
        if (const auto found = self->state.sessions.find(message.handle); found != self->state.sessions.end())
          forget(self, *found->second);
      },
      [=](const caf::io::data_transferred_msg& message) {
        const auto found = self->state.sessions.find(message.handle);
        if (found != self->state.sessions.end()) found->second->writer.transferred(message.written);
      },
      [=](const caf::io::acceptor_closed_msg&) { die(fatal_status::failed, "the listening socket was closed"); },
      [=](const gateway_wiring& wiring) {
        self->state.wiring = wiring;
        self->state.is_wired = true;
      },
      [=](const leaders_changed& news) { take_leaders(self, news); },
      [=](const map_changed& news) { take_map(self, news); },
      [=](const links_changed& news) {
        on_drain(self);
        self->state.wiring.links = news.links;
        std::erase_if(self->state.connected, [&](node_id peer) { return !news.links.contains(peer); });
      },
      [=](const replicas_changed& news) { take_replicas(self, news); },
      [=](const membership_answered& answered) { take_membership_answered(self, answered); },
      [=](const peer_checked& checked) { take_peer_checked(self, checked); },
      [=](manager_requests& asked) { take_manager_requests(self, asked); },
      [=](const link_broken& broken) { take_link_broken(self, broken); },
      [=](const link_changed& change) {
        if (change.is_connected)
          self->state.connected.insert(change.peer);
        else
          self->state.connected.erase(change.peer);
      },
      [=](const node_tick&) { on_tick(self); },
      [=](const stop&) { on_stop(self); },
  };
}

}  // namespace kahuna::actors
