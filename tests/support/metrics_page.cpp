#include "tests/support/metrics_page.hpp"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "tests/support/socket.hpp"

namespace kahuna::testing {

double metrics_page::sum(const std::string& name, const std::vector<std::string>& labels) const {
  double sum = 0;
  for (const auto& [written, value] : series) {
    const auto brace = std::min(written.find('{'), written.size());
    if (written.compare(0, brace, name) != 0 || brace != name.size()) continue;
    const auto has = [&](const std::string& label) { return written.find(label, brace) != std::string::npos; };
    if (std::all_of(labels.begin(), labels.end(), has)) sum += value;
  }
  return sum;
}

metrics_page parse_metrics(const std::string& text) {
  metrics_page page;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    if (std::string hash, kind, family, rest; line.starts_with("# ")) {
      words >> hash >> kind >> family;
      std::getline(words >> std::ws, rest);
      const bool is_new = kind == "HELP" ? page.helped.insert(family).second
                          : kind == "TYPE" ? page.types.emplace(family, rest).second
                                           : false;
      if (!is_new || rest.empty()) page.defects.push_back(line);
      continue;
    }
    const auto space = line.rfind(' ');
    const auto value = space == std::string::npos ? std::string() : line.substr(space + 1);
    std::size_t read = 0;
    double number = 0;
    try {
      number = std::stod(value, &read);
    } catch (const std::exception&) {
    }
    if (read == 0 || read != value.size() || !page.series.emplace(line.substr(0, space), number).second) page.defects.push_back(line);
  }
  return page;
}

metrics_page read_metrics(int http_port) {
  const auto answer = http_get(http_port, "/metrics");
  if (!answer || answer->status != 200) throw std::runtime_error("no /metrics on port " + std::to_string(http_port));
  return parse_metrics(answer->body);
}

}  // namespace kahuna::testing
