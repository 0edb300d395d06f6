// The defects that the simulation of whole clusters is tested with (core/base/planted_bug.hpp).
#pragma once

#include <cstdint>

namespace kahuna::testing {

struct planted_defect {
  const char* name;
  const char* what;
  bool needs_members = false;  // shows only where members change
};

inline constexpr planted_defect cluster_bugs[] = {
    {"raft.vote_before_it_is_durable", "a vote leaves before it is on disk"},
    {"raft.acknowledged_before_durable", "a follower acknowledges entries before they are on disk"},
    {"raft.log_match_not_tested", "a follower does not compare the term of the entry before"},
    {"raft.vote_for_a_stale_log", "a vote for a candidate whose log is behind"},
    {"raft.two_votes_in_a_term", "a second vote in a term"},
    {"raft.older_term_committed_by_counting", "entries of older terms commit by counting replicas"},
    {"raft.handed_out_before_committed", "entries are handed out when they are durable, committed or not"},
    {"raft.votes_while_a_lease_may_hold", "votes while a leader may hold a lease"},
    {"raft.lease_longer_than_its_promises", "a lease outlasts what followers promised"},
    {"partition.lease_kept_in_a_handover", "a leader that hands over keeps its lease, and proposes on"},
    {"partition.read_under_an_expired_lease", "nobody looks when the lease ends"},
    {"partition.read_not_confirmed", "reads are answered without lease or round"},
    {"partition.ephemeral_read_not_confirmed", "reads of ephemeral keys are answered without lease or round"},
    {"partition.acknowledged_when_leadership_is_lost", "what is under way when the leadership goes is acknowledged"},
    {"partition.overlay_kept", "writes under way outlive the leadership that proposed them"},
    {"partition.ephemeral_keys_survive", "ephemeral keys outlive the leadership"},
    {"partition.request_window_not_consulted", "a repeated write is evaluated again"},
    {"partition.refusal_of_a_retry_not_kept", "a refused retry is forgotten, and an earlier attempt comes later"},
    {"snapshot.without_the_request_window", "a snapshot brings keys, and not the request window"},
    {"snapshot.without_promises", "a snapshot brings keys, and not what transactions were promised"},
    {"raft.configuration_at_commit", "a configuration is in force when it is committed instead of when it is in the log", true},
    {"raft.change_before_the_last_is_committed", "a change before the last one is committed", true},
    {"raft.configuration_kept_when_overwritten", "a configuration whose entry was overwritten stays in force", true},
    {"raft.earlier_life_counts", "what a dropped replica acknowledged counts for the next one", true},
    {"members.report_before_it_is_committed", "a leader reports a configuration that is not committed", true},
    {"members.dropped_before_the_group_agrees", "a replica is dropped when others are wanted, not when its group has agreed", true},
    {"members.data_of_an_earlier_life_kept", "a replica that is dropped leaves its data behind", true},
    {"disk.sync_error_ignored", "a node goes on after a failed sync of its log"},
};

}  // namespace kahuna::testing
