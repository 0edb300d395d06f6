// Which partition holds a key, and which nodes hold a partition: one function of (key, map) for everybody.
//
// How many partitions there are is fixed when a cluster is formed. Who its members are, and what each of them holds, changes: the map
// has versions, of which the newest is stored in partition 0 (membership_core.hpp changes it), and every node and client goes by the
// newest that it has heard of. Range partitions and splits can come later behind the same functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/ids.hpp"

namespace kahuna::routing {

// The numbers are on disk and on the wire: never change or reuse one.
enum class member_state : std::uint8_t {
  joining = 0,  // known by name; its node was not seen yet
  active = 1,
  leaving = 2,  // is to hold nothing any more, and then to be a member no more
};

// A member of the cluster as its operators name it.
struct member {
  node_id id;           // never given twice; of a founding member its place among the names in byte order, from 1
  std::string name;     // "n1"
  std::string address;  // "HOST:PORT"
  std::string zone{};   // "": it was not said
  member_state state = member_state::active;
  node_id waits_for{};  // of one that leaves: it holds on to what it has until this one is active; no_node: for nobody

  friend bool operator==(const member&, const member&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned class_version) {
    archive& id& name& address;
    if (class_version >= 1) archive& zone& state& waits_for;
  }
};

// Who holds a partition. Both sorted.
struct placement {
  std::vector<node_id> voters;  // of its Raft group
  std::vector<node_id> target;  // those that are to be its voters instead; empty: it is as it is to be

  bool is_settled() const { return target.empty(); }
  // Who holds it when what is under way is done.
  const std::vector<node_id>& assigned() const { return is_settled() ? voters : target; }

  friend bool operator==(const placement&, const placement&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& voters& target;
  }
};

// A node that was a member once. Its name may be another's by now.
struct former_member {
  node_id id;
  std::string name;

  friend bool operator==(const former_member&, const former_member&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& id& name;
  }
};

inline constexpr std::size_t former_members_max = 64;  // that are remembered by their names
inline constexpr std::uint32_t replication_factor_max = 9;

struct partition_map {
  std::uint64_t cluster_id = 0;
  std::uint32_t partitions = 0;
  std::uint32_t replication_factor = 0;  // as many replicas as a partition is to have, where there are as many members
  std::vector<member> members{};         // by rising id
  std::uint64_t version = 1;
  node_id next_node{};                   // the number that the next member gets
  std::vector<placement> placements{};   // by partition
  std::vector<former_member> former{};   // the last ones, by rising id

  friend bool operator==(const partition_map&, const partition_map&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned class_version) {
    archive& cluster_id& partitions& replication_factor& members;
    if (class_version >= 1) archive& version& next_node& placements& former;
  }
};

inline constexpr std::uint32_t partitions_max = 4096;

// Whether the functions below can be asked of a map that came from elsewhere: 1 to partitions_max partitions, each held by one
// member or more; members by rising ids above 0 and below the next one's; a replication factor of 1 or more.
bool is_well_formed(const partition_map& map);

inline constexpr std::string_view reserved_prefix = "__kahuna:";

// What stands before the last '/' of a key, where that is not empty; otherwise empty: the key is in no bucket.
std::string_view bucket_of(std::string_view key);

// The partition of a key: by its bucket, or by its whole name where it is in no bucket.
partition_id partition_of_key(const partition_map& map, std::string_view key);

// The partition of all keys of a bucket.
partition_id partition_of_bucket(const partition_map& map, std::string_view bucket);

// The same of a map with so many partitions.
partition_id partition_of_key(std::uint32_t partitions, std::string_view key);
partition_id partition_of_bucket(std::uint32_t partitions, std::string_view bucket);

// The nodes that hold a partition or are to hold it, by rising id. Requires that there is such a partition.
std::vector<node_id> replicas_of(const partition_map& map, partition_id partition);

// Numbers the members by their names, and derives the cluster's id from all that must be the same on every founding
// member. `members` come as (name, address) in any order, names distinct. A partition's replicas are on consecutive members,
// starting at one that depends on the partition, so that they spread evenly.
partition_map form_cluster(std::vector<std::pair<std::string, std::string>> members, std::uint32_t partitions,
                           std::uint32_t replication_factor);

// Puts into a map of class version 0, which was never changed since its cluster was formed, what such a map went without saying.
void complete_formed(partition_map& map);

// The member with this id or name; nullptr where there is none. Of two of a name it is the one that does not leave.
const member* find_member(const partition_map& map, node_id id);
const member* find_member(const partition_map& map, std::string_view name);

// Whether a node of this number was a member and is none any more.
bool is_former(const partition_map& map, node_id id);

// Whether a later member is at the address of this one, which leaves: then there is no way to it.
bool is_superseded(const partition_map& map, const member& m);

// Whether a member is to give up what it holds now.
bool is_giving_up(const partition_map& map, const member& m);

}  // namespace kahuna::routing
