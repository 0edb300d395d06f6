#define CAF_SUITE cli_history_file
#include "cli/history_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "caf/test/unit_test.hpp"

using namespace kahuna::cli;
namespace fs = std::filesystem;

namespace {

struct fixture {
  fs::path directory;

  fixture() {
    std::string pattern = fs::temp_directory_path() / "kahuna_history_XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) CAF_FAIL("no temporary directory");
    directory = pattern;
  }
  ~fixture() {
    std::error_code ignored;
    fs::remove_all(directory, ignored);
  }
};

std::string path_with(std::map<std::string, std::string> variables) {
  return history_path([&](const char* name) {
           const auto found = variables.find(name);
           return found == variables.end() ? nullptr : found->second.c_str();
         })
      .string();
}

}  // namespace

CAF_TEST_FIXTURE_SCOPE(cli_history_file_tests, fixture)

CAF_TEST(lines come back in order and the file is its owners alone) {
  const auto path = directory / "a" / "b" / "history";
  history_file file(path);
  CAF_CHECK(file.load().empty());
  file.append("get a");
  file.append("get b");
  const auto lines = history_file(path).load();
  CAF_REQUIRE_EQUAL(lines.size(), 2u);
  CAF_CHECK_EQUAL(lines[0], "get a");
  CAF_CHECK_EQUAL(lines[1], "get b");
  struct stat found {};
  CAF_REQUIRE(::stat(path.c_str(), &found) == 0);
  CAF_CHECK_EQUAL(found.st_mode & 0777, 0600u);
}

CAF_TEST(a file that others may read is closed to them) {
  const auto path = directory / "history";
  std::ofstream(path) << "old\n";
  CAF_REQUIRE(::chmod(path.c_str(), 0644) == 0);
  history_file(path).append("new");
  struct stat found {};
  CAF_REQUIRE(::stat(path.c_str(), &found) == 0);
  CAF_CHECK_EQUAL(found.st_mode & 0777, 0600u);
}

CAF_TEST(never more than a thousand lines) {
  const auto path = directory / "history";
  {
    std::ofstream file(path);
    for (int i = 0; i < 1500; ++i) file << "get " << i << '\n';
  }
  history_file file(path);
  const auto found = file.load();
  CAF_REQUIRE_EQUAL(found.size(), history_file::lines_max);
  CAF_CHECK_EQUAL(found.front(), "get 500");
  file.append("get 1500");
  std::ifstream again(path);
  std::size_t count = 0;
  std::string first;
  std::string line;
  while (std::getline(again, line))
    if (count++ == 0) first = line;
  CAF_CHECK_EQUAL(count, history_file::lines_max);
  CAF_CHECK_EQUAL(first, "get 501");
  CAF_CHECK_EQUAL(line, "");
  CAF_CHECK_EQUAL(std::distance(fs::directory_iterator(directory), fs::directory_iterator()), 1);
}

CAF_TEST(what is no line or too long is not kept) {
  const auto path = directory / "history";
  history_file file(path);
  file.append("a\nb");
  file.append(std::string(history_file::line_bytes_max + 1, 'x'));
  CAF_CHECK(file.load().empty());
}

CAF_TEST(a path that takes nothing does no harm) {
  for (const std::string path : {"", "/dev/null", "/dev/full", "/proc/nothing/here", "/"}) {
    history_file file(path);
    file.append("get a");
    CAF_CHECK(file.load().empty());
  }
  CAF_CHECK(fs::is_character_file("/dev/null"));
  const auto pipe = directory / "pipe";
  CAF_REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  history_file(pipe).append("get a");  // which nobody reads
  CAF_CHECK(history_file(pipe).load().empty());
}

CAF_TEST(where it is) {
  const auto chosen = path_with({{"KAHUNA_HISTORY", "/x/h"}, {"XDG_STATE_HOME", "/state"}, {"HOME", "/home/a"}});
  CAF_CHECK_EQUAL(chosen, "/x/h");
  const auto refused = path_with({{"KAHUNA_HISTORY", ""}, {"HOME", "/home/a"}});
  CAF_CHECK_EQUAL(refused, "");
  const auto state = path_with({{"XDG_STATE_HOME", "/state"}, {"HOME", "/home/a"}});
  CAF_CHECK_EQUAL(state, "/state/kahuna/history");
  const auto relative = path_with({{"XDG_STATE_HOME", "state"}, {"HOME", "/home/a"}});
  CAF_CHECK_EQUAL(relative, "/home/a/.local/state/kahuna/history");
  const auto homeless = path_with({});
  CAF_CHECK_EQUAL(homeless, "");
}

CAF_TEST_FIXTURE_SCOPE_END()
