// What a leader knows of one follower's log [Ongaro14 §3.5, §10.2.1].
//
//   probe      the follower's match is not known: one append at a time, until one is accepted.
//   replicate  it is: appends are pipelined, next_index runs ahead of match_index within the in-flight window.
//   snapshot   it lacks what the log no longer has: it gets the state instead, and only heartbeats until it has that.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "core/base/time.hpp"
#include "core/raft/raft_types.hpp"

namespace kahuna::raft {

// A transfer of the state under way, as its sender sees it.
struct snapshot_sending {
  std::uint64_t transfer = 0;
  bool is_opened = false;
  log_start start;                  // once it is opened; the log may have gone on beyond it since
  std::uint64_t next_to_order = 0;  // pieces before this one were ordered from the driver
  std::uint64_t acknowledged = 0;   // pieces before this one are stored over there
  std::deque<shared_bytes> pieces;  // from there on, read and sent
  bool has_last = false;            // whether the last of them is the last of all
  std::optional<std::uint64_t> sent_again;  // what was acknowledged when the window was last sent again
  instant advanced_at{};            // the last sign that it goes on, or attempt to make it
  std::uint32_t stalls = 0;         // attempts since the last sign
};

struct progress {
  enum class mode : std::uint8_t { probe, replicate, snapshot };

  mode sending = mode::probe;
  log_index match_index;
  log_index next_index;
  bool is_probe_under_way = false;  // until its answer, or the next heartbeat, which repeats it
  std::uint64_t acked_round = 0;
  // The last round that was opened before it was taken in. What answers that, or an older one, may come of a replica that this node had
  // before, in the same term, and dropped.
  std::uint64_t round_before = 0;
  instant heard_at{};     // the last answer of any kind in this term
  instant advanced_at{};  // the last time that match_index rose, or the pipeline was empty

  struct in_flight {
    log_index last;
    std::size_t bytes = 0;
  };
  std::deque<in_flight> window;
  std::size_t window_bytes = 0;
  std::optional<snapshot_sending> snapshot;  // in mode snapshot

  // Of one that is to become a voter: what it must reach, and since when it has been on its way there.
  struct round {
    log_index upto;
    instant began;
  };
  std::optional<round> catch_up_round;
  bool has_caught_up = false;
  std::optional<instant> leaves_at;  // it belongs to no configuration any more, and is told so until then

  void become_probe(log_index next) {
    sending = mode::probe;
    next_index = next;
    is_probe_under_way = false;
    window.clear();
    window_bytes = 0;
  }

  void become_replicate() {
    sending = mode::replicate;
    next_index = match_index + 1;
    is_probe_under_way = false;
  }

  void sent(log_index last, std::size_t bytes) {
    window.push_back({last, bytes});
    window_bytes += bytes;
  }

  void acknowledged(log_index upto) {
    while (!window.empty() && window.front().last <= upto) {
      window_bytes -= window.front().bytes;
      window.pop_front();
    }
  }
};

}  // namespace kahuna::raft
