// What could be typed next: pure, from the command table.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kahuna::cli {

// The keywords that the last word of `line` could become, or, behind a blank, that could stand there; sorted. None where a
// key, a value or a number stands, in quotes and in comments, or where the line fits no command.
std::vector<std::string> completions(std::string_view line);

}  // namespace kahuna::cli
