#include "node/join_request.hpp"

#include <algorithm>
#include <random>
#include <thread>
#include <utility>

#include "messages/connection/handshake.hpp"
#include "node/blocking_connection.hpp"

namespace kahuna::node {

namespace {

using clock = blocking_connection::clock;

constexpr std::chrono::seconds patience{10};
constexpr std::chrono::milliseconds attempt_time{3000};
constexpr std::chrono::milliseconds pause{100};

// Whether the same may be answered otherwise in a moment, or by another member.
bool is_passing(errc code) { return code == errc::unavailable || code == errc::not_leader || code == errc::leadership_lost || code == errc::overloaded; }

error no_answer(const std::string& address) {
  return {errc::unavailable, address + " does not answer; give --join the address of a member that runs"};
}

// One attempt at one member. Where another leads partition 0, `leader` is its address.
result<messages::membership_reply> ask(const std::string& address, const routing::join_cluster& wanted, clock::time_point deadline, std::string& leader) {
  blocking_connection connection(address, std::min(deadline, clock::now() + attempt_time));
  if (!connection.is_open()) return no_answer(address);
  messages::hello hello;
  hello.role = messages::connection_role::client;
  hello.client_id = std::random_device{}() | 1;
  if (!connection.send(messages::frame_kind::hello, hello)) return no_answer(address);
  std::optional<routing::partition_map> map;
  node_id here;
  const std::uint64_t token = 1;
  while (const auto frame = connection.receive()) {
    if (frame->kind == messages::frame_kind::refusal) {
      const auto said = messages::decode<messages::refusal>(frame->body);
      return said ? error{said->is_final ? errc::permission_denied : errc::unavailable, address + " says: " + said->reason.message} : said.error();
    }
    if (frame->kind == messages::frame_kind::welcome) {
      const auto said = messages::decode<messages::welcome>(frame->body);
      if (!said) return error{errc::unavailable, address + ": " + said.error().message};
      if (const auto wrong = messages::check_welcome(*said)) return error{errc::unavailable, address + ": " + *wrong};
      map = said->map;
      here = said->node;
    } else if (frame->kind == messages::frame_kind::leaders && map) {
      const auto known = messages::decode<messages::leaders>(frame->body);
      if (!known) return error{errc::unavailable, address + ": " + known.error().message};
      const auto system = std::find_if(known->partitions.begin(), known->partitions.end(), [](const auto& entry) { return entry.partition == partition_id{0}; });
      const auto* member = system != known->partitions.end() ? routing::find_member(*map, system->leader) : nullptr;
      if (member == nullptr) return error{errc::unavailable, "partition 0 of the cluster has no leader now, so nobody can join it; see that a majority of its nodes runs"};
      if (member->id != here) {
        leader = member->address;
        return error{errc::not_leader, address + " does not lead partition 0"};
      }
      if (!connection.send(messages::frame_kind::membership_request, messages::membership_request{token, wanted})) return no_answer(address);
    } else if (frame->kind == messages::frame_kind::membership_reply) {
      auto reply = messages::decode<messages::membership_reply>(frame->body);
      if (!reply) return error{errc::unavailable, address + ": " + reply.error().message};
      if (reply->refusal) return *reply->refusal;
      if (!routing::is_well_formed(reply->map) || routing::find_member(reply->map, reply->node) == nullptr)
        return error{errc::unavailable, address + " answered with a partition map that is none"};
      return std::move(*reply);
    }
  }
  return no_answer(address);
}

}  // namespace

result<messages::membership_reply> ask_to_join(const std::vector<std::string>& members, const routing::join_cluster& wanted) {
  const auto deadline = clock::now() + patience;
  error last{errc::unavailable, "there is nobody to ask; give --join the address of a member"};
  if (members.empty()) return last;
  for (std::size_t turn = 0; clock::now() < deadline; ++turn) {
    auto address = members[turn % members.size()];
    for (int hops = 0; hops < 2; ++hops) {
      std::string leader;
      auto answer = ask(address, wanted, deadline, leader);
      if (answer || !is_passing(answer.error().code)) return answer;
      last = answer.error();
      if (leader.empty()) break;
      address = leader;
    }
    std::this_thread::sleep_for(pause);
  }
  return last;
}

}  // namespace kahuna::node
