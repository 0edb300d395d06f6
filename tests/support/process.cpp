#include "tests/support/process.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "core/base/check.hpp"

namespace kahuna::testing {
namespace {

const char* path_or_null_device(const std::filesystem::path& path) { return path.empty() ? "/dev/null" : path.c_str(); }

}  // namespace

process::process(const std::vector<std::string>& command, const process_files& files) {
  KAHUNA_CHECK(!command.empty());
  std::vector<char*> arguments;
  for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const char* input = path_or_null_device(files.input);
  const char* output = path_or_null_device(files.output);
  const char* error = path_or_null_device(files.error);
  const pid_t parent = ::getpid();

  id_ = ::fork();
  KAHUNA_CHECK(id_ >= 0, std::strerror(errno));
  if (id_ != 0) return;

  // The child of a process with threads: nothing but plain system calls until exec.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  constexpr int append = O_WRONLY | O_CREAT | O_APPEND;
  ::dup2(::open(input, O_RDONLY), STDIN_FILENO);
  ::dup2(::open(output, append, 0644), STDOUT_FILENO);
  ::dup2(::open(error, append, 0644), STDERR_FILENO);
  for (int fd = STDERR_FILENO + 1; fd < 1024; ++fd) ::close(fd);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

process::process(process&& other) noexcept : id_(std::exchange(other.id_, -1)), ended_(other.ended_) {}

process& process::operator=(process&& other) noexcept {
  if (this != &other) {
    end();
    id_ = std::exchange(other.id_, -1);
    ended_ = other.ended_;
  }
  return *this;
}

process::~process() { end(); }

void process::end() {
  if (id_ < 0 || ended_) return;
  ::kill(id_, SIGKILL);
  ::waitpid(id_, nullptr, 0);
  id_ = -1;
}

bool process::is_running() { return !wait(milliseconds(0)); }

void process::send(int signal) {
  KAHUNA_CHECK(id_ > 0 && !ended_);
  ::kill(id_, signal);
}

std::optional<exit_state> process::wait(milliseconds patience) {
  if (ended_) return ended_;
  KAHUNA_CHECK(id_ > 0);
  eventually(patience, [&] {
    int status = 0;
    if (::waitpid(id_, &status, WNOHANG) != id_) return false;
    const bool was_signalled = WIFSIGNALED(status);
    ended_ = exit_state{was_signalled ? 128 + WTERMSIG(status) : WEXITSTATUS(status), was_signalled};
    return true;
  });
  return ended_;
}

run_result run(const std::vector<std::string>& command, const std::string& input, milliseconds patience) {
  const temporary_directory directory;
  process_files files{directory.path() / "in", directory.path() / "out", directory.path() / "err"};
  std::ofstream(files.input, std::ios::binary) << input;
  const auto began = steady_clock::now();
  process child(command, files);
  const auto ended = child.wait(patience);
  run_result result;
  result.elapsed = std::chrono::duration_cast<milliseconds>(steady_clock::now() - began);
  if (ended) {
    result.status = ended->status;
  } else {
    child.send(SIGKILL);
    child.wait(milliseconds(5000));
  }
  result.output = read_file(files.output);
  result.error = read_file(files.error);
  return result;
}

temporary_directory::temporary_directory() {
  std::string pattern = std::string(KAHUNA_BIN_DIR) + "/../tests/scratch/";
  std::filesystem::create_directories(pattern);
  pattern = std::filesystem::canonical(pattern).string() + "/XXXXXX";
  KAHUNA_CHECK(::mkdtemp(pattern.data()) != nullptr, pattern, std::strerror(errno));
  path_ = pattern;
}

temporary_directory::~temporary_directory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

int free_port() {
  constexpr int first = 10000;
  constexpr int count = 20000;
  static std::atomic<int> next{static_cast<int>(::getpid()) * 37 % count};
  for (int attempt = 0; attempt < count; ++attempt) {
    const int port = first + next++ % count;
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    KAHUNA_CHECK(fd >= 0, std::strerror(errno));
    const int yes = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool is_free = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    if (is_free) return port;
  }
  KAHUNA_CHECK(false, "no free port between", first, "and", first + count);
  return 0;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

std::size_t resident_bytes(pid_t id) {
  std::ifstream file("/proc/" + std::to_string(id) + "/statm");
  std::size_t total_pages = 0;
  std::size_t resident_pages = 0;
  file >> total_pages >> resident_pages;
  KAHUNA_CHECK(!file.fail(), "no such process", id);
  return resident_pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::chrono::milliseconds cpu_time(pid_t id) {
  const std::string line = read_file("/proc/" + std::to_string(id) + "/stat");
  KAHUNA_CHECK(!line.empty(), "no such process", id);
  // Fields 14 and 15; the second, the program's name in brackets, may hold blanks.
  std::istringstream fields(line.substr(line.rfind(')') + 2));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  long user = 0;
  long system = 0;
  fields >> user >> system;
  return milliseconds((user + system) * 1000 / ::sysconf(_SC_CLK_TCK));
}

}  // namespace kahuna::testing
