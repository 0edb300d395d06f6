// Transcripts of Raft groups: each file under raft/ holds commands ("> …") and, behind each, everything that the group
// said. Run with KAHUNA_REWRITE=1 to write what is said now into the files; then read the difference line by line.
//
// Commands; nodes are numbers, times are milliseconds:
//   group N[+M] [read_index|small|short]   a new group of N replicas on empty disks, at time 0, and M more that know nothing of it;
//                            small: one entry an append; short: nothing is kept of the log that is not needed
//   tick NODE MS             time goes on by MS, and that node sees it
//   wait MS                  time goes on, and nobody sees it
//   elect NODE               that node's election timeout passes; messages and writes happen until all is quiet
//   deliver [FROM->TO]       the messages under way arrive, those that they cause stay under way
//   drop [FROM->TO]          they are lost
//   hold FROM->TO            they are late: only release has them arrive
//   release                  what was held is under way again, before all else
//   sync NODE                its writes under way are done
//   settle                   messages and writes happen until all is quiet
//   propose NODE TEXT…       an entry each
//   read NODE ID
//   flush NODE               what it has applied is durable; its log is shortened
//   transfer NODE TO         TO 0: to whoever is best
//   prepared NODE            the lease is given up, and nothing more will be proposed, for the first handover of which that was not said
//   change NODE VOTERS [LEARNERS] [as CHANGE]   other members are asked for: 1,2,3; the change's number is 1 unless it is given
//   lost NODE PEER           NODE's connection to PEER broke
//   crash NODE [WRITES]      so many of its writes under way reach the disk
//   forget NODE              it is down, and was dropped: but for its hard state nothing is left of it
//   busy                     whoever reads and opens snapshots for a replica does nothing more, until:
//   idle                     what it was asked for meanwhile is done
//   start NODE
//   state
#define CAF_SUITE raft_scenarios
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "tests/support/raft_replica.hpp"

using namespace kahuna;
using namespace kahuna::testing;

namespace {

struct under_way {
  node_id from;
  raft::peer_message message;  // peer: to whom
};

std::string members_text(const raft::configuration& members) {
  std::ostringstream out;
  const auto list = [&](const char* what, const std::vector<node_id>& nodes) {
    for (std::size_t i = 0; i < nodes.size(); ++i) out << (i == 0 ? what : ",") << nodes[i];
  };
  list("voters=", members.voters);
  list(";outgoing=", members.outgoing);
  list(";learners=", members.learners);
  return out.str();
}

std::string entries_text(const std::vector<raft::log_entry>& entries) {
  std::ostringstream out;
  for (const auto& entry : entries) {
    out << ' ' << entry.index << '@' << entry.term;
    if (entry.kind == raft::entry_kind::no_op)
      out << ":no-op";
    else if (entry.kind == raft::entry_kind::configuration)
      out << ':' << members_text(*raft::decode_configuration(entry.payload.view()));
    else
      out << ':' << entry.payload.view();
  }
  return out.str();
}

std::string message_text(const raft::message_body& body) {
  std::ostringstream out;
  if (const auto* vote = std::get_if<raft::vote_request>(&body))
    out << (vote->is_pre_vote ? "pre_vote" : vote->is_transfer ? "vote on transfer" : "vote") << " term " << vote->term << " last " << vote->last_log_index << '@' << vote->last_log_term;
  if (const auto* vote = std::get_if<raft::vote_response>(&body))
    out << (vote->is_pre_vote ? "pre_vote " : "vote ") << (vote->is_granted ? "granted" : "refused") << " term " << vote->term;
  if (const auto* append = std::get_if<raft::append_request>(&body))
    out << "append term " << append->term << " round " << append->round << " prev " << append->prev_log_index << '@'
        << append->prev_log_term << " commit " << append->commit_index << entries_text(append->entries);
  if (const auto* answer = std::get_if<raft::append_response>(&body)) {
    out << (answer->is_accepted ? "accepted" : "rejected") << " term " << answer->term << " round " << answer->round;
    if (answer->is_accepted)
      out << " match " << answer->match_index;
    else
      out << " at " << answer->rejected_index << " hint " << answer->hint_index << '@' << answer->hint_term;
  }
  if (const auto* asked = std::get_if<raft::timeout_now>(&body)) out << "timeout_now term " << asked->term;
  if (const auto* piece = std::get_if<raft::install_snapshot_request>(&body))
    out << "snapshot term " << piece->term << " transfer " << piece->transfer << " at " << piece->at.index << '@' << piece->at.term
        << " piece " << piece->number << (piece->is_last ? " (the last): " : ": ") << piece->data.view();
  if (const auto* answer = std::get_if<raft::install_snapshot_response>(&body))
    out << (answer->is_restarted ? "snapshot unknown" : "snapshot stored") << " term " << answer->term << " transfer " << answer->transfer
        << " next " << answer->next_number;
  return out.str();
}

class scenario {
 public:
  std::string run(const std::string& command) {
    said_.str("");
    std::istringstream in(command);
    std::string verb;
    in >> verb;
    if (verb == "group") group(in);
    else if (verb == "tick") tick(in);
    else if (verb == "wait") now_ += std::chrono::milliseconds(take_number(in));
    else if (verb == "elect") elect(take_node(in));
    else if (verb == "deliver") deliver(in, true);
    else if (verb == "drop") deliver(in, false);
    else if (verb == "hold") hold(in);
    else if (verb == "release") release();
    else if (verb == "sync") sync(take_node(in));
    else if (verb == "settle") settle();
    else if (verb == "propose") propose(in);
    else if (verb == "read") read(in);
    else if (verb == "flush") flush(take_node(in));
    else if (verb == "transfer") transfer(in);
    else if (verb == "prepared") prepared(take_node(in));
    else if (verb == "change") change(in);
    else if (verb == "lost") lost(in);
    else if (verb == "crash") crash(in);
    else if (verb == "forget") take_node(in).drop();
    else if (verb == "busy") is_busy_ = true;
    else if (verb == "idle") idle();
    else if (verb == "start") start(take_node(in));
    else if (verb == "state") state();
    else said_ << "unknown command " << verb << '\n';
    return said_.str();
  }

