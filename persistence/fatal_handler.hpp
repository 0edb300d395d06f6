// What a store does where nothing it says may be trusted any more: a write that failed, a log entry that is damaged.
#pragma once

#include <functional>

#include "core/base/errc.hpp"

namespace kahuna::persistence {

// Called with what happened; must not return. The node's ends the process (actors/fatal.hpp), a test's throws.
using fatal_handler = std::function<void(const error&)>;

}  // namespace kahuna::persistence
