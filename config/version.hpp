// The version of this program, as `--version` prints it; the same as the project's in CMakeLists.txt (a test compares).
#pragma once

namespace kahuna::config {

inline constexpr const char* version = "0.1.0";

}  // namespace kahuna::config
