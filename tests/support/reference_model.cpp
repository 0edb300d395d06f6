#include "tests/support/reference_model.hpp"

namespace kahuna::testing {

namespace {

std::string r(std::int64_t revision) { return "r" + std::to_string(revision); }

// Contract §1: 1 to 4,096 bytes, no NUL, not reserved; the arguments of lists have the same limits (§2).
bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= 4096 && name.find('\0') == std::string::npos && name.rfind("__kahuna:", 0) != 0;
}

bool is_expiry(std::int64_t ms) { return ms >= 0 && ms <= 3'155'760'000'000; }

bool is_valid(const kv::operation& op) {
  struct judge {
    bool operator()(const kv::set_request& q) const {
      return is_name(q.key) && is_expiry(q.expires_ms) && !(q.if_absent && q.if_present) && (!q.if_revision || *q.if_revision >= -1);
    }
    bool operator()(const kv::get_request& q) const { return is_name(q.key) && (!q.at_revision || *q.at_revision >= 0); }
    bool operator()(const kv::exists_request& q) const { return is_name(q.key); }
    bool operator()(const kv::delete_request& q) const { return is_name(q.key); }
    bool operator()(const kv::extend_request& q) const { return is_name(q.key) && is_expiry(q.expires_ms); }
    bool operator()(const kv::get_by_bucket_request& q) const { return is_name(q.bucket); }
    bool operator()(const kv::scan_by_prefix_request& q) const { return is_name(q.prefix); }
    // The model knows single operations alone.
    bool operator()(const kv::read_clock_request&) const { return false; }
    bool operator()(const kv::transaction_request&) const { return false; }
    bool operator()(const kv::participant_request&) const { return false; }
  };
  return std::visit(judge{}, op);
}

}  // namespace

std::string reference_model::run(const kv::operation& op) {
  if (!is_valid(op)) return "error invalid_argument";
  if (const auto* request = std::get_if<kv::set_request>(&op)) return set(*request);
  if (const auto* request = std::get_if<kv::get_request>(&op)) return get(*request);
  if (const auto* request = std::get_if<kv::exists_request>(&op)) {
    const auto& k = spaces_[static_cast<int>(request->space)][request->key];
    return k.is_live ? "exists " + r(k.last) : "not found";
  }
  if (const auto* request = std::get_if<kv::delete_request>(&op)) {
    auto& k = spaces_[static_cast<int>(request->space)][request->key];
    if (!k.is_live) return "not found";
    k.is_live = false;
    return "deleted " + r(k.last);
  }
  if (const auto* request = std::get_if<kv::extend_request>(&op)) {
    auto& k = spaces_[static_cast<int>(request->space)][request->key];
    if (!k.is_live) return "not found";
    k.expires_ms = request->expires_ms;
    return "extended " + r(k.last);
  }
  if (const auto* request = std::get_if<kv::get_by_bucket_request>(&op))
    return list(spaces_[static_cast<int>(request->space)], {request->bucket + "/", true, request->after, request->limit});
  const auto& scan = std::get<kv::scan_by_prefix_request>(op);
  return list(spaces_[static_cast<int>(scan.space)], {scan.prefix, false, scan.after, scan.limit});
}

std::string reference_model::set(const kv::set_request& request) {
  auto& k = spaces_[static_cast<int>(request.space)][request.key];
  const auto current = k.is_live ? k.last : -1;
  bool holds = true;
  if (request.if_absent) holds = holds && !k.is_live;
  if (request.if_present) holds = holds && k.is_live;
  if (request.if_value) holds = holds && k.is_live && k.history[k.last] == request.if_value->str();
  if (request.if_revision) holds = holds && *request.if_revision == current;
  if (!holds) return "not set " + r(current);
  k.last += 1;
  k.is_live = true;
  k.history[k.last] = request.value.str();
  k.expires_ms = request.expires_ms;
  return "set " + r(k.last);
}

std::string reference_model::get(const kv::get_request& request) {
  const auto& k = spaces_[static_cast<int>(request.space)][request.key];
  if (!request.at_revision) return k.is_live ? r(k.last) + " " + k.history.at(k.last) : "not found";
  const auto found = k.history.find(*request.at_revision);
  if (found == k.history.end()) return "not found";
  const bool is_forgotten = request.space == kv::durability::ephemeral && *request.at_revision <= k.last - 16;
  return is_forgotten ? "not found" : r(found->first) + " " + found->second;
}

std::string reference_model::list(const space& keys, const list_of& asked) const {
  std::string out;
  std::uint32_t count = 0;
  for (const auto& [key, k] : keys) {
    if (!k.is_live || !key.starts_with(asked.prefix) || key <= asked.after) continue;
    if (asked.is_bucket && key.find('/', asked.prefix.size()) != std::string::npos) continue;
    if (asked.limit != 0 && count == asked.limit) return out + "more";
    out += key + "=" + r(k.last) + " " + k.history.at(k.last) + " ";
    ++count;
  }
  return out;
}

void reference_model::expire(kv::durability space, const std::string& key) { spaces_[static_cast<int>(space)][key].is_live = false; }

std::int64_t reference_model::expires_ms(kv::durability space, const std::string& key) const {
  const auto& keys = spaces_[static_cast<int>(space)];
  const auto found = keys.find(key);
  return found != keys.end() && found->second.is_live ? found->second.expires_ms : 0;
}

std::string without_message(const std::string& words) {
  return words.starts_with("error ") ? words.substr(0, words.find(':')) : words;
}

std::string in_words(const kv::operation_response& response) {
  struct teller {
    std::string operator()(const error& e) const { return "error " + std::string(to_string(e.code)) + ": " + e.message; }
    std::string operator()(const kv::set_response& s) const { return (s.is_set ? "set " : "not set ") + r(s.revision); }
    std::string operator()(const kv::get_response& g) const { return g.is_found ? r(g.revision) + " " + g.value.str() : "not found"; }
    std::string operator()(const kv::exists_response& x) const { return x.is_found ? "exists " + r(x.revision) : "not found"; }
    std::string operator()(const kv::delete_response& d) const { return d.is_deleted ? "deleted " + r(d.revision) : "not found"; }
    std::string operator()(const kv::extend_response& x) const { return x.is_extended ? "extended " + r(x.revision) : "not found"; }
    std::string operator()(const kv::list_response& l) const {
      std::string out;
      for (const auto& item : l.items) out += item.key + "=" + r(item.revision) + " " + item.value.str() + " ";
      return out + (l.has_more ? "more" : "");
    }
    std::string operator()(const kv::clock_response&) const { return "clock"; }
    std::string operator()(const kv::commit_response&) const { return "committed"; }
    std::string operator()(const kv::rollback_response&) const { return "rolled back"; }
    std::string operator()(const kv::lock_response&) const { return "locked"; }
    std::string operator()(const kv::several_response& s) const { return "answers " + std::to_string(s.answers.size()); }
    std::string operator()(const kv::commit_refusal& c) const { return "refused write " + std::to_string(c.write); }
    std::string operator()(const kv::participant_response&) const { return "an answer between nodes"; }
  };
  return std::visit(teller{}, response);
}

}  // namespace kahuna::testing
