#include "cli/history_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>

namespace kahuna::cli {

namespace {

namespace fs = std::filesystem;

std::vector<std::string> read_lines(const fs::path& path) {
  std::vector<std::string> lines;
  std::error_code ignored;
  // Reading a pipe or a terminal would wait for it.
  if (!fs::is_regular_file(path, ignored)) return lines;
  std::ifstream file(path, std::ios::binary);
  for (std::string line; std::getline(file, line);)
    if (!line.empty()) lines.push_back(std::move(line));
  return lines;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(fd, bytes.data(), bytes.size());
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// Beside it and then in its place: a shell that reads meanwhile sees the one or the other.
void replace(const fs::path& path, const std::vector<std::string>& lines) {
  std::string bytes;
  for (const auto& line : lines) bytes += line + '\n';
  const auto beside = path.string() + "." + std::to_string(::getpid());
  const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return;
  const bool is_written = write_all(fd, bytes);
  ::close(fd);
  if (!is_written || ::rename(beside.c_str(), path.c_str()) != 0) ::unlink(beside.c_str());
}

}  // namespace

std::vector<std::string> history_file::load() const {
  if (path_.empty()) return {};
  auto lines = read_lines(path_);
  if (lines.size() > lines_max) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(lines_max));
  return lines;
}

void history_file::append(const std::string& line) {
  if (path_.empty() || line.size() > line_bytes_max || line.find('\n') != std::string::npos) return;
  std::error_code ignored;
  if (path_.has_parent_path()) fs::create_directories(path_.parent_path(), ignored);
  const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0600);
  if (fd < 0) return;
  struct stat found {};
  const bool is_file = ::fstat(fd, &found) == 0 && S_ISREG(found.st_mode);
  if (is_file && (found.st_mode & 0777) != 0600) static_cast<void>(::fchmod(fd, 0600));
  write_all(fd, line + '\n');
  ::close(fd);
  // A link stays a link: what it points to grows beyond the bound, and is cut when it is read.
  if (!is_file || fs::is_symlink(path_, ignored)) return;
  if (auto lines = read_lines(path_); lines.size() > lines_max) {
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(lines_max));
    replace(path_, lines);
  }
}

std::filesystem::path history_path(const std::function<const char*(const char*)>& environment) {
  if (const char* chosen = environment("KAHUNA_HISTORY")) return chosen;
  // The XDG specification has relative paths ignored.
  if (const char* state = environment("XDG_STATE_HOME"); state != nullptr && state[0] == '/')
    return fs::path(state) / "kahuna" / "history";
  if (const char* home = environment("HOME"); home != nullptr && home[0] != '\0')
    return fs::path(home) / ".local" / "state" / "kahuna" / "history";
  return {};
}

}  // namespace kahuna::cli
