#include "core/kv/operations/list.hpp"

#include "core/routing/partition_map.hpp"

namespace kahuna::kv {

namespace {

using step = partition_store::step;

// Collects a page; knows when it is full and whether anything live comes behind it.
class page {
 public:
  page(const read_view& view, std::uint32_t limit) : limit_(limit) { response_.view = view; }

  step offer(std::string_view key, const version& v) {
    if (!v.is_live(response_.view.judged_ms)) return {};
    if (is_full(key.size() + v.value.size())) {
      response_.has_more = true;
      return {partition_store::walk::stop, {}};
    }
    bytes_ += key.size() + v.value.size();
    response_.items.push_back({std::string(key), v.value, v.revision, v.expires_at_ms, v.modified});
    return {};
  }

  list_response take() { return std::move(response_); }

 private:
  bool is_full(std::size_t more) const {
    if (limit_ != 0 && response_.items.size() >= limit_) return true;
    return !response_.items.empty() && bytes_ + more > page_bytes_max;
  }

  std::uint32_t limit_;
  std::size_t bytes_ = 0;
  list_response response_;
};

// Every modification up to the applied stamp is applied, and every later one will get a higher stamp: so a view at the
// applied stamp stays the same however long its pages take.
read_view chosen_view(const read_view& asked, const partition_store& store, std::uint64_t now_ms) {
  return asked.visible == timestamp{} ? read_view{store.applied_stamp(), now_ms} : asked;
}

template <class Offer>
result<list_response> walk(const partition_store& store, std::string_view prefix, std::string_view after, std::uint32_t limit,
                           const read_view& view, Offer offer) {
  if (view.visible > store.applied_stamp())
    return error{errc::unavailable, "this replica has not applied what the list's first page saw; retry"};
  page page(view, limit);
  if (auto damage = store.walk_keys(prefix, after, view.visible,
                                    [&](std::string_view key, const version& v) { return offer(page, key, v); }))
    return *damage;
  return page.take();
}

}  // namespace

result<list_response> evaluate(const get_by_bucket_request& request, const partition_store& store, std::uint64_t now_ms) {
  const auto prefix = request.bucket + '/';
  return walk(store, prefix, request.after, request.limit, chosen_view(request.view, store, now_ms),
              [&](page& page, std::string_view key, const version& v) -> step {
                const auto slash = key.find('/', prefix.size());
                if (slash == std::string_view::npos) return page.offer(key, v);
                // The key is in a bucket below this one, and so is all that starts like it: go behind them at once.
                // '0' is the byte after '/'.
                return {partition_store::walk::skip_to, std::string(key.substr(0, slash)) + '0'};
              });
}

result<list_response> evaluate(const scan_by_prefix_request& request, const partition_store& store, std::uint64_t now_ms) {
  return walk(store, request.prefix, request.after, request.limit, chosen_view(request.view, store, now_ms),
              [](page& page, std::string_view key, const version& v) -> step {
                return key.starts_with(routing::reserved_prefix) ? step{} : page.offer(key, v);
              });
}

}  // namespace kahuna::kv
