// The tick of all clients of a thread. A program may have hundreds of them, and a delayed message of each would wake up two threads each time.
#pragma once

#include <caf/all.hpp>

namespace kahuna::client {

struct client_tick {};

// While they are on the thread of a multiplexer: sends `who` a client_tick every 50 ms from now on, until it ends.
void follow_beat(caf::actor_system& system, caf::actor who);

}  // namespace kahuna::client

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(kahuna::client::client_tick)
