#include "core/kv/operations/list.hpp"

#include <algorithm>

#include "core/routing/partition_map.hpp"

namespace kahuna::kv {

namespace {

using step = version_reader::step;

// Collects a page; knows when it is full and whether anything live comes behind it.
class page_builder {
 public:
  page_builder(const read_view& view, std::uint32_t limit) : limit_(limit) { page_.response.view = view; }

  step offer(std::string_view key, const version* newest) {
    if (newest == nullptr) return pass(key, nullptr);
    const auto& v = *newest;
    auto& response = page_.response;
    if (!v.is_live(response.view.judged_ms)) {
      if (!v.is_tombstone) page_.expired_ms = std::max(page_.expired_ms, v.expires_at_ms);
      return pass(key, newest);
    }
    if (is_full(key.size() + v.value.size())) {
      response.has_more = true;
      response.continue_after = response.items.back().key;
      return {version_reader::walk::stop, {}};
    }
    bytes_ += key.size() + v.value.size();
    response.items.push_back({std::string(key), v.value, v.revision, v.expires_at_ms, v.modified});
    return pass(key, newest);
  }

  // Looked at, and not in the answer or already in it.
  step pass(std::string_view key, const version* newest) {
    examined_bytes_ += key.size() + (newest != nullptr ? newest->value.size() : 0);
    if (++examined_ < page_keys_examined_max && examined_bytes_ < page_bytes_examined_max) return {};
    page_.response.continue_after = key;
    return {version_reader::walk::stop, {}};
  }

  list_page take() { return std::move(page_); }

 private:
  bool is_full(std::size_t more) const {
    const auto& items = page_.response.items;
    if (limit_ != 0 && items.size() >= limit_) return true;
    return !items.empty() && bytes_ + more > page_bytes_max;
  }

  std::uint32_t limit_;
  std::size_t bytes_ = 0;
  std::size_t examined_ = 0;
  std::size_t examined_bytes_ = 0;
  list_page page_;
};

template <class Offer>
result<list_page> walk(const version_reader& keys, std::string_view prefix, std::string_view after, std::uint32_t limit,
                       const read_view& view, Offer offer) {
  page_builder page(view, limit);
  if (auto damage = keys.walk_keys(prefix, after, view.visible,
                                   [&](std::string_view key, const version* newest) { return offer(page, key, newest); }))
    return *damage;
  return page.take();
}

}  // namespace

std::string prefix_of(const get_by_bucket_request& request) { return request.bucket + '/'; }
std::string prefix_of(const scan_by_prefix_request& request) { return request.prefix; }

result<list_page> evaluate(const get_by_bucket_request& request, const version_reader& keys, const read_view& view) {
  const auto prefix = prefix_of(request);
  return walk(keys, prefix, request.after, request.limit, view,
              [&](page_builder& page, std::string_view key, const version* newest) -> step {
                const auto slash = key.find('/', prefix.size());
                if (slash == std::string_view::npos) return page.offer(key, newest);
                // The key is in a bucket below this one, and so is all that starts like it: go behind them at once.
                // '0' is the byte after '/'.
                const auto passed = page.pass(key, newest);
                if (passed.what == version_reader::walk::stop) return passed;
                return {version_reader::walk::skip_to, std::string(key.substr(0, slash)) + '0'};
              });
}

result<list_page> evaluate(const scan_by_prefix_request& request, const version_reader& keys, const read_view& view) {
  return walk(keys, request.prefix, request.after, request.limit, view,
              [](page_builder& page, std::string_view key, const version* newest) -> step {
                return key.starts_with(routing::reserved_prefix) ? page.pass(key, newest) : page.offer(key, newest);
              });
}

}  // namespace kahuna::kv
