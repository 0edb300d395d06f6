// The direction of dependency, read from the includes of every source file.
#define CAF_SUITE layering
#include "caf/test/unit_test.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

struct layer {
  std::set<std::string> may_include;   // other folders of the tree
  std::set<std::string> may_use;       // libraries, by the first part of their headers
};

// Every folder with sources. What stands under a folder that is not named here belongs to the nearest one above.
const std::map<std::string, layer>& layers() {
  static const std::map<std::string, layer> all = [] {
    std::map<std::string, layer> l;
    l["core/base"] = {{}, {}};
    l["core/raft"] = {{"core/base"}, {}};
    l["core/routing"] = {{"core/base"}, {"xxhash.h"}};
    l["core/txn"] = {{"core/base"}, {}};
    l["core/kv"] = {{"core/base", "core/raft", "core/routing", "core/txn"}, {}};
    const std::set<std::string> core{"core/base", "core/raft", "core/routing", "core/txn", "core/kv"};
    const auto above = [](std::set<std::string> lower, std::initializer_list<std::string> more) {
      lower.insert(more);
      return lower;
    };
    l["messages/codec"] = {core, {"boost"}};
    l["messages"] = {above(core, {"messages/codec"}), {}};
    const auto messages = above(core, {"messages/codec", "messages"});
    l["messages/connection"] = {messages, {"caf"}};
    l["persistence"] = {above(core, {"messages/codec"}), {"isa-l", "rocksdb"}};
    l["actors"] = {above(messages, {"messages/connection", "persistence"}), {"caf"}};
    l["config"] = {{"core/base", "core/routing"}, {"boost"}};
    l["node"] = {above(messages, {"messages/connection", "persistence", "actors", "config"}), {"caf", "httplib.h", "nlohmann", "prometheus", "spdlog"}};
    l["client"] = {above(messages, {"messages/connection"}), {"caf"}};
    l["cli"] = {{"core/base", "core/kv", "core/routing", "core/txn", "client"}, {"boost", "nlohmann", "readline"}};
    l["bench"] = {{"core/base", "core/kv", "core/txn", "client"}, {"boost", "nlohmann"}};
    l["bench/micro"] = {above(messages, {"messages/connection", "persistence"}), {"benchmark"}};
    return l;
  }();
  return all;
}

const std::set<std::string> libraries{"benchmark", "caf", "boost", "rocksdb", "httplib.h", "nlohmann", "prometheus", "readline", "spdlog", "xxhash.h"};

// Headers of the standard library that bring in what a core may not touch.
const std::set<std::string> impure{"<thread>", "<mutex>", "<atomic>", "<condition_variable>", "<future>", "<random>",
                                   "<fstream>", "<filesystem>", "<iostream>", "<unistd.h>", "<sys/socket.h>", "<fcntl.h>"};

std::string layer_of(std::string folder) {
  while (!folder.empty() && !layers().contains(folder)) folder = fs::path(folder).parent_path().string();
  return folder;
}

struct include {
  std::string text;  // with its quotes or brackets
  std::string path;  // without
};

std::vector<include> includes_of(std::istream& in) {
  std::vector<include> found;
  for (std::string line; std::getline(in, line);) {
    const auto hash = line.find_first_not_of(' ');
    if (hash == std::string::npos || line.compare(hash, 8, "#include") != 0) continue;
    const auto begin = line.find_first_of("<\"", hash);
    if (begin == std::string::npos) continue;
    const auto end = line.find_first_of(">\"", begin + 1);
    found.push_back({line.substr(begin, end - begin + 1), line.substr(begin + 1, end - begin - 1)});
  }
  return found;
}

// Why a file of this folder may not include that; empty where it may.
std::string objection(const std::string& folder, const include& what) {
  const auto from = layer_of(folder);
  if (from.empty()) return "is in no layer that this test knows";
  const auto& rules = layers().at(from);
  const auto first = what.path.substr(0, what.path.find('/'));
  if (libraries.contains(first)) return rules.may_use.contains(first) ? "" : from + " may not use " + first;
  if (from.starts_with("core/") && impure.contains(what.text)) return from + " is pure and may not use " + what.text;
  if (what.text.front() != '"') return "";
  const auto to = layer_of(fs::path(what.path).parent_path().string());
  if (to.empty()) return "includes " + what.path + ", which is in no layer";
  return to == from || rules.may_include.contains(to) ? "" : from + " may not include " + to;
}

}  // namespace

CAF_TEST(every include points downwards) {
  const fs::path root = KAHUNA_SOURCE_DIR;
  std::size_t files = 0;
  for (const auto* top : {"core", "messages", "persistence", "actors", "config", "node", "client", "cli", "bench"})
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      const auto extension = entry.path().extension();
      if (extension != ".hpp" && extension != ".cpp") continue;
      ++files;
      std::ifstream in(entry.path());
      const auto folder = fs::relative(entry.path().parent_path(), root).string();
      for (const auto& what : includes_of(in))
        if (const auto why = objection(folder, what); !why.empty())
          CAF_ERROR(fs::relative(entry.path(), root).string() << ": " << why);
    }
  CAF_CHECK(files > 80);
}

CAF_TEST(breaches are noticed) {
  CAF_CHECK_EQUAL(objection("core/raft", {"\"core/base/ids.hpp\"", "core/base/ids.hpp"}), "");
  CAF_CHECK(!objection("core/raft", {"\"core/kv/operation.hpp\"", "core/kv/operation.hpp"}).empty());
  CAF_CHECK(!objection("core/kv/operations", {"\"messages/protocol.hpp\"", "messages/protocol.hpp"}).empty());
  CAF_CHECK(!objection("core/kv", {"<thread>", "thread"}).empty());
  CAF_CHECK(!objection("actors", {"<rocksdb/db.h>", "rocksdb/db.h"}).empty());
  CAF_CHECK(!objection("client", {"\"actors/interfaces.hpp\"", "actors/interfaces.hpp"}).empty());
  CAF_CHECK(!objection("newfolder", {"\"core/base/ids.hpp\"", "core/base/ids.hpp"}).empty());
}

// A file that nobody names in a list passes by not being there.
CAF_TEST(every unit test is built) {
  const fs::path tests = fs::path(KAHUNA_SOURCE_DIR) / "tests" / "unit";
  std::string lists;
  for (const auto& entry : fs::directory_iterator(tests)) {
    if (entry.path().extension() != ".cmake") continue;
    std::ifstream in(entry.path());
    lists.append(std::istreambuf_iterator<char>(in), {});
  }
  for (const auto& entry : fs::recursive_directory_iterator(tests)) {
    const auto file = fs::relative(entry.path(), tests).string();
    if (file.ends_with("_test.cpp") && lists.find('/' + file) == std::string::npos) CAF_ERROR("tests/unit/" << file << " is in no list of sources");
  }
}
