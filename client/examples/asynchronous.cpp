// A CAF application: an actor that asks the client actor, in its own actor system, and never waits.
#include <cstdio>

#include <caf/all.hpp>
#include <caf/io/all.hpp>

#include "client/client_actor.hpp"

namespace {

namespace client = kahuna::client;
namespace kv = kahuna::kv;

// Registers a service, reads it back, and ends. The client answers every request by its timeout: hence caf::infinite.
caf::behavior registrar(caf::event_based_actor* self, const client::client_handle& kahuna) {
  const auto failed = [=](const caf::error& e) {
    std::printf("failed: %s\n", client::error_of(e).message.c_str());
    self->send(kahuna, client::stop_client{});
    self->quit();
  };
  self->request(kahuna, caf::infinite, kv::set_request{.key = "services/mail/instance-1", .value = "10.0.0.9:25", .expires_ms = 60'000})
      .then(
          [=](const kv::set_response& set) {
            std::printf("registered at revision %lld\n", static_cast<long long>(set.revision));
            self->request(kahuna, caf::infinite, kv::get_request{.key = "services/mail/instance-1"})
                .then(
                    [=](const kv::get_response& found) {
                      std::printf("read back %s\n", found.value.str().c_str());
                      self->send(kahuna, client::stop_client{});
                      self->quit();
                    },
                    failed);
          },
          failed);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  caf::actor_system_config config;
  config.load<caf::io::middleman>();
  caf::actor_system system(config);
  const auto kahuna = client::spawn_client(system, {.endpoints = {argc > 1 ? argv[1] : "127.0.0.1:4870"}});
  system.spawn(registrar, kahuna);
  system.await_all_actors_done();
  return 0;
}
