// Every error has a code, a message for people, and one right reaction.
#include <chrono>
#include <cstdio>
#include <string>

#include "client/client.hpp"

namespace {

const char* what_to_do(const kahuna::error& e) {
  using kahuna::errc;
  switch (e.code) {
    case errc::invalid_argument: return "the request is wrong: mend it, don't repeat it";
    case errc::unavailable: return "not applied: repeat it later, or give up";
    case errc::overloaded: return "not applied: slow down, then repeat it";
    case errc::timeout: return "unknown: look before you repeat a write that must not happen twice";
    case errc::aborted: return "a transaction lost: begin it again";
    case errc::data_corrupted: return "call the operator: a replica is damaged";
    default: return "look at the message";
  }
}

void tell(const char* what, const kahuna::error& e) {
  std::printf("%s: %s: %s\n", what, std::string(to_string(e.code)).c_str(), what_to_do(e));
}

}  // namespace

int main(int argc, char** argv) {
  // Nobody listens there.
  const auto nobody = kahuna::client::client::connect({.endpoints = {"127.0.0.1:1"}, .connect_timeout = std::chrono::milliseconds(300)});
  if (!nobody) tell("connecting", nobody.error());

  auto kahuna = kahuna::client::client::connect({.endpoints = {argc > 1 ? argv[1] : "127.0.0.1:4870"}});
  if (!kahuna) return 1;
  const auto reserved = kahuna->set({.key = "__kahuna:mine", .value = "x"});
  if (!reserved) tell("a reserved name", reserved.error());
  const auto contradictory = kahuna->set({.key = "k", .value = "x", .if_absent = true, .if_present = true});
  if (!contradictory) tell("contradictory conditions", contradictory.error());
  const auto absent = kahuna->get({.key = "not/there"});
  if (absent && !absent->is_found) std::printf("an absent key: no error, an answer\n");
  return 0;
}