 private:
  static std::uint64_t take_number(std::istringstream& in) {
    std::uint64_t number = 0;
    in >> number;
    return number;
  }
  raft_replica& take_node(std::istringstream& in) { return *replicas_.at(node_id{static_cast<std::uint32_t>(take_number(in))}); }

  void group(std::istringstream& in) {
    const auto count = static_cast<std::uint32_t>(take_number(in));
    std::uint32_t spares = 0;
    if (in.peek() == '+') spares = static_cast<std::uint32_t>(in.ignore() ? take_number(in) : 0);
    std::string mode;
    in >> mode;
    raft::raft_options options;
    if (mode == "read_index") options.reads = raft::read_mode::read_index;
    if (mode == "small") options.append_bytes_max = 1;
    if (mode == "short") options.log_bytes_kept = options.log_bytes_max = 0;
    std::vector<node_id> voters;
    for (std::uint32_t i = 1; i <= count; ++i) voters.push_back(node_id{i});
    for (std::uint32_t i = 1; i <= count + spares; ++i) {
      const node_id id{i};
      replicas_[id] = std::make_unique<raft_replica>(id, i <= count ? voters : std::vector<node_id>{}, options, i);
      start(*replicas_[id]);
    }
  }

  void start(raft_replica& replica) {
    replica.start(now_);
    drain(replica);
  }

  void drain(raft_replica& replica) {
    while (replica.is_up() && replica.core().has_ready()) {
      auto ready = replica.take_ready();
      const auto who = "  " + std::to_string(replica.id().value);
      if (ready.role) {
        said_ << who << ' ' << (ready.role->role == raft::role_kind::leader      ? "leads"
                                : ready.role->role == raft::role_kind::candidate ? "is a candidate"
                                                                                 : "follows");
        if (ready.role->role == raft::role_kind::follower) said_ << ' ' << ready.role->leader;
        said_ << " in term " << ready.role->term << '\n';
      }
      if (ready.lease)
        said_ << who << " has a lease until " << std::chrono::duration_cast<std::chrono::milliseconds>(ready.lease->until.time_since_epoch()).count() << " ms\n";
      if (ready.handover && ready.handover->is_under_way) handovers_[replica.id()].push_back(ready.handover->number);
      if (ready.handover) said_ << who << (ready.handover->is_under_way ? " is about to hand over" : " goes on leading") << '\n';
      if (ready.write) {
        said_ << who << " writes #" << ready.write->number;
        if (ready.write->state) said_ << " term " << ready.write->state->term << " voted_for " << ready.write->state->voted_for;
        if (ready.write->start) said_ << " start " << ready.write->start->at.index << '@' << ready.write->start->at.term;
        if (ready.write->truncate_from) said_ << " truncate from " << *ready.write->truncate_from;
        said_ << entries_text(ready.write->entries) << '\n';
      }
      for (auto& message : ready.messages) {
        said_ << who << " -> " << message.peer << ' ' << message_text(message.body) << '\n';
        messages_.push_back({replica.id(), std::move(message)});
      }
      for (const auto& answer : ready.reads)
        said_ << who << " read " << answer.read_id << (answer.is_safe ? " is safe at " : " is refused") << (answer.is_safe ? std::to_string(answer.read_index.value) : "") << '\n';
      // What it was formed with goes without saying.
      if (ready.configuration && ready.configuration->index != log_index{})
        said_ << who << " has " << members_text(ready.configuration->members) << (ready.configuration->is_committed ? ", committed" : "") << '\n';
      for (const auto& answer : ready.changes) {
        static constexpr const char* said[] = {"takes the change", "does not lead", "can't make of it members", "has another change under way",
                                               "would lose the quorum", "was asked for a later change"};
        said_ << who << ' ' << said[static_cast<std::size_t>(answer.refusal)] << '\n';
      }
      if (!ready.committed.empty()) {
        said_ << who << " applies" << entries_text(ready.committed) << '\n';
        replica.step(raft::applied{ready.committed.back().index}, now_);
      }
      for (const auto& order : ready.snapshot_orders) {
        if (is_busy_) waiting_orders_.emplace_back(replica.id(), order);
        else honour(replica, order);
      }
      for (const auto& piece : ready.snapshot_pieces) store(replica, piece);
    }
  }

