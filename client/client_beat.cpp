#include "client/client_beat.hpp"

#include <chrono>
#include <map>
#include <utility>

#include "messages/connection/network_turns.hpp"

namespace kahuna::client {

namespace {

struct beat_due {};
struct follower {
  caf::actor who;
};

}  // namespace

}  // namespace kahuna::client

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::beat_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::follower)

namespace kahuna::client {

namespace {

constexpr std::chrono::milliseconds interval{50};

// Who gives the beat, and how many were told to follow it and have not ended. Counted here rather than by the messages that are on their
// way to it, so that it does not end under one.
struct beat {
  caf::actor who;
  std::size_t followers = 0;
};

// Of each thread. A program may run several actor systems on one.
thread_local std::map<const caf::actor_system*, beat> beats_of_this_thread;

struct beat_state {
  static inline const char* name = "kahuna_client_beat";
  std::map<caf::actor_addr, caf::actor> followers;
};

caf::behavior beat_actor(caf::stateful_actor<beat_state, messages::turn_taking_broker>* self) {
  // An actor that was killed says nothing any more, but this is heard of all the same.
  self->set_down_handler([self](const caf::down_msg& down) {
    self->state.followers.erase(down.source);
    const auto mine = beats_of_this_thread.find(&self->system());
    if (--mine->second.followers != 0) return;
    beats_of_this_thread.erase(mine);
    self->quit();
  });
  self->delayed_send(self, interval, beat_due{});
  return {
      [self](const follower& new_one) {
        self->monitor(new_one.who);
        self->state.followers.emplace(new_one.who.address(), new_one.who);
      },
      [self](const beat_due&) {
        self->delayed_send(self, interval, beat_due{});
        for (const auto& [address, who] : self->state.followers) self->send(who, client_tick{});
      },
  };
}

}  // namespace

void follow_beat(caf::actor_system& system, caf::actor who) {
  auto& [beat, followers] = beats_of_this_thread[&system];
  if (followers++ == 0) beat = system.middleman().spawn_broker(beat_actor);
  caf::anon_send(beat, follower{std::move(who)});
}

}  // namespace kahuna::client
