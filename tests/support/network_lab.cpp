#include "tests/support/network_lab.hpp"

#include <sched.h>

#include <algorithm>
#include <filesystem>

#include "core/base/check.hpp"

namespace kahuna::testing {

namespace {

// Empty where it is not installed.
std::string program(const std::string& name) {
  for (const std::string directory : {"/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/"})
    if (std::filesystem::exists(directory + name)) return directory + name;
  return "";
}

std::vector<std::string> in_namespace(pid_t keeper, std::vector<std::string> command) {
  std::vector<std::string> words{program("nsenter"), "--target", std::to_string(keeper), "--net"};
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

bool succeeds(const std::vector<std::string>& command) { return run(command).status == 0; }

std::vector<std::string> ip(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), program("ip"));
  return arguments;
}

}  // namespace

std::shared_ptr<network_lab> network_lab::open(int nodes) {
  if (program("ip").empty() || ::unshare(CLONE_NEWNET) != 0) return nullptr;
  std::shared_ptr<network_lab> lab(new network_lab(nodes));
  return lab->build() ? lab : nullptr;
}

bool network_lab::build() {
  if (!succeeds(ip({"link", "set", "lo", "up"})) || !succeeds(ip({"link", "add", "kahuna", "type", "bridge"})) ||
      !succeeds(ip({"addr", "add", address(254) + "/24", "dev", "kahuna"})) || !succeeds(ip({"link", "set", "kahuna", "up"})))
    return false;
  for (int node = 1; node <= nodes_; ++node) {
    keepers_.emplace_back(std::vector<std::string>{program("unshare"), "--net", program("sleep"), "infinity"}, process_files{});
    const auto keeper = namespace_of(node);
    const auto mine = std::filesystem::read_symlink("/proc/self/ns/net");
    const auto link = "to-n" + std::to_string(node);
    const bool is_apart = eventually(milliseconds(5'000), [&] {
      std::error_code failed;
      const auto its = std::filesystem::read_symlink("/proc/" + std::to_string(keeper) + "/ns/net", failed);
      return !failed && its != mine;
    });
    if (!is_apart || !succeeds(ip({"link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", std::to_string(keeper)})) ||
        !succeeds(ip({"link", "set", link, "master", "kahuna", "up"})) ||
        !succeeds(in_namespace(keeper, ip({"addr", "add", address(node) + "/24", "dev", "eth0"}))) ||
        !succeeds(in_namespace(keeper, ip({"link", "set", "eth0", "up"}))) ||
        !succeeds(in_namespace(keeper, ip({"link", "set", "lo", "up"}))))
      return false;
  }
  return true;
}

std::vector<std::string> network_lab::prefix(int node) const { return in_namespace(namespace_of(node), {}); }

void network_lab::cut_one_way(int from, int to) {
  if (std::find(cuts_.begin(), cuts_.end(), std::pair(from, to)) != cuts_.end()) return;
  const auto made = run(in_namespace(namespace_of(from), ip({"route", "add", "blackhole", address(to) + "/32"})));
  KAHUNA_CHECK(made.status == 0, made.error);
  cuts_.emplace_back(from, to);
}

void network_lab::cut(int one, int other) {
  cut_one_way(one, other);
  cut_one_way(other, one);
}

void network_lab::isolate(int node) {
  for (int other = 1; other <= nodes_; ++other)
    if (other != node) cut(node, other);
}

bool network_lab::slow_down(int node, int kilobits_per_second) {
  const auto tc = program("tc");
  if (tc.empty()) return false;
  const auto made = run(in_namespace(namespace_of(node), {tc, "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate",
                                                           std::to_string(kilobits_per_second) + "kbit", "burst", "4kb", "latency", "400ms"}));
  if (made.status == 0) slow_.push_back(node);
  return made.status == 0;
}

void network_lab::heal() {
  for (const int node : slow_) {
    const auto made = run(in_namespace(namespace_of(node), {program("tc"), "qdisc", "del", "dev", "eth0", "root"}));
    KAHUNA_CHECK(made.status == 0, made.error);
  }
  slow_.clear();
  for (const auto& [from, to] : cuts_) {
    const auto made = run(in_namespace(namespace_of(from), ip({"route", "del", "blackhole", address(to) + "/32"})));
    KAHUNA_CHECK(made.status == 0, made.error);
  }
  cuts_.clear();
}

}  // namespace kahuna::testing
