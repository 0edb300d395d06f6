// An ordered store in memory, behind the interface of the one on disk; for tests and simulation. Not thread safe.
//
// It also plays the disk: what was written without `sync::yes`, or was not flushed, can be lost on purpose.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>

#include "persistence/ordered_store.hpp"

namespace kahuna::persistence {

class memory_store final : public ordered_store {
 public:
  std::unique_ptr<store_batch> make_batch() override;
  std::optional<error> write(store_batch& batch, sync s) override;
  result<std::optional<std::string>> get(family f, std::string_view key) const override;
  // Sees the store as it was when the cursor was made.
  std::unique_ptr<store_cursor> cursor(family f, reading how = reading::often) const override;
  std::optional<error> flush() override;

  // As if the machine had lost power: back to the last synced write or flush.
  void lose_unsynced();

 private:
  // Shared with cursors and with what is durable, and copied by a write where it is: so that reading copies nothing.
  using family_contents = std::map<std::string, std::string, std::less<>>;
  using contents = std::array<std::shared_ptr<family_contents>, family_count>;
  static contents empty_contents();

  contents now_ = empty_contents();
  contents durable_ = now_;
};

}  // namespace kahuna::persistence