  void tick(raft_replica& replica, std::uint64_t milliseconds) {
    now_ += std::chrono::milliseconds(milliseconds);
    replica.step(raft::tick{}, now_);
    drain(replica);
  }

  void tick(std::istringstream& in) {
    auto& replica = take_node(in);
    tick(replica, take_number(in));
  }

  void elect(raft_replica& replica) {
    // Two timeouts: whatever was drawn has passed, and nobody is bound to another leader any more.
    tick(replica, 601);
    settle();
  }

  bool matches(const under_way& message, const std::string& path) const {
    return path.empty() || path == std::to_string(message.from.value) + "->" + std::to_string(message.message.peer.value);
  }

  std::deque<under_way> take_messages(std::istringstream& in) {
    std::string path;
    in >> path;
    std::deque<under_way> chosen;
    for (auto it = messages_.begin(); it != messages_.end();) {
      if (!matches(*it, path)) {
        ++it;
        continue;
      }
      chosen.push_back(std::move(*it));
      it = messages_.erase(it);
    }
    return chosen;
  }

  void deliver(std::istringstream& in, bool arrives) {
    const auto chosen = take_messages(in);
    if (!arrives) return;
    for (const auto& message : chosen) arrive(message);
  }

  void hold(std::istringstream& in) {
    for (auto& message : take_messages(in)) held_.push_back(std::move(message));
  }

  void release() {
    messages_.insert(messages_.begin(), std::make_move_iterator(held_.begin()), std::make_move_iterator(held_.end()));
    held_.clear();
  }

  void arrive(const under_way& message) {
    auto& to = *replicas_.at(message.message.peer);
    if (!to.is_up()) return;
    to.step(raft::receive{{message.from, message.message.body}}, now_);
    drain(to);
  }

  void sync(raft_replica& replica) {
    while (replica.has_write_under_way()) replica.finish_write(now_);
    drain(replica);
  }

  void settle() {
    for (bool is_busy = true; is_busy;) {
      is_busy = !messages_.empty();
      if (is_busy) {
        const auto message = messages_.front();
        messages_.pop_front();
        arrive(message);
        continue;
      }
      for (auto& [id, replica] : replicas_)
        if (replica->is_up() && replica->has_write_under_way()) {
          sync(*replica);
          is_busy = true;
        }
    }
  }

  void propose(std::istringstream& in) {
    auto& replica = take_node(in);
    std::vector<shared_bytes> payloads;
    for (std::string text; in >> text;) payloads.emplace_back(text);
    replica.step(raft::propose{replica.core().term(), std::move(payloads)}, now_);
    drain(replica);
  }

  void read(std::istringstream& in) {
    auto& replica = take_node(in);
    replica.step(raft::read{take_number(in)}, now_);
    drain(replica);
  }

  void flush(raft_replica& replica) {
    replica.disk().applied_index = replica.core().applied_index();
    replica.step(raft::flushed{replica.core().applied_index()}, now_);
    drain(replica);
  }

  void idle() {
    is_busy_ = false;
    for (const auto& [id, order] : std::exchange(waiting_orders_, {})) {
      auto& replica = *replicas_.at(id);
      honour(replica, order);
      drain(replica);
    }
  }

  // A state has two pieces here, which say of what they are.
  void honour(raft_replica& replica, const raft::snapshot_order& order) {
    using what = raft::snapshot_order::what;
    const auto who = "  " + std::to_string(replica.id().value);
    if (order.wanted == what::close) said_ << who << " closes its view for " << order.peer << '\n';
    if (order.wanted == what::open) {
      said_ << who << " opens a view for " << order.peer << '\n';
      replica.step(raft::snapshot_opened{order.peer, order.transfer, replica.core().applied_index()}, now_);
    }
    if (order.wanted == what::read && order.number < 2)
      replica.step(raft::snapshot_read{order.peer, order.transfer, order.number, order.number == 1, order.number == 1 ? "beta" : "alpha"}, now_);
  }

