// All keys of a bucket: at once, page by page for a person, or one after the other without holding them all.
#include <cstdio>
#include <string>
#include <vector>

#include "client/client.hpp"

int main(int argc, char** argv) {
  auto kahuna = kahuna::client::client::connect({.endpoints = {argc > 1 ? argv[1] : "127.0.0.1:4870"}});
  if (!kahuna) return 1;
  std::vector<kahuna::kv::set_request> sets;
  for (int i = 0; i < 250; ++i) sets.push_back({.key = "services/web/instance-" + std::to_string(1000 + i), .value = "up"});
  for (const auto& answer : kahuna->set_many(std::move(sets)))
    if (!answer) return 1;

  // One consistent read of everything.
  const auto all = kahuna->get_by_bucket("services/web");
  if (all) std::printf("%zu instances\n", all->items.size());

  // A hundred for now, and whether there are more.
  kahuna::client::list_options options;
  options.limit = 100;
  const auto page = kahuna->get_by_bucket("services/web", options);
  if (page) std::printf("the first %zu%s\n", page->items.size(), page->has_more ? ", and there are more" : "");

  // However large the bucket is: memory holds a page at a time.
  std::size_t up = 0;
  if (const auto failed = kahuna->visit_bucket("services/web", [&](const kahuna::kv::listed_key& key) {
        up += key.value.view() == "up";
        return true;
      }))
    std::printf("%s\n", failed->message.c_str());
  std::printf("%zu are up\n", up);

  // By prefix over all buckets: consistent within a partition only.
  const auto services = kahuna->scan_by_prefix("services/web/instance-10");
  if (services) std::printf("%zu by prefix\n", services->items.size());
  return 0;
}
