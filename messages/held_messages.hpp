// What of a node's messages to another one waits while much is on its way already, so that what is small passes what is large. Pure.
//
// Large are appends and snapshot pieces from 64 KiB on. Entries and pieces of one partition keep their order, because a follower takes a gap
// for a lost message; heartbeats, votes and acknowledgements pass everything.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "messages/protocol.hpp"

namespace kahuna::messages {

class held_messages {
 public:
  // So much may be on its way before anything large waits.
  static constexpr std::size_t under_way_bytes_max = 1 << 20;
  static constexpr std::size_t large_bytes_min = 64 << 10;

  // Takes out of `collected` what has to wait, where so many bytes are on their way.
  void hold_back(std::vector<peer_envelope>& collected, std::size_t under_way_bytes);

  // The next one, where there is one and it need not wait any longer.
  std::optional<peer_envelope> next(std::size_t under_way_bytes);

  std::size_t bytes() const { return bytes_; }
  void clear() { *this = held_messages(); }

 private:
  std::deque<peer_envelope> held_;
  std::map<partition_id, std::size_t> held_of_;  // how many of them are of a partition
  std::size_t bytes_ = 0;
};

}  // namespace kahuna::messages
