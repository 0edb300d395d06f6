#include "tests/support/cluster_simulation/client.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include "core/kv/operation_routing.hpp"

namespace kahuna::testing {

namespace {

constexpr std::int64_t patience_us = 2'500'000;

// Whether another attempt may come to something else.
bool is_worth_repeating(const kv::operation_response& response) {
  const auto* failure = std::get_if<error>(&response);
  return failure != nullptr && failure->code != errc::aborted && failure->code != errc::invalid_argument;
}

}  // namespace

std::uint64_t client::wall_ms() const { return 1'700'000'010'000 + static_cast<std::uint64_t>(board_.w.now() / 1'000); }

void client::rest() {
  is_idle_ = true;
  if (!is_working_) return;
  board_.w.at(board_.w.draw(0, board_.w.options.think_ms_max * 1'000), [this] {
    if (is_working_) begin_work();
  });
}

void client::ask(kv::operation op, std::int64_t patience, outcome_handler done) {
  if (board_.w.percent(board_.w.options.forget_percent)) leaders_.clear();
  auto r = std::make_shared<under_way>();
  r->partition = *kv::partition_of(routing::partition_map{0, static_cast<std::uint32_t>(board_.w.options.partitions), 1, {}}, op);
  r->request.client = id_;
  if (kv::is_write(op)) {
    // One at a time: the answers of all before have been heard, or are not waited for any more.
    r->request.sequence = r->request.floor = next_sequence_++;
    r->request.issued_at = std::max(clock_.last(), timestamp_at(wall_ms() - 10'000));
  }
  r->request.op = std::move(op);
  r->request.attempt = 0;
  r->deadline = board_.w.now() + patience;
  r->done = std::move(done);
  attempt(std::move(r));
}

void client::learn(std::shared_ptr<const routing::partition_map> map) {
  if (!map_ || map->version > map_->version) map_ = std::move(map);
}

// Whom it knows, of whom some may be gone, or not there yet.
int client::draw_node() {
  auto& w = board_.w;
  if (!map_) return static_cast<int>(w.dice.below(w.options.has_members() ? static_cast<std::uint64_t>(w.options.nodes) : board_.node_count()));
  return static_cast<int>(map_->members[w.dice.below(map_->members.size())].id.value) - 1;
}

void client::attempt(std::shared_ptr<under_way> r) {
  auto& w = board_.w;
  auto& known = leaders_[r->partition];
  auto& request = r->request;
  // As the client library does it: an ephemeral write that may have been applied is not tried at another leadership.
  if (kv::is_write(request.op) && kv::space_of(request.op) == kv::durability::ephemeral) {
    if (!r->may_be_applied)
      request.term = known.term;
    else if (known.term > request.term)
      return r->done({std::nullopt, {}, request.term});
  }
  ++request.attempt;
  const auto to = known.node != no_node && !w.dice.chance(1, 25) ? static_cast<int>(known.node.value) - 1 : draw_node();
  board_.ask(network::outside, to, r->partition, request, clock_.last(), w.options.attempt_ms * 1'000, [this, r](const answer& a) {
    clock_.observe(a.now);
    if (a.map) learn(a.map);
    auto& leader = leaders_[r->partition];
    if (a.leader != no_node && a.term >= leader.term)
      leader = {a.leader, a.term};
    else if (std::holds_alternative<error>(a.response))
      leader.node = no_node;
    if (const auto* failure = std::get_if<error>(&a.response)) r->may_be_applied = r->may_be_applied || is_outcome_unknown(failure->code);
    if (!is_worth_repeating(a.response)) return r->done({a.response, a.era, r->request.term});
    if (board_.w.now() >= r->deadline) return r->done({std::nullopt, {}, r->request.term});
    board_.w.at(board_.w.draw(1'000, 30'000), [this, r] { attempt(r); });
  });
}

// --- single keys --------------------------------------------------------------------------------------------------

std::string register_client::key_name(int number) { return "r" + std::to_string(number); }

void register_client::begin_work() {
  is_idle_ = false;
  auto& w = board_.w;
  const auto key = key_name(static_cast<int>(w.dice.below(static_cast<std::uint64_t>(w.options.keys))));
  const bool is_ephemeral = w.percent(w.options.ephemeral_percent);
  const auto space = is_ephemeral ? kv::durability::ephemeral : kv::durability::persistent;
  const auto& last = seen_[{key, is_ephemeral}];
  using what = key_operation_record::what;
  using when = key_operation_record::when;
  auto record = std::make_shared<key_operation_record>();
  record->began = w.now();
  kv::operation op;
  const auto kind = w.dice.below(100);
  if (kind < 40) {
    op = kv::get_request{.key = key, .space = space};
  } else if (kind < 45) {
    record->asked = what::exists;
    op = kv::exists_request{.key = key, .space = space};
  } else if (kind < 53) {
    record->asked = what::erase;
    op = kv::delete_request{.key = key, .space = space};
  } else {
    record->asked = what::set;
    record->value = history_.next_value();
    kv::set_request set{.key = key, .value = std::to_string(record->value), .space = space};
    if (kind >= 90) {
      record->condition = when::value_is;
      record->condition_number = last.value;
      set.if_value = shared_bytes(std::to_string(last.value));
    } else if (kind >= 75) {
      record->condition = when::revision_is;
      record->condition_number = last.revision;
      set.if_revision = last.revision;
    } else if (kind >= 72) {
      record->condition = when::absent;
      set.if_absent = true;
    } else if (kind >= 69) {
      record->condition = when::present;
      set.if_present = true;
    }
    op = std::move(set);
  }
  ask(std::move(op), patience_us, [this, record, key, is_ephemeral](const outcome& o) {
    record->ended = board_.w.now();
    record->note = "client " + std::to_string(id_);
    auto& seen = seen_[{key, is_ephemeral}];
    if (o.response && !std::holds_alternative<error>(*o.response)) {
      record->is_known = true;
      if (const auto* got = std::get_if<kv::get_response>(&*o.response)) {
        record->is_done = got->is_found;
        record->revision = got->revision;
        if (got->is_found) record->value = std::stoll(std::string(got->value.view()));
        seen = {got->revision, got->is_found ? record->value : 0};
      } else if (const auto* set = std::get_if<kv::set_response>(&*o.response)) {
        record->is_done = set->is_set;
        record->revision = set->revision;
        seen.revision = set->revision;
        if (set->is_set) seen.value = record->value;
      } else if (const auto* exists = std::get_if<kv::exists_response>(&*o.response)) {
        record->is_done = exists->is_found;
        record->revision = exists->revision;
      } else if (const auto* erased = std::get_if<kv::delete_response>(&*o.response)) {
        record->is_done = erased->is_deleted;
        record->revision = erased->revision;
        seen.revision = -1;
      }
      board_.w.note(static_cast<std::uint64_t>(record->revision + 2) * 31 + id_);
    }
    board_.w.note(static_cast<std::uint64_t>(record->ended));
    const bool is_read = record->asked == key_operation_record::what::read || record->asked == key_operation_record::what::exists;
    if (record->is_known || !is_read) {
      if (is_ephemeral)
        history_.add_ephemeral(key, record->is_known ? o.era : o.meant_for, *record);
      else
        history_.add(key, *record);
    }
    rest();
  });
}

}  // namespace kahuna::testing
