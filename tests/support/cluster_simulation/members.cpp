#include "tests/support/cluster_simulation/members.hpp"

#include <algorithm>
#include <utility>

#include "actors/system_keys.hpp"
#include "core/base/check.hpp"
#include "messages/codec/portable_archive.hpp"
#include "tests/support/cluster_simulation/node.hpp"

namespace kahuna::testing {

namespace {

// What a cluster's actor asks of partition 0 has this bit in its origin.
constexpr std::uint64_t system_origin = std::uint64_t{1} << 62;

constexpr std::int64_t told_every_us = 200'000;
constexpr std::int64_t reached_for_us = 700'000;

routing::membership_options options_of(const cluster_options& given) {
  routing::membership_options options;
  // Sooner than in the product, so that more is done in little time.
  options.order_interval = std::chrono::milliseconds(30);
  options.step_interval = std::chrono::milliseconds(10);
  options.read_pause = std::chrono::milliseconds(30);
  options.patience = std::chrono::milliseconds(given.silence_ms);
  return options;
}

}  // namespace

node_members::node_members(node& host, map_pointer known)
    : host_(host), world_(host.shared_world()), map_(std::move(known)), core_(host.id(), *map_, options_of(world_.options)) {}

bool node_members::is_from_system(std::uint64_t origin) { return !kv::is_from_manager(origin) && (origin & system_origin) != 0; }

void node_members::step(routing::membership_input input) {
  core_.step(std::move(input), host_.steady_now());
  core_.check_invariants();
  auto ready = core_.take_ready();
  if (ready.is_read_wanted) read_token_ = ask_system(kv::get_request{.key = actors::partition_map_key});
  if (ready.write) {
    kv::set_request set{.key = actors::partition_map_key, .value = messages::encode(ready.write->map)};
    set.if_revision = ready.write->expected_revision;
    write_token_ = ask_system(std::move(set));
  }
  if (ready.news && ready.news->version > map_->version) adopt(std::move(*ready.news));
  for (const auto& answered : ready.answers)
    if (const auto asked = commands_.extract(answered.token)) asked.mapped()(answered);
  if (ready.order) send_order(*ready.order);
}

// --- the map ------------------------------------------------------------------------------------------------------

void node_members::adopt(routing::partition_map map) {
  auto before = std::exchange(map_, std::make_shared<const routing::partition_map>(std::move(map)));
  host_.watch().goes_by(*map_);
  world_.note(map_->version * 16 + host_.id().value);
  tell_everybody(true);
  // Also those who are no members any more: so they know.
  for (const auto& m : before->members)
    if (!is_peer(m.id)) send_map(m.id);
  // Posted: this is among what ends.
  if (routing::find_member(*map_, host_.id()) == nullptr) return host_.post(0, [&host = host_] { host.end_for_good(); });
  std::erase_if(heard_at_, [&](const auto& entry) { return !is_peer(entry.first); });
  host_.take_map(map_);
}

void node_members::send_map(node_id to) {
  if (to == host_.id()) return;
  node_news news{map_->version, map_, settled_version_, {}, {}};
  host_.send_to_node(to, [from = host_.id(), news = std::move(news)](node& there) { there.members().take_news(from, news); });
}

void node_members::take_news(node_id from, const node_news& news) {
  for (const auto& [partition, term] : news.led) {
    auto& known = leaders_[partition];
    if (term > known.term || known.leader == no_node) known = {from, term};
  }
  if (!news.zone.empty()) step(routing::zone_told{from, news.zone});
  if (news.settled_version != 0) step(routing::replicas_settled{from, news.settled_version});
  if (news.version < map_->version) return send_map(from);
  if (news.map && news.map->version > map_->version) adopt(*news.map);
}

bool node_members::is_peer(node_id node) const {
  const auto* m = routing::find_member(*map_, node);
  return m != nullptr && node != host_.id() && !routing::is_superseded(*map_, *m);
}

void node_members::tell_everybody(bool is_map_told) {
  told_at_ = world_.now();
  node_news news{map_->version, is_map_told ? map_ : nullptr, settled_version_, host_.zone(), {}};
  for (const auto& [partition, known] : leaders_)
    if (known.leader == host_.id()) news.led[partition] = known.term;
  for (const auto& m : map_->members)
    if (is_peer(m.id)) host_.send_to_node(m.id, [from = host_.id(), news](node& there) { there.members().take_news(from, news); });
}

void node_members::tick() {
  tell_reachable();
  step(routing::membership_tick{});
  if (!host_.zone().empty()) step(routing::zone_told{host_.id(), host_.zone()});
  if (world_.now() - told_at_ >= told_every_us) tell_everybody(false);
}

// --- who is reached, and who leads --------------------------------------------------------------------------------

void node_members::note_heard(node_id peer) {
  if (is_peer(peer)) heard_at_[peer] = world_.now();
}

void node_members::take_connection_lost(node_id peer) {
  heard_at_.erase(peer);
  tell_reachable();
}

void node_members::tell_reachable() {
  routing::reachable_nodes reached;
  reached.nodes.insert(host_.id());
  for (const auto& [peer, at] : heard_at_)
    if (world_.now() - at <= reached_for_us) reached.nodes.insert(peer);
  step(std::move(reached));
}

known_leader node_members::leader_of(partition_id partition) const {
  const auto found = leaders_.find(partition);
  return found == leaders_.end() ? known_leader{} : found->second;
}

void node_members::take_own_leader(partition_id partition, known_leader word) {
  if (auto& known = leaders_[partition]; word.term >= known.term) {
    const bool is_new_here = word.leader == host_.id() && known.leader != word.leader;
    known = word;
    if (is_new_here) tell_everybody(false);
  }
  if (partition == partition_id{0}) step(routing::system_leadership{word.leader == host_.id()});
}

// Nobody tells any more that a replica that is gone does not lead.
void node_members::take_dropped(partition_id partition) {
  if (auto& known = leaders_[partition]; known.leader == host_.id()) known = {};
  if (partition == partition_id{0}) step(routing::system_leadership{false});
}

void node_members::take_settled(std::uint64_t version) {
  settled_version_ = version;
  step(routing::replicas_settled{host_.id(), version});
  tell_everybody(false);
}

// --- partition 0 --------------------------------------------------------------------------------------------------

std::uint64_t node_members::ask_system(kv::operation op) {
  const auto token = ++last_token_;
  kv::partition_request request;
  request.origin = token | system_origin;
  request.is_internal = true;
  request.op = std::move(op);
  host_.post(world_.draw(1, 20), [this, token, request = std::move(request)] {
    auto asked = request;
    asked.issued_at = host_.stamp();
    if (auto* system = host_.find_replica(partition_id{0}))
      system->take_operations({std::move(asked)});
    else
      take_system_answer(token, error{errc::not_leader, "partition 0 is not hosted here"});
  });
  return token;
}

void node_members::take_system_answer(std::uint64_t origin, const kv::operation_response& response) {
  const auto token = origin & ~system_origin;
  const bool is_read = token == read_token_;
  if (!is_read && token != write_token_) return;  // of a leadership that is over
  (is_read ? read_token_ : write_token_) = 0;
  if (const auto* got = std::get_if<kv::get_response>(&response); got != nullptr && is_read) {
    if (!got->is_found) return step(routing::map_read{std::nullopt, got->revision});
    auto map = messages::decode<routing::partition_map>(got->value.view());
    KAHUNA_CHECK(map && routing::is_well_formed(*map));
    return step(routing::map_read{std::move(*map), got->revision});
  }
  if (const auto* set = std::get_if<kv::set_response>(&response); set != nullptr && !is_read && set->is_set)
    return step(routing::map_written{set->revision});
  step(routing::map_access_failed{});
}

// --- orders and commands ------------------------------------------------------------------------------------------

void node_members::send_order(const routing::group_order& order) {
  const auto leader = leader_of(order.partition).leader;
  if (leader == host_.id()) return take_order(host_.id(), order);
  if (is_peer(leader)) host_.send_to_node(leader, [by = host_.id(), order](node& there) { there.members().take_order(by, order); });
}

void node_members::take_order(node_id by, const routing::group_order& order) {
  if (order.version < map_->version) return;
  host_.post(world_.draw(1, 20), [this, by, order] {
    if (auto* group = host_.find_replica(order.partition)) group->take_order(by, order);
  });
}

void node_members::send_report(node_id to, const routing::group_report& report) {
  if (to == host_.id()) return step(report);
  if (is_peer(to)) host_.send_to_node(to, [report](node& there) { there.members().step(report); });
}

void node_members::ask(routing::membership_command what, answer_handler done) {
  const auto token = ++last_token_;
  commands_[token] = std::move(done);
  step(routing::command_asked{token, std::move(what)});
}

}  // namespace kahuna::testing
