// Real processes under the control of a test: started, signalled, awaited with a deadline, and never left behind.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/eventually.hpp"

namespace kahuna::testing {

// How a process ended.
struct exit_state {
  int status = 0;  // its exit status, or 128 + the signal that ended it, as a shell says it
  bool was_signalled = false;
};

struct process_files {
  std::filesystem::path input;   // empty: nothing to read
  std::filesystem::path output;  // appended to; empty: thrown away
  std::filesystem::path error;   // appended to; empty: thrown away
};

// A child process. It dies with this object, and, should the test crash, with the thread that started it: so start
// processes from a test's main thread only.
class process {
 public:
  // `command` is the path of the program and its arguments. Ends the test program where it cannot be started.
  process(const std::vector<std::string>& command, const process_files& files);
  process(process&& other) noexcept;
  process& operator=(process&& other) noexcept;
  ~process();

  pid_t id() const { return id_; }
  bool is_running();

  // Requires that it has not been reaped; SIGKILL, SIGSTOP, … A process that has ended by itself takes no harm.
  void send(int signal);

  // How it ended, if it does within `patience`; may be asked again.
  std::optional<exit_state> wait(milliseconds patience);

 private:
  void end();

  pid_t id_ = -1;
  std::optional<exit_state> ended_;
};

struct run_result {
  int status = -1;  // -1: it did not end within its time, and was killed
  std::string output;
  std::string error;
  std::chrono::milliseconds elapsed{0};
};

// Runs a program to its end, with `input` as its standard input.
run_result run(const std::vector<std::string>& command, const std::string& input = "",
               milliseconds patience = std::chrono::seconds(30));

// A directory of this test program's own below the build directory; removed when the test ends, kept when it crashes.
class temporary_directory {
 public:
  temporary_directory();
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;
  ~temporary_directory();

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A TCP port of loopback on which nobody listens, below the range that the kernel gives to outgoing connections: so it
// stays free while a node that owns it is down. No port is given twice in one test program.
int free_port();

// The whole content of a file; empty where there is none.
std::string read_file(const std::filesystem::path& path);

// Resident memory of a process, in bytes.
std::size_t resident_bytes(pid_t id);

// CPU time that a process has used, user and system.
std::chrono::milliseconds cpu_time(pid_t id);

}  // namespace kahuna::testing
