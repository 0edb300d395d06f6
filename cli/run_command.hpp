// A command of the shell, asked of the cluster.
#pragma once

#include <functional>

#include "cli/output.hpp"
#include "cli/shell_language.hpp"
#include "client/client.hpp"

namespace kahuna::cli {

// Asks without waiting. `done` runs once, on a thread of the client's or before this returns, and must not block.
void start_command(client::client& connection, const request& asked, std::function<void(outcome)> done);

// Blocks until the answer or an error is there; the time of that is in the answer.
answer run_command(client::client& connection, const request& asked);

// Whether the cluster may be another after it.
bool is_write(const request& asked);

// An answer to what was asked, for `what` and its time.
answer to_answer(const request& asked, outcome what, std::chrono::steady_clock::time_point began);

}  // namespace kahuna::cli
