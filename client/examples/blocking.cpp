// The blocking client: connect through any node, then one call an operation.
#include <cstdio>
#include <string>

#include "client/client.hpp"

int main(int argc, char** argv) {
  auto kahuna = kahuna::client::client::connect({.endpoints = {argc > 1 ? argv[1] : "127.0.0.1:4870"}});
  if (!kahuna) {
    std::printf("no node answered: %s\n", kahuna.error().message.c_str());
    return 1;
  }

  const auto set = kahuna->set({.key = "services/auth/instance-1", .value = "10.0.0.7:8080"});
  if (!set) {
    std::printf("not known to be set: %s\n", set.error().message.c_str());
    return 1;
  }
  std::printf("set, revision %lld\n", static_cast<long long>(set->revision));

  const auto found = kahuna->get({.key = "services/auth/instance-1"});
  if (found && found->is_found) std::printf("got %s\n", found->value.str().c_str());

  // A condition that does not hold is an answer, not an error.
  const auto again = kahuna->set({.key = "services/auth/instance-1", .value = "10.0.0.8:8080", .if_absent = true});
  if (again && !again->is_set) std::printf("there is one already, at revision %lld\n", static_cast<long long>(again->revision));

  const auto gone = kahuna->erase({.key = "services/auth/instance-1"});
  if (gone && gone->is_deleted) std::printf("deleted\n");

  // Revisions are history: what was deleted can still be looked up.
  const auto then = kahuna->get({.key = "services/auth/instance-1", .at_revision = set->revision});
  if (then && then->is_found) std::printf("it was %s\n", then->value.str().c_str());

  // The same key as an ephemeral one is another key: in memory of one node, as fast as a read, gone with that node.
  const auto session = kahuna->set({.key = "services/auth/instance-1", .value = "warm", .space = kahuna::kv::durability::ephemeral});
  if (session && session->is_set) std::printf("ephemeral too\n");
  return 0;
}
