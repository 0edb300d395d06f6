// A statement of the command language, asked of the cluster.
#pragma once

#include "cli/output.hpp"
#include "client/client.hpp"
#include "core/kv/command_language.hpp"

namespace kahuna::cli {

// Blocks until the answer or an error is there; the time of that is in the answer.
answer run_command(client::client& connection, const kv::statement& statement);

}  // namespace kahuna::cli
