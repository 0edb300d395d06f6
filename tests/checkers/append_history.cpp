#include "tests/checkers/append_history.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <sstream>

namespace kahuna::testing {

namespace {

enum class edge_kind : std::uint8_t { writes, reads, overwritten, time };

const char* name_of(edge_kind kind) {
  switch (kind) {
    case edge_kind::writes: return "ww";
    case edge_kind::reads: return "wr";
    case edge_kind::overwritten: return "rw";
    case edge_kind::time: return "rt";
  }
  return "?";
}

struct edge {
  std::size_t to;
  edge_kind kind;
};

std::string words(const std::vector<std::uint64_t>& list) {
  std::string out = "[";
  for (const auto value : list) out += (out.size() > 1 ? " " : "") + std::to_string(value);
  return out + "]";
}

std::string describe(const append_transaction& t) {
  std::string out = "from " + std::to_string(t.began) + " to " + std::to_string(t.ended) +
                    (t.ended_as == append_transaction::outcome::committed ? "" : " (outcome unknown)") + (t.note.empty() ? "" : " " + t.note);
  for (const auto& [key, list] : t.reads) out += ", read " + key + ' ' + words(list);
  for (const auto& [key, list] : t.appends) out += ", appended to " + key + ' ' + words(list);
  return out;
}

// What a cycle is called, by the kinds of its edges.
std::string anomaly_of(const std::vector<edge_kind>& kinds) {
  const auto count = [&](edge_kind kind) { return std::count(kinds.begin(), kinds.end(), kind); };
  if (count(edge_kind::time) != 0) return "real-time violation";
  if (count(edge_kind::overwritten) == 0) return count(edge_kind::reads) == 0 ? "dirty write" : "circular information flow";
  if (count(edge_kind::overwritten) == 1) return count(edge_kind::reads) != 0 ? "read skew" : "lost update";
  return "write skew";
}

}  // namespace

std::string append_history::check(const std::map<std::string, std::vector<std::uint64_t>>& final_lists) const {
  const auto wrong = find_cycle(final_lists, false);
  return wrong.empty() ? find_cycle(final_lists, true) : wrong;
}

std::string append_history::find_cycle(const std::map<std::string, std::vector<std::uint64_t>>& final_lists, bool has_snapshots) const {
  std::map<std::uint64_t, std::size_t> writer_of;
  for (std::size_t i = 0; i < transactions_.size(); ++i)
    for (const auto& [key, values] : transactions_[i].appends)
      for (const auto value : values) writer_of[value] = i;

  const auto final_list = [&](const std::string& key) {
    const auto found = final_lists.find(key);
    return found == final_lists.end() ? std::vector<std::uint64_t>() : found->second;
  };
  std::set<std::size_t> observed;  // whose appends are there
  for (const auto& [key, list] : final_lists)
    for (const auto value : list) {
      const auto writer = writer_of.find(value);
      if (writer == writer_of.end()) return "key " + key + " holds " + std::to_string(value) + ", which nobody wrote";
      if (transactions_[writer->second].ended_as == append_transaction::outcome::aborted)
        return "aborted write: key " + key + " holds " + std::to_string(value) + " of aborted transaction " + describe(transactions_[writer->second]);
      observed.insert(writer->second);
    }

  std::vector<std::vector<edge>> edges(transactions_.size());
  const auto counts = [&](std::size_t i) {
    if (transactions_[i].is_snapshot && !has_snapshots) return false;
    return transactions_[i].ended_as == append_transaction::outcome::committed || observed.contains(i);
  };
  for (std::size_t i = 0; i < transactions_.size(); ++i) {
    const auto& t = transactions_[i];
    if (!counts(i)) continue;
    for (const auto& [key, values] : t.appends) {
      const auto list = final_list(key);
      const auto first = std::find(list.begin(), list.end(), values.front());
      if (static_cast<std::size_t>(list.end() - first) < values.size() || !std::equal(values.begin(), values.end(), first))
        return "lost write: transaction " + std::to_string(i) + " appended " + words(values) + " to " + key + ", which holds " + words(list) +
               "\n  " + describe(t);
    }
    for (const auto& [key, seen] : t.reads) {
      const auto list = final_list(key);
      if (seen.size() > list.size() || !std::equal(seen.begin(), seen.end(), list.begin())) {
        for (const auto value : seen)
          if (const auto writer = writer_of.find(value); writer != writer_of.end() && !counts(writer->second))
            return "aborted read: transaction " + std::to_string(i) + " read " + std::to_string(value) + " of " + key;
        return "transaction " + std::to_string(i) + " read " + words(seen) + " of " + key + ", whose list is " + words(list);
      }
      if (!seen.empty()) {
        const auto last = writer_of.at(seen.back());
        const auto& written = transactions_[last].appends.at(key);
        if (written.back() != seen.back())
          return "intermediate read: transaction " + std::to_string(i) + " read " + words(seen) + " of " + key;
        if (last != i) edges[last].push_back({i, t.appends.contains(key) ? edge_kind::writes : edge_kind::reads});
      }
      if (seen.size() < list.size())
        if (const auto next = writer_of.at(list[seen.size()]); next != i) edges[i].push_back({next, edge_kind::overwritten});
    }
    for (const auto& [key, values] : t.appends) {
      const auto list = final_list(key);
      const auto place = std::find(list.begin(), list.end(), values.front());
      if (place != list.begin())
        if (const auto before = writer_of.at(*(place - 1)); before != i) edges[before].push_back({i, edge_kind::writes});
    }
  }

  // Real time, by a chain of moments: an end leads to its moment, a moment to the next, and to all that begin behind it.
  std::vector<std::size_t> by_end, by_begin;
  for (std::size_t i = 0; i < transactions_.size(); ++i) {
    if (!counts(i)) continue;
    by_begin.push_back(i);
    if (transactions_[i].ended_as == append_transaction::outcome::committed) by_end.push_back(i);
  }
  std::stable_sort(by_end.begin(), by_end.end(), [&](auto a, auto b) { return transactions_[a].ended < transactions_[b].ended; });
  std::stable_sort(by_begin.begin(), by_begin.end(), [&](auto a, auto b) { return transactions_[a].began < transactions_[b].began; });
  const auto first_moment = edges.size();
  edges.resize(first_moment + by_end.size());
  std::size_t ended = 0;
  for (const auto i : by_begin) {
    while (ended < by_end.size() && transactions_[by_end[ended]].ended < transactions_[i].began) {
      edges[by_end[ended]].push_back({first_moment + ended, edge_kind::time});
      if (ended != 0) edges[first_moment + ended - 1].push_back({first_moment + ended, edge_kind::time});
      ++ended;
    }
    if (ended != 0 && (!has_snapshots || transactions_[i].is_snapshot)) edges[first_moment + ended - 1].push_back({i, edge_kind::time});
  }

  // A cycle, depth first without recursion.
  enum class color : std::uint8_t { white, grey, black };
  std::vector<color> colors(edges.size(), color::white);
  for (std::size_t root = 0; root < edges.size(); ++root) {
    if (colors[root] != color::white) continue;
    std::vector<std::pair<std::size_t, std::size_t>> path{{root, 0}};
    colors[root] = color::grey;
    while (!path.empty()) {
      auto& [node, next] = path.back();
      if (next == edges[node].size()) {
        colors[node] = color::black;
        path.pop_back();
        continue;
      }
      const auto to = edges[node][next++].to;
      if (colors[to] == color::white) {
        colors[to] = color::grey;
        path.emplace_back(to, 0);
      } else if (colors[to] == color::grey) {
        std::vector<edge_kind> kinds;
        std::ostringstream out;
        const auto start = std::find_if(path.begin(), path.end(), [&](const auto& step) { return step.first == to; });
        for (auto step = start; step != path.end(); ++step) {
          const auto kind = edges[step->first][step->second - 1].kind;
          kinds.push_back(kind);
          if (step->first < first_moment) out << ' ' << step->first << " -" << name_of(kind) << "->";
        }
        const std::string cycle = anomaly_of(kinds) + ":" + out.str();
        out.str("");
        for (auto step = start; step != path.end(); ++step)
          if (step->first < first_moment) out << "\n  " << step->first << ": " << describe(transactions_[step->first]);
        return cycle + out.str();
      }
    }
  }
  return "";
}

}  // namespace kahuna::testing