  void store(raft_replica& replica, const raft::snapshot_piece& piece) {
    said_ << "  " << replica.id() << " stores piece " << piece.number << '\n';
    replica.step(raft::snapshot_stored{piece.term, piece.transfer, piece.number}, now_);
    if (!piece.is_last) return;
    said_ << "  " << replica.id() << " installs a snapshot at " << piece.at.index << '@' << piece.at.term << '\n';
    replica.disk().snapshot = {piece.at, piece.members};
    replica.disk().applied_index = piece.at.index;
    replica.step(raft::snapshot_installed{{piece.at, piece.members}}, now_);
  }

  void transfer(std::istringstream& in) {
    auto& replica = take_node(in);
    replica.step(raft::transfer_leadership{node_id{static_cast<std::uint32_t>(take_number(in))}, false}, now_);
    drain(replica);
  }

  void prepared(raft_replica& replica) {
    replica.step(raft::handover_prepared{replica.core().term(), handovers_.at(replica.id()).front(), false}, now_);
    handovers_.at(replica.id()).pop_front();
    drain(replica);
  }

  static std::vector<node_id> nodes_of(const std::string& text) {
    std::istringstream numbers(text);
    std::vector<node_id> nodes;
    for (std::string number; std::getline(numbers, number, ',');) nodes.push_back(node_id{static_cast<std::uint32_t>(std::stoul(number))});
    return nodes;
  }

  void change(std::istringstream& in) {
    auto& replica = take_node(in);
    std::vector<std::vector<node_id>> lists(2);
    std::uint64_t number = 1;
    std::size_t count = 0;
    for (std::string word; in >> word;) {
      if (word == "as")
        in >> number;
      else
        lists.at(count++) = nodes_of(word);
    }
    replica.step(raft::change_configuration{number, std::move(lists[0]), std::move(lists[1])}, now_);
    drain(replica);
  }

  void lost(std::istringstream& in) {
    auto& replica = take_node(in);
    replica.step(raft::connection_lost{node_id{static_cast<std::uint32_t>(take_number(in))}}, now_);
    drain(replica);
  }

  void crash(std::istringstream& in) {
    auto& replica = take_node(in);
    std::uint64_t writes_kept = 0;
    in >> writes_kept;
    replica.crash(writes_kept);
    std::erase_if(messages_, [&](const under_way& message) { return message.message.peer == replica.id(); });
  }

  void state() {
    for (const auto& [id, replica] : replicas_)
      said_ << "  " << (replica->is_up() ? replica->core().describe() : "node " + std::to_string(id.value) + " is down") << '\n';
  }

  instant now_{};
  std::map<node_id, std::unique_ptr<raft_replica>> replicas_;
  std::deque<under_way> messages_;
  std::deque<under_way> held_;
  bool is_busy_ = false;
  std::vector<std::pair<node_id, raft::snapshot_order>> waiting_orders_;
  std::map<node_id, std::deque<std::uint64_t>> handovers_;  // that the driver has not said it is prepared for
  std::ostringstream said_;
};

// The file with everything that is said behind its commands.
std::string play(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::ostringstream out;
  scenario played;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("> ")) out << line << '\n' << played.run(line.substr(2));
    if (line.empty() || line.starts_with("#")) out << line << '\n';
  }
  return out.str();
}

std::string read_whole(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string first_difference(const std::string& expected, const std::string& found) {
  std::istringstream a(expected), b(found);
  std::string x, y;
  for (int number = 1;; ++number) {
    const bool has_x = static_cast<bool>(std::getline(a, x));
    const bool has_y = static_cast<bool>(std::getline(b, y));
    if (!has_x && !has_y) return "";
    if (has_x != has_y || x != y) return "line " + std::to_string(number) + "\n  expected: " + (has_x ? x : "(end)") + "\n  found:    " + (has_y ? y : "(end)");
  }
}

}  // namespace

CAF_TEST(raft groups say what their transcripts say) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(KAHUNA_SCENARIOS)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  CAF_CHECK(files.size() >= 10);
  for (const auto& file : files) {
    const auto found = play(file);
    if (std::getenv("KAHUNA_REWRITE") != nullptr) std::ofstream(file) << found;
    const auto difference = first_difference(read_whole(file), found);
    if (!difference.empty()) CAF_ERROR(file.filename().string() << ": " << difference);
  }
}
