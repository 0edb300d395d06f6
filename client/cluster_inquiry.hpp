// One question to every node of the cluster where it stands, and when enough is known to answer whoever asked.
//
// Pure; owned by the client actor, which sends. A node is asked once, when its connection is open or as soon as it
// opens, and not waited for once its connection is lost: it is down, as far as this client can tell. So the answer is there
// as soon as every node has answered or is known not to, and at the deadline in any case.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "client/client_core.hpp"
#include "core/base/time.hpp"
#include "messages/protocol.hpp"

namespace kahuna::client {

class cluster_inquiry {
 public:
  cluster_inquiry(messages::cluster_request question, instant deadline) : question_(question), deadline_(deadline) {}

  const messages::cluster_request& question() const { return question_; }

  // Whether the node is to be asked now that it can be; from then on it is waited for.
  bool begin_asking(node_slot slot) { return nodes_.emplace(slot, progress::asked).second; }

  void node_lost(node_slot slot) {
    auto& node = nodes_[slot];
    if (node != progress::answered) node = progress::lost;
  }

  // A reply to another question, or a second one, is dropped.
  void reply_came(node_slot slot, const messages::cluster_reply& reply) {
    const auto found = nodes_.find(slot);
    if (reply.token != question_.token || found == nodes_.end() || found->second == progress::answered) return;
    found->second = progress::answered;
    replies_.emplace(slot, reply);
  }

  // `slots`: how many nodes and endpoints the client knows; none are known to be missing.
  bool is_settled(std::size_t slots, instant now) const {
    if (now >= deadline_) return true;
    std::size_t settled = 0;
    for (const auto& [slot, node] : nodes_) settled += node == progress::asked ? 0 : 1;
    return slots > 0 && settled >= slots;
  }

  // In the order of the slots: an endpoint's before those that were learned of.
  std::vector<messages::cluster_reply> replies() const {
    std::vector<messages::cluster_reply> all;
    for (const auto& [slot, reply] : replies_) all.push_back(reply);
    return all;
  }

 private:
  enum class progress : std::uint8_t { asked, answered, lost };

  messages::cluster_request question_;
  instant deadline_;
  std::map<node_slot, progress> nodes_;
  std::map<node_slot, messages::cluster_reply> replies_;
};

}  // namespace kahuna::client
