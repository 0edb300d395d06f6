// A client, by whatever nodes may say to it.
//
//   input := step*; step := what:u8 slot:u8 body:block, of what: a welcome, replies, leaders, a connection that is lost, a tick
#include <set>
#include <string>

#include "client/client_core.hpp"
#include "messages/connection/handshake.hpp"
#include "tests/fuzz/byte_source.hpp"
#include "tests/fuzz/codec_check.hpp"
#include "tests/fuzz/fuzz_target.hpp"
#include "tests/fuzz/message_samples.hpp"

namespace kahuna::fuzz {

namespace {

using namespace client;
using std::chrono::milliseconds;

enum step_kind : std::uint8_t { welcome_step, replies_step, leaders_step, lost_step, tick_step, step_kinds };

// The factor: nodes answer lists, whose items are joined, sorted and copied. The constant: with the first welcome the client
// makes room for every partition, 4096 at most, and a scan asks each of them.
constexpr allocation_bound client_bound{256, 16 << 20};

class client_driver {
 public:
  client_driver() : core_({.endpoints = {"h1:1", "h2:1"}}, prng(1), now_) {
    const auto patience = milliseconds(5000);
    core_.submit(1, kv::set_request{.key = "k", .value = "v"}, patience, now_);
    core_.submit(2, kv::get_request{.key = "k"}, patience, now_);
    core_.submit_list(3, {.kind = list_kind::bucket, .argument = "services"}, patience, now_);
    core_.submit_list(4, {.kind = list_kind::scan, .argument = "s", .options = {.limit = 2}}, patience, now_);
    drain();
  }

  void take(std::uint8_t what, std::uint8_t slot_byte, std::string_view body) {
    const node_slot slot = slot_byte % slots_;
    switch (what % step_kinds) {
      case welcome_step:
        if (const auto said = messages::decode<messages::welcome>(body); said && !messages::check_welcome(*said))
          if (open_.insert(slot).second) core_.node_opened(slot, *said, now_);
        break;
      case replies_step:
        if (auto said = messages::decode<messages::client_replies>(body); said && open_.contains(slot))
          core_.replies_came(slot, std::move(*said), now_);
        break;
      case leaders_step:
        if (const auto said = messages::decode<messages::leaders>(body); said && open_.contains(slot))
          core_.leaders_came(slot, *said, now_);
        break;
      case lost_step:
        open_.erase(slot);
        core_.node_lost(slot, {errc::unavailable, "broke"}, false, now_);
        break;
      default:
        now_ += milliseconds(slot_byte);
        core_.tick(now_);
    }
    drain();
  }

  void finish() {
    now_ += milliseconds(10'000);
    core_.tick(now_);
    drain();
    KAHUNA_CHECK(answered_.size() == 4, answered_.size());
  }

 private:
  void drain() {
    core_.check_invariants();
    const auto ready = core_.take_ready();
    for (const auto& [slot, address] : ready.connect) slots_ = std::max(slots_, slot + 1);
    for (const auto& [token, response] : ready.answers) KAHUNA_CHECK(answered_.insert(token).second, "answered twice", token);
    for (const auto& [token, list] : ready.list_answers) KAHUNA_CHECK(answered_.insert(token).second, "answered twice", token);
  }

  instant now_{};
  client_core core_;
  node_slot slots_ = 1;
  std::set<node_slot> open_;
  std::set<std::uint64_t> answered_;
};

void fuzz_client(std::string_view input) {
  read_within(client_bound, input.size(), [&] {
    client_driver driver;
    byte_source source(input);
    for (int steps = 0; !source.is_empty() && steps < 64; ++steps) {
      const auto what = source.take_byte();
      const auto slot = source.take_byte();
      driver.take(what, slot, source.take_block());
    }
    driver.finish();
    return true;
  });
}

template <class Body>
std::string step_of(step_kind what, std::uint8_t slot, const Body& body) {
  return std::string{static_cast<char>(what), static_cast<char>(slot)} + block_of(messages::encode(body));
}

std::vector<std::string> client_seeds() {
  messages::client_replies answers = sample_replies();
  answers.replies.clear();
  answers.replies.push_back({1, 1, kv::set_response{true, 4, answers.now}});
  answers.replies.push_back({2, 1, error{errc::not_leader, "ask another"}});
  for (std::uint64_t sequence = 3; sequence < 6; ++sequence)
    answers.replies.push_back({sequence, 1, sample_replies().replies.back().response});
  auto endless = sample_welcome();
  endless.map.partitions = ~std::uint32_t{0};
  auto nowhere = sample_welcome();
  nowhere.map.partitions = 0;
  const auto opened = step_of(welcome_step, 0, sample_welcome()) + step_of(leaders_step, 0, sample_leaders());
  return {opened + step_of(replies_step, 0, answers) + step_of(tick_step, 100, messages::ping{}) +
              step_of(replies_step, 0, answers),
          opened + step_of(lost_step, 0, messages::ping{}) + step_of(welcome_step, 1, sample_welcome()) +
              step_of(replies_step, 1, answers),
          step_of(welcome_step, 0, endless), step_of(welcome_step, 0, nowhere)};
}

}  // namespace

std::vector<fuzz_target> client_targets() { return {{"client", fuzz_client, client_seeds}}; }

}  // namespace kahuna::fuzz
