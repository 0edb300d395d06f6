// What an actor does when it cannot go on: it takes the process with it.
//
// An exception that escapes a handler would silently take one partition out of a living node, and a node whose disk
// failed may not be trusted with another word. The peers have what was acknowledged.
#pragma once

#include <string>

#include <caf/all.hpp>

#include "core/base/errc.hpp"

namespace kahuna::actors {

// Exit statuses of a node that stops itself (contract §4; 3 is ours: a defect or a disk that failed).
enum class fatal_status : int { refused = 2, failed = 3, damaged = 4 };

// Prints one line to standard error and ends the process at once, without unwinding anything.
[[noreturn]] void die(fatal_status status, const std::string& message);

template <class Self>
void die_on_exceptions(Self* self) {
  self->set_exception_handler([](std::exception_ptr& pointer) -> caf::error {
    try {
      std::rethrow_exception(pointer);
    } catch (const std::exception& e) {
      die(fatal_status::failed, std::string("an actor met an exception: ") + e.what());
    } catch (...) {
      die(fatal_status::failed, "an actor met an exception of no known type");
    }
    return {};
  });
}

}  // namespace kahuna::actors
