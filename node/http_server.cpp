#include "node/http_server.hpp"

#include <httplib.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

namespace kahuna::node {

namespace {

using json = nlohmann::ordered_json;

std::string hexadecimal(std::uint64_t number) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
  return text;
}

json name_or_null(const routing::partition_map& map, node_id id) {
  const auto* member = routing::find_member(map, id);
  return member != nullptr ? json(member->name) : json(nullptr);
}

void answer_unknown(httplib::Response& response) {
  response.status = 503;
  response.set_content("{\"error\":\"the node did not say in time where it stands\"}\n", "application/json");
}

}  // namespace

std::string cluster_json(node_id self, const actors::node_status& status) {
  const auto& map = status.map;
  json out;
  out["cluster_id"] = hexadecimal(map.cluster_id);
  out["node_id"] = name_or_null(map, self);
  out["members"] = json::array();
  for (const auto& member : map.members) {
    const bool is_alive = std::find(status.alive.begin(), status.alive.end(), member.id) != status.alive.end();
    out["members"].push_back({{"id", member.name}, {"address", member.address}, {"alive", is_alive}});
  }
  out["partitions"] = json::array();
  for (const auto& known : status.leaders) {
    json partition{{"id", known.partition.value}, {"leader", name_or_null(map, known.leader)}, {"term", known.term.value}};
    partition["replicas"] = json::array();
    for (const auto replica : routing::replicas_of(map, known.partition)) partition["replicas"].push_back(name_or_null(map, replica));
    const auto here = std::find_if(status.replicas.begin(), status.replicas.end(),
                                   [&](const auto& replica) { return replica.partition == known.partition; });
    // A partition that is not hosted here has no indexes here.
    partition["commit_index"] = here != status.replicas.end() ? json(here->commit_index.value) : json(nullptr);
    partition["applied_index"] = here != status.replicas.end() ? json(here->applied_index.value) : json(nullptr);
    out["partitions"].push_back(std::move(partition));
  }
  return out.dump() + '\n';
}

bool is_ready(node_id self, const actors::node_status& status) {
  for (const auto& known : status.leaders) {
    const auto& voters = status.map.placements.at(known.partition.value).voters;
    if (known.leader == no_node && std::binary_search(voters.begin(), voters.end(), self)) return false;
  }
  return true;
}

struct http_server::implementation {
  httplib::Server server;
  std::thread listener;
};

std::unique_ptr<http_server> http_server::start(const std::string& host, std::uint16_t port, node_id self,
                                                status_source status, std::function<std::string()> metrics) {
  auto impl = std::make_unique<implementation>();
  auto& server = impl->server;
  server.new_task_queue = [] { return new httplib::ThreadPool(2); };
  server.set_keep_alive_max_count(100);
  server.set_keep_alive_timeout(2);
  server.set_read_timeout(2);
  server.set_write_timeout(2);
  server.set_payload_max_length(4096);
  server.set_socket_options([](socket_t socket) {
    // SO_REUSEADDR alone: httplib's default also sets SO_REUSEPORT, with which a second node would share the port silently.
    const int on = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  });
  server.Get("/health", [](const httplib::Request&, httplib::Response& response) { response.set_content("ok\n", "text/plain"); });
  server.Get("/ready", [=](const httplib::Request&, httplib::Response& response) {
    const auto now = status();
    if (!now) return answer_unknown(response);
    const bool ready = is_ready(self, *now);
    response.status = ready ? 200 : 503;
    response.set_content(ready ? "ready\n" : "a partition hosted here has no leader\n", "text/plain");
  });
  server.Get("/v1/cluster", [=](const httplib::Request&, httplib::Response& response) {
    const auto now = status();
    if (!now) return answer_unknown(response);
    response.set_content(cluster_json(self, *now), "application/json");
  });
  server.Get("/metrics", [=](const httplib::Request&, httplib::Response& response) {
    response.set_content(metrics(), "text/plain; version=0.0.4");
  });
  if (!server.bind_to_port(host.c_str(), port)) return nullptr;
  impl->listener = std::thread([raw = impl.get()] { raw->server.listen_after_bind(); });
  // httplib forgets a stop() that comes before its loop runs, and would then serve for ever.
  for (int patience = 2000; !server.is_running() && patience > 0; --patience) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return std::unique_ptr<http_server>(new http_server(std::move(impl)));
}

http_server::http_server(std::unique_ptr<implementation> implementation) : implementation_(std::move(implementation)) {}

http_server::~http_server() {
  implementation_->server.stop();
  implementation_->listener.join();
}

}  // namespace kahuna::node
