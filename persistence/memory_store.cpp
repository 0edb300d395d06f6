#include "persistence/memory_store.hpp"

#include <functional>
#include <utility>
#include <vector>

namespace kahuna::persistence {

namespace {

using family_contents = std::map<std::string, std::string, std::less<>>;
using all_contents = std::array<std::shared_ptr<family_contents>, family_count>;

family_contents& to_be_written(all_contents& contents, family f) {
  auto& shared = contents[static_cast<std::size_t>(f)];
  if (shared.use_count() != 1) shared = std::make_shared<family_contents>(*shared);
  return *shared;
}

class memory_batch final : public store_batch {
 public:
  void put(family f, std::string_view key, std::string_view value) override {
    changes_.push_back([f, key = std::string(key), value = std::string(value)](all_contents& contents) {
      to_be_written(contents, f)[key] = value;
    });
  }
  void erase(family f, std::string_view key) override {
    changes_.push_back([f, key = std::string(key)](all_contents& contents) { to_be_written(contents, f).erase(key); });
  }
  void erase_range(family f, std::string_view from, std::string_view to) override {
    changes_.push_back([f, from = std::string(from), to = std::string(to)](all_contents& contents) {
      auto& family = to_be_written(contents, f);
      if (from < to) family.erase(family.lower_bound(from), family.lower_bound(to));
    });
  }

  void apply(all_contents& contents) const {
    for (const auto& change : changes_) change(contents);
  }

 private:
  std::vector<std::function<void(all_contents&)>> changes_;
};

class memory_cursor final : public store_cursor {
 public:
  explicit memory_cursor(std::shared_ptr<const family_contents> contents) : contents_(std::move(contents)), place_(contents_->end()) {}

  void seek(std::string_view key) override { place_ = contents_->lower_bound(key); }
  void seek_back(std::string_view key) override {
    place_ = contents_->upper_bound(key);
    place_ = place_ == contents_->begin() ? contents_->end() : std::prev(place_);
  }
  void next() override { ++place_; }
  bool is_valid() const override { return place_ != contents_->end(); }
  std::string_view key() const override { return place_->first; }
  std::string_view value() const override { return place_->second; }
  std::optional<error> damage() const override { return std::nullopt; }

 private:
  std::shared_ptr<const family_contents> contents_;
  family_contents::const_iterator place_;
};

}  // namespace

memory_store::contents memory_store::empty_contents() {
  contents empty;
  for (auto& family : empty) family = std::make_shared<family_contents>();
  return empty;
}

std::unique_ptr<store_batch> memory_store::make_batch() { return std::make_unique<memory_batch>(); }

std::optional<error> memory_store::write(store_batch& batch, sync s) {
  static_cast<memory_batch&>(batch).apply(now_);
  // A journal is synced up to its end: what was written before is durable too.
  if (s == sync::yes) durable_ = now_;
  return std::nullopt;
}

result<std::optional<std::string>> memory_store::get(family f, std::string_view key) const {
  const auto& contents = *now_[static_cast<std::size_t>(f)];
  const auto found = contents.find(key);
  return found == contents.end() ? std::optional<std::string>() : std::optional(found->second);
}

std::unique_ptr<store_cursor> memory_store::cursor(family f, reading) const {
  return std::make_unique<memory_cursor>(now_[static_cast<std::size_t>(f)]);
}

std::optional<error> memory_store::flush() {
  durable_ = now_;
  return std::nullopt;
}

void memory_store::lose_unsynced() { now_ = durable_; }

}  // namespace kahuna::persistence
