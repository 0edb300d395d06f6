// What a node's /metrics said, read as a Prometheus server reads it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace kahuna::testing {

struct metrics_page {
  std::map<std::string, std::string> types;  // by family: counter, gauge, histogram
  std::set<std::string> helped;              // families with a line of help
  std::map<std::string, double> series;      // by name and labels as written: name{label="value",…}
  std::vector<std::string> defects;          // lines that break the format

  // The sum over the series of that name that have all of these labels, each written label="value"; 0 where there is none.
  double sum(const std::string& name, const std::vector<std::string>& labels = {}) const;
};

metrics_page parse_metrics(const std::string& text);

// Fails the test where the node does not answer.
metrics_page read_metrics(int http_port);

}  // namespace kahuna::testing
