// The shell's history on disk: one line a command, the newest last. Never in the way: what can't be read or written is
// as if it were not there.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace kahuna::cli {

class history_file {
 public:
  static constexpr std::size_t lines_max = 1000;
  static constexpr std::size_t line_bytes_max = 16 << 10;  // longer ones are not kept

  // An empty path: nothing is kept.
  explicit history_file(std::filesystem::path path) : path_(std::move(path)) {}

  // The newest lines, oldest first.
  std::vector<std::string> load() const;

  // Adds a line at once, so that a shell which is killed has lost none, and shells beside each other keep both theirs. The
  // file is made for its owner alone (mode 0600), and never holds more than `lines_max` afterwards.
  void append(const std::string& line);

 private:
  std::filesystem::path path_;
};

// $KAHUNA_HISTORY, else kahuna/history in $XDG_STATE_HOME, else in ~/.local/state. Empty where KAHUNA_HISTORY is set to
// nothing, or there is no home. `environment` gives a variable's value, or nullptr.
std::filesystem::path history_path(const std::function<const char*(const char*)>& environment);

}  // namespace kahuna::cli
