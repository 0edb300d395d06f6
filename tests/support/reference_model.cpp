#include "tests/support/reference_model.hpp"

namespace kahuna::testing {

namespace {

std::string r(std::int64_t revision) { return "r" + std::to_string(revision); }

}  // namespace

std::string reference_model::run(const kv::operation& op) {
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
    const auto& k = spaces_[static_cast<int>(request->space)][request->key];
    return k.is_live ? "extended " + r(k.last) : "not found";
  }
  if (const auto* request = std::get_if<kv::get_by_bucket_request>(&op))
    return list(spaces_[static_cast<int>(request->space)], request->bucket + "/", true);
  const auto& scan = std::get<kv::scan_by_prefix_request>(op);
  return list(spaces_[static_cast<int>(scan.space)], scan.prefix, false);
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

std::string reference_model::list(const space& keys, const std::string& prefix, bool is_bucket) const {
  std::string out;
  for (const auto& [key, k] : keys) {
    if (!k.is_live || !key.starts_with(prefix)) continue;
    if (is_bucket && key.find('/', prefix.size()) != std::string::npos) continue;
    out += key + "=" + r(k.last) + " " + k.history.at(k.last) + " ";
  }
  return out;
}

void reference_model::expire(kv::durability space, const std::string& key) { spaces_[static_cast<int>(space)][key].is_live = false; }

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
      return out;
    }
  };
  return std::visit(teller{}, response);
}

}  // namespace kahuna::testing
